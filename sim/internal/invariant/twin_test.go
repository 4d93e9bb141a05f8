package invariant

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"

	"pgregory.net/rapid"
)

// twin is told the same facts as the checker and keeps them as plain sets, with
// a log of when what changed; everything else it works out anew when asked.
type twin struct {
	handoff fleet.Handoff
	rows    map[string]bool
	lists   map[fleet.InstanceID]*twinInstance // those in ZooKeeper
	running map[fleet.InstanceID]map[string]bool
	epoch   int64
	log     []twinEvent
	broken  [invariantCount]uint64
	healAt  time.Duration // -1: not yet
	end     time.Duration
	applied map[fleet.InstanceID]int64
	healthy map[fleet.InstanceID]bool
	demands []*twinDemand
}

type twinInstance struct {
	ids      map[string]bool
	capacity int
	times    int64
	versions fleet.Versions
}

// twinEvent is one id's state after something changed it.
type twinEvent struct {
	at      time.Duration
	id      string
	rowNow  int // 1: its row came, -1: its row went, 0: something else
	row     bool
	owners  []fleet.InstanceID
	runners []fleet.InstanceID
}

type twinDemand struct {
	by    fleet.InstanceID
	at    time.Duration
	times int64
	over  bool // met, or ended by what became of the instance
}

func newTwin(handoff fleet.Handoff) *twin {
	return &twin{
		handoff: handoff, rows: map[string]bool{}, lists: map[fleet.InstanceID]*twinInstance{},
		running: map[fleet.InstanceID]map[string]bool{}, healAt: -1,
		applied: map[fleet.InstanceID]int64{}, healthy: map[fleet.InstanceID]bool{},
	}
}

func (w *twin) owners(id string) []fleet.InstanceID {
	var by []fleet.InstanceID
	for _, i := range slices.Sorted(maps.Keys(w.lists)) {
		if w.lists[i].ids[id] {
			by = append(by, i)
		}
	}
	return by
}

func (w *twin) runners(id string) []fleet.InstanceID {
	var by []fleet.InstanceID
	for _, i := range slices.Sorted(maps.Keys(w.running)) {
		if w.running[i][id] {
			by = append(by, i)
		}
	}
	return by
}

func (w *twin) note(now time.Duration, id string, rowNow int) {
	w.log = append(w.log, twinEvent{now, id, rowNow, w.rows[id], w.owners(id), w.runners(id)})
}

func (w *twin) row(now time.Duration, id string, on bool) {
	if w.rows[id] == on {
		w.broken[Facts]++
		return
	}
	w.rows[id] = on
	rowNow := -1
	if on {
		rowNow = 1
	}
	w.note(now, id, rowNow)
}

func (w *twin) run(now time.Duration, by fleet.InstanceID, id string, on bool) {
	if w.running[by] == nil {
		w.running[by] = map[string]bool{}
	}
	if w.running[by][id] == on {
		w.broken[Facts]++
		return
	}
	w.running[by][id] = on
	if on && w.handoff == fleet.HandoffStrict && len(w.runners(id)) == 2 {
		w.broken[Overlap]++
	}
	w.note(now, id, 0)
}

func (w *twin) alive(now time.Duration, by fleet.InstanceID, healthy bool) {
	if w.healthy[by] == healthy {
		return
	}
	w.healthy[by] = healthy
	w.forget(by, now)
	if healthy {
		w.applied[by] = -1
		if l := w.lists[by]; l != nil && len(l.ids) > 0 {
			w.demands = append(w.demands, &twinDemand{by: by, at: now, times: l.times})
		}
	}
}

// forget ends what was demanded of an instance, unless it is overdue.
func (w *twin) forget(by fleet.InstanceID, now time.Duration) {
	for _, d := range w.demands {
		if d.by == by && now <= d.at+20*time.Second {
			d.over = true
		}
	}
}

func (w *twin) reloaded(now time.Duration, by fleet.InstanceID, times int64) {
	l := w.lists[by]
	if l == nil {
		return
	}
	if times > l.times {
		w.broken[ReloadReaches]++
		return
	}
	w.applied[by] = max(w.applied[by], times)
	for _, d := range w.demands {
		if d.by == by && d.times <= w.applied[by] && now <= d.at+20*time.Second {
			d.over = true
		}
	}
}

func (w *twin) commit(now time.Duration, epoch int64, txn *fleet.Txn) {
	w.epoch = max(w.epoch, epoch)
	if txn.Epoch < w.epoch {
		w.broken[Epoch]++
	}
	w.epoch = max(w.epoch, txn.Epoch)
	touched := map[string]bool{}
	for _, ch := range txn.Changes {
		l := w.lists[ch.Instance]
		switch {
		case ch.Kind == fleet.ChangeCreate:
			if l != nil {
				w.broken[TreeShape]++
			} else {
				l = &twinInstance{ids: map[string]bool{}}
				w.lists[ch.Instance] = l
			}
			l.versions, l.times, l.capacity = fleet.Versions{}, ch.Times, ch.Capacity
			continue
		case l == nil:
			w.broken[TreeShape]++
			if ch.Kind == fleet.ChangeDelete {
				continue
			}
			l = &twinInstance{ids: map[string]bool{}}
			w.lists[ch.Instance] = l
		case ch.Versions != l.versions:
			w.broken[VersionsMatch]++
		}
		if ch.Kind == fleet.ChangeDelete {
			continue
		}
		changed := len(ch.Add)+len(ch.Remove) > 0
		if ch.Times != l.times+1 && (changed || ch.Times != l.times) {
			w.broken[TimesRise]++
		}
		l.times, l.capacity = ch.Times, ch.Capacity
		l.versions = fleet.Versions{Node: ch.Versions.Node + 1, Resources: ch.Versions.Resources + 1, Reload: ch.Versions.Reload + 1}
	}
	for _, ch := range txn.Changes {
		for _, id := range ch.Remove {
			if l := w.lists[ch.Instance]; l == nil || !l.ids[id] {
				w.broken[TreeShape]++
			} else {
				delete(l.ids, id)
				touched[id] = true
			}
		}
	}
	for _, ch := range txn.Changes {
		l := w.lists[ch.Instance]
		if l == nil {
			continue
		}
		for _, id := range ch.Add {
			if l.ids[id] {
				w.broken[TreeShape]++
				continue
			}
			if len(w.owners(id)) > 0 {
				w.broken[OneOwner]++
			}
			l.ids[id] = true
			touched[id] = true
		}
		if ch.Kind == fleet.ChangeDelete {
			if len(l.ids) > 0 {
				w.broken[TreeShape]++
			}
			for id := range l.ids {
				touched[id] = true
			}
			delete(w.lists, ch.Instance)
			w.forget(ch.Instance, now)
			continue
		}
		if ch.Used != len(l.ids) {
			w.broken[Counters]++
		}
		if len(l.ids) > ch.Capacity {
			w.broken[Capacity]++
		}
		if w.healthy[ch.Instance] && len(ch.Add)+len(ch.Remove) > 0 {
			d := &twinDemand{by: ch.Instance, at: now, times: l.times}
			d.over = w.applied[ch.Instance] >= l.times
			w.demands = append(w.demands, d)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		w.note(now, id, 0)
	}
}

func (w *twin) truth() Truth {
	truth := Truth{Running: map[fleet.InstanceID][]string{}}
	for id, on := range w.rows {
		if on {
			truth.Rows = append(truth.Rows, fleet.Resource{ID: id})
		}
	}
	for by, l := range w.lists {
		truth.Tree.Instances = append(truth.Tree.Instances, fleet.TreeInstance{
			ID: by, Capacity: l.capacity, Used: len(l.ids), IDs: slices.Collect(maps.Keys(l.ids)), Times: l.times, Versions: l.versions,
		})
	}
	for by, ids := range w.running {
		for id, on := range ids {
			if on {
				truth.Running[by] = append(truth.Running[by], id)
			}
		}
	}
	return truth
}

// measures walks each id's log from the beginning.
func (w *twin) measures() (settle, recovered, overlap []time.Duration) {
	for _, id := range w.ids() {
		var rowAt, stoppedAt, overlapAt, unsettledAt time.Duration
		var row, hadRow, waiting, pending bool
		runners := 0
		for _, e := range append(w.of(id), twinEvent{at: -1}) {
			last := e.at < 0
			if last {
				e = twinEvent{at: w.end, row: row}
			}
			// a pending state that ends here, or that a row's change begins anew
			settled := e.row && len(e.owners) == 1 && slices.Equal(e.owners, e.runners) ||
				!e.row && len(e.owners)+len(e.runners) == 0
			if pending && (last || settled || e.rowNow != 0) {
				if from := max(unsettledAt, w.healAt); w.healAt >= 0 && e.at > from+time.Minute {
					w.broken[Settled]++
				}
			}
			if !settled && (!pending || e.rowNow != 0) {
				unsettledAt = e.at
			}
			pending = !settled
			switch {
			case last:
				switch {
				case waiting:
					settle = append(settle, e.at-rowAt)
				case row && runners == 0:
					recovered = append(recovered, e.at-stoppedAt)
				case !row && hadRow && runners > 0:
					settle = append(settle, e.at-rowAt)
				}
			case e.rowNow > 0:
				row, rowAt, waiting = true, e.at, runners == 0
				if runners > 0 {
					settle = append(settle, 0)
				}
			case e.rowNow < 0:
				if waiting {
					settle = append(settle, e.at-rowAt)
				} else if runners == 0 {
					recovered = append(recovered, e.at-stoppedAt)
				}
				row, hadRow, waiting, rowAt = false, true, false, e.at
			case runners == 0 && len(e.runners) == 1 && row:
				if waiting {
					settle = append(settle, e.at-rowAt)
				} else {
					recovered = append(recovered, e.at-stoppedAt)
				}
				waiting = false
			case runners == 1 && len(e.runners) == 0:
				if row {
					stoppedAt = e.at
				} else if hadRow {
					settle = append(settle, e.at-rowAt)
				}
			}
			if runners == 1 && len(e.runners) == 2 {
				overlapAt = e.at
			}
			if runners > 1 && (last || len(e.runners) == 1) {
				overlap = append(overlap, e.at-overlapAt)
				if w.handoff == fleet.HandoffFast && e.at-overlapAt > 10*time.Second {
					w.broken[Overlap]++
				}
			}
			runners = len(e.runners)
			if !row && len(e.owners)+len(e.runners) == 0 {
				hadRow = false // nothing is left of it
			}
		}
	}
	for _, d := range w.demands {
		if !d.over && w.end > d.at+20*time.Second {
			w.broken[ReloadReaches]++
		}
	}
	return settle, recovered, overlap
}

func (w *twin) ids() []string {
	seen := map[string]bool{}
	for _, e := range w.log {
		seen[e.id] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func (w *twin) of(id string) []twinEvent {
	var events []twinEvent
	for _, e := range w.log {
		if e.id == id {
			events = append(events, e)
		}
	}
	return events
}

// The checker, told random facts of which many are wrong, says what its twin
// says: after every fact the state, at the end violations and measures.
func TestCheckerAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		handoff := rapid.SampledFrom([]fleet.Handoff{fleet.HandoffFast, fleet.HandoffStrict}).Draw(t, "handoff")
		c, w := newChecker(handoff), newTwin(handoff)
		ids := []string{"a", "b", "c", "d", "e"}
		anyID := rapid.SampledFrom(ids)
		anyInstance := rapid.Map(rapid.IntRange(0, 3), func(i int) fleet.InstanceID { return fleet.InstanceID(i) })
		now, unplacedMax := time.Duration(0), 0
		for range rapid.IntRange(0, 60).Draw(t, "facts") {
			now += time.Duration(rapid.IntRange(0, 15).Draw(t, "seconds")) * time.Second
			c.Tick(now)
			switch what := rapid.IntRange(0, 11).Draw(t, "what"); what {
			case 0, 1:
				id := anyID.Draw(t, "inserted")
				c.RowInserted(now, thing, fleet.Resource{ID: id})
				w.row(now, id, true)
			case 2:
				id := anyID.Draw(t, "deleted")
				c.RowDeleted(now, thing, id)
				w.row(now, id, false)
			case 3, 4, 5:
				id, by, on := anyID.Draw(t, "run"), anyInstance.Draw(t, "by"), rapid.IntRange(0, 2).Draw(t, "on") > 0
				c.Running(now, thing, by, id, on)
				w.run(now, by, id, on)
			case 6:
				by, healthy := anyInstance.Draw(t, "by"), rapid.Bool().Draw(t, "healthy")
				c.Alive(now, thing, by, healthy)
				w.alive(now, by, healthy)
			case 7:
				by, times := anyInstance.Draw(t, "by"), int64(rapid.IntRange(0, 4).Draw(t, "times"))
				c.Reloaded(now, thing, by, times)
				w.reloaded(now, by, times)
			case 8:
				if w.healAt < 0 && rapid.Bool().Draw(t, "heal") {
					c.Heal(now)
					w.healAt = now
				}
			default:
				txn := drawTxn(t, w, ids)
				epoch := int64(rapid.SampledFrom([]int{1, 1, 1, 1, 2}).Draw(t, "epoch"))
				c.Committed(now, thing, epoch, txn)
				w.commit(now, epoch, txn)
			}
			facts := c.Broken(Facts)
			if diffs := c.Audit(now, thing, w.truth()); len(diffs) > 0 || c.Broken(Facts) != facts {
				t.Fatalf("the audit: %v", diffs)
			}
			unplacedMax = max(unplacedMax, c.Live(thing).Unplaced) // the audit has found it right
		}
		now += time.Duration(rapid.IntRange(0, 90).Draw(t, "rest")) * time.Second
		c.End(now)
		w.end = now
		settle, recovered, overlap := w.measures()
		for inv := range invariantCount {
			if got := c.Broken(inv); got != w.broken[inv] {
				t.Fatalf("%s broke %d times, the twin says %d\n%v\n%+v", inv, got, w.broken[inv], c.Violations(), w.log)
			}
		}
		k := c.kinds[0]
		if k.unplacedMax != unplacedMax || c.unplacedMax != unplacedMax {
			t.Fatalf("the most unplaced is %d, over all kinds %d, the twin says %d", k.unplacedMax, c.unplacedMax, unplacedMax)
		}
		for name, pair := range map[string]struct {
			got  *history.Histogram
			want []time.Duration
		}{"settle": {&k.settle, settle}, "recover": {&k.recover, recovered}, "overlap": {&k.overlap, overlap}} {
			var want history.Histogram
			for _, d := range pair.want {
				want.Add(d)
			}
			if describe(pair.got) != describe(&want) {
				t.Fatalf("%s: %s, the twin says %s (%v)\n%+v", name, describe(pair.got), describe(&want), pair.want, w.log)
			}
		}
	})
}

func describe(h *history.Histogram) string {
	return fmt.Sprintf("n=%d p25=%v p50=%v p75=%v max=%v", h.Count(), h.Quantile(0.25), h.Quantile(0.5), h.Quantile(0.75), h.Max())
}

// drawTxn draws a transaction of which each part is mostly right.
func drawTxn(t *rapid.T, w *twin, ids []string) *fleet.Txn {
	wrong := func(what string) bool { return rapid.IntRange(0, 9).Draw(t, what) == 0 }
	txn := &fleet.Txn{ID: 1, Epoch: max(w.epoch, 1)}
	if wrong("epoch") {
		txn.Epoch--
	}
	all := []fleet.InstanceID{0, 1, 2, 3}
	taken := map[string]bool{}
	for _, by := range rapid.Permutation(all).Draw(t, "instances")[:rapid.IntRange(1, 3).Draw(t, "changes")] {
		l := w.lists[by]
		ch := fleet.Change{Instance: by, Capacity: rapid.IntRange(1, 5).Draw(t, "capacity")}
		used := 0
		switch {
		case (l == nil) != wrong("kind"):
			ch.Kind = fleet.ChangeCreate
			ch.Times = int64(rapid.IntRange(0, 1).Draw(t, "times"))
		case rapid.IntRange(0, 3).Draw(t, "delete") == 0:
			ch.Kind = fleet.ChangeDelete
		default:
			ch.Kind = fleet.ChangeUpdate
		}
		if l != nil {
			used = len(l.ids)
			ch.Versions = l.versions
		}
		for _, id := range ids {
			in := l != nil && l.ids[id]
			switch {
			case taken[id]:
			case in && (ch.Kind == fleet.ChangeDelete && !wrong("left") || rapid.IntRange(0, 3).Draw(t, "remove") == 0),
				!in && ch.Kind != fleet.ChangeCreate && wrong("remove"):
				ch.Remove = append(ch.Remove, id)
				used--
				taken[id] = rapid.Bool().Draw(t, "stays away")
			case !in && ch.Kind != fleet.ChangeDelete && (len(w.owners(id)) == 0 && rapid.Bool().Draw(t, "add") || wrong("add")),
				in && wrong("add"):
				ch.Add = append(ch.Add, id)
				used++
				taken[id] = true
			}
		}
		if ch.Kind == fleet.ChangeUpdate && l != nil {
			ch.Times = l.times
			if len(ch.Add)+len(ch.Remove) > 0 {
				ch.Times++
			}
		}
		if wrong("versions") {
			ch.Versions.Reload++
		}
		if wrong("times") {
			ch.Times++
		}
		ch.Used = used
		if wrong("used") {
			ch.Used++
		}
		txn.Changes = append(txn.Changes, ch)
	}
	return txn
}

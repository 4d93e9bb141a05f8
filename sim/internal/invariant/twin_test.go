package invariant

import (
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
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
	heals   []heal // the last may not be over
	end     time.Duration
	applied map[fleet.InstanceID]int64
	healthy map[fleet.InstanceID]bool
	demands []*twinDemand
	ends    map[fleet.InstanceID][]time.Duration // when their DACs came not to work any more

	since     map[fleet.InstanceID]time.Duration // when the lists came; none of them has a pod
	disturbed map[fleet.InstanceID]int           // NoInstance: all of them
	owed      map[fleet.InstanceID]int64
	startedAt time.Duration // when the first DAC worked; -1: not yet
	loads     []twinLoads
}

// heal is a time in which everything must settle.
type heal struct {
	at, until time.Duration
	over      bool // until counts
}

// demands says that what is pending from a time to another is so for too long.
func (h heal) demands(from, to time.Duration) bool {
	if h.over {
		to = min(to, h.until)
	}
	return to > max(from, h.at)+time.Minute
}

// twinLoads are the lengths of all lists from a time on.
type twinLoads struct {
	at   time.Duration
	used []int
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

	by      fleet.InstanceID // who started or stopped it
	healthy bool             // that one was
	ends    map[fleet.InstanceID][]time.Duration
	stuck   bool // one of the runners is disturbed
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
		running: map[fleet.InstanceID]map[string]bool{}, startedAt: -1,
		disturbed: map[fleet.InstanceID]int{}, since: map[fleet.InstanceID]time.Duration{}, owed: map[fleet.InstanceID]int64{},
		ends: map[fleet.InstanceID][]time.Duration{}, applied: map[fleet.InstanceID]int64{}, healthy: map[fleet.InstanceID]bool{},
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
	w.log = append(w.log, twinEvent{at: now, id: id, rowNow: rowNow, row: w.rows[id], owners: w.owners(id), runners: w.runners(id), ends: maps.Clone(w.ends),
		stuck: slices.ContainsFunc(w.runners(id), w.suspended)})
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
	e := &w.log[len(w.log)-1]
	e.by, e.healthy = by, w.healthy[by]
}

func (w *twin) alive(now time.Duration, by fleet.InstanceID, healthy bool) {
	if w.healthy[by] == healthy {
		return
	}
	w.healthy[by] = healthy
	w.forget(by, now)
	if !healthy {
		w.ends[by] = append(w.ends[by], now)
	}
	if healthy {
		w.applied[by] = -1
		if w.startedAt < 0 {
			w.startedAt = now
		}
		if l := w.lists[by]; l != nil && len(l.ids) > 0 {
			w.demand(by, now, l.times)
		}
	}
}

// demand notes what an instance owes; while it is disturbed nobody asks for it.
func (w *twin) demand(by fleet.InstanceID, now time.Duration, times int64) {
	w.owed[by] = times
	w.demands = append(w.demands, &twinDemand{by: by, at: now, times: times, over: w.suspended(by) || w.applied[by] >= times})
}

func (w *twin) suspended(by fleet.InstanceID) bool {
	return w.disturbed[by] > 0 || w.disturbed[fleet.NoInstance] > 0
}

// disturb begins or ends a disturbance of one or, with NoInstance, of all.
func (w *twin) disturb(now time.Duration, by fleet.InstanceID, on bool) {
	if !on && w.disturbed[by] == 0 {
		w.broken[Facts]++
		return
	}
	var before []fleet.InstanceID
	for id := range fleet.InstanceID(4) {
		if w.suspended(id) {
			before = append(before, id)
		}
	}
	if on {
		w.disturbed[by]++
	} else {
		w.disturbed[by]--
	}
	for id := range fleet.InstanceID(4) {
		if !w.suspended(id) && !slices.Contains(before, id) {
			continue
		}
		owed, some := w.owed[id]
		w.forget(id, now) // and with it what is owed
		if some {
			w.owed[id] = owed
		}
		if l := w.lists[id]; some && !w.suspended(id) && w.healthy[id] && l != nil && w.applied[id] < owed {
			w.demand(id, now, owed)
		}
	}
	for _, id := range w.ids() {
		w.note(now, id, 0)
	}
}

// forget ends what was demanded of an instance, unless it is overdue.
func (w *twin) forget(by fleet.InstanceID, now time.Duration) {
	delete(w.owed, by)
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
	touched, before := map[string]bool{}, map[fleet.InstanceID]int{}
	for _, ch := range txn.Changes {
		l := w.lists[ch.Instance]
		if l != nil {
			before[ch.Instance] = len(l.ids)
		}
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
		if n := len(l.ids); n > before[ch.Instance] && n > perInstance && !(n == perInstance+1 && oneMove(txn)) || ch.Capacity > perInstance && ch.Capacity > n {
			w.broken[Capacity]++
		}
		if w.healthy[ch.Instance] && len(ch.Add)+len(ch.Remove) > 0 {
			w.demand(ch.Instance, now, l.times)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		w.note(now, id, 0)
	}
	var used []int
	for _, l := range w.lists {
		used = append(used, len(l.ids))
	}
	w.loads = append(w.loads, twinLoads{now, used})
	maps.DeleteFunc(w.since, func(by fleet.InstanceID, _ time.Duration) bool { return w.lists[by] == nil })
	for by := range w.lists {
		if _, known := w.since[by]; !known {
			w.since[by] = now
		}
	}
}

// oneMove says that a transaction takes one id from one list to another.
func oneMove(txn *fleet.Txn) bool {
	var from, to []string
	for _, ch := range txn.Changes {
		if ch.Kind != fleet.ChangeUpdate || len(ch.Add)+len(ch.Remove) != 1 {
			return false
		}
		from, to = append(from, ch.Remove...), append(to, ch.Add...)
	}
	return len(from) == 1 && slices.Equal(from, to)
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
func (w *twin) measures() (settle, outage, recovered, overlap []time.Duration) {
	out := func(stop, e *twinEvent) { // a time in which nobody ran it
		outage = append(outage, e.at-stop.at)
		since := e.ends[stop.by][len(stop.ends[stop.by]):]
		if !stop.healthy || len(since) > 1 || len(since) == 1 && since[0]-stop.at <= time.Second {
			recovered = append(recovered, e.at-stop.at)
		}
	}
	for _, id := range w.ids() {
		var stop twinEvent
		var rowAt, overlapAt, calmAt, unsettledAt time.Duration
		var row, hadRow, waiting, pending, stuck, late bool
		runners := 0
		for _, e := range append(w.of(id), twinEvent{at: -1}) {
			last := e.at < 0
			if last {
				e = twinEvent{at: w.end, row: row, ends: w.ends}
			}
			// a pending state that ends here, or that a row's change begins anew
			settled := e.row && len(e.owners) == 1 && slices.Equal(e.owners, e.runners) ||
				!e.row && len(e.owners)+len(e.runners) == 0
			if pending && (last || settled || e.rowNow != 0) {
				if slices.ContainsFunc(w.heals, func(h heal) bool { return h.demands(unsettledAt, e.at) }) {
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
					out(&stop, &e)
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
					out(&stop, &e)
				}
				row, hadRow, waiting, rowAt = false, true, false, e.at
			case runners == 0 && len(e.runners) == 1 && row:
				if waiting {
					settle = append(settle, e.at-rowAt)
				} else {
					out(&stop, &e)
				}
				waiting = false
			case runners == 1 && len(e.runners) == 0:
				if row {
					stop = e
				} else if hadRow {
					settle = append(settle, e.at-rowAt)
				}
			}
			if runners > 1 && !stuck && e.at-calmAt > 10*time.Second {
				late = true
			}
			if runners == 1 && len(e.runners) == 2 {
				overlapAt, calmAt, late = e.at, e.at, false
			}
			if stuck && !e.stuck {
				calmAt = e.at
			}
			stuck = e.stuck
			if runners > 1 && (last || len(e.runners) == 1) {
				overlap = append(overlap, e.at-overlapAt)
				if w.handoff == fleet.HandoffFast && late {
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
	for _, since := range w.since {
		if n := len(w.heals); n > 0 && !w.heals[n-1].over && w.heals[n-1].demands(since, w.end) {
			w.broken[Pods]++
		}
	}
	return settle, outage, recovered, overlap
}

// imbalance is the average over time of the fullest less the emptiest instance's
// load as a share of the mean.
func (w *twin) imbalance() float64 {
	var area, over float64
	for n, l := range append(slices.Clone(w.loads), twinLoads{at: w.end}) {
		var used []int
		from := time.Duration(0)
		if n > 0 {
			used, from = w.loads[n-1].used, w.loads[n-1].at
		}
		if w.startedAt < 0 || l.at <= w.startedAt {
			continue
		}
		d := (l.at - max(from, w.startedAt)).Seconds()
		over += d
		sum := 0
		for _, u := range used {
			sum += u
		}
		if sum > 0 {
			area += d * float64(slices.Max(used)-slices.Min(used)) / (float64(sum) / float64(len(used)))
		}
	}
	if over == 0 {
		return 0
	}
	return area / over
}

// longest are the ten longest of the times.
func longest(times []time.Duration) []time.Duration {
	var all []time.Duration
	for _, d := range times {
		if d > 0 {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b time.Duration) int { return int(b - a) })
	return all[:min(len(all), 10)]
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

package invariant

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"

	"pgregory.net/rapid"
)

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
			switch what := rapid.IntRange(0, 13).Draw(t, "what"); what {
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
				switch last := len(w.heals) - 1; {
				case last < 0 || w.heals[last].over:
					c.Heal(now)
					w.heals = append(w.heals, heal{at: now})
				case rapid.Bool().Draw(t, "unheal"):
					c.Unheal(now)
					w.heals[last].over, w.heals[last].until = true, now
				}
			case 9:
				by, on := anyInstance.Draw(t, "by"), rapid.Bool().Draw(t, "disturbed")
				c.Disturbed(now, thing, by, on, "cut off")
				w.disturb(now, by, on)
			case 10:
				on := rapid.Bool().Draw(t, "all disturbed")
				c.DisturbedAll(now, "", on, "ZooKeeper is down")
				w.disturb(now, fleet.NoInstance, on)
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
		settle, outage, recovered, overlap := w.measures()
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
		}{"settle": {&k.settle, settle}, "unowned": {&k.outage, outage}, "recover": {&k.recover, recovered}, "overlap": {&k.overlap, overlap}} {
			var want history.Histogram
			for _, d := range pair.want {
				want.Add(d)
			}
			if describe(pair.got) != describe(&want) {
				t.Fatalf("%s: %s, the twin says %s (%v)\n%+v", name, describe(pair.got), describe(&want), pair.want, w.log)
			}
		}
		for name, pair := range map[string]struct {
			got  slowest
			want []time.Duration
		}{"settlements": {k.slowSettles, settle}, "outages": {k.slowOutages, outage}} {
			var got []time.Duration
			for n := range pair.got {
				got = append(got, pair.got[n].took())
			}
			if want := longest(pair.want); !slices.Equal(got, want) {
				t.Fatalf("the slowest %s are %v, the twin says %v", name, got, want)
			}
		}
		for _, s := range c.Slowest() {
			if s.Why == "" || s.Took <= 0 {
				t.Fatalf("a slow case without a cause: %+v", s)
			}
		}
		if got, want := k.loads.mean(), w.imbalance(); math.Abs(got-want) > 1e-9 {
			t.Fatalf("the mean imbalance is %v, the twin says %v (%v, started %v)", got, want, w.loads, w.startedAt)
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

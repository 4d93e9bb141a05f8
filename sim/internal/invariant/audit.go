package invariant

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// Truth is the whole state of a kind as the world holds it at one moment.
type Truth struct {
	Rows    []fleet.Resource              // the database
	Tree    fleet.Tree                    // ZooKeeper
	Running map[fleet.InstanceID][]string // what each DAC runs
	Orphans map[string][]string           // what programs run on whose instance has another pod, by their own pod's uid
}

// auditLines bounds the differences that an audit names.
const auditLines = 20

// Audit is the checker's dumb twin: it computes everything that the checker
// keeps up to date from the truth itself, in the most obvious way, and returns
// what differs; nothing when all agrees. It takes time and memory in proportion
// to the whole state. A difference also counts as a Facts violation.
func (c *Checker) Audit(now time.Duration, kind fleet.Kind, truth Truth) []string {
	k := c.kind(now, kind)
	if k == nil {
		return []string{fmt.Sprintf("kind %q is not configured", kind)}
	}
	a := audit{
		rows:    make(map[string]bool, len(truth.Rows)),
		owners:  make(map[string][]fleet.InstanceID, len(truth.Rows)),
		runners: make(map[string][]fleet.InstanceID, len(truth.Rows)),
		ids:     make(map[string]bool, len(truth.Rows)),
	}
	a.read(k, truth)
	a.compareCounts(c, k, truth)
	a.compareInstances(k, truth)
	a.compareRecords(k)
	if len(a.diffs) > 0 {
		c.fail(k, Facts, "the audit found %d differences to the truth, the first: %s", len(a.diffs), a.diffs[0])
	}
	if more := len(a.diffs) - auditLines; more > 0 {
		a.diffs = append(a.diffs[:auditLines], fmt.Sprintf("and %d more", more))
	}
	return a.diffs
}

type audit struct {
	rows            map[string]bool
	owners, runners map[string][]fleet.InstanceID
	ids             map[string]bool // every id that is anywhere
	diffs           []string
}

func (a *audit) differ(format string, args ...any) {
	a.diffs = append(a.diffs, fmt.Sprintf(format, args...))
}

// read turns the truth around: from what holds ids to ids and their holders.
func (a *audit) read(k *kindState, truth Truth) {
	for _, row := range truth.Rows {
		if a.rows[row.ID] {
			a.differ("the database has row %q twice", row.ID)
		}
		a.rows[row.ID], a.ids[row.ID] = true, true
	}
	for _, t := range truth.Tree.Instances {
		for _, id := range t.IDs {
			a.owners[id] = append(a.owners[id], t.ID)
			a.ids[id] = true
		}
	}
	for by, ids := range truth.Running {
		for _, id := range ids {
			a.runners[id] = append(a.runners[id], by)
			a.ids[id] = true
		}
	}
	for n := range k.orphans {
		o := &k.orphans[n]
		if o.runs == 0 {
			continue
		}
		for _, id := range truth.Orphans[o.dac] {
			a.runners[id] = append(a.runners[id], fleet.InstanceID(maxInstanceID+n))
			a.ids[id] = true
		}
	}
	for _, of := range []map[string][]fleet.InstanceID{a.owners, a.runners} {
		for _, by := range of {
			slices.Sort(by)
		}
	}
}

func (a *audit) compareCounts(c *Checker, k *kindState, truth Truth) {
	var want Live
	want.Resources = len(a.rows)
	want.Instances = len(truth.Tree.Instances)
	for id := range a.ids {
		owners, runners := a.owners[id], a.runners[id]
		if a.rows[id] && len(owners) == 0 {
			want.Unplaced++
		}
		if a.rows[id] && len(runners) != 1 {
			want.Unsettled++
		}
		if !a.rows[id] || len(owners) != 1 || len(runners) != 1 || owners[0] != runners[0] {
			want.Pending++
		}
	}
	if got := c.Live(k.cfg.Kind); got != want {
		a.differ("the checker counts %+v, the truth is %+v", got, want)
	}
}

func (a *audit) compareInstances(k *kindState, truth Truth) {
	seen := make(map[fleet.InstanceID]bool)
	for _, t := range truth.Tree.Instances {
		seen[t.ID] = true
		if int(t.ID) >= len(k.instances) || !k.instances[t.ID].exists {
			a.differ("instance %d exists, but the checker does not know it", t.ID)
			continue
		}
		in := k.instances[t.ID]
		if in.used != len(t.IDs) || t.Used != len(t.IDs) {
			a.differ("instance %d: its list holds %d resources, its used says %d, the checker %d", t.ID, len(t.IDs), t.Used, in.used)
		}
		if in.capacity != t.Capacity || in.times != t.Times || in.versions != t.Versions {
			a.differ("instance %d: capacity %d, times %d, versions %v; the checker has %d, %d, %v",
				t.ID, t.Capacity, t.Times, t.Versions, in.capacity, in.times, in.versions)
		}
	}
	for id := range k.instances {
		if k.instances[id].exists && !seen[fleet.InstanceID(id)] {
			a.differ("the checker knows instance %d, which does not exist", id)
		}
	}
}

func (a *audit) compareRecords(k *kindState) {
	for _, id := range slices.Sorted(maps.Keys(a.ids)) {
		i, ok := k.index[id]
		if !ok {
			a.differ("%q exists (row %v, lists %v, runs %v), but the checker does not know it", id, a.rows[id], a.owners[id], a.runners[id])
			continue
		}
		if k.recs[i].row != a.rows[id] || !slices.Equal(k.owners(i), a.owners[id]) || !slices.Equal(k.runners(i), a.runners[id]) {
			a.differ("%q: row %v, lists %v, runs %v; the checker has %v, %v, %v",
				id, a.rows[id], a.owners[id], a.runners[id], k.recs[i].row, k.owners(i), k.runners(i))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.index)) {
		if !a.ids[id] {
			a.differ("the checker knows %q, which is nowhere", id)
		}
	}
}

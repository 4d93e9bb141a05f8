package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"dacorch/orchestrator/fleet"
)

func (g *rig) snapshot() fleet.Tree {
	t := fleet.Tree{Control: g.ctl, ControlVersion: g.ctlV}
	for _, id := range sortedIDs(g.tree) {
		ti := *g.tree[id]
		ti.IDs = slices.Clone(ti.IDs)
		t.Instances = append(t.Instances, ti)
	}
	return t
}

// commit does what ZooKeeper does with a transaction, and checks what a
// committed state must fulfil.
func (g *rig) commit(t *fleet.Txn, v verdict) []Event {
	answer := func(o fleet.Outcome) []Event { return []Event{Committed{Txn: t.ID, Outcome: o, Err: "injected"}} }
	switch v {
	case refuse:
		return answer(fleet.OutcomeFailed)
	case unknownNot:
		return answer(fleet.OutcomeUnknown)
	case conflict:
		return answer(fleet.OutcomeConflict)
	}
	if t.Epoch != g.epoch {
		return answer(fleet.OutcomeDeposed)
	}
	if t.Control != nil && t.ControlVersion != g.ctlV {
		return answer(fleet.OutcomeConflict)
	}
	for _, ch := range t.Changes {
		ti := g.tree[ch.Instance]
		if (ch.Kind == fleet.ChangeCreate) != (ti == nil) || ti != nil && ti.Versions != ch.Versions {
			return answer(fleet.OutcomeConflict)
		}
	}
	if t.Control != nil {
		g.ctl = *t.Control
		g.ctlV++
	}
	size := 0
	g.born++
	for _, ch := range t.Changes {
		size += g.apply(ch)
	}
	if size > 1<<20 {
		g.break_("a transaction of %d bytes", size)
	}
	g.checkTree()
	if v == unknown {
		return answer(fleet.OutcomeUnknown)
	}
	return []Event{Committed{Txn: t.ID, Outcome: fleet.OutcomeDone}}
}

func (g *rig) apply(ch fleet.Change) int {
	ti := g.tree[ch.Instance]
	fresh := ti == nil || ti.Versions.Reload < 0
	switch ch.Kind {
	case fleet.ChangeDelete:
		if len(ti.IDs) > 0 {
			g.break_("instance %v deleted with %d resources", ch.Instance, len(ti.IDs))
		}
		if g.pods[ch.Instance] != nil {
			g.break_("instance %v deleted while its pod exists", ch.Instance)
		}
		delete(g.tree, ch.Instance)
		return 0
	case fleet.ChangeCreate:
		ti = &fleet.TreeInstance{ID: ch.Instance, Born: g.born, Status: fleet.Status{Times: -1}}
		g.tree[ch.Instance] = ti
	case fleet.ChangeUpdate:
		ti.Versions.Node++
		ti.Versions.Resources++
		ti.Versions.Reload++
	}
	for _, id := range ch.Remove {
		i := slices.Index(ti.IDs, id)
		if i < 0 {
			g.break_("%s removed from instance %v, where it is not", id, ch.Instance)
			continue
		}
		ti.IDs = slices.Delete(ti.IDs, i, i+1)
	}
	for _, id := range ch.Add {
		if slices.Contains(ch.Remove, id) {
			g.break_("%s joins and leaves instance %v in one change", id, ch.Instance)
		}
		if slices.Contains(ti.IDs, id) {
			g.break_("%s added to instance %v, where it is", id, ch.Instance)
		}
		ti.IDs = append(ti.IDs, id)
	}
	if fresh && ch.Times > 0 {
		ti.Times = ch.Times // a new _reload may begin anywhere
	} else if changed := len(ch.Add)+len(ch.Remove) > 0; changed != (ch.Times == ti.Times+1) || !changed && ch.Times != ti.Times {
		g.break_("instance %v: _reload goes from %d to %d, list changed: %t", ch.Instance, ti.Times, ch.Times, changed)
	}
	ti.Times, ti.Used, ti.Capacity = ch.Times, ch.Used, ch.Capacity
	return 3*len(ti.IDs) + len(strings.Join(ti.IDs, ""))
}

// checkStall judges a replacement for what was not confirmed: it is right unless
// the DAC has confirmed, and the machine has had the news.
func (g *rig) checkStall(c DeletePod) {
	ti := g.tree[c.Instance]
	if ti == nil || !strings.Contains(c.Why, "nothing more for") && !strings.Contains(c.Why, "it can be told nothing") {
		return
	}
	g.stalls++
	waits := slices.ContainsFunc(g.news, func(ev Event) bool { st, is := ev.(StatusSeen); return is && st.Instance == c.Instance })
	if ti.Status.Present && ti.Status.Times >= ti.Times && !waits {
		g.break_("instance %v is replaced (%s) and has confirmed everything", c.Instance, c.Why)
	}
}

// doNothing answers the pods that must have been replaced by now for doing
// nothing, of those that owed a confirmation before a long rest.
func (g *rig) doNothing(owed map[fleet.InstanceID]string) []string {
	var out []string
	for id, uid := range owed {
		if in := g.m.instances[id]; g.owes(id) == uid && g.m.alarms["mass-unconfirmed"] == "" && in.stalls < 2 {
			out = append(out, fmt.Sprintf("instance %v still does nothing: %+v", id, in.answering))
		}
	}
	return out
}

// owes answers the UID of an instance's pod that runs and holds a session, has
// confirmed something and not its list.
func (g *rig) owes(id fleet.InstanceID) string {
	p, ti := g.pods[id], g.tree[id]
	if p == nil || ti == nil || p.Phase != fleet.PhaseRunning || p.NodeLost || p.Terminating ||
		!ti.Status.Present || ti.Status.Times < 0 || ti.Status.Times >= ti.Times {
		return ""
	}
	return p.UID
}

// checkTree holds a committed state to what must always be true of it.
func (g *rig) checkTree() {
	before := len(g.broken)
	g.judgeTree()
	if g.inherited {
		g.inherited = len(g.broken) > before
		g.broken = g.broken[:before]
	}
}

func (g *rig) judgeTree() {
	owner := map[string]fleet.InstanceID{}
	for _, id := range sortedIDs(g.tree) {
		ti := g.tree[id]
		if ti.Used != len(ti.IDs) {
			g.break_("instance %v: used=%d, %d in the list", id, ti.Used, len(ti.IDs))
		}
		if ti.Used > ti.Capacity {
			g.break_("instance %v: %d of %d", id, ti.Used, ti.Capacity)
		}
		for _, r := range ti.IDs {
			if o, twice := owner[r]; twice {
				g.break_("%s stands on instances %v and %v", r, o, id)
			}
			owner[r] = id
		}
	}
}

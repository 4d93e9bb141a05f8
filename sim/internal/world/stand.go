package world

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// Stand has a kind's tree stand as somebody has left it, and the pods of some of
// its instances run, their programs with what their lists say. It is for the
// beginning: nothing of the kind may stand yet, and no observer hears of the tree.
// Versions, births and statuses of the tree are not taken over: instances are born
// in the order of Born. The error names what cannot stand.
func (w *World) Stand(kind fleet.Kind, tree fleet.Tree, running []fleet.InstanceID) error {
	if err := w.ZooKeeper.stand(kind, tree); err != nil {
		return err
	}
	w.DACs.warm = true
	defer func() { w.DACs.warm = false }()
	for _, id := range running {
		w.Kubernetes.stand(w.Timeline.Now(), kind, id)
	}
	return nil
}

func (z *ZooKeeper) stand(kind fleet.Kind, tree fleet.Tree) error {
	t := z.tree(kind)
	instances := slices.Clone(tree.Instances)
	slices.SortStableFunc(instances, func(a, b fleet.TreeInstance) int { return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.ID, b.ID)) })
	for i := range instances {
		ti := &instances[i]
		in := z.instance(t, ti.ID)
		if in.node != nil {
			return fmt.Errorf("%s: instance %v stands already: want each once", kind, ti.ID)
		}
		seen := make(map[string]struct{}, len(ti.IDs))
		for _, id := range ti.IDs {
			seen[id] = struct{}{}
		}
		if len(seen) < len(ti.IDs) {
			return fmt.Errorf("%s: instance %v lists an id twice: want each once", kind, ti.ID)
		}
		z.nodes.begin()
		in.create(&fleet.Change{Kind: fleet.ChangeCreate, Instance: ti.ID, Capacity: ti.Capacity, Used: ti.Used, Add: ti.IDs, Times: ti.Times})
		z.nodes.commit()
	}
	if tree.ControlVersion >= 0 {
		z.nodes.begin()
		z.writeControl(t, &tree.Control)
		z.nodes.commit()
	}
	return nil
}

// stand has an instance's pod run. Where no node has room for it, there is none.
func (k *Kubernetes) stand(now time.Duration, kind fleet.Kind, id fleet.InstanceID) {
	pods := k.pods(kind)
	p := &pod{kind: pods, Pod: fleet.Pod{Instance: id, Phase: fleet.PhaseRunning}, started: true, running: true}
	if pods.pods[id] != nil || k.limited && !k.assign(p) {
		return
	}
	k.uids++
	p.UID = fmt.Sprintf("pod-%d", k.uids)
	pods.pods[id] = p
	k.fact(now, p, PodWasCreated)
	k.runtime.StartContainer(now, kind, id, p.UID)
}

package tape

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// machineKey is which machine an entry is about.
type machineKey struct{ process, kind int }

// crew is the machines of all processes at one moment. One that nothing has been
// told of yet is not in it.
type crew struct {
	kinds    []recording.Kind
	machines map[machineKey]*reconcile.Machine
}

func newCrew(kinds []recording.Kind) crew {
	return crew{kinds: kinds, machines: map[machineKey]*reconcile.Machine{}}
}

// machine answers a machine, made when there is none.
func (c *crew) machine(key machineKey) *reconcile.Machine {
	m := c.machines[key]
	if m == nil {
		m, _ = reconcile.New(c.kinds[key.kind].Config) // New has seen that it can be made
		c.machines[key] = m
	}
	return m
}

// restart makes a machine anew.
func (c *crew) restart(key machineKey) {
	delete(c.machines, key)
	c.machine(key)
}

// step tells a machine an event, which stays as it is. A machine that panics is
// made anew: it was told what no machine is.
func (c *crew) step(key machineKey, now time.Duration, ev reconcile.Event) (answered []reconcile.Command, err error) {
	defer func() {
		if why := recover(); why != nil {
			c.restart(key)
			answered, err = nil, fmt.Errorf("the core panicked: %v", why)
		}
	}()
	if read, is := ev.(reconcile.TreeRead); is {
		read.Tree = cloned(read.Tree)
		ev = read
	}
	return c.machine(key).Step(now, ev), nil
}

// cloned is a tree for a machine to keep.
func cloned(t fleet.Tree) fleet.Tree {
	t.Instances = slices.Clone(t.Instances)
	for i := range t.Instances {
		t.Instances[i].IDs = slices.Clone(t.Instances[i].IDs)
	}
	t.Control.Closing = slices.Clone(t.Control.Closing)
	return t
}

// keyframe is a machine's state.
type keyframe struct {
	machineKey
	state []byte
}

// keyframes are the states of all machines, in a fixed order.
func (c *crew) keyframes() []keyframe {
	var out []keyframe
	for _, key := range c.keys() {
		out = append(out, keyframe{key, c.machines[key].Snapshot(nil)})
	}
	return out
}

func (c *crew) keys() []machineKey {
	return slices.SortedFunc(maps.Keys(c.machines), func(a, b machineKey) int {
		return cmp.Or(cmp.Compare(a.process, b.process), cmp.Compare(a.kind, b.kind))
	})
}

// restore takes a machine's state over.
func (c *crew) restore(key machineKey, state []byte) error {
	m, err := reconcile.Restore(c.kinds[key.kind].Config, state)
	if err != nil {
		return err
	}
	c.machines[key] = m
	return nil
}

// resources is how many all machines know together.
func (c *crew) resources() int {
	n := 0
	for _, m := range c.machines {
		n += m.Resources()
	}
	return n
}

// same says that two answers are.
func same(a, b []reconcile.Command) bool { return slices.EqualFunc(a, b, sameCommand) }

func sameCommand(a, b reconcile.Command) bool {
	switch a := a.(type) {
	case reconcile.ListRows:
		b, is := b.(reconcile.ListRows)
		return is && a.Req == b.Req && (a.IDs == nil) == (b.IDs == nil) && slices.Equal(a.IDs, b.IDs)
	case reconcile.Commit:
		b, is := b.(reconcile.Commit)
		return is && sameTxn(a.Txn, b.Txn) && slices.EqualFunc(a.Decisions, b.Decisions, sameMove)
	}
	return a == b // all others hold plain values alone
}

func sameMove(a, b placement.Move) bool {
	return a.Resource == b.Resource && a.From == b.From && a.To == b.To && (a.Why == b.Why || a.Why.String() == b.Why.String())
}

func sameTxn(a, b *fleet.Txn) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.Epoch == b.Epoch && a.ControlVersion == b.ControlVersion && sameControl(a.Control, b.Control) &&
		slices.EqualFunc(a.Changes, b.Changes, sameChange)
}

func sameControl(a, b *fleet.Control) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ResourcePerInstance == b.ResourcePerInstance && a.MaxInstances == b.MaxInstances && a.Capacity == b.Capacity &&
		a.TargetInstances == b.TargetInstances && a.Maintenance == b.Maintenance && slices.Equal(a.Closing, b.Closing)
}

func sameChange(a, b fleet.Change) bool {
	return a.Kind == b.Kind && a.Instance == b.Instance && a.Capacity == b.Capacity && a.Used == b.Used && a.Times == b.Times &&
		a.Versions == b.Versions && slices.Equal(a.Add, b.Add) && slices.Equal(a.Remove, b.Remove)
}

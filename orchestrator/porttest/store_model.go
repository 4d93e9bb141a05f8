package porttest

import (
	"fmt"
	"reflect"
	"slices"

	"dacorch/orchestrator/fleet"
)

// treeModel is the dumb twin of a kind's tree.
type treeModel struct {
	instances      map[fleet.InstanceID]*fleet.TreeInstance
	control        fleet.Control
	controlVersion int32
}

func newTreeModel() *treeModel {
	return &treeModel{instances: map[fleet.InstanceID]*fleet.TreeInstance{}, controlVersion: -1}
}

// outcome is what the transaction should end with, the epoch aside.
func (m *treeModel) outcome(txn *fleet.Txn) fleet.Outcome {
	if txn.Control != nil && txn.ControlVersion != m.controlVersion {
		return fleet.OutcomeConflict
	}
	for i := range txn.Changes {
		c := &txn.Changes[i]
		in := m.instances[c.Instance]
		if (c.Kind == fleet.ChangeCreate) != (in == nil) || in != nil && in.Versions != c.Versions {
			return fleet.OutcomeConflict
		}
		for _, id := range c.Remove {
			if in == nil || c.Kind == fleet.ChangeUpdate && !slices.Contains(in.IDs, id) {
				return fleet.OutcomeConflict
			}
		}
		for _, id := range c.Add {
			if c.Kind == fleet.ChangeUpdate && slices.Contains(in.IDs, id) {
				return fleet.OutcomeConflict
			}
		}
	}
	return fleet.OutcomeDone
}

func (m *treeModel) apply(txn *fleet.Txn) {
	for i := range txn.Changes {
		c := &txn.Changes[i]
		if c.Kind == fleet.ChangeDelete {
			delete(m.instances, c.Instance)
			continue
		}
		in := m.instances[c.Instance]
		if in == nil {
			in = &fleet.TreeInstance{ID: c.Instance}
			m.instances[c.Instance] = in
		} else {
			in.Versions.Node++
			in.Versions.Resources++
			in.Versions.Reload++
		}
		in.Capacity, in.Used, in.Times = c.Capacity, c.Used, c.Times
		in.IDs = slices.DeleteFunc(in.IDs, func(id string) bool { return slices.Contains(c.Remove, id) })
		in.IDs = append(in.IDs, c.Add...)
	}
	if txn.Control != nil {
		m.control = *txn.Control
		m.controlVersion++
	}
}

// differs says what a tree has otherwise; "" when nothing. Born and the order of
// the instances are not compared.
func (m *treeModel) differs(tree fleet.Tree) string {
	if tree.ControlVersion != m.controlVersion || !reflect.DeepEqual(tree.Control, m.control) {
		return fmt.Sprintf("control %+v at %d, want %+v at %d", tree.Control, tree.ControlVersion, m.control, m.controlVersion)
	}
	if len(tree.Instances) != len(m.instances) {
		return fmt.Sprintf("%d instances, want %d", len(tree.Instances), len(m.instances))
	}
	for _, got := range tree.Instances {
		want := m.instances[got.ID]
		if want == nil {
			return fmt.Sprintf("instance %d should not be there", got.ID)
		}
		if d := instanceDiffers(got, *want); d != "" {
			return d
		}
	}
	return ""
}

func instanceDiffers(got, want fleet.TreeInstance) string {
	if !slices.Equal(got.IDs, want.IDs) {
		return fmt.Sprintf("instance %d holds %.200q, want %.200q", got.ID, got.IDs, want.IDs)
	}
	got.IDs, want.IDs, got.Born = nil, nil, want.Born
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("instance %d is %+v, want %+v", got.ID, got, want)
	}
	return ""
}

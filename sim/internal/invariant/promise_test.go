package invariant

import (
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

// control is a transaction that writes the control node alone, or with changes.
func control(c *Checker, seconds int, what fleet.Control, changes ...fleet.Change) {
	c.Committed(at(seconds), thing, 1, &fleet.Txn{ID: uint64(seconds), Epoch: 1, Control: &what, Changes: changes})
}

// TestPromises tells what an orchestrator has undertaken, right and with one fact
// wrong: the right stories break nothing, each wrong one its invariant alone.
func TestPromises(t *testing.T) {
	on := fleet.Control{Maintenance: true}
	for _, s := range []struct {
		name   string
		facts  func(c *Checker)
		breaks Invariant // invariantCount: none
		reason string
	}{
		{"maintenance, and nothing happens", func(c *Checker) {
			commit(c, 11, move()...)
			reloadBoth(c, 12)
			c.Acted(at(13), thing, 0, "delete")
			control(c, 14, on)
			c.MaintenanceDone(at(15), thing, true)
			control(c, 16, fleet.Control{Maintenance: true, MaxInstances: 9})
		}, invariantCount, ""},
		{"maintenance ends with the transaction that changes something", func(c *Checker) {
			control(c, 11, on)
			c.Lifting(at(12), thing, true)
			c.Acted(at(12), thing, 0, "delete")
			control(c, 13, fleet.Control{}, move()...)
			reloadBoth(c, 14)
			c.MaintenanceDone(at(14), thing, false)
			c.Acted(at(15), thing, 0, "create")
		}, invariantCount, ""},
		{"a row that waits for the end of maintenance", func(c *Checker) {
			c.Heal(at(10))
			control(c, 11, on)
			c.RowInserted(at(12), thing, fleet.Resource{ID: "new"})
			c.Tick(at(100))
			control(c, 130, fleet.Control{})
			c.Tick(at(185))
		}, invariantCount, ""},
		{"a row that waits for longer", func(c *Checker) {
			c.Heal(at(10))
			control(c, 11, on)
			c.RowInserted(at(12), thing, fleet.Resource{ID: "new"})
			c.Tick(at(100))
			control(c, 130, fleet.Control{})
			for now := 140; now < 400; now += 10 {
				c.Tick(at(now))
			}
		}, Settled, "not in any instance's list"},
		{"a move in maintenance", func(c *Checker) {
			control(c, 11, on)
			commit(c, 12, move()...)
			reloadBoth(c, 13)
		}, Maintenance, "transaction 12 changes instance 1 in maintenance"},
		{"a pod deleted in maintenance", func(c *Checker) {
			control(c, 11, on)
			c.Acted(at(12), thing, 1, "delete")
		}, Maintenance, "in maintenance, the leader asks to delete the pod of instance 1"},
		{"whoever knew that maintenance ends has died", func(c *Checker) {
			control(c, 11, on)
			c.Lifting(at(12), thing, true)
			c.Lifting(at(13), thing, false)
			c.Acted(at(14), thing, 1, "create")
		}, Maintenance, "in maintenance, the leader asks to create the pod of instance 1"},
		{"maintenance that the next does not know of", func(c *Checker) {
			c.MaintenanceDone(at(11), thing, true)
		}, Orders, "told that maintenance is on, and ZooKeeper says otherwise"},
		{"an end of maintenance that the next does not know of", func(c *Checker) {
			control(c, 11, on)
			c.MaintenanceDone(at(12), thing, false)
		}, Orders, "told that maintenance is off, and ZooKeeper says otherwise"},
		{"drained, and there", func(c *Checker) {
			c.DrainDone(at(11), thing, 1)
		}, Orders, "told that instance 1 is drained, and it stands in ZooKeeper with 1 resources"},
		{"one that stays, and closes", func(c *Checker) {
			control(c, 11, fleet.Control{Closing: []fleet.InstanceID{1}})
			c.UndrainDone(at(12), thing, 0)
			c.UndrainDone(at(12), thing, 1)
		}, Orders, "told that instance 1 stays, and ZooKeeper has it closing"},
		{"done, and under way", func(c *Checker) {
			control(c, 11, fleet.Control{TargetInstances: 4, ResourcePerInstance: 3})
			c.OrchestrationDone(at(12), thing, 3)
		}, Orders, "ZooKeeper has it under way to 4 instances"},
		{"done, with another size", func(c *Checker) {
			control(c, 11, fleet.Control{ResourcePerInstance: 3})
			c.OrchestrationDone(at(12), thing, 0)
			c.OrchestrationDone(at(12), thing, 3)
			c.OrchestrationDone(at(12), thing, 2)
		}, Orders, "ZooKeeper has 3 resources per instance, not the 2 asked for"},
		{"an empty instance without a pod", func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeCreate, Instance: 2, Capacity: 3})
			c.Heal(at(20))
			c.End(at(90))
		}, Pods, "instance 2 stands in ZooKeeper and has had no pod since 11s"},
		{"one that is created late, but is", func(c *Checker) {
			commit(c, 11, fleet.Change{Kind: fleet.ChangeCreate, Instance: 2, Capacity: 3})
			c.Heal(at(20))
			c.PodCreated(at(85), thing, 2, "uid-2")
			c.PodGone(at(88), thing, 2, "uid-2")
			c.End(at(90))
		}, invariantCount, ""},
		{"a pod without an instance", func(c *Checker) {
			c.PodCreated(at(11), thing, 7, "uid-7")
			c.Heal(at(20))
			c.End(at(90))
		}, Pods, "pod uid-7 has had no instance 7 in ZooKeeper since 11s, and is still there"},
		{"nobody does anything about it in maintenance", func(c *Checker) {
			c.PodCreated(at(11), thing, 7, "uid-7")
			control(c, 12, on)
			c.Heal(at(20))
			c.End(at(90))
		}, invariantCount, ""},
		{"a pod that failed, of an empty instance", func(c *Checker) {
			c.pod = func(_ fleet.Kind, id fleet.InstanceID) string {
				return map[fleet.InstanceID]string{2: "Failed (Error)"}[id]
			}
			commit(c, 11, fleet.Change{Kind: fleet.ChangeCreate, Instance: 2, Capacity: 3})
			c.PodCreated(at(11), thing, 2, "uid-2")
			c.Alive(at(12), thing, 2, true)
			c.Alive(at(13), thing, 2, false)
			c.Heal(at(20))
			c.End(at(90))
		}, Pods, "pod uid-2 of instance 2 has failed at 13s, and nobody has replaced it"},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := healthy(fleet.HandoffFast)
			s.facts(c)
			for inv := range invariantCount {
				if want := inv == s.breaks; (c.Broken(inv) > 0) != want {
					t.Errorf("%s broke %d times: %v", inv, c.Broken(inv), c.Violations())
				}
			}
			if v := c.Violations(); s.reason != "" && (len(v) == 0 || !strings.Contains(v[0].Reason, s.reason)) {
				t.Errorf("%v, want %q", v, s.reason)
			}
		})
	}
}

package invariant

import (
	"testing"

	"dacorch/orchestrator/fleet"
)

// TestUnfinished tells orders that ZooKeeper holds when their leader dies, right
// and with one fact wrong.
func TestUnfinished(t *testing.T) {
	under := fleet.Control{TargetInstances: 3, ResourcePerInstance: 3}
	closing := fleet.Control{Closing: []fleet.InstanceID{1}}
	update := func(id fleet.InstanceID, times int64, ver int32, used int) fleet.Change {
		return fleet.Change{Kind: fleet.ChangeUpdate, Instance: id, Capacity: 3, Used: used, Times: times, Versions: versions(ver)}
	}
	// away moves "x" from 1 to 0.
	away := func(c *Checker, seconds int) {
		to, from := update(0, 2, 0, 3), update(1, 2, 0, 0)
		to.Add, from.Remove = []string{"x"}, []string{"x"}
		commit(c, seconds, to, from)
		c.Running(at(seconds), thing, 1, "x", false)
		c.Running(at(seconds), thing, 0, "x", true)
		reloadBoth(c, seconds)
	}
	tell(t, []story{
		{"an orchestration that nobody resumes", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			c.Heal(at(20))
			c.End(at(81))
		}, Orders, "has an orchestration under way to 3 instances since 11s, and nobody goes on with it"},
		{"one that is still within the bound", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			c.Heal(at(20))
			c.End(at(80))
		}, invariantCount, ""},
		{"one that began late", fleet.HandoffFast, func(c *Checker) {
			c.Heal(at(20))
			control(c, 50, under)
			c.End(at(110))
		}, invariantCount, ""},
		{"one that still moves", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			c.Heal(at(20))
			away(c, 70)
			c.End(at(130))
		}, invariantCount, ""},
		{"one of a leader that has just begun", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			c.Heal(at(20))
			c.Leads(at(70), thing, 2)
			c.End(at(130))
		}, invariantCount, ""},
		{"one that was resumed, and ended", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			control(c, 50, fleet.Control{ResourcePerInstance: 3})
			c.Heal(at(20 + 30))
			c.End(at(200))
		}, invariantCount, ""},
		{"one that maintenance holds up", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, fleet.Control{TargetInstances: 3, Maintenance: true})
			c.Heal(at(20))
			c.End(at(200))
		}, invariantCount, ""},
		{"one that waits for a pod", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			commit(c, 12, fleet.Change{Kind: fleet.ChangeCreate, Instance: 2, Capacity: 3})
			c.PodCreated(at(13), thing, 2, "uid-2")
			c.Heal(at(20))
			c.End(at(200))
		}, invariantCount, ""},
		{"a run without heal", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, under)
			c.End(at(200))
		}, invariantCount, ""},
		{"an instance that is to go, and nobody empties it", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, closing)
			c.Heal(at(20))
			c.End(at(81))
		}, Orders, "instance 1 is to go since 11s, and still has 1 resources, for which the others have room"},
		{"one for whose resources there is no room", fleet.HandoffFast, func(c *Checker) {
			full := update(0, 1, 0, 2)
			full.Capacity = 2
			control(c, 11, closing, full)
			c.Heal(at(20))
			c.End(at(200))
		}, invariantCount, ""},
		{"one that is empty, and stays", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, closing)
			away(c, 15)
			c.Heal(at(20))
			c.End(at(81))
		}, Orders, "instance 1 is to go since 11s and is empty since 15s, and still stands in ZooKeeper"},
		{"one whose pod is on its way out", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, closing)
			away(c, 15)
			c.PodDeleted(at(16), thing, 1, "uid-1")
			c.Heal(at(20))
			c.End(at(200))
		}, invariantCount, ""},
		{"one that stays after all", fleet.HandoffFast, func(c *Checker) {
			control(c, 11, closing)
			control(c, 12, fleet.Control{})
			c.Heal(at(20))
			c.End(at(200))
		}, invariantCount, ""},
	})
}

// TestLimit tells lists and counts that the orchestrator itself finds right.
func TestLimit(t *testing.T) {
	// fill brings instance 0 to so many resources and writes a count.
	fill := func(c *Checker, seconds, to, count int) {
		ch := fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: count, Used: to, Times: 2, Versions: versions(0)}
		for _, id := range []string{"c", "d", "e", "f"}[:to-2] {
			c.RowInserted(at(seconds), thing, fleet.Resource{ID: id})
			ch.Add = append(ch.Add, id)
		}
		commit(c, seconds, ch)
		c.Reloaded(at(seconds), thing, 0, 2)
	}
	onto := func(times int64, ver int32, used int, id string) fleet.Change {
		return fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: used, Used: used, Add: []string{id}, Times: times, Versions: versions(ver)}
	}
	from := fleet.Change{Kind: fleet.ChangeUpdate, Instance: 1, Capacity: 3, Remove: []string{"x"}, Times: 2, Versions: versions(0)}
	stands := func(c *Checker, used int) {
		tree := fleet.Tree{Instances: []fleet.TreeInstance{{ID: 0, Capacity: used, Used: used, Times: 1}}}
		tree.Instances[0].IDs = []string{"a", "b", "c", "d", "e", "f"}[:used]
		c.Tree(at(11), thing, tree)
	}
	tell(t, []story{
		{"as long as may be", fleet.HandoffFast, func(c *Checker) { fill(c, 11, perInstance, perInstance) }, invariantCount, ""},
		{"one longer", fleet.HandoffFast, func(c *Checker) { fill(c, 11, 5, 5) }, Capacity,
			"transaction 11 makes the list of instance 0 grow to 5 resources, and no more than 4 per instance were ever asked for"},
		{"a count twice as large", fleet.HandoffFast, func(c *Checker) { fill(c, 11, 3, 8) }, Capacity,
			"transaction 11 writes count 8 to instance 0, and no more than 4 per instance were ever asked for"},
		{"one move, of a circle", fleet.HandoffFast, func(c *Checker) {
			fill(c, 11, 4, 4)
			commit(c, 12, onto(3, 1, 5, "x"), from)
			c.Reloaded(at(12), thing, 0, 3)
			c.Reloaded(at(12), thing, 1, 2)
		}, invariantCount, ""},
		{"one move with something else", fleet.HandoffFast, func(c *Checker) {
			fill(c, 11, 4, 4)
			control(c, 12, fleet.Control{}, onto(3, 1, 5, "x"), from)
			c.Reloaded(at(12), thing, 0, 3)
			c.Reloaded(at(12), thing, 1, 2)
		}, Capacity, "grow to 5 resources"},
		{"one list that was longer, and shrinks", fleet.HandoffFast, func(c *Checker) {
			stands(c, 6)
			commit(c, 12, fleet.Change{Kind: fleet.ChangeUpdate, Instance: 0, Capacity: 5, Used: 5, Remove: []string{"f"}, Times: 2})
			c.Reloaded(at(13), thing, 0, 2)
		}, invariantCount, ""},
	})
}

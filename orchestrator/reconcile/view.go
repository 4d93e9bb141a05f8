package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// Progress is how far a re-orchestration is.
type Progress struct {
	Running     bool
	Planned     bool // false: waits for the database
	Moves       int  // planned
	MovesLeft   int
	Create      int // instances planned to be created
	CreateLeft  int // of these, not yet running
	Release     int // instances planned to be released
	ReleaseLeft int
	Since       time.Duration // when it began
}

// String reads like "12 of 400 moves left, 1 of 3 instances to create, 0 of 0 to release".
func (p Progress) String() string {
	switch {
	case !p.Running:
		return "none"
	case !p.Planned:
		return "waits for the database"
	}
	return fmt.Sprintf("%d of %d moves left, %d of %d instances to create, %d of %d to release",
		p.MovesLeft, p.Moves, p.CreateLeft, p.Create, p.ReleaseLeft, p.Release)
}

// Progress answers how far the running re-orchestration is.
func (m *Machine) Progress() Progress {
	o := m.orchestration
	if o == nil {
		return Progress{}
	}
	p := Progress{Running: true, Planned: o.planned, Moves: o.moves, MovesLeft: m.moving, Create: len(o.opened), Release: len(o.closing), Since: o.began}
	for _, id := range o.opened {
		if in := m.instances[id]; in != nil && !m.up(in) {
			p.CreateLeft++
		}
	}
	for _, id := range o.closing {
		if in := m.instances[id]; in != nil && in.closing {
			p.ReleaseLeft++
		}
	}
	return p
}

// Stage answers how far the machine is.
func (m *Machine) Stage() Stage { return m.stage }

// Stats answers what the machine has met so far.
func (m *Machine) Stats() Stats { return m.stats }

// Where answers the instance on which a resource stands in ZooKeeper, as far as
// the machine knows, and whether it knows the resource.
func (m *Machine) Where(id string) (fleet.InstanceID, bool) {
	if c := m.pending[id]; c != nil {
		_, known := m.plan.Owner(id)
		return c.from, known
	}
	return m.plan.Owner(id)
}

// Resources answers how many resources the machine knows of.
func (m *Machine) Resources() int { return m.plan.Len() }

// Instances answers how many instances are planned.
func (m *Machine) Instances() int {
	n := 0
	for range m.plan.Instances() {
		n++
	}
	return n
}

// Alarms answers the alarms that are on, by code. That resources have no place is
// told as it is now, not as it was when the alarm was raised.
func (m *Machine) Alarms() map[string]string {
	all := maps.Clone(m.alarms)
	if _, on := all["unplaced"]; on && m.plan.Unplaced() > 0 {
		all["unplaced"] = m.unplacedWords()
	}
	return all
}

// Pending lists what the machine still has to do and why it has not done it, at
// most limit entries; nothing when all is settled.
func (m *Machine) Pending(limit int) []string {
	var out []string
	add := func(format string, args ...any) {
		if len(out) < limit {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	if m.stage != StageActive {
		add("the machine is %v", m.stage)
		return out
	}
	if m.control.Maintenance {
		add("maintenance mode is on")
	}
	if m.treeStale {
		add("ZooKeeper is being read")
	}
	if m.txn != nil {
		add("transaction %d is in flight", m.txn.ID)
	}
	if n := len(m.pending); n > 0 {
		add("%d resources are not yet where they should be in ZooKeeper (%d of them moves, %d wait for their former owner)", n, m.moving, len(m.releasing))
	}
	m.plan.EachUnplaced(func(r fleet.Resource, why placement.Reason) bool {
		add("%s has no place: %v", r.ID, why)
		return len(out) < limit
	})
	for _, in := range m.order {
		switch {
		case in.closing:
			add("instance %d is being released: %d resources left", in.id, in.used)
		case m.plan.Has(in.id) && !m.up(in):
			add("instance %d has no running pod since %v: %v%s", in.id, in.downSince, in.phase, because(in.reason))
		case len(in.confirm) > 0:
			add("instance %d has not confirmed %d removals", in.id, len(in.confirm))
		}
	}
	if m.orchestration != nil {
		add("an orchestration is running: %v", m.Progress())
	}
	return out
}

func (m *Machine) note(in fleet.InstanceID, format string, args ...any) {
	m.emit(Note{Instance: in, Text: fmt.Sprintf(format, args...)})
}

// alarm raises an alarm, or changes the text of one that is on silently.
func (m *Machine) alarm(code, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	_, on := m.alarms[code]
	m.alarms[code] = text
	if !on {
		m.emit(Alarm{Code: code, On: true, Text: text})
	}
}

func (m *Machine) alarmOff(code string) {
	if text, on := m.alarms[code]; on {
		delete(m.alarms, code)
		m.emit(Alarm{Code: code, Text: text})
	}
}

// checkUnplaced raises an alarm while resources stand nowhere for want of room.
func (m *Machine) checkUnplaced() {
	if m.plan.Unplaced() == 0 {
		if len(m.alarms) > 0 {
			m.alarmOff("unplaced")
			m.alarmOff("too-many")
		}
		return
	}
	if _, on := m.alarms["unplaced"]; on {
		return
	}
	m.alarm("unplaced", "%s", m.unplacedWords())
}

// unplacedWords says how many resources stand nowhere, and why one of them does.
func (m *Machine) unplacedWords() (text string) {
	have := "resources have"
	if m.plan.Unplaced() == 1 {
		have = "resource has"
	}
	m.plan.EachUnplaced(func(r fleet.Resource, why placement.Reason) bool {
		text = fmt.Sprintf("%d %s no place, the first is %s: %v", m.plan.Unplaced(), have, r.ID, why)
		return false
	})
	return text
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

package tape

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// series are figures over time, in buckets that become twice as wide when there
// are too many.
type series struct {
	width time.Duration
	begun int // buckets that have begun, but for the first
}

// cell is a kind in one bucket.
type cell struct {
	resources, instances int // at its end
	unplaced             int // the most
	up                   int // the fewest, of those looked at
	age                  time.Duration
	moves, commits       int
	known                bool // up and instances have been looked at
}

// merge makes two cells that follow each other one.
func (c cell) merge(later cell) cell {
	later.unplaced, later.age = max(c.unplaced, later.unplaced), max(c.age, later.age)
	later.moves, later.commits = c.moves+later.moves, c.commits+later.commits
	if c.known && later.known {
		later.up = min(c.up, later.up)
	}
	later.known = c.known || later.known
	return later
}

// cell is the kind's newest.
func (t *Tape) cell(k *kindTape) *cell {
	for len(k.cells) <= t.series.begun {
		k.cells = append(k.cells, cell{})
	}
	return &k.cells[t.series.begun]
}

// level notes what costs nothing to know, after each event of the machine that
// answers for its kind.
func (t *Tape) level(k *kindTape, key machineKey) {
	if k.leader().key == key {
		m := t.crew.machine(key)
		c := t.cell(k)
		c.resources = m.Resources()
		c.unplaced = max(c.unplaced, m.Unplaced())
	}
}

// sample ends the buckets that are over at a moment: nothing has happened since
// the last event.
func (t *Tape) sample(to time.Duration) {
	s := &t.series
	for {
		end := t.began + time.Duration(s.begun+1)*s.width
		if to < end {
			return
		}
		if far := int((to - t.began) / s.width); far >= t.cfg.MaxBuckets {
			t.fold()
			continue
		}
		for _, k := range t.kinds {
			c := t.cell(k)
			t.look(k, end, c)
			k.cells = append(k.cells, cell{resources: c.resources, instances: c.instances, unplaced: t.unplaced(k)})
		}
		s.begun++
	}
}

func (t *Tape) fold() {
	s := &t.series
	for _, k := range t.kinds {
		t.cell(k)
		k.cells = folded(k.cells, 2)
	}
	s.width *= 2
	s.begun /= 2
}

// folded makes each so many cells one.
func folded(cells []cell, by int) []cell {
	out := cells[:0]
	for i, c := range cells {
		if i%by == 0 {
			out = append(out, c)
		} else {
			out[len(out)-1] = out[len(out)-1].merge(c)
		}
	}
	return out
}

func (t *Tape) unplaced(k *kindTape) int { return t.crew.machine(k.leader().key).Unplaced() }

// look takes the figures that cost a walk over the instances.
func (t *Tape) look(k *kindTape, at time.Duration, c *cell) {
	l := k.leader()
	m := t.crew.machine(l.key)
	now := at + t.skewAt(t.stamp(), l.key.process)
	up, instances, beats := 0, 0, t.crew.kinds[l.key.kind].Config.Heartbeat
	var age time.Duration
	m.EachInstance(func(in reconcile.Instance) bool {
		instances++
		if in.Phase != fleet.PhaseRunning || in.Down || in.Terminating || in.NodeLost {
			return true
		}
		if !in.Silent {
			up++
		}
		if in.Heard && beats {
			age = max(age, now-in.LastBeat)
		}
		return true
	})
	if !c.known || up < c.up {
		c.up = up
	}
	c.known, c.instances, c.age, c.resources = true, instances, max(c.age, age), m.Resources()
}

// Series are figures of a kind over time, a value for each bucket.
type Series struct {
	Kind         fleet.Kind
	Resources    []int           // known, at the bucket's end
	Unplaced     []int           // the most
	Instances    []int           // at the bucket's end
	Up           []int           // whose pods run and do their work, the fewest of those counted
	Moves        []int           // between instances, committed
	Commits      []int           // transactions
	HeartbeatAge []time.Duration // of the running instance heard longest ago, the most
}

// Series answers the figures of every kind from Begin's first value on, in at most
// so many buckets of width each; bucket 0 begins at from.
func (t *Tape) Series(buckets int) (from, width time.Duration, list []Series) {
	by := 1
	for buckets = max(buckets, 1); (t.series.begun+by)/by > buckets; {
		by *= 2
	}
	for _, k := range t.kinds {
		t.cell(k)
		cells := append([]cell{}, k.cells...)
		t.look(k, t.now, &cells[len(cells)-1])
		s := Series{Kind: k.name}
		for _, c := range folded(cells, by) {
			s.Resources, s.Unplaced = append(s.Resources, c.resources), append(s.Unplaced, c.unplaced)
			s.Instances, s.Up = append(s.Instances, c.instances), append(s.Up, c.up)
			s.Moves, s.Commits = append(s.Moves, c.moves), append(s.Commits, c.commits)
			s.HeartbeatAge = append(s.HeartbeatAge, c.age)
		}
		list = append(list, s)
	}
	return t.began, t.series.width * time.Duration(by), list
}

package pane

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// placementOrder is what the cells are sorted by.
type placementOrder uint8

const (
	numberOrder placementOrder = iota
	loadOrder                  // the fullest first
	healthOrder                // the worst first
	placementOrders
)

func (b placementOrder) String() string { return [...]string{"number", "load", "health"}[b] }

// placed is a kind's instances as they are shown. It is made anew when another
// answer has come, or the sorting changes: not for each frame.
type placed struct {
	made   placedKey
	known  bool // there has been an answer
	of     []api.Instance
	list   []int32 // positions of of, in the order shown
	health []data.Health
	digits int // of the largest number
	// figures is how many columns used/capacity take at most.
	figures int

	used  int
	count [data.Down + 1]int
	bad   []int32 // positions of of: not up, the worst first, at most maxBad

	changes map[int]change // by number
	moment  time.Time
}

// maxBad is how many of those that are not up are listed.
const maxBad = 100

// placedKey says of which answer an order was made.
type placedKey struct {
	kind  string
	at    time.Time
	first *api.Instance
	n     int
	by    placementOrder
}

func (o *placed) update(s *data.State, by placementOrder) {
	list, a := s.Instances(s.Kind)
	key := placedKey{kind: s.Kind, at: a.At, n: len(list), by: by}
	if len(list) > 0 {
		key.first = &list[0]
	}
	o.known = a.Value != nil
	if key == o.made {
		return
	}
	before := *o
	*o = placed{made: key, known: o.known, of: list, list: o.list[:0], health: o.health[:0]}
	o.compare(s, &before)
	most, largest := 0, 0
	for i := range list {
		in := &list[i]
		h := data.HealthOf(in)
		o.list, o.health = append(o.list, int32(i)), append(o.health, h)
		o.count[h]++
		o.used += in.Used
		most, largest = max(most, in.ID), max(largest, in.Capacity, in.Used)
	}
	o.figures = 2*len(Count(largest)) + 1
	for o.digits = 1; most >= 10; most /= 10 {
		o.digits++
	}
	o.sort(by)
	for h := data.Down; h > data.Up && len(o.bad) < maxBad; h-- {
		for i := range o.health {
			if o.health[i] == h && len(o.bad) < maxBad {
				o.bad = append(o.bad, int32(i))
			}
		}
	}
}

// sort sorts by one number for each instance, that holds what it is sorted by
// and, for those that are alike, its position.
func (o *placed) sort(by placementOrder) {
	if by == numberOrder {
		return
	}
	keys := make([]uint64, len(o.list))
	for i := range keys {
		rank := uint64(data.Down - o.health[i])
		if by == loadOrder {
			rank = 1<<30 - uint64(min(max(fullness(&o.of[i]), 0), 1<<10)*(1<<20))
		}
		keys[i] = rank<<32 | uint64(i)
	}
	slices.Sort(keys)
	for i, k := range keys {
		o.list[i] = int32(k & 0xffffffff)
	}
}

// fullness is how full an instance is: 1 is full.
func fullness(in *api.Instance) float64 {
	if in.Capacity <= 0 {
		return float64(min(in.Used, 1))
	}
	return float64(in.Used) / float64(in.Capacity)
}

// in is the instance at a position of the order.
func (o *placed) in(place int) *api.Instance { return &o.of[o.list[place]] }

func (o *placed) healthAt(place int) data.Health { return o.health[o.list[place]] }

// placeOf is where an instance stands in the order; near is where it stood.
func (o *placed) placeOf(id, near int) (int, bool) {
	if near >= 0 && near < len(o.list) && o.in(near).ID == id {
		return near, true
	}
	i := sort.Search(len(o.of), func(i int) bool { return o.of[i].ID >= id })
	if i == len(o.of) || o.of[i].ID != id {
		return 0, false
	}
	if o.made.by == numberOrder {
		return i, true
	}
	return slices.Index(o.list, int32(i)), true
}

func (o *placed) unwell() int { return len(o.list) - o.count[data.Up] }

// worst is the position of the one that is worst off among those from a position
// on; of several the first.
func (o *placed) worst(from, count int) int {
	worst := from
	for place := from; place < min(from+count, len(o.list)); place++ {
		if o.healthAt(place) > o.healthAt(worst) {
			worst = place
		}
	}
	return worst
}

// nextUnwell is the next position, beginning anew at the end, whose instance is
// not up.
func (o *placed) nextUnwell(from int) (int, bool) {
	for i := range o.list {
		if place := (from + 1 + i) % len(o.list); o.healthAt(place) != data.Up {
			return place, true
		}
	}
	return 0, false
}

// several is what a group of instances comes to.
type several struct {
	first, last    int // positions
	used, capacity int
	count          [data.Down + 1]int
	worst          data.Health
	fullest        int // position
	flow           data.Flow
}

// group adds up the instances from a position on.
func (o *placed) group(s *data.State, from, count int) several {
	g := several{first: from, last: min(from+count, len(o.list)) - 1, fullest: from}
	for place := g.first; place <= g.last; place++ {
		in, h := o.in(place), o.healthAt(place)
		g.used, g.capacity = g.used+in.Used, g.capacity+in.Capacity
		g.count[h]++
		g.worst = max(g.worst, h)
		if cmp.Compare(fullness(in), fullness(o.in(g.fullest))) > 0 {
			g.fullest = place
		}
		flow := o.flow(s, place)
		g.flow.In, g.flow.Out = g.flow.In+flow.In, g.flow.Out+flow.Out
	}
	return g
}

package sweep

import (
	"fmt"
	"math"
	"slices"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/timeline"
)

// The bounds of a swarm's scenarios. Most are small, so that an hour has room for
// thousands of them; one in ten is of full size, since some of what goes wrong
// needs many rows, or long nights. The largest of what is shipped become as small.
const (
	fullShare    = 0.1
	maxResources = 10_000
	fullDuration = 30 * time.Minute // a full one lasts as long at least
	longestHeal  = 20 * time.Minute
)

// swarm turns a scenario into another one. Each part of it draws from a stream of
// its own, so that what one part draws moves no other.
type swarm struct {
	seed timeline.Seed
	sc   *scenarios.Scenario
	heal time.Duration
	full bool // of full size
}

// Swarm is the scenario that a seed makes of a base: its kinds in another size
// and under other settings, other churn, other latencies, and faults of whatever
// classes a coin throws in (swarm testing: Groce, Zhang, Eide, Chen and Regehr,
// ISSTA 2012). It is a whole scenario like any other: valid, and what
// scenarios.Format writes of it is it. It demands that no invariant breaks and
// that everything has settled in the end, and a little more where it is calm; the
// base's expectations are gone with what they were about. Its files are gone too: churn by rates stands for traces.
func Swarm(base *scenarios.Scenario, seed uint64) *scenarios.Scenario {
	s := &swarm{seed: timeline.Seed(seed), sc: clone(base)}
	s.sc.Seed = seed
	s.sc.About = fmt.Sprintf("The swarm's seed %d made this of %s.", seed, base.Name)
	s.sc.On, s.sc.Load, s.sc.Nodes = scenarios.OnAny, nil, nil
	s.sc.Expect = demands()
	s.full = s.stream("full").Bool(fullShare)
	s.times()
	for i := range s.sc.Kinds {
		s.kind(&s.sc.Kinds[i])
	}
	s.churn()
	s.orders()
	s.room()
	s.latencies()
	s.sc.Faults = nil
	if !s.calm() {
		s.faults()
	}
	s.end()
	return s.sc
}

// demands are what holds of every scenario.
func demands() []scenarios.Expectation {
	return []scenarios.Expectation{expects("violations == 0"), expects("unsettled_end == 0")}
}

func (s *swarm) stream(name ...string) *timeline.Stream {
	return s.seed.Stream(append([]string{"swarm"}, name...)...)
}

// times draws how long things break. How long they then have to settle follows
// from the kinds' settings.
func (s *swarm) times() {
	r := s.stream("times")
	s.heal = timeline.Pick(r, []time.Duration{1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 15}) * time.Minute
	s.sc.Duration = 0 // until everything has settled
	if s.full {
		s.heal, s.sc.Duration = timeline.Pick(r, []time.Duration{5, 10, 15, longestHeal / time.Minute})*time.Minute, fullDuration
	}
	s.sc.Heal = s.heal
}

// sometimes is a coin that falls on its head one time in four.
func sometimes(r *timeline.Stream) bool { return r.Bool(0.25) }

// kind draws a kind's size and settings.
func (s *swarm) kind(k *scenarios.Kind) {
	r := s.stream("size", k.Kind)
	k.Resources = timeline.Pick(r, []int{0, 1, 3, 10, 20, 50, 50, 100, 100, 200, 200, 500, 500, 1000, 1000, 2000, 5000, maxResources})
	if s.full {
		k.Resources = timeline.Pick(r, []int{3000, 5000, 8000, maxResources})
	}
	if len(s.sc.Kinds) > 1 {
		k.Resources = min(k.Resources, maxResources/len(s.sc.Kinds))
	}
	k.InitInstances = timeline.Pick(r, []int{1, 2, 3, 4, 5, 6, 8, 10, 10, 12, 20, 30})
	if s.full {
		k.InitInstances = timeline.Pick(r, []int{5, 10, 20, 30, 40})
	}
	// An instance has room for what the fewest instances need, or for a few times as
	// much. The loader bounds it by what fits in a list.
	fit := min(100_000, 498_976/(k.MaxIDBytes+3))
	slack := timeline.Pick(r, []float64{1, 1.1, 1.5, 2, 5, 100})
	k.ResourcePerInstance = min(fit, max(5, int(math.Ceil(slack*float64(k.Resources)/float64(k.InitInstances)))))

	r = s.stream("settings", k.Kind)
	pick := func(to *time.Duration, from ...time.Duration) {
		if v := timeline.Pick(r, from); sometimes(r) {
			*to = v
		}
	}
	policies := slices.Clone(scenarios.Policies)
	if len(k.Groups) == 0 {
		policies = slices.DeleteFunc(policies, func(p string) bool { return p == "group" })
	}
	if p := timeline.Pick(r, policies); sometimes(r) || !slices.Contains(policies, k.Policy) {
		k.Policy = p
	}
	if h := timeline.Pick(r, scenarios.Handoffs); sometimes(r) {
		k.Handoff = h
	}
	k.Resync = min(k.Resync, 5*time.Minute)
	pick(&k.Resync, 20*time.Second, time.Minute, 2*time.Minute, 5*time.Minute)
	pick(&k.HeartbeatInterval, 5*time.Second, 15*time.Second, 30*time.Second)
	k.HeartbeatInterval = min(k.HeartbeatInterval, time.Minute)
	k.Silence = min(max(k.Silence, k.HeartbeatInterval*3/2), 2*time.Minute)
	pick(&k.Silence, k.HeartbeatInterval*5/4, k.HeartbeatInterval*3/2, k.HeartbeatInterval*2, k.HeartbeatInterval*3)
	pick(&k.Monitor, 5*time.Second, 20*time.Second, time.Minute)
	k.Monitor = min(k.Monitor, 2*time.Minute)
	pick(&k.Pending, 30*time.Second, time.Minute, 3*time.Minute)
	pick(&k.Patience, 30*time.Second, time.Minute, 3*time.Minute)
	k.Pending, k.Patience = min(k.Pending, 5*time.Minute), min(k.Patience, 10*time.Minute)
	// A throttle so tight that settling takes longer than the bound would be the
	// scenario's mistake.
	if n := timeline.Pick(r, []int{10, 100, 1000}); sometimes(r) {
		k.MovesInFlight = n
	}
	k.MovesInFlight = max(k.MovesInFlight, k.Resources/20)
	if n := timeline.Pick(r, []int{1, 2, 5, 50}); sometimes(r) {
		k.Replacing = n
	}
	r = s.stream("unconfirmed", k.Kind)
	pick(&k.Unconfirmed, 20*time.Second, time.Minute, 2*time.Minute)
	if k.Unconfirmed = min(k.Unconfirmed, 5*time.Minute); k.Unconfirmed == 0 {
		k.Unconfirmed = 5 * time.Minute
	}
}

// room makes sure that there is always an instance to go to, and that all can come
// back in time.
func (s *swarm) room() {
	for i := range s.sc.Kinds {
		k := &s.sc.Kinds[i]
		k.MaxInstances = min(100_000, room(s.sc, k)+timeline.Pick(s.stream("room", k.Kind), []int{0, 5, 50}))
		k.Replacing = min(100_000, max(k.Replacing, atOnce(s.sc, k)))
	}
}

// end sets the end: once everything has had the time to settle.
func (s *swarm) end() {
	settle := time.Duration(0)
	for i := range s.sc.Kinds {
		settle = max(settle, settles(s.sc, &s.sc.Kinds[i]))
	}
	s.sc.Duration = max(s.sc.Duration, s.heal+settle+settleSlack)
}

// latencies makes whole subsystems slower or faster, within what a healthy one
// could be: starts that take minutes are what faults are for.
func (s *swarm) latencies() {
	factors := map[string]float64{}
	for i := range s.sc.World.Latencies {
		l := &s.sc.World.Latencies[i]
		sub, _, _ := cutName(l.Name)
		f, known := factors[sub]
		if !known {
			r := s.stream("latency", sub)
			f = timeline.Pick(r, []float64{0.1, 0.3, 0.5, 2, 3, 4})
			if !sometimes(r) {
				f = 1
			}
			factors[sub] = f
		}
		if sub == "dac" {
			f = min(f, 2) // the checker says by when a healthy DAC has its list
		}
		most := slowest * scenarios.LatencyDefaults[i].Max
		l.Min, l.Mean, l.Max = scaled(l.Min, f, most), scaled(l.Mean, f, most), scaled(l.Max, f, most)
	}
	for i := range s.sc.Kinds {
		k := &s.sc.Kinds[i]
		k.Pending = max(k.Pending, starts(s.sc))
	}
}

func cutName(name string) (sub, step string, ok bool) {
	for i := range name {
		if name[i] == '.' {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

func scaled(d time.Duration, f float64, most time.Duration) time.Duration {
	if f != 1 {
		d = time.Duration(float64(d) * f).Round(10 * time.Microsecond)
	}
	return min(d, most)
}

// orders has an operator meddle.
func (s *swarm) orders() {
	s.sc.Orders = nil
	for i := range s.sc.Kinds {
		k := &s.sc.Kinds[i]
		for _, what := range []scenarios.OrderKind{scenarios.Orchestrate, scenarios.Drain, scenarios.Replace, scenarios.Maintenance} {
			r := s.stream("order", k.Kind, string(what))
			n := timeline.Pick(r, []int{0, 0, 0, 1, 1, 2, 3})
			for range n {
				s.order(r, k, what)
			}
		}
	}
	for i := range s.sc.Kinds {
		if k := s.sc.Kinds[i].Kind; slices.ContainsFunc(s.sc.Orders, func(o scenarios.Order) bool { return o.Kind == k && o.What == scenarios.Maintenance }) {
			// The other order may have found nobody.
			s.sc.Orders = append(s.sc.Orders, scenarios.Order{What: scenarios.Maintenance, Kind: k, At: s.heal + healthyAfter})
		}
	}
	slices.SortStableFunc(s.sc.Orders, func(a, b scenarios.Order) int { return int(a.At - b.At) })
}

func (s *swarm) order(r *timeline.Stream, k *scenarios.Kind, what scenarios.OrderKind) {
	o := scenarios.Order{What: what, Kind: k.Kind, At: s.moment(r)}
	switch what {
	case scenarios.Orchestrate:
		f := timeline.Pick(r, []float64{0, 0.5, 0.6, 0.8, 0.95})
		if n := int(f * float64(k.ResourcePerInstance)); n > 0 {
			o.ResourcePerInstance = n
		}
	case scenarios.Drain, scenarios.Replace:
		o.Instance = r.IntN(k.InitInstances)
		if r.Bool(0.3) && what == scenarios.Drain {
			s.sc.Orders = append(s.sc.Orders, scenarios.Order{What: scenarios.Undrain, Kind: k.Kind, Instance: o.Instance, At: s.after(r, o.At)})
		}
	case scenarios.Maintenance:
		o.On = true
		s.sc.Orders = append(s.sc.Orders, scenarios.Order{What: what, Kind: k.Kind, At: s.after(r, o.At)})
	}
	s.sc.Orders = append(s.sc.Orders, o)
}

// moment is a time at which something can begin to break: whole seconds, before
// the last of heal.
func (s *swarm) moment(r *timeline.Stream) time.Duration {
	return time.Duration(r.IntN(int((s.heal-5*time.Second)/time.Second))) * time.Second
}

// after is a moment later than at and before heal.
func (s *swarm) after(r *timeline.Stream, at time.Duration) time.Duration {
	return at + s.length(r, at)
}

// length is how long something lasts that begins at at: seconds as often as
// minutes, and over before heal.
func (s *swarm) length(r *timeline.Stream, at time.Duration) time.Duration {
	room := (s.heal - at) / time.Second
	n := math.Exp(r.Float64() * math.Log(float64(room)))
	return max(1, min(time.Duration(n), room-1)) * time.Second
}

package sweep

import (
	"slices"
	"strings"
	"time"

	"dacorch/scenarios"
)

// pass is one kind of cut: it answers simpler scenarios, the boldest first.
type pass struct {
	name string
	cuts func(*scenarios.Scenario, Failure) []*scenarios.Scenario
}

// passes are all cuts, in the order in which they are tried: what takes most
// away first.
var passes = []pass{
	{"faults", drop(func(sc *scenarios.Scenario) *[]scenarios.Fault { return &sc.Faults })},
	{"orders", drop(func(sc *scenarios.Scenario) *[]scenarios.Order { return &sc.Orders })},
	{"churn", drop(func(sc *scenarios.Scenario) *[]scenarios.Churn { return &sc.Churn })},
	{"kinds", dropKinds},
	{"expectations", expectations},
	{"the end", end},
	{"latencies", latencies},
	{"nodes", nodes},
	{"settings", settings},
	{"size", size},
	{"rates", rates},
	{"times", times},
	{"chances", chances},
	{"targets", targets},
	{"seed", seeds},
}

// variant is a copy of a scenario with one thing done to it.
func variant(sc *scenarios.Scenario, do func(*scenarios.Scenario)) *scenarios.Scenario {
	c := clone(sc)
	do(c)
	return c
}

// drop is delta debugging over a list (Zeller and Hildebrandt, 2002): without all
// of it, without halves, quarters, and so on down to single elements.
func drop[T any](list func(*scenarios.Scenario) *[]T) func(*scenarios.Scenario, Failure) []*scenarios.Scenario {
	return func(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
		var out []*scenarios.Scenario
		n := len(*list(sc))
		for size := n; size >= 1; size /= 2 {
			for at := 0; at+size <= n; at += size {
				out = append(out, variant(sc, func(c *scenarios.Scenario) {
					*list(c) = slices.Delete(*list(c), at, at+size)
				}))
			}
		}
		return out
	}
}

// dropKinds leaves a kind away, with all that is about it.
func dropKinds(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Kinds {
		if name := sc.Kinds[i].Kind; len(sc.Kinds) > 1 {
			out = append(out, variant(sc, func(c *scenarios.Scenario) {
				c.Kinds = slices.Delete(c.Kinds, i, i+1)
				c.Churn = slices.DeleteFunc(c.Churn, func(x scenarios.Churn) bool { return x.Kind == name })
				c.Faults = slices.DeleteFunc(c.Faults, func(x scenarios.Fault) bool { return x.Kind == name })
				c.Orders = slices.DeleteFunc(c.Orders, func(x scenarios.Order) bool { return x.Kind == name })
				c.Load = slices.DeleteFunc(c.Load, func(x scenarios.Traffic) bool { return x.Kind == name })
			}))
		}
	}
	return out
}

// expectations leaves away those that the failure is not about.
func expectations(sc *scenarios.Scenario, f Failure) []*scenarios.Scenario {
	var out []*scenarios.Scenario
	for i := range sc.Expect {
		if f.Invariant == Expectation && !strings.HasPrefix(sc.Expect[i].Text, f.Cause+" ") {
			out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Expect = slices.Delete(c.Expect, i, i+1) }))
		}
	}
	return out
}

// mending is how long a run goes on after what it is about: whoever does right
// instead has settled by then.
const mending = 10 * time.Second

// end ends the run soon after it breaks, heals it when the last fault ends, and
// at the time that need not be written.
func end(sc *scenarios.Scenario, f Failure) []*scenarios.Scenario {
	last := time.Second
	for i := range sc.Faults {
		last = max(last, sc.Faults[i].At+sc.Faults[i].For+time.Second)
	}
	for i := range sc.Orders {
		last = max(last, sc.Orders[i].At+time.Second)
	}
	var out []*scenarios.Scenario
	after := f.At + mending
	ends := []time.Duration{after, round(after, 10*time.Second), round(after, time.Minute), sc.Duration / 2, sc.Duration * 3 / 4}
	heals := []time.Duration{round(last, time.Minute), last, sc.Heal / 2, sc.Heal}
	for _, d := range append(ends, sc.Duration) {
		if d <= 0 || d > sc.Duration || d < after && f.At < sc.Duration {
			continue
		}
		out = append(out, settleAt(sc, 0, d))
		for _, h := range append(heals, d) {
			if h < sc.Heal || d < sc.Duration {
				out = append(out, settleAt(sc, min(h, d), d))
			}
		}
	}
	for _, d := range []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute} { // what is left to settle stays as it is
		for _, h := range heals {
			if h+d < sc.Duration {
				out = append(out, settleAt(sc, h, h+d))
			}
		}
	}
	for _, h := range heals { // as long as it had after healing
		if d := h + sc.Duration - sc.Heal; h > 0 && h < sc.Heal {
			out = append(out, settleAt(sc, h, d))
		}
	}
	return out
}

// settleAt is a scenario that heals at h and ends at d; h 0: heals when it does
// unless told.
func settleAt(sc *scenarios.Scenario, h, d time.Duration) *scenarios.Scenario {
	d = round(d, time.Second)
	if h = min(round(h, time.Second), d); h == 0 {
		h = usualHeal(d)
	}
	return variant(sc, func(c *scenarios.Scenario) {
		for i := range c.Churn {
			x := &c.Churn[i]
			if x.Burst == nil && (x.Until == c.Heal || x.Until > d) {
				x.Until = h
			}
		}
		for i := range c.Faults {
			f := &c.Faults[i]
			if over := f.At + f.For - h; over > 0 && f.For > over {
				f.For -= over
				f.Every = min(f.Every, f.For)
			}
		}
		c.Heal, c.Duration = h, d
	})
}

// usualHeal is when a run of that duration heals unless its scenario says.
func usualHeal(d time.Duration) time.Duration {
	return d - min(min(max(d/4, 10*time.Minute), time.Hour), d/2)
}

func round(d, to time.Duration) time.Duration { return (d + to - 1) / to * to }

// usual is a scenario of which nothing is told but a kind's name.
func usual(kind string) *scenarios.Scenario {
	sc, err := scenarios.Parse("usual.yaml", []byte("name: usual\nabout: Nothing is told.\nduration: 1h\nkinds: [{kind: "+kind+"}]\nexpect: [violations == 0]\n"))
	if err != nil {
		panic("sweep: a kind without settings is refused: " + err.Error())
	}
	return sc
}

// latencies go back to what they usually are: all, a subsystem's, one.
func latencies(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	back := func(from, to int) *scenarios.Scenario {
		return variant(sc, func(c *scenarios.Scenario) {
			for i := from; i < to; i++ {
				c.World.Latencies[i] = scenarios.LatencyDefaults[i].Latency
			}
		})
	}
	n := len(sc.World.Latencies)
	out := []*scenarios.Scenario{back(0, n)}
	for from := 0; from < n; {
		sub, _, _ := cutName(sc.World.Latencies[from].Name)
		to := from
		for to < n {
			if s, _, _ := cutName(sc.World.Latencies[to].Name); s != sub {
				break
			}
			to++
		}
		out = append(out, back(from, to))
		from = to
	}
	for i := range n {
		out = append(out, back(i, i+1))
	}
	return out
}

func nodes(sc *scenarios.Scenario, _ Failure) []*scenarios.Scenario {
	if sc.Nodes == nil {
		return nil
	}
	out := []*scenarios.Scenario{variant(sc, func(c *scenarios.Scenario) { c.Nodes = nil })}
	if n := sc.Nodes; n.Count > 0 {
		for _, count := range []int{1, 2, 3, 5, n.Count / 2, n.Count} {
			for _, per := range []int{1, 30, n.PerNode} {
				out = append(out, variant(sc, func(c *scenarios.Scenario) { c.Nodes.Count, c.Nodes.PerNode = max(1, count), per }))
			}
		}
	}
	return out
}

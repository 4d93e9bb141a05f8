package sweep

import (
	"fmt"
	"math"
	"slices"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/timeline"
)

// faults throws in faults, class by class. A word that is added to a class moves
// nothing of the others; the number of a fault in its class names its stream, so
// that one more moves none of those before it.
func (s *swarm) faults() {
	for _, c := range Classes {
		r := s.stream("class", string(c))
		n := timeline.Pick(r, []int{1, 1, 1, 2, 2, 3, 5})
		if r.Bool(0.5) {
			continue
		}
		if c == "node" {
			s.nodes(r)
		}
		words := s.words(c)
		for i := range n {
			r := s.stream("class", string(c), fmt.Sprint(i))
			if f, ok := s.fault(r, timeline.Pick(r, words)); ok {
				s.sc.Faults = append(s.sc.Faults, f)
				if hangs(&f) && findsHung(s.sc, s.sc.KindNamed(f.Kind)) != nil {
					s.sc.Faults = s.sc.Faults[:len(s.sc.Faults)-1]
				}
			}
		}
	}
	slices.SortStableFunc(s.sc.Faults, func(a, b scenarios.Fault) int { return int(a.At - b.At) })
}

func (s *swarm) words(c Class) []*scenarios.FaultWord {
	var out []*scenarios.FaultWord
	for i := range scenarios.FaultWords {
		if w := &scenarios.FaultWords[i]; Class(w.What.Subject()) == c {
			out = append(out, w)
		}
	}
	return out
}

// nodes are machines enough for every pod, with room to spare while some are away.
func (s *swarm) nodes(r *timeline.Stream) {
	pods := 0
	for i := range s.sc.Kinds {
		pods += s.sc.Kinds[i].MaxInstances
	}
	per := timeline.Pick(r, []int{1, 2, 4, 10, 30})
	s.sc.Nodes = &scenarios.Nodes{PerNode: per, Count: min(100_000, pods/per+2)}
}

// fault draws one fault of a word; false: none of the kinds can have it.
func (s *swarm) fault(r *timeline.Stream, w *scenarios.FaultWord) (scenarios.Fault, bool) {
	f := scenarios.NewFault(w.What)
	f.At = s.moment(r)
	if lasts := s.length(r, f.At); !f.Once() || r.Bool(0.3) {
		f.For = lasts
		if f.Once() {
			if f.Every = (lasts / time.Duration(1+r.IntN(5))).Round(time.Second); f.Every < 2*time.Second {
				f.For, f.Every = 0, 0
			}
		}
	}
	if chance := timeline.Pick(r, []float64{1, 1, 1, 0.5, 0.2, 0.1, 0.05, 0.02}); chance < 1 {
		f.Chance = chance
		if stable := timeline.Pick(r, []time.Duration{0, 0, time.Second, 10 * time.Second, time.Minute}); w.Stable == 0 {
			f.Stable = stable
		}
	}
	if w.Stable > 0 {
		f.Stable = timeline.Pick(r, []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute})
	}
	if w.By > 0 {
		f.By = tidy(time.Duration(float64(w.By) * math.Exp2(6*r.Float64()-4)))
	}
	takes := func(key string) bool { return slices.Contains(w.Keys, key) }
	if takes("rate") {
		f.Rate = rate(timeline.Pick(r, []int{6, 60, 600, 3000}))
	}
	if takes("of") {
		f.Of = timeline.Pick(r, []string{scenarios.OfOrchestrator, scenarios.OfOrchestrator, scenarios.OfDACs, scenarios.OfAll})
	}
	if command := timeline.Pick(r, scenarios.Commands); takes("command") && r.Bool(0.6) {
		f.Command = command
		f.By = timeline.Pick(r, []time.Duration{time.Second, 5 * time.Second, 20 * time.Second})
		f.Chance = min(f.Chance, 0.2) // else it strikes at once, again and again
	} else if takes("command") {
		f.Chance, f.Stable = 1, 0
	}
	return f, s.target(r, w, &f)
}

// tidy rounds a time to two digits, as people write it.
func tidy(d time.Duration) time.Duration {
	unit := time.Microsecond
	for unit*100 < d {
		unit *= 10
	}
	return max(d.Round(unit), unit)
}

// target draws whom a fault hits.
func (s *swarm) target(r *timeline.Stream, w *scenarios.FaultWord, f *scenarios.Fault) bool {
	takes := func(key string) bool { return slices.Contains(w.Keys, key) }
	if !takes("share") || f.Of != "" && f.Of != scenarios.OfDACs {
		return true
	}
	how, count, share := r.IntN(4), 1+r.IntN(3), timeline.Pick(r, []float64{0.1, 0.2, 0.3, 0.5, 1})
	if !takes("kind") {
		switch {
		case how == 0:
			f.Count = count
		case how == 1:
			f.Node = scenarios.NodeName(r.IntN(s.sc.Nodes.Count))
		default:
			f.Share = share
		}
		return true
	}
	k := s.victim(r, w, f)
	if k == nil {
		return false
	}
	switch {
	case how == 0:
		f.One, f.Instance = true, r.IntN(k.InitInstances)
	case how == 1 || hangs(f):
		f.Count = count
	case how == 2 || len(w.Needs) > 0:
		f.Share = share
	}
	if takes("where") && r.Bool(0.15) {
		c, err := scenarios.ParseCondition(timeline.Pick(r, []string{"resources > 0", "load > 50%", "age < 1m", "age > 1m", "instance > 1"}))
		if err != nil {
			panic("sweep: " + err.Error()) // five conditions that are right
		}
		f.Where = append(f.Where, c)
	}
	return true
}

// victim is the kind that a fault is about; nil: there is none that it could be.
func (s *swarm) victim(r *timeline.Stream, w *scenarios.FaultWord, f *scenarios.Fault) *scenarios.Kind {
	var from []*scenarios.Kind
	subject := w.What.Subject()
	for i := range s.sc.Kinds {
		k := &s.sc.Kinds[i]
		if !k.Heartbeat && (subject == "heartbeats" || subject == "kafka") {
			continue
		}
		from = append(from, k)
	}
	if len(from) == 0 {
		return nil
	}
	k := timeline.Pick(r, from)
	f.Kind = k.Kind
	return k
}

package sweep

import (
	"fmt"
	"slices"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/timeline"
)

// churn draws how rows come and go: as the base has it, scaled to the size, or
// in another shape. Traces, and bursts that the size makes pointless, are among
// what is drawn anew.
func (s *swarm) churn() {
	s.sc.Churn = nil
	for i := range s.sc.Kinds {
		k := &s.sc.Kinds[i]
		r := s.stream("churn", k.Kind)
		steady, bursts, day := r.Bool(0.7), timeline.Pick(r, []int{0, 0, 1, 1, 2}), r.Bool(0.1)
		if steady {
			s.steady(s.stream("churn", k.Kind, "steady"), k)
		}
		for n := range bursts {
			s.burst(s.stream("churn", k.Kind, "burst", fmt.Sprint(n)), k)
		}
		if day {
			s.day(s.stream("churn", k.Kind, "day"), k)
		}
	}
}

// rate is so many rows a minute, as a scenario writes it.
func rate(perMinute int) scenarios.Rate {
	r, err := scenarios.ParseRate(scenarios.Rate(float64(perMinute) / 60).String())
	if err != nil {
		panic("sweep: " + err.Error()) // a rate's own text is a rate
	}
	return r
}

// busy draws a rate: from one a minute to some ten a second, fewer for few rows.
func busy(r *timeline.Stream, k *scenarios.Kind) scenarios.Rate {
	n := timeline.Pick(r, []int{0, 1, 6, 30, 60, 120, 300, 600})
	return rate(min(n, 30+k.Resources/4))
}

func (s *swarm) steady(r *timeline.Stream, k *scenarios.Kind) {
	c := scenarios.Churn{Kind: k.Kind, Until: s.heal}
	c.Rates = &scenarios.Rates{Create: busy(r, k), Delete: busy(r, k), Update: busy(r, k), Arrivals: scenarios.Poisson}
	if r.Bool(0.2) {
		c.Rates.Arrivals = scenarios.Constant
	}
	if c.Rates.Create+c.Rates.Delete+c.Rates.Update > 0 {
		s.sc.Churn = append(s.sc.Churn, c)
	}
}

func (s *swarm) burst(r *timeline.Stream, k *scenarios.Kind) {
	b := &scenarios.Burst{Verb: timeline.Pick(r, []string{scenarios.Create, scenarios.Update, scenarios.Delete})}
	b.Count = 1 + r.IntN(max(10, k.Resources/2))
	c := scenarios.Churn{Kind: k.Kind, From: s.moment(r), Burst: b}
	if r.Bool(0.5) {
		b.Over = s.length(r, c.From)
	}
	if r.Bool(0.6) {
		b.Bulk = timeline.Pick(r, []int{1, 5, 50, 500})
		if b.Verb != scenarios.Create {
			b.Condition = timeline.Pick(r, []string{scenarios.ConditionIDs, scenarios.ConditionOther})
		}
	}
	c.Until = c.From + b.Over
	s.sc.Churn = append(s.sc.Churn, c)
}

func (s *swarm) day(r *timeline.Stream, k *scenarios.Kind) {
	d := &scenarios.Day{Period: time.Duration(1+r.IntN(10)) * time.Minute}
	d.PeakAt = time.Duration(r.IntN(int(d.Period/time.Second))) * time.Second
	for _, to := range []*scenarios.Swing{&d.Create, &d.Delete} {
		to.Peak = max(rate(1), busy(r, k))
	}
	s.sc.Churn = append(s.sc.Churn, scenarios.Churn{Kind: k.Kind, Day: d, Until: s.heal})
}

// Class is a class of faults: the subject that they are about.
type Class string

// Classes are the classes of faults, each in or out with a coin.
var Classes = classes()

func classes() []Class {
	var out []Class
	for i := range scenarios.FaultWords {
		if c := Class(scenarios.FaultWords[i].What.Subject()); !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// ClassesOf are the classes of a scenario's faults, in the order of Classes.
func ClassesOf(sc *scenarios.Scenario) []Class {
	var out []Class
	for _, c := range Classes {
		if slices.ContainsFunc(sc.Faults, func(f scenarios.Fault) bool { return Class(f.What.Subject()) == c }) {
			out = append(out, c)
		}
	}
	return out
}

package sweep

import (
	"fmt"
	"slices"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/timeline"
)

// calmShare is how much of the swarm is calm.
const calmShare = 0.12

// promptly is by when a row is settled where nothing breaks, and its pod may have
// to be created first.
const promptly = 90 * time.Second

// calm turns some of the scenarios into calm ones, and says whether it has: there
// nothing breaks but the brokers, for a while. What heals by itself under faults
// has no excuse there: rows settle promptly, long before a comparison with the
// database would find them, and no healthy pod is replaced.
func (s *swarm) calm() bool {
	r := s.stream("calm")
	if !r.Bool(calmShare) {
		return false
	}
	for i := range s.sc.World.Latencies {
		s.sc.World.Latencies[i] = scenarios.LatencyDefaults[i].Latency
	}
	s.sc.Orders = slices.DeleteFunc(s.sc.Orders, func(o scenarios.Order) bool { return o.What != scenarios.Orchestrate })
	for i := range s.sc.Kinds {
		k := &s.sc.Kinds[i]
		k.Resync, k.HeartbeatInterval, k.Silence = 5*time.Minute, time.Minute, 90*time.Second
		if r.Bool(0.2) {
			k.InitInstances = 1
		}
	}
	s.room()
	prompt := promptly
	for _, what := range []scenarios.FaultKind{scenarios.KafkaDown, scenarios.MQTTDown} {
		r := s.stream("calm", string(what))
		f := scenarios.NewFault(what)
		f.At = s.moment(r)
		// Kafka is away for so long that everybody misses a heartbeat: when a short
		// outage swallows those of a few, nothing tells it from their silence.
		f.For = s.length(r, f.At)
		if timeline.Pick(r, []bool{true, false}) && (what != scenarios.KafkaDown || f.For > time.Minute) {
			s.sc.Faults = append(s.sc.Faults, f)
			if what == scenarios.MQTTDown {
				prompt += f.For
			}
		}
	}
	s.sc.Expect = append(s.sc.Expect, expects("instances_replaced_needlessly == 0"),
		expects(fmt.Sprintf("settle_time_max < %s", scenarios.FormatDuration(prompt))))
	return true
}

func expects(text string) scenarios.Expectation {
	e, err := scenarios.ParseExpectation(text)
	if err != nil {
		panic("sweep: " + err.Error()) // the texts are ours
	}
	return e
}

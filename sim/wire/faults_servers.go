package wire

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/wire/kubernetes"
)

// effect is what a fault does to the servers.
type effect func(f *faults, now time.Duration, b *broken) error

// happenings are what the faults do that happen at a moment.
func happenings() map[scenarios.FaultKind]effect {
	return map[scenarios.FaultKind]effect{
		scenarios.PodCrash: breakPods, scenarios.PodOOM: breakPods, scenarios.PodEvict: breakPods,
		scenarios.PodHang: breakPods, scenarios.PodZombie: breakPods,
		scenarios.KafkaReset: whole(func(f *faults) {
			f.eachGroup(func(group string) { f.r.p.Kafka.ResetOffsets(group, heartbeatTopic, len(f.r.procs.all)) })
		}),
		scenarios.ZooKeeperExpire: expire,
		scenarios.KubernetesGone: whole(func(f *faults) {
			f.r.p.Kubernetes.Compact()
			f.r.p.Kubernetes.CutWatches()
		}),
	}
}

// changes bring the servers in line with the active faults of a sort, whenever one
// begins, has its turn or ends. Faults that are not here act through what servers
// and DACs ask about each case.
func changes() map[scenarios.FaultKind]effect {
	return map[scenarios.FaultKind]effect{
		scenarios.PodNoImage: retryImages,
		scenarios.NodeLose:   breakNodes, scenarios.NodeDrain: breakNodes,
		scenarios.NodePartition: breakNodes, scenarios.NodeFlap: breakNodes,

		scenarios.KafkaDown: onOff(server(scenarios.KafkaDown, true), server(scenarios.KafkaDown, false)),
		scenarios.KafkaSlow: func(f *faults, _ time.Duration, b *broken) error {
			f.r.p.Kafka.Delay(f.r.real(f.amount(b.What)))
			return nil
		},
		scenarios.KafkaRebalance: rebalance,
		scenarios.MQTTDown:       onOff(mqttDown(true), mqttDown(false)),
		scenarios.MQTTGarbage:    garbage, scenarios.MQTTFlood: flood,

		scenarios.ZooKeeperDown: zookeeperDown,

		scenarios.KubernetesSlow: slowWatches,
		scenarios.KubernetesCutWatch: onOff(
			func(f *faults) error { f.r.p.Kubernetes.SilenceWatches(true); return nil },
			func(f *faults) error { f.r.p.Kubernetes.SilenceWatches(false); return nil }),
		scenarios.KubernetesDown: onOff(
			func(f *faults) error { f.r.p.Kubernetes.Stall(true); return nil },
			func(f *faults) error { f.r.p.Kubernetes.Stall(false); return nil }),

		scenarios.DatabaseDown: onOff(
			func(f *faults) error { return f.r.Centre.Hide(f.r.ctx, true) },
			func(f *faults) error { return f.r.Centre.Hide(f.r.ctx, false) }),

		scenarios.OrchestratorCrash: crashed, scenarios.OrchestratorPause: paused, scenarios.OrchestratorSplit: split,
	}
}

// whole is something that happens, or by the fault's chance does not.
func whole(do func(*faults)) effect {
	return func(f *faults, now time.Duration, b *broken) error {
		f.mu.Lock()
		hit := b.strikes(now, "")
		f.mu.Unlock()
		if hit {
			do(f)
		}
		return nil
	}
}

// onOff is a switch that is on while any fault of the sort applies.
func onOff(on, off func(*faults) error) effect {
	return func(f *faults, _ time.Duration, b *broken) (err error) {
		applies := f.applies(b.What)
		switch {
		case applies && !f.switched[b.What]:
			err = on(f)
		case !applies && f.switched[b.What]:
			err = off(f)
		}
		f.switched[b.What] = applies
		return err
	}
}

// eachGroup does something to the consumer group of each kind that sends
// heartbeats.
func (f *faults) eachGroup(do func(group string)) {
	for _, k := range f.r.kinds {
		if k.spec.Heartbeat {
			do("iota-orchestrator-" + string(k.name))
		}
	}
}

func rebalance(f *faults, _ time.Duration, b *broken) error {
	if b.on {
		f.eachGroup(func(group string) { f.r.p.Kafka.Rebalance(group, len(f.r.procs.all)) })
	}
	return nil
}

func mqttDown(down bool) func(*faults) error {
	return func(f *faults) error {
		f.r.Centre.Mute(down)
		return f.r.Breaker.Server(scenarios.MQTTDown, down)
	}
}

// server takes a server away, or gives it back.
func server(what scenarios.FaultKind, down bool) func(*faults) error {
	return func(f *faults) error { return f.r.Breaker.Server(what, down) }
}

// carry publishes a notification of the data centre, with what befalls it.
func (f *faults) carry(kind fleet.Kind, payload []byte, publish func([]byte) error) error {
	lost, copies, late := f.message()
	if lost {
		f.r.queue.add(func(time.Time) { f.r.check.Add(kind, history.NotificationsLost, 1) })
		return nil
	}
	var errs []error
	for range 1 + copies {
		if late == 0 {
			errs = append(errs, publish(payload))
			continue
		}
		f.after(late, func(context.Context) {
			_ = publish(payload) // the broker is closing: nobody is left to tell
		})
	}
	return errors.Join(errs...)
}

// message is asked about each notification.
func (f *faults) message() (lost bool, copies int, late time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, b := range f.active[scenarios.MQTTLose] {
		lost = b.strikes(now, "") || lost
	}
	for _, b := range f.active[scenarios.MQTTDuplicate] {
		if b.strikes(now, "") {
			copies++
		}
	}
	for _, b := range f.active[scenarios.MQTTReorder] {
		if b.strikes(now, "") {
			late += f.r.real(time.Duration(b.before.Float64() * float64(b.By)))
		}
	}
	return lost, copies, late
}

// slowWatches delays what watches tell: a watch is one case.
func slowWatches(f *faults, now time.Duration, b *broken) error {
	var sum time.Duration
	f.mu.Lock()
	for _, b := range f.active[b.What] {
		if b.strikes(now, "watch") {
			sum += b.By
		}
	}
	f.mu.Unlock()
	f.r.p.Kubernetes.DelayWatches(f.r.real(sum))
	return nil
}

// judge is asked about each request that reaches the API server. Requests about
// other things than pods, and health checks, go free.
func (f *faults) judge(q kubernetes.Request) (v kubernetes.Verdict) {
	_, pod, pods := strings.Cut(q.Path, "/pods")
	if !pods || q.Watch {
		return v
	}
	creates, writes := q.Method == http.MethodPost, q.Method != http.MethodGet
	if word := callWord(q.Method, pod); word != "" {
		if hit, before := f.strike(word); hit {
			return kubernetes.Verdict{Code: http.StatusInternalServerError, Done: !before} // nobody is left to read it
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now, key := f.now(), q.Method+" "+pod
	for _, b := range f.active[scenarios.KubernetesSlow] {
		if b.strikes(now, key) {
			v.Late += f.r.real(b.By)
		}
	}
	refuse := func(what scenarios.FaultKind, code int) {
		for _, b := range f.active[what] {
			if v.Code == 0 && b.strikes(now, key) {
				v.Code, v.Done = code, what == scenarios.KubernetesError && b.before.Bool(0.5)
			}
		}
	}
	refuse(scenarios.KubernetesThrottle, http.StatusTooManyRequests)
	refuse(scenarios.KubernetesError, http.StatusInternalServerError)
	if creates {
		refuse(scenarios.KubernetesQuota, http.StatusForbidden)
	}
	if writes { // no server answers 409 to who reads
		refuse(scenarios.KubernetesConflict, http.StatusConflict)
	}
	return v
}

// callWord is what Fault.Command calls a request about pods; empty for others.
func callWord(method, pod string) string {
	switch {
	case method == http.MethodPost && pod == "":
		return "create-pod"
	case method == http.MethodDelete:
		return "delete-pod"
	case method == http.MethodGet && pod == "":
		return "list-pods"
	}
	return ""
}

// expire ends sessions.
func expire(f *faults, now time.Duration, b *broken) error {
	f.mu.Lock()
	f.choose(now, b)
	f.mu.Unlock()
	if b.Of != scenarios.OfOrchestrator {
		f.at(now+f.r.scaled(f.r.ComingBack), f.disturbed(now, b, "its ZooKeeper session has expired"))
	}
	var ends []int64
	victims := f.victimSessions(now, b)
	f.mu.Lock()
	for i, id := range victims {
		if b.strikes(now, strconv.Itoa(i)) {
			ends = append(ends, id)
		}
	}
	f.mu.Unlock()
	f.expireSessions(func(id int64) bool { return slices.Contains(ends, id) })
	return nil
}

package sim

import (
	"strconv"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/world"
)

// action is what a fault does to the models.
type action func(r *run, now time.Duration, b *broken)

// happenings are what the faults do that happen at a moment.
func happenings() map[scenarios.FaultKind]action {
	return map[scenarios.FaultKind]action{
		scenarios.PodCrash: breakPods, scenarios.PodOOM: breakPods, scenarios.PodEvict: breakPods,
		scenarios.PodHang: breakPods, scenarios.PodZombie: breakPods,
		scenarios.KafkaReset:        whole(func(r *run) { r.world.Kafka.ResetOffsets() }),
		scenarios.ZooKeeperExpire:   expire,
		scenarios.KubernetesGone:    whole(func(r *run) { r.world.Kubernetes.ExpireWatches() }),
		scenarios.OrchestratorClock: clock,
	}
}

// changes bring the models in line with the active faults of a sort, whenever one
// begins, has its turn or ends. Faults that are not here act through the hooks,
// which ask about each case.
func changes() map[scenarios.FaultKind]action {
	return map[scenarios.FaultKind]action{
		scenarios.PodNoImage: retryImages,
		scenarios.NodeLose:   breakNodes, scenarios.NodeDrain: breakNodes,
		scenarios.NodePartition: breakNodes, scenarios.NodeFlap: breakNodes,

		scenarios.KafkaDown:      onOff(func(r *run) { r.world.Kafka.Down() }, func(r *run) { r.world.Kafka.Up() }),
		scenarios.KafkaRebalance: rebalance,
		scenarios.KafkaPartition: losePartition,
		scenarios.MQTTDown:       onOff(func(r *run) { r.world.MQTT.Down() }, func(r *run) { r.world.MQTT.Up() }),
		scenarios.MQTTGarbage:    garbage, scenarios.MQTTFlood: flood,

		scenarios.ZooKeeperSlow: slowZooKeeper, scenarios.ZooKeeperReadOnly: minority,
		scenarios.ZooKeeperDown: zookeeperDown, scenarios.ZooKeeperFull: onOff(
			func(r *run) { r.world.ZooKeeper.SetFull(true) }, func(r *run) { r.world.ZooKeeper.SetFull(false) }),

		scenarios.KubernetesSlow: func(r *run, now time.Duration, _ *broken) {
			r.world.Kubernetes.SetWatchDelay(r.watchDelay(now))
		},
		scenarios.KubernetesCutWatch: onOff(func(r *run) { r.world.Kubernetes.CutWatches() }, func(r *run) { r.world.Kubernetes.MendWatches() }),
		scenarios.KubernetesDown:     onOff(func(r *run) { r.world.Kubernetes.APIDown() }, func(r *run) { r.world.Kubernetes.APIUp() }),

		scenarios.DatabaseDown: onOff(func(r *run) { r.world.Database.SetDown(true) }, func(r *run) { r.world.Database.SetDown(false) }),
		scenarios.DatabaseSlow: func(r *run, _ time.Duration, _ *broken) {
			r.world.Database.SetDelay(r.amount(scenarios.DatabaseSlow))
		},
		scenarios.DatabaseTorn: func(r *run, _ time.Duration, _ *broken) {
			r.world.Database.SetTorn(r.amount(scenarios.DatabaseTorn))
		},

		scenarios.OrchestratorCrash: crashed, scenarios.OrchestratorPause: paused, scenarios.OrchestratorSplit: split,
	}
}

// whole is something that happens, or by the fault's chance does not.
func whole(do func(*run)) action {
	return func(r *run, now time.Duration, b *broken) {
		if b.dice.Hits(now, "") {
			do(r)
		}
	}
}

// onOff is a switch that is on while any fault of the sort applies.
func onOff(on, off func(*run)) action {
	return func(r *run, _ time.Duration, b *broken) {
		applies := r.applies(b.What)
		switch {
		case applies && !r.switched[b.What]:
			on(r)
		case !applies && r.switched[b.What]:
			off(r)
		}
		r.switched[b.What] = applies
	}
}

func rebalance(r *run, _ time.Duration, b *broken) {
	if b.on {
		r.world.Kafka.Revoke()
	}
}

// losePartition makes the heartbeats of those go nowhere whom any active fault of
// the sort hits.
func losePartition(r *run, _ time.Duration, _ *broken) {
	if !r.applies(scenarios.KafkaPartition) {
		r.world.Kafka.ReturnPartition()
		return
	}
	r.world.Kafka.LosePartition(func(kind fleet.Kind, id fleet.InstanceID) bool {
		for _, b := range r.active[scenarios.KafkaPartition] {
			if b.on && b.hits(r, r.tl.Now(), kind, id) {
				return true
			}
		}
		return false
	})
}

// onMessage is asked about each notification at the broker.
func (r *run) onMessage(now time.Duration, _ *fleet.Notification) (f world.MessageFault) {
	for _, b := range r.active[scenarios.MQTTLose] {
		f.Lose = b.dice.Hits(now, "") || f.Lose
	}
	for _, b := range r.active[scenarios.MQTTDuplicate] {
		if b.dice.Hits(now, "") {
			f.Copies++
		}
	}
	for _, b := range r.active[scenarios.MQTTReorder] {
		if b.dice.Hits(now, "") {
			f.Delay += time.Duration(b.before.Float64() * float64(b.By))
		}
	}
	return f
}

// clients are those whom a fault of ZooKeeper is about.
func (b *broken) clients() world.Clients {
	switch b.Of {
	case scenarios.OfOrchestrator:
		return world.Orchestrators
	case scenarios.OfDACs:
		return world.DACClients
	}
	return world.AllClients
}

// victimSessions are the sessions that a fault of ZooKeeper is about now.
func (b *broken) victimSessions(r *run, now time.Duration) []*world.Session {
	if !b.Targeted() && b.Kind == "" {
		return r.world.ZooKeeper.Sessions(b.clients())
	}
	var out []*world.Session
	for _, k := range r.kinds {
		for _, id := range r.world.DACs.Instances(k.name) {
			if s := r.world.DACs.Session(k.name, id); s != nil && b.hits(r, now, k.name, id) {
				out = append(out, s)
			}
		}
	}
	return out
}

// reopening is how long DACs may take until they work again with new sessions.
const reopening = 10 * time.Second

// expire ends sessions.
func expire(r *run, now time.Duration, b *broken) {
	b.choose(r, now)
	if b.clients()&world.DACClients != 0 {
		r.at(now+reopening, r.disturbed(now, b, "its ZooKeeper session has expired"))
	}
	for i, s := range b.victimSessions(r, now) {
		if b.dice.Hits(now, strconv.Itoa(i)) {
			s.Expire()
		}
	}
}

// slowZooKeeper delays requests: those of orchestrators, of DACs, or both.
func slowZooKeeper(r *run, _ time.Duration, _ *broken) {
	for _, of := range []world.Clients{world.Orchestrators, world.DACClients} {
		var sum time.Duration
		for _, b := range r.active[scenarios.ZooKeeperSlow] {
			if b.on && b.clients()&of != 0 {
				sum += b.By
			}
		}
		r.world.ZooKeeper.SetDelay(of, sum)
	}
}

// minority puts the servers that some speak to into a minority.
func minority(r *run, _ time.Duration, _ *broken) {
	for _, of := range []world.Clients{world.Orchestrators, world.DACClients} {
		on := false
		for _, b := range r.active[scenarios.ZooKeeperReadOnly] {
			on = on || b.on && b.clients()&of != 0
		}
		r.world.ZooKeeper.SetMinority(of, on)
	}
}

// zookeeperDown stops the ensemble while any fault of the sort is about everybody;
// one that is about some breaks their connections until it ends.
func zookeeperDown(r *run, now time.Duration, b *broken) {
	if b.on && (b.Targeted() || b.Kind != "" || b.clients() != world.AllClients) {
		for _, s := range b.victimSessions(r, now) {
			s.Break(b.dice.End() - now)
		}
		return
	}
	all := false
	for _, b := range r.active[scenarios.ZooKeeperDown] {
		all = all || b.on && !b.Targeted() && b.Kind == "" && b.clients() == world.AllClients
	}
	switch {
	case all && !r.switched[b.What]:
		r.world.ZooKeeper.Down()
	case !all && r.switched[b.What]:
		r.world.ZooKeeper.Up()
	}
	r.switched[b.What] = all
}

// onSubmit is asked about each transaction that reaches the ensemble.
func (r *run) onSubmit(now time.Duration, _ fleet.Kind, _ *fleet.Txn) (world.SubmitFault, time.Duration) {
	for _, b := range r.active[scenarios.ZooKeeperCut] {
		if b.clients()&world.Orchestrators != 0 && b.dice.Hits(now, "") {
			return b.cutWhen(), b.By
		}
	}
	return world.SubmitArrives, 0
}

// onStatus is asked about each write of a DAC's status.
func (r *run) onStatus(now time.Duration, kind fleet.Kind, id fleet.InstanceID) (world.SubmitFault, time.Duration) {
	for _, b := range r.active[scenarios.ZooKeeperCut] {
		if b.clients()&world.DACClients != 0 && b.befalls(r, now, kind, id) {
			return b.cutWhen(), b.By
		}
	}
	return world.SubmitArrives, 0
}

// cutWhen is whether the connection breaks before the write or after it.
func (b *broken) cutWhen() world.SubmitFault {
	if b.before.Bool(0.5) {
		return world.SubmitLost
	}
	return world.AnswerLost
}

// onCall is asked about each call that reaches the API server.
func (r *run) onCall(now time.Duration, c world.Call) (f world.CallFault) {
	key := strconv.Itoa(int(c.Verb)) + " " + keyOf(c.Kind, c.Instance)
	for _, b := range r.active[scenarios.KubernetesSlow] {
		if b.dice.Hits(now, key) {
			f.Delay += b.By
		}
	}
	refuse := func(what scenarios.FaultKind, err error) {
		for _, b := range r.active[what] {
			if f.Err == nil && b.dice.Hits(now, key) {
				f.Err = err
				f.Executed = what == scenarios.KubernetesError && b.before.Bool(0.5)
			}
		}
	}
	refuse(scenarios.KubernetesThrottle, world.ErrThrottled)
	refuse(scenarios.KubernetesError, world.ErrInternal)
	if c.Verb == world.CallCreate {
		refuse(scenarios.KubernetesQuota, world.ErrQuota)
	}
	refuse(scenarios.KubernetesConflict, world.ErrConflict)
	return f
}

// watchDelay is how much later events of watches come: a watch is one case.
func (r *run) watchDelay(now time.Duration) (sum time.Duration) {
	for _, b := range r.active[scenarios.KubernetesSlow] {
		if b.dice.Hits(now, "watch") {
			sum += b.By
		}
	}
	return sum
}

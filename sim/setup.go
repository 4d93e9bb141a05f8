package sim

import (
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/invariant"
	"dacorch/sim/internal/stage"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/internal/world"
)

// overlapBound is how long two DACs may run one resource with fast handoff: the
// losing side's watch, read and apply, with room for the slowest of each.
const overlapBound = 15 * time.Second

// reloadBound is how long a healthy DAC may take from a commit to having applied
// it. One that has just started loads first.
const reloadBound = 20 * time.Second

func newRun(sc *scenarios.Scenario, opts Options) (*run, error) {
	if sc.On == scenarios.OnWire {
		return nil, fmt.Errorf("%s: %w", sc.File, ErrOnWire)
	}
	if w, ok := opts.Record.(*recording.Writer); ok && w == nil {
		opts.Record = nil
	}
	r := &run{sc: sc, opts: opts, seed: timeline.Seed(sc.Seed), tl: timeline.New(), trace: history.NewTrace(), orders: map[uint64]openOrder{}, unarrived: map[*fleet.Notification]fleet.Kind{}, orphans: map[*fleet.Txn]bool{}}
	r.script = stage.Script{Scenario: sc, Seed: r.seed, Open: opts.Open}
	r.worldCfg, r.leases = worldConfig(sc), r.seed.Stream("orchestrator", "lease")
	r.resolves = r.seed.Stream("orchestrator", "resolve")
	r.makeFaults()
	w, err := world.New(r.tl, r.seed, r.worldCfg)
	if err != nil {
		return nil, fmt.Errorf("%s: world: %w", sc.File, err)
	}
	r.world = w
	check := invariant.Config{Pod: r.podState}
	if opts.Record != nil {
		check.OnTime, check.OnBroken = r.keepTime, r.keepBroken
	}
	for i := range sc.Kinds {
		spec := &sc.Kinds[i]
		if err := stage.Machine(spec).Validate(); err != nil {
			return nil, fmt.Errorf("%s: kinds.%s: %w", sc.File, spec.Kind, err)
		}
		k := &kind{name: fleet.Kind(spec.Kind), number: int64(i), spec: spec, sizes: map[fleet.InstanceID]size{}, born: map[fleet.InstanceID]time.Duration{}}
		if err := w.AddKind(world.KindSpec{Kind: k.name, InstanceName: spec.InstanceName, Heartbeat: spec.Heartbeat, HeartbeatInterval: spec.HeartbeatInterval, Confirms: true}); err != nil {
			return nil, fmt.Errorf("%s: kinds.%s: %w", sc.File, spec.Kind, err)
		}
		if k.cast, err = r.script.Cast(spec); err != nil {
			return nil, err
		}
		r.kinds = append(r.kinds, k)
		check.Kinds = append(check.Kinds, invariant.KindConfig{
			Kind: k.name, Handoff: fleet.Handoff(spec.Handoff), OverlapBound: overlapBound, ReloadBound: reloadBound,
			SettleBound: spec.Resync + 2*spec.Silence + 2*time.Minute, NoHeartbeat: !spec.Heartbeat, Unconfirmed: spec.Unconfirmed, Monitor: spec.Monitor,
			PerInstance: spec.ResourcePerInstance, Grouped: spec.Policy == "group", Resources: len(k.cast.Initial),
		})
	}
	r.check = invariant.New(check)
	r.pics = newPictures(r)
	r.observe()
	for i, k := range r.kinds {
		for _, row := range k.cast.Initial {
			w.Database.Insert(k.name, row)
			r.check.RowPresent(0, k.name, row)
		}
		r.check.Add(k.name, history.TraceRows, float64(k.cast.TraceRows))
		r.check.Add(k.name, history.TraceRowsSkipped, float64(k.cast.SkippedRows))
		r.nextOp(i)
	}
	if err := r.schedule(); err != nil {
		return nil, err
	}
	return r, r.stand()
}

// stand puts in place what stands at the beginning.
func (r *run) stand() error {
	for _, k := range r.kinds {
		start, ok := r.opts.Start[k.name]
		if !ok {
			continue
		}
		if err := r.world.Stand(k.name, start.Tree, start.Running); err != nil {
			return fmt.Errorf("%s: the start: %w", r.sc.File, err)
		}
		tree := r.world.ZooKeeper.Tree(k.name)
		r.check.Tree(0, k.name, tree)
		for i := range tree.Instances {
			k.sizes[tree.Instances[i].ID] = size{tree.Instances[i].Used, tree.Instances[i].Capacity}
		}
	}
	return nil
}

// schedule puts everything that the scenario foresees on the timeline.
func (r *run) schedule() error {
	for i := range r.sc.Faults {
		f := &r.sc.Faults[i]
		r.tl.At(f.At, r, opFaultOn, int64(i), nil)
		r.pics.fault(f)
	}
	for i := range r.sc.Orders {
		r.tl.At(r.sc.Orders[i].At, r, opOrder, int64(i), nil)
		r.pics.order(&r.sc.Orders[i])
	}
	if r.sc.Heal > 0 && r.sc.Heal < r.sc.Duration {
		r.tl.At(r.sc.Heal, r, opHeal, 0, nil)
	}
	r.tl.At(checkEvery, r, opDeadlines, 0, nil)
	return r.nodes()
}

// nodes brings the cluster's machines in and out as a trace says.
func (r *run) nodes() error {
	events, err := r.script.Nodes()
	if err != nil {
		return err
	}
	for _, ev := range events {
		if ev.At == 0 {
			r.node(ev) // there before the first pod is created
		} else {
			r.tl.At(ev.At, r, opNode, 0, ev)
		}
	}
	return nil
}

// worldConfig is the scenario's latencies for the models.
func worldConfig(sc *scenarios.Scenario) world.Config {
	cfg := world.DefaultConfig()
	for name, to := range map[string]*timeline.Latency{
		"database.query": &cfg.Database.Query, "database.answer": &cfg.Database.Answer,
		"mqtt.publish": &cfg.MQTT.Publish, "mqtt.deliver": &cfg.MQTT.Deliver, "mqtt.ack": &cfg.MQTT.Ack, "mqtt.detect": &cfg.MQTT.Detect,
		"kafka.produce": &cfg.Kafka.Produce, "kafka.fetch": &cfg.Kafka.Fetch, "kafka.detect": &cfg.Kafka.Detect,
		"kafka.reconnect": &cfg.Kafka.Reconnect, "kafka.join": &cfg.Kafka.Join,
		"zookeeper.request": &cfg.ZooKeeper.Request, "zookeeper.answer": &cfg.ZooKeeper.Answer,
		"zookeeper.watch": &cfg.ZooKeeper.Watch, "zookeeper.readTree": &cfg.ZooKeeper.ReadTree,
		"kubernetes.request": &cfg.Kubernetes.Request, "kubernetes.answer": &cfg.Kubernetes.Answer, "kubernetes.watch": &cfg.Kubernetes.Watch,
		"kubernetes.kubelet": &cfg.Kubernetes.Kubelet, "kubernetes.schedule": &cfg.Kubernetes.Schedule, "kubernetes.start": &cfg.Kubernetes.Start,
		"kubernetes.delete": &cfg.Kubernetes.Delete, "kubernetes.shutdown": &cfg.Kubernetes.Shutdown,
		"dac.load": &cfg.DAC.Load, "dac.apply": &cfg.DAC.Apply, "dac.reopen": &cfg.DAC.Reopen,
	} {
		l := sc.World.Latency(name)
		*to = timeline.Latency{Min: l.Min, Mean: l.Mean, Max: l.Max}
	}
	if sc.Nodes != nil {
		cfg.Kubernetes.NodeCapacity = sc.Nodes.PerNode
	}
	return cfg
}

package sim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/invariant"
	"dacorch/sim/internal/timeline"
	"dacorch/sim/internal/world"
)

// overlapBound is how long two DACs may run one resource with fast handoff: the
// losing side's watch, read and apply, with room for the slowest of each.
const overlapBound = 15 * time.Second

// reloadBound is how long a healthy DAC may take from a commit to having applied
// it. One that has just started loads first.
const reloadBound = 20 * time.Second

// traceUse counts the rows of trace files.
type traceUse struct{ used, skipped int }

func newRun(sc *scenarios.Scenario, opts Options) (*run, error) {
	r := &run{sc: sc, opts: opts, seed: timeline.Seed(sc.Seed), tl: timeline.New(), trace: history.NewTrace(), orders: map[uint64]openOrder{}, unarrived: map[*fleet.Notification]unarrived{}, down: map[scenarios.FaultKind]int{}, orphans: map[*fleet.Txn]bool{}}
	w, err := world.New(r.tl, r.seed, worldConfig(sc))
	if err != nil {
		return nil, fmt.Errorf("%s: world: %w", sc.File, err)
	}
	r.world = w
	check := invariant.Config{Pod: r.podState}
	for i := range sc.Kinds {
		spec := &sc.Kinds[i]
		if err := machineConfig(spec).Validate(); err != nil {
			return nil, fmt.Errorf("%s: kinds.%s: %w", sc.File, spec.Kind, err)
		}
		k := &kind{name: fleet.Kind(spec.Kind), number: int64(i), spec: spec}
		if err := w.AddKind(world.KindSpec{Kind: k.name, InstanceName: spec.InstanceName, Heartbeat: spec.Heartbeat, HeartbeatInterval: spec.HeartbeatInterval, Confirms: true}); err != nil {
			return nil, fmt.Errorf("%s: kinds.%s: %w", sc.File, spec.Kind, err)
		}
		if err := r.populate(k); err != nil {
			return nil, err
		}
		r.kinds = append(r.kinds, k)
		check.Kinds = append(check.Kinds, invariant.KindConfig{
			Kind: k.name, Handoff: fleet.Handoff(spec.Handoff), OverlapBound: overlapBound, ReloadBound: reloadBound,
			SettleBound: spec.Resync + 2*spec.Silence + 2*time.Minute, Resources: len(k.initial),
		})
	}
	r.check = invariant.New(check)
	r.pics = newPictures(r)
	r.observe()
	for i, k := range r.kinds {
		for _, row := range k.initial {
			w.Database.Insert(k.name, row)
			r.check.RowPresent(0, k.name, row)
		}
		r.check.Add(k.name, history.TraceRows, float64(k.traceUse.used))
		r.check.Add(k.name, history.TraceRowsSkipped, float64(k.traceUse.skipped))
		r.nextOp(i)
	}
	if err := r.schedule(); err != nil {
		return nil, err
	}
	return r, nil
}

// populate makes a kind's table and what will happen to it.
func (r *run) populate(k *kind) error {
	var groups churn.Groups
	for _, g := range k.spec.Groups {
		groups = append(groups, churn.Group{Name: g.Name, Weight: g.Weight})
	}
	pop, err := churn.NewPopulation(k.name, groups, r.seed)
	if err != nil {
		return fmt.Errorf("%s: kinds.%s: %w", r.sc.File, k.name, err)
	}
	pop.Seed(k.spec.Resources)
	var sources []churn.Source
	for i := range r.sc.Churn {
		c := &r.sc.Churn[i]
		if c.Kind != string(k.name) {
			continue
		}
		more, err := r.sources(k, i, c)
		if err != nil {
			return err
		}
		sources = append(sources, more...)
	}
	k.gen, err = churn.NewGenerator(pop, r.seed, sources...)
	if err != nil {
		return fmt.Errorf("%s: churn of %s: %w", r.sc.File, k.name, err)
	}
	k.initial = pop.Rows()
	return nil
}

// sources turns an entry of the scenario's churn into what the generator runs.
func (r *run) sources(k *kind, entry int, c *scenarios.Churn) ([]churn.Source, error) {
	var out []churn.Source
	switch {
	case c.Rates != nil:
		arrivals := churn.Poisson
		if c.Rates.Arrivals == scenarios.Constant {
			arrivals = churn.Constant
		}
		for verb, rate := range []scenarios.Rate{churn.Create: c.Rates.Create, churn.Update: c.Rates.Update, churn.Delete: c.Rates.Delete} {
			if rate > 0 {
				out = append(out, churn.Rate{Verb: churn.Verb(verb), PerSecond: float64(rate), Arrivals: arrivals, From: c.From, Until: c.Until})
			}
		}
	case c.Day != nil:
		for verb, s := range []scenarios.Swing{churn.Create: c.Day.Create, churn.Update: c.Day.Update, churn.Delete: c.Day.Delete} {
			if s.Peak > 0 {
				out = append(out, churn.Day{Verb: churn.Verb(verb), Peak: float64(s.Peak), Trough: float64(s.Trough),
					Period: c.Day.Period, PeakAt: c.Day.PeakAt, From: c.From, Until: c.Until})
			}
		}
	case c.Burst != nil:
		verb := map[string]churn.Verb{scenarios.Create: churn.Create, scenarios.Update: churn.Update, scenarios.Delete: churn.Delete}[c.Burst.Verb]
		out = append(out, churn.Burst{At: c.From, Over: c.Burst.Over, Verb: verb, Count: c.Burst.Count, Bulk: c.Burst.Bulk,
			Unnamed: c.Burst.Condition == scenarios.ConditionOther})
	case c.Trace != nil:
		tr, err := r.readTrace(k, entry, c)
		if err != nil {
			return nil, err
		}
		out = append(out, tr)
	}
	return out, nil
}

// missingTrace says that a trace file is not there; it is an fs.ErrNotExist.
type missingTrace struct{ scenario, path, source, key string }

// Error says what the file is and how to give its path.
func (e *missingTrace) Error() string {
	return fmt.Sprintf("%s: trace %s is not there.\n  It is: %s.\n  Give its path with --set %s.file=PATH", e.scenario, e.path, e.source, e.key)
}

// Unwrap is fs.ErrNotExist.
func (e *missingTrace) Unwrap() error { return fs.ErrNotExist }

// open opens a trace file, or says what it is and where it comes from.
func (r *run) open(t *scenarios.Table, key string) (io.ReadCloser, error) {
	if r.opts.Open == nil {
		return nil, fmt.Errorf("%s: trace %s: this run may open no files", r.sc.File, t.File)
	}
	f, err := r.opts.Open(t.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &missingTrace{scenario: r.sc.File, path: t.Path, source: strings.Join(strings.Fields(t.Source), " "), key: key}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: trace: %w", r.sc.File, err)
	}
	return f, nil
}

func (r *run) readTrace(k *kind, entry int, c *scenarios.Churn) (churn.Source, error) {
	t := c.Trace
	f, err := r.open(&t.Table, fmt.Sprintf("churn.%d.trace", entry))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	where := map[string]string{}
	for _, m := range t.Where {
		if len(m.Values) != 1 {
			return nil, fmt.Errorf("%s: trace %s: where.%s: one value, not %d", r.sc.File, t.File, m.Column, len(m.Values))
		}
		where[m.Column] = m.Values[0]
	}
	tr, stats, err := churn.ReadTrace(f, churn.Format{
		File: t.File, Comma: t.Comma, NoHeader: !t.Header, ID: t.ID, Created: t.Created, Deleted: t.Deleted, Group: t.Group,
		Time: clock(t.Time), Origin: t.Origin, Scale: churn.Scale{Trace: t.Scale.File, Scenario: t.Scale.Scenario}, Where: where, Limit: t.Limit,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.sc.File, err)
	}
	k.traceUse.used += stats.Used
	k.traceUse.skipped += stats.SkippedRows()
	r.noteSkipped(t.File, stats)
	return tr.Before(c.Until), nil
}

// clock is how a scenario's file times are called by the reader.
func clock(c scenarios.Clock) string {
	switch c.Unit {
	case 0:
		return c.Layout
	case time.Microsecond:
		return "us"
	case time.Millisecond:
		return "ms"
	}
	return "s"
}

func (r *run) noteSkipped(file string, stats churn.Stats) {
	for _, s := range stats.Skipped {
		example := ""
		if len(s.Examples) > 0 {
			e := s.Examples[0]
			example = fmt.Sprintf("line %d, id %q", e.Line, e.ID)
			if e.Detail != "" {
				example += ": " + e.Detail
			}
		}
		r.skipped = append(r.skipped, history.Skipped{File: file, Why: s.Reason, Rows: s.Count, Example: example})
	}
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
	n := r.sc.Nodes
	if n == nil {
		return nil
	}
	f, err := r.open(&n.Table, "nodes.trace")
	if err != nil {
		return err
	}
	defer f.Close()
	events, stats, err := churn.ReadNodes(f, churn.NodeFormat{
		File: n.File, Comma: n.Comma, NoHeader: !n.Header, At: n.At, Verb: n.Action, Node: n.Node, Add: n.Add, Remove: n.Remove,
		Time: clock(n.Time), Origin: n.Origin, Scale: churn.Scale{Trace: n.Scale.File, Scenario: n.Scale.Scenario}, Limit: n.Limit,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.sc.File, err)
	}
	r.noteSkipped(n.File, stats)
	for _, ev := range events {
		switch {
		case ev.At == 0:
			r.node(ev) // there before the first pod is created
		case ev.At < r.sc.Heal:
			r.tl.At(ev.At, r, opNode, 0, ev)
		}
	}
	return nil
}

// machineConfig is a kind's configuration for the core.
func machineConfig(k *scenarios.Kind) reconcile.Config {
	cfg := reconcile.DefaultConfig(fleet.Kind(k.Kind))
	cfg.Policy, cfg.Handoff, cfg.Heartbeat = fleet.Policy(k.Policy), fleet.Handoff(k.Handoff), k.Heartbeat
	cfg.Limits = placement.Limits{ResourcePerInstance: k.ResourcePerInstance, MaxInstances: k.MaxInstances, InitInstances: k.InitInstances}
	cfg.HeartbeatInterval, cfg.Silence, cfg.Monitor, cfg.Resync = k.HeartbeatInterval, k.Silence, k.Monitor, k.Resync
	cfg.ResyncFloor = min(cfg.ResyncFloor, k.Resync)
	cfg.Pending, cfg.Patience = k.Pending, k.Patience
	cfg.MovesInFlight, cfg.Replacing, cfg.MaxIDBytes = k.MovesInFlight, k.Replacing, k.MaxIDBytes
	return cfg
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
		"kubernetes.schedule": &cfg.Kubernetes.Schedule, "kubernetes.start": &cfg.Kubernetes.Start,
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

package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
)

// here is the ground in this process: a Platform, and orchestrators as processes of
// their own beside it.
type here struct{ *run }

// Name is part of Ground.
func (here) Name() string { return "wire" }

// Open is part of Ground.
func (h here) Open(_ context.Context, s Setting) (*Scene, error) {
	r := h.run
	cfg := Config{Kinds: s.Kinds, Restarts: r.faults.restartsZooKeeper(), PodStart: s.PodStart, EvictAfter: s.EvictAfter, Facts: s.Told.DACs,
		Log: slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if n := s.Nodes; n != nil {
		cfg.PodsPerNode, cfg.Nodes = n.PerNode, -1
	}
	var err error
	if r.p, err = Start(cfg); err != nil {
		return nil, err
	}
	r.procs = &processes{r: r, s: s}
	return &Scene{Centre: r.p.Centre, Crew: r.procs, Look: h, Breaker: h, Begin: h.begin, Close: h.close, ComingBack: comingBack, Answers: askPatience}, nil
}

// begin is Scene.Begin.
func (h here) begin(context.Context) error {
	h.p.ZooKeeper.Observe(h.zookeeper)
	h.p.Kubernetes.Observe(h.kubernetes)
	h.faults.attach()
	return nil
}

// close is Scene.Close.
func (h here) close() error {
	errs := []error{h.procs.stop()}
	h.p.ZooKeeper.Observe(nil)
	h.p.Kubernetes.Observe(nil)
	return errors.Join(append(errs, h.p.Close())...)
}

// Nodes is part of Witness.
func (h here) Nodes(context.Context, fleet.Kind) ([]zookeeper.Node, error) {
	return h.p.ZooKeeper.Dump(), nil
}

// Running is part of Witness.
func (h here) Running(kind fleet.Kind) (running map[fleet.InstanceID][]string, orphans map[string][]string) {
	return h.p.DACs.running(kind), h.p.DACs.orphans(kind)
}

// Working is part of Witness.
func (h here) Working(kind fleet.Kind) []fleet.InstanceID { return h.p.DACs.Working(kind) }

// Pod is part of Witness.
func (h here) Pod(kind fleet.Kind, id fleet.InstanceID) *corev1.Pod {
	name := h.p.DACs.pod(kind, id)
	pods := h.p.Kubernetes.Pods()
	if i := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return pod.Name == name }); i >= 0 {
		return &pods[i]
	}
	return nil
}

// Break is part of Breaker.
func (h here) Break(what scenarios.FaultKind, kind fleet.Kind, id fleet.InstanceID) (ended bool, err error) {
	kube, name := h.p.Kubernetes, h.p.DACs.pod(kind, id)
	switch what {
	case scenarios.PodZombie:
		h.p.DACs.zombie(dacAt{kind, id})
		return false, nil
	case scenarios.PodHang:
		return false, kube.HangPod(Namespace, name)
	case scenarios.PodCrash:
		err = kube.CrashPod(Namespace, name)
	case scenarios.PodOOM:
		err = kube.FailPod(Namespace, name, "OOMKilled")
	default:
		err = kube.FailPod(Namespace, name, "Evicted")
	}
	return err == nil, err
}

// Server is part of Breaker.
func (h here) Server(what scenarios.FaultKind, down bool) error {
	switch what {
	case scenarios.KafkaDown:
		h.p.Kafka.Down(down)
	case scenarios.MQTTDown:
		h.p.MQTT.Refuse(down)
		if down {
			h.p.MQTT.Cut(nil)
		}
	case scenarios.ZooKeeperDown:
		if down {
			return h.p.StopZooKeeper()
		}
		if err := h.p.RestartZooKeeper(); err != nil {
			return err
		}
		h.faults.attachZooKeeper()
	}
	return nil
}

// processes are the orchestrators of a run that are processes of their own.
type processes struct {
	r       *run
	s       Setting
	clients []*api.Client // of each

	mu  sync.Mutex // guards all where others than the run's goroutine read it
	all []*process
}

// add configures and starts one more.
func (p *processes) add() error {
	proc, err := p.r.newProcess(len(p.all), p.s)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.all = append(p.all, proc)
	p.mu.Unlock()
	client, err := api.New(api.Config{URL: proc.url})
	if err != nil {
		return err
	}
	p.clients = append(p.clients, client)
	if err := proc.start(); err != nil {
		return err
	}
	p.s.Told.Hear(client)
	return nil
}

// Start is part of Crew.
func (p *processes) Start() error {
	if len(p.all) == 0 {
		for range p.s.Orchestrators {
			if err := p.add(); err != nil {
				return err
			}
		}
		return nil
	}
	var errs []error
	for _, proc := range p.all {
		if proc.over() && !proc.retired {
			errs = append(errs, proc.start())
		}
	}
	return errors.Join(errs...)
}

// Kill is part of Crew.
func (p *processes) Kill() {
	for _, proc := range p.all {
		proc.kill()
		proc.stopped = false
	}
}

// Pause is part of Crew.
func (p *processes) Pause(name string) (resume func(), err error) {
	proc := p.named(name)
	if proc == nil {
		return nil, ErrNotRunning
	}
	if err := proc.signal(stopSignal); err != nil {
		return nil, fmt.Errorf("stopping %s: %w", name, err)
	}
	proc.stopped = true
	return func() {
		proc.stopped = false
		_ = proc.signal(contSignal) // it was killed meanwhile
	}, nil
}

// named is the one of that name that runs; nil for none.
func (p *processes) named(name string) *process {
	if i := slices.IndexFunc(p.all, func(proc *process) bool { return proc.name == name && !proc.over() }); i >= 0 {
		return p.all[i]
	}
	return nil
}

// running are those that have not ended, on any goroutine.
func (p *processes) running() (running []*process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, proc := range p.all {
		if !proc.over() {
			running = append(running, proc)
		}
	}
	return running
}

// Gone is part of Crew.
func (p *processes) Gone() bool { return len(p.all) > 0 && len(p.running()) == 0 }

// Client is part of Crew. Whoever does not lead forwards what only a leader
// answers.
func (p *processes) Client() *api.Client {
	for i, proc := range p.all {
		if !proc.over() && !proc.stopped && !proc.retired {
			return p.clients[i]
		}
	}
	return p.clients[0]
}

// stop ends them for good.
func (p *processes) stop() error {
	var errs []error
	for _, proc := range p.all {
		errs = append(errs, proc.stop())
	}
	for _, c := range p.clients {
		c.Close()
	}
	return errors.Join(errs...)
}

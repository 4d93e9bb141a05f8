package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"dacorch/e2e/rig"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/wire"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// breaking is what the run has broken on the rig.
type breaking struct {
	mu      sync.Mutex
	servers map[rig.ServiceName]*outage
	said    []string // what the report must say
	signals chan struct{}
}

// outage is a server that the run takes away and gives back. That takes seconds,
// in which the run goes on.
type outage struct {
	last <-chan struct{} // closed when the last change is done
	gone time.Time       // since when it is away; zero while it answers
	away time.Duration   // how long it was in all
}

// Cannot is part of wire.Ground.
func (*ground) Cannot(f *scenarios.Fault) string {
	const elsewhere = "no hook reaches into a real server or program; it is played on wire"
	switch f.What {
	case scenarios.PodCrash, scenarios.PodOOM, scenarios.PodEvict, scenarios.PodHang, scenarios.KafkaDown, scenarios.MQTTDown,
		scenarios.MQTTLose, scenarios.MQTTDuplicate, scenarios.MQTTReorder, scenarios.MQTTGarbage, scenarios.MQTTFlood,
		scenarios.DatabaseDown, scenarios.DatabaseTorn, scenarios.OrchestratorPause:
		return ""
	case scenarios.OrchestratorCrash:
		if f.Command != "" {
			return "nobody can be struck down at a command of a real server; it is played on wire"
		}
		return ""
	case scenarios.ZooKeeperDown:
		if f.Targeted() || f.Kind != "" || f.Of != scenarios.OfAll {
			return "a real server is away for everybody; for some it is played on wire"
		}
		return ""
	case scenarios.NodeLose, scenarios.NodeDrain, scenarios.NodePartition, scenarios.NodeFlap:
		return "a rig has one node, with everything on it; it is played on wire"
	case scenarios.OrchestratorClock, scenarios.DatabaseSlow:
		return "it is played in virtual time alone"
	}
	return elsewhere
}

// Otherwise is part of wire.Ground.
func (*ground) Otherwise(f *scenarios.Fault) string {
	switch f.What {
	case scenarios.PodOOM:
		return "on kind the program is killed, and Kubernetes calls that Error and not OOMKilled."
	case scenarios.PodEvict:
		return "on kind the pod is evicted through the API, and goes; it does not stay there as Failed. It is no replacement by the orchestrator."
	case scenarios.DatabaseTorn:
		return "on kind nothing is done: rows change under each listing of several pages by themselves, as fast as churn has it."
	case scenarios.DatabaseDown:
		return "on kind the tables are out of the orchestrator's sight, so that the data centre itself goes on; PostgreSQL runs."
	case scenarios.OrchestratorPause:
		return "on kind the cluster kills who does not answer its probes for a minute, of real time."
	}
	return ""
}

// signalsAtOnce bounds the commands on the node that run side by side.
const signalsAtOnce = 4

// Break is part of wire.Breaker. It takes a while, in which the run goes on.
func (g *ground) Break(what scenarios.FaultKind, kind fleet.Kind, id fleet.InstanceID) (ended bool, err error) {
	pod := g.Pod(kind, id)
	if pod == nil {
		g.unseen(fmt.Errorf("%s: instance %d of %s has no pod", what, id, kind))
		return false, nil
	}
	g.works.Go(func() {
		select {
		case g.signals <- struct{}{}:
			defer func() { <-g.signals }()
		case <-g.ctx.Done():
			return
		}
		if err := g.breakPod(what, kind, id, pod); err != nil && g.ctx.Err() == nil {
			g.unseen(fmt.Errorf("%s of %s: %w", what, pod.Name, err))
		}
	})
	return false, nil
}

func (g *ground) breakPod(what scenarios.FaultKind, kind fleet.Kind, id fleet.InstanceID, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(g.ctx, answerWithin)
	defer cancel()
	if what == scenarios.PodEvict {
		err := g.set.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: namespace},
			DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}})
		if err == nil {
			g.s.Told.Crashed(kind)
		}
		return err
	}
	signal, done := "KILL", g.dacs.killed
	if what == scenarios.PodHang {
		signal, done = "STOP", g.dacs.hangs
	}
	n, err := g.rig.SignalPod(ctx, string(pod.UID), signal)
	if err == nil && n == 0 {
		err = errors.New("no process of it runs")
	}
	if err != nil {
		return err
	}
	done(kind, id, string(pod.UID))
	if what != scenarios.PodHang {
		g.s.Told.Crashed(kind)
	}
	return nil
}

// services are the servers that faults take away.
var services = map[scenarios.FaultKind]rig.ServiceName{
	scenarios.KafkaDown: rig.Kafka, scenarios.MQTTDown: rig.Mosquitto, scenarios.ZooKeeperDown: rig.ZooKeeper,
}

// Server is part of wire.Breaker.
func (g *ground) Server(what scenarios.FaultKind, down bool) error {
	name := services[what]
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.servers[name]
	if o == nil {
		o = &outage{}
		g.servers[name] = o
	}
	before, done := o.last, make(chan struct{})
	o.last = done
	g.works.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		if err := g.switchServer(g.ctx, name, o, down); err != nil && g.ctx.Err() == nil {
			g.unseen(err)
		}
	})
	return nil
}

// switchServer takes a server away, or gives it back and waits until it answers.
func (g *ground) switchServer(ctx context.Context, name rig.ServiceName, o *outage, down bool) error {
	if down {
		g.mu.Lock()
		if o.gone.IsZero() {
			o.gone = time.Now()
		}
		g.mu.Unlock()
		return g.rig.StopService(ctx, name)
	}
	if err := g.rig.StartService(ctx, name); err != nil {
		return err // it is still away
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !o.gone.IsZero() {
		o.away += time.Since(o.gone)
	}
	o.gone = time.Time{}
	return nil
}

// mend gives back the servers that are away when the run ends.
func (g *ground) mend(ctx context.Context) error {
	g.mu.Lock()
	servers := maps.Clone(g.servers)
	g.mu.Unlock()
	var errs []error
	for name, o := range servers {
		select {
		case <-o.last:
		case <-ctx.Done():
			return errors.Join(append(errs, fmt.Errorf("%s may still be away: %w", name, context.Cause(ctx)))...)
		}
		g.mu.Lock()
		gone := !o.gone.IsZero()
		g.mu.Unlock()
		if gone {
			errs = append(errs, g.switchServer(ctx, name, o, false))
		}
	}
	return errors.Join(errs...)
}

// unseen notes what went wrong with the rig, and not with who is tested on it.
func (g *ground) unseen(err error) {
	g.note("The rig: " + err.Error() + ".")
	fmt.Fprintf(g.s.Log, "%v\n", err)
}

// mostNotes bounds what is noted while the run goes on.
const mostNotes = 20

// note has the report say something, once.
func (g *ground) note(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.said) < mostNotes && !slices.Contains(g.said, text) {
		g.said = append(g.said, text)
	}
}

// notes is wire.Scene.Notes.
func (g *ground) notes() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	notes := slices.Clone(g.said)
	for _, name := range rig.ServiceNames {
		switch o := g.servers[name]; {
		case o == nil:
		case o.gone.IsZero():
			notes = append(notes, fmt.Sprintf("%s was away for %v of real time in all, until it answered again.", name, o.away.Round(100*time.Millisecond)))
		default:
			notes = append(notes, fmt.Sprintf("%s was away when the run ended, for %v of real time by then.", name, (o.away+time.Since(o.gone)).Round(100*time.Millisecond)))
		}
	}
	return append(notes, "On kind heartbeats are not counted, and what a DAC runs is what it has confirmed.")
}

// Nodes is part of wire.Witness.
func (g *ground) Nodes(ctx context.Context, kind fleet.Kind) ([]zookeeper.Node, error) {
	nodes, err := g.site.nodes(ctx, kind)
	if err != nil {
		return nil, err
	}
	return nodes, errors.Join(g.caughtUp(ctx), g.crew.allTold(ctx))
}

// Running is part of wire.Witness. Who outlives its pod's object is not seen.
func (g *ground) Running(kind fleet.Kind) (running map[fleet.InstanceID][]string, orphans map[string][]string) {
	return g.dacs.running(kind), nil
}

// Working is part of wire.Witness.
func (g *ground) Working(kind fleet.Kind) []fleet.InstanceID { return g.dacs.working(kind) }

// Pod is part of wire.Witness.
func (g *ground) Pod(kind fleet.Kind, id fleet.InstanceID) *corev1.Pod {
	i := slices.IndexFunc(g.s.Kinds, func(k wire.Kind) bool { return k.Kind == kind })
	return g.pods.pod(g.s.Kinds[i].InstanceName + "-" + id.String())
}

package wire

import (
	"context"
	"errors"
	"io"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A Ground is what a run stands on: servers, Kubernetes with its DACs, and
// orchestrators. The run itself, with its clock, its checker and its report, is the
// same on each. Without another, a run stands on a Platform in this process.
type Ground interface {
	// Name is what --on calls it.
	Name() string
	// Cannot says why a fault cannot be played here; empty when it can. It is asked
	// before Open.
	Cannot(f *scenarios.Fault) string
	// Otherwise says what differs here from what a fault says; empty for nothing.
	Otherwise(f *scenarios.Fault) string
	// Open brings up everything but the orchestrators.
	Open(ctx context.Context, s Setting) (*Scene, error)
}

// Setting is what a run asks of its ground. Durations are real.
type Setting struct {
	Kinds []Kind
	// Entries are those of the configuration's kinds, see Orchestrator.
	Entries       map[fleet.Kind]string
	Orchestrators int
	Session       time.Duration // of an orchestrator at ZooKeeper; of DACs: Kind.Session
	PodStart      time.Duration // of a pod whose start is not a real one
	EvictAfter    time.Duration // of the pods of a node that is lost
	Nodes         *scenarios.Nodes
	Told          Told
	Log           io.Writer
}

// Told is told what happens, as it happens and in its order, on any goroutine.
// What is called does not wait.
type Told struct {
	Tree func(session int64, changes []zookeeper.Change)
	Pod  func(what watch.EventType, was, is *corev1.Pod)
	DACs Facts
	// Crashed says that what Break had begun has ended a DAC's program.
	Crashed func(kind fleet.Kind)
	// Died says that an orchestrator has ended, or cannot start, and the run has not
	// asked for it.
	Died func(why error)
	// Lost says that what happens cannot be told any more: there is nothing to judge.
	Lost func(why error)
	// Evicted says that the next deletion of an instance's pod is not its
	// orchestrator's.
	Evicted func(kind fleet.Kind, id fleet.InstanceID)
	// Hear has the run hear what an orchestrator says until it ends.
	Hear func(client *api.Client)
}

// Scene is a ground that is open.
type Scene struct {
	Centre *DataCentre
	Crew   Crew
	Look   Witness
	Breaker
	// Begin begins to tell. Nothing is told before.
	Begin func(ctx context.Context) error
	// Close ends the orchestrators and everything else, also when the run's context
	// has ended.
	Close func() error
	// Suffix ends the names that the kinds have here: they may not be the only ones
	// called so.
	Suffix string
	// ComingBack bounds how long it takes until what was cut off from a server works
	// again, once the server is back.
	ComingBack time.Duration
	// Answers bounds a question to an orchestrator that is about to be killed.
	Answers time.Duration
	// Notes, unless nil, are what the report must say, once the run has ended.
	Notes func() []string
}

// Crew are a run's orchestrators.
type Crew interface {
	// Start starts those that do not run; they are ready some time later.
	Start() error
	// Kill ends them all at once, as the failure of a machine does, until Start.
	Kill()
	// Pause stops one until resume is called; ErrNotRunning when it has ended.
	Pause(name string) (resume func(), err error)
	// Gone says that none runs.
	Gone() bool
	// Client asks one that runs, if there is any.
	Client() *api.Client
}

// ErrNotRunning says that an orchestrator has ended.
var ErrNotRunning = errors.New("it does not run")

// Witness tells what is there now.
type Witness interface {
	// Nodes are ZooKeeper's below the roots of a kind, called as in the scenario. What
	// had made them so was told when it answers.
	Nodes(ctx context.Context, kind fleet.Kind) ([]zookeeper.Node, error)
	// Running is what each DAC runs, and what those do whose instance has another
	// pod, by their own pod's uid.
	Running(kind fleet.Kind) (running map[fleet.InstanceID][]string, orphans map[string][]string)
	// Working are the instances whose DAC runs and does not hang, ascending.
	Working(kind fleet.Kind) []fleet.InstanceID
	// Pod is an instance's pod; nil for none.
	Pod(kind fleet.Kind, id fleet.InstanceID) *corev1.Pod
}

// Breaker does what faults say that every ground can.
type Breaker interface {
	// Break breaks a DAC: pod crash, oom, evict, hang or zombie. ended says that its
	// program is at an end; where that takes a while, Told.Crashed says so then.
	Break(what scenarios.FaultKind, kind fleet.Kind, id fleet.InstanceID) (ended bool, err error)
	// Server takes a server away, or gives it back: kafka, mqtt or zookeeper down.
	Server(what scenarios.FaultKind, down bool) error
}

package porttest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// EnsembleFixture is a ZooKeeper that several processes share, for Election and
// Store.
type EnsembleFixture struct {
	// Join is another process with a session of its own, which ends with t.
	Join func(t *testing.T) EnsembleMember

	// What others than the orchestrators do to the tree. Put creates the node or
	// writes it; its parent is there.
	Put      func(t *testing.T, path, data string)
	Get      func(t *testing.T, path string) (data string, version int32, ok bool)
	Remove   func(t *testing.T, path string)
	Children func(t *testing.T, path string) []string
}

// EnsembleMember is one process.
type EnsembleMember struct {
	Election loop.Election
	Store    loop.Store
	// Leave ends it in good order. It may be called once.
	Leave func()

	Cut         func()               // breaks its connection; it may come back at once
	Partition   func() (heal func()) // its connection stands, and nothing passes any more
	Expire      func()               // ends its session at the server
	LoseRequest func()               // its next transaction does not arrive, and the connection breaks
	LoseAnswer  func()               // its next transaction is carried out, and the connection breaks before the answer
	Before      func(do func())      // do is called when its next transaction is on the way, before it arrives
}

// ensemble is the fixture with a kind of the case's own.
type ensemble struct {
	EnsembleFixture
	kind fleet.Kind
}

func (e *ensemble) own(node string) string {
	return "/iota/orchestrator/" + string(e.kind) + "/" + node
}

func (e *ensemble) path(id int, below string) string {
	return fmt.Sprintf("/iota/orchestration/%s/%d%s", e.kind, id, below)
}

const ensemblePatience = 60 * time.Second

var ensembleKinds atomic.Int64

func newEnsemble(f EnsembleFixture) *ensemble {
	return &ensemble{f, fleet.Kind(fmt.Sprintf("Kind%d", ensembleKinds.Add(1)))}
}

func ensembleContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*ensemblePatience)
	t.Cleanup(cancel)
	return ctx
}

// Election holds an adapter to the contract of loop.Election. start makes a
// fixture and cleans it up.
func Election(t *testing.T, start func(t *testing.T) EnsembleFixture) {
	f := start(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, e *ensemble)
	}{
		{"one after the other", electionOrder},
		{"ctx ends before the turn", electionGivesUp},
		{"the context ends with its parent", electionParent},
		{"a cut is survived", electionCut},
		{"the session expires", electionExpires},
		{"the session of one who waits expires", electionWaiterExpires},
		{"a partitioned leader ends before the next begins", electionPartition},
		{"the candidacy is deleted", electionCandidacyGone},
		{"another epoch is written", electionOtherEpoch},
		{"a process that leaves", electionLeaves},
		{"a process that leaves while it leads", electionLeavesLeading},
		{"who leads is told", electionWatch},
		{"who leads is told after a cut and an expiry", electionWatchBreaks},
		{"who leads is not known to one that is cut off", electionWatchCutOff},
		{"kinds are apart", electionKinds},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newEnsemble(f)) })
	}
}

// realm sees to it that no two lead at once, and that epochs rise.
type realm struct {
	t      *testing.T
	mu     sync.Mutex
	reigns []*reign // in the order in which they began
}

// reign is one call of Lead.
type reign struct {
	name   string
	began  chan struct{} // closed when lead is called; then the next three hold
	ctx    context.Context
	epoch  int64
	held   func() bool
	give   func()             // makes lead return; may be called twice
	given  chan struct{}      // closed by give
	over   atomic.Bool        // lead has returned
	answer chan error         // Lead's
	cancel context.CancelFunc // ends the context that Lead got
}

// campaign calls Lead, which ends with the test at the latest.
func (r *realm) campaign(e *ensemble, m EnsembleMember, name string) *reign {
	ctx, cancel := context.WithCancel(context.Background())
	one := &reign{name: name, began: make(chan struct{}), given: make(chan struct{}), answer: make(chan error, 1), cancel: cancel}
	one.give = sync.OnceFunc(func() { close(one.given) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		one.answer <- m.Election.Lead(ctx, e.kind, fleet.Candidate{Name: name, URL: "http://" + name}, func(ctx context.Context, epoch int64, held func() bool) {
			r.begins(one, ctx, epoch, held)
			<-one.given
			one.over.Store(true)
		})
	}()
	r.t.Cleanup(func() {
		one.give()
		cancel()
		<-done
	})
	return one
}

func (r *realm) begins(one *reign, ctx context.Context, epoch int64, held func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, before := range r.reigns {
		if epoch <= before.epoch {
			r.t.Errorf("%s leads with epoch %d, after %s with %d", one.name, epoch, before.name, before.epoch)
		}
		if !before.over.Load() && before.held() {
			r.t.Errorf("%s leads while %s still believes that it does", one.name, before.name)
		}
	}
	one.ctx, one.epoch, one.held = ctx, epoch, held
	r.reigns = append(r.reigns, one)
	close(one.began)
}

// leads waits for the turn.
func (one *reign) leads(t *testing.T) *reign {
	t.Helper()
	awaited(t, one.began, one.name+" leads")
	return one
}

// loses waits for the end of the leadership's context, and answers the cause.
func (one *reign) loses(t *testing.T) error {
	t.Helper()
	awaited(t, one.ctx.Done(), one.name+" loses the leadership")
	if one.held() {
		t.Errorf("%s: held is true after the context has ended", one.name)
	}
	return context.Cause(one.ctx)
}

// resigns lets lead return, and wants Lead to answer nil.
func (one *reign) resigns(t *testing.T) {
	t.Helper()
	one.give()
	if err := answeredWith(t, one.answer); err != nil {
		t.Errorf("%s: Lead answered %v after lead had returned, want nil", one.name, err)
	}
}

func (one *reign) waits(t *testing.T, why string) {
	t.Helper()
	select {
	case <-one.began:
		t.Fatalf("%s leads, %s", one.name, why)
	default:
	}
}

func awaited[T any](t *testing.T, what <-chan T, name string) {
	t.Helper()
	select {
	case <-what:
	case <-time.After(ensemblePatience):
		t.Fatalf("not within %v: %s", ensemblePatience, name)
	}
}

func answeredWith(t *testing.T, answer <-chan error) error {
	t.Helper()
	select {
	case err := <-answer:
		return err
	case <-time.After(ensemblePatience):
		t.Fatalf("no answer within %v", ensemblePatience)
		return nil
	}
}

// stands waits until so many candidates stand.
func (e *ensemble) stands(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d candidates stand", n), func() bool {
		return len(e.Children(t, e.own("candidates"))) == n
	})
}

// eventually asks again and again; what it asks for can only be polled.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.NewTimer(ensemblePatience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", ensemblePatience, what)
		}
	}
}

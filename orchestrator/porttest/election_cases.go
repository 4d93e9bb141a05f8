package porttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"dacorch/orchestrator/fleet"
)

func electionOrder(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	var all []*reign
	for i, name := range []string{"a", "b", "c"} {
		all = append(all, r.campaign(e, e.Join(t), name))
		e.stands(t, i+1)
	}
	for i, one := range all {
		one.leads(t)
		if !one.held() || one.ctx.Err() != nil {
			t.Errorf("%s: held %v, context %v, want a leadership that stands", one.name, one.held(), one.ctx.Err())
		}
		for _, later := range all[i+1:] {
			later.waits(t, "and "+one.name+" does too")
		}
		one.resigns(t)
		if n := len(e.Children(t, e.own("candidates"))); n != len(all)-i-1 {
			t.Errorf("%d candidates stand once %s has resigned, want %d", n, one.name, len(all)-i-1)
		}
	}
	again := r.campaign(e, e.Join(t), "d").leads(t)
	if last := all[2].epoch; again.epoch <= last {
		t.Errorf("epoch %d after %d", again.epoch, last)
	}
}

func electionGivesUp(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	a := r.campaign(e, e.Join(t), "a").leads(t)
	b := r.campaign(e, e.Join(t), "b")
	e.stands(t, 2)
	b.cancel()
	if err := answeredWith(t, b.answer); !errors.Is(err, context.Canceled) {
		t.Errorf("Lead answered %v, want the context's error", err)
	}
	e.stands(t, 1)
	if !a.held() {
		t.Error("the leader has lost the leadership when another gave up")
	}
}

func electionParent(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	a := r.campaign(e, e.Join(t), "a").leads(t)
	b := r.campaign(e, e.Join(t), "b")
	e.stands(t, 2)
	a.cancel()
	awaited(t, a.ctx.Done(), "the leader's context ends with its parent")
	if !a.held() {
		t.Error("held is false though the session lives: the leader cannot finish what it has begun")
	}
	b.waits(t, "before a has resigned")
	a.resigns(t)
	b.leads(t)
}

func electionCut(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	m := e.Join(t)
	a := r.campaign(e, m, "a").leads(t)
	for range 2 {
		m.Cut()
		eventually(t, "the leader can write again", func() bool {
			o, err := m.Store.Commit(t.Context(), e.kind, &fleet.Txn{Epoch: a.epoch})
			if o == fleet.OutcomeDeposed || o == fleet.OutcomeConflict {
				t.Fatalf("a transaction after a cut: %v, %v", o, err)
			}
			return o == fleet.OutcomeDone
		})
	}
	if a.ctx.Err() != nil || !a.held() {
		t.Errorf("a cut that the session survives ended the leadership: %v", context.Cause(a.ctx))
	}
}

func electionExpires(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	ma, mb := e.Join(t), e.Join(t)
	a := r.campaign(e, ma, "a").leads(t)
	b := r.campaign(e, mb, "b")
	e.stands(t, 2)
	// The server may hear the next candidate before this one learns of its end;
	// so this end is told to nobody: only the epoch protects the tree.
	r.mu.Lock()
	r.reigns = nil
	r.mu.Unlock()
	ma.Expire()
	b.leads(t)
	if b.epoch <= a.epoch {
		t.Errorf("epoch %d after %d", b.epoch, a.epoch)
	}
	if err := a.loses(t); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the cause is %v, want one that says what was lost", err)
	}
	refusedAsDeposed(t, e, ma, a.epoch)
	a.resigns(t)
	c := r.campaign(e, ma, "a again") // the new session can stand too
	e.stands(t, 2)
	b.resigns(t)
	c.leads(t)
}

// refusedAsDeposed wants a transaction of an old leader not to be carried out.
func refusedAsDeposed(t *testing.T, e *ensemble, m EnsembleMember, epoch int64) {
	t.Helper()
	txn := &fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Instance: 77, Capacity: 1}}}
	eventually(t, "the old leader's transaction is answered", func() bool {
		o, err := m.Store.Commit(t.Context(), e.kind, txn)
		if o == fleet.OutcomeDeposed && err == nil {
			t.Error("OutcomeDeposed without an error that explains it")
		}
		if o != fleet.OutcomeDeposed && o != fleet.OutcomeFailed {
			t.Fatalf("the old leader's transaction: %v, %v, want deposed", o, err)
		}
		return o == fleet.OutcomeDeposed
	})
	if _, _, ok := e.Get(t, e.path(77, "")); ok {
		t.Error("a deposed leader has written")
	}
}

func electionWaiterExpires(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	mb := e.Join(t)
	a := r.campaign(e, e.Join(t), "a").leads(t)
	b := r.campaign(e, mb, "b")
	e.stands(t, 2)
	mb.Expire()
	eventually(t, "the candidate whose session expired stands again", func() bool {
		return len(e.Children(t, e.own("candidates"))) == 2
	})
	a.resigns(t)
	b.leads(t)
}

func electionPartition(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	ma := e.Join(t)
	a := r.campaign(e, ma, "a").leads(t)
	b := r.campaign(e, e.Join(t), "b")
	e.stands(t, 2)
	heal := ma.Partition()
	b.leads(t) // the realm sees to it that a knows that it is over
	if err := a.loses(t); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the cause is %v, want one that says what was lost", err)
	}
	heal()
	refusedAsDeposed(t, e, ma, a.epoch)
	if a.held() {
		t.Error("held is true again after the partition")
	}
	a.resigns(t)
	e.stands(t, 1)
	if !b.held() {
		t.Error("the new leader has lost the leadership when the old one came back")
	}
}

func electionCandidacyGone(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	a := r.campaign(e, e.Join(t), "a").leads(t)
	for _, name := range e.Children(t, e.own("candidates")) {
		e.Remove(t, e.own("candidates/"+name))
	}
	if err := a.loses(t); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the cause is %v, want one that says what was lost", err)
	}
	a.resigns(t)
}

func electionOtherEpoch(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	m := e.Join(t)
	a := r.campaign(e, m, "a").leads(t)
	e.Put(t, e.own("epoch"), "by hand")
	if err := a.loses(t); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the cause is %v, want one that says what was lost", err)
	}
	refusedAsDeposed(t, e, m, a.epoch)
	a.resigns(t)
	b := r.campaign(e, m, "a again").leads(t)
	if b.epoch != a.epoch+2 {
		t.Errorf("epoch %d after %d and one by hand, want %d: the node's version", b.epoch, a.epoch, a.epoch+2)
	}
}

func electionLeaves(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	ma := e.Join(t)
	a := r.campaign(e, ma, "a").leads(t)
	b := r.campaign(e, e.Join(t), "b")
	e.stands(t, 2)
	a.resigns(t)
	ma.Leave()
	b.leads(t)
	e.stands(t, 1)
}

// electionLeavesLeading: whoever ends while it leads holds nothing any more by the
// time that the next begins.
func electionLeavesLeading(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	ma := e.Join(t)
	a := r.campaign(e, ma, "a").leads(t)
	b := r.campaign(e, e.Join(t), "b")
	e.stands(t, 2)
	ma.Leave()
	b.leads(t) // looks whether a holds
	a.loses(t)
}

// leaderLog is what WatchLeader has told.
type leaderLog struct {
	mu     sync.Mutex
	told   []fleet.Candidate
	inside atomic.Bool
	ended  atomic.Bool
}

func watchLeader(t *testing.T, e *ensemble, m EnsembleMember) *leaderLog {
	l := new(leaderLog)
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() {
		answer <- m.Election.WatchLeader(ctx, e.kind, func(c fleet.Candidate) {
			if !l.inside.CompareAndSwap(false, true) || l.ended.Load() {
				t.Error("told from two goroutines at once, or after the end")
			}
			l.mu.Lock()
			l.told = append(l.told, c)
			l.mu.Unlock()
			l.inside.Store(false)
		})
		l.ended.Store(true)
	}()
	t.Cleanup(func() {
		cancel()
		if err := answeredWith(t, answer); !errors.Is(err, context.Canceled) {
			t.Errorf("WatchLeader answered %v, want the context's error", err)
		}
	})
	return l
}

func (l *leaderLog) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, c := range l.told {
		names = append(names, c.Name)
	}
	return names
}

func (l *leaderLog) last(t *testing.T, name string) {
	t.Helper()
	eventually(t, "leader told: "+name, func() bool {
		names := l.names()
		return len(names) > 0 && names[len(names)-1] == name
	})
}

func electionWatch(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	l := watchLeader(t, e, e.Join(t))
	l.last(t, "")
	ma, mb := e.Join(t), e.Join(t)
	a := r.campaign(e, ma, "a").leads(t)
	l.last(t, "a")
	l.mu.Lock()
	if got, want := l.told[len(l.told)-1], (fleet.Candidate{Name: "a", URL: "http://a"}); got != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
	l.mu.Unlock()
	b := r.campaign(e, mb, "b")
	e.stands(t, 2)
	a.resigns(t)
	l.last(t, "b")
	b.leads(t).resigns(t)
	l.last(t, "")
	if names := l.names(); !slices.Equal(names, []string{"", "a", "b", ""}) {
		t.Errorf("told %q, want each change once", names)
	}
}

func electionWatchBreaks(t *testing.T, e *ensemble) {
	r := &realm{t: t}
	m := e.Join(t)
	l := watchLeader(t, e, m)
	ma := e.Join(t)
	a := r.campaign(e, ma, "a").leads(t)
	l.last(t, "a")
	m.Cut()
	a.resigns(t)
	l.last(t, "")
	b := r.campaign(e, ma, "b").leads(t)
	l.last(t, "b")
	m.Expire()
	b.resigns(t)
	r.campaign(e, ma, "c").leads(t)
	l.last(t, "c")
}

// electionWatchCutOff: whoever cannot ask any more comes to say that it does not
// know who leads.
func electionWatchCutOff(t *testing.T, e *ensemble) {
	m := e.Join(t)
	l := watchLeader(t, e, m)
	(&realm{t: t}).campaign(e, e.Join(t), "a").leads(t)
	l.last(t, "a")
	heal := m.Partition()
	l.last(t, "")
	heal()
	l.last(t, "a")
}

func electionKinds(t *testing.T, e *ensemble) {
	m := e.Join(t)
	other := newEnsemble(e.EnsembleFixture)
	a := (&realm{t: t}).campaign(e, m, "a").leads(t)
	b := (&realm{t: t}).campaign(other, m, "b").leads(t)
	a.resigns(t)
	if !b.held() || b.ctx.Err() != nil {
		t.Error("the end of one kind's leadership ended another's")
	}
}

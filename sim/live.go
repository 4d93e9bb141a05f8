package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/scenarios"
)

// Live is a run that somebody takes on step by step: it stands still between the
// calls, at a moment of its virtual time. Faults and orders that are given
// meanwhile happen at that moment. The same calls at the same moments make the
// same run, however many calls of Advance led there; one without faults and
// orders is that of Run, to the byte.
//
// A Live is for one goroutine at a time: who has several holds a lock. What it
// calls (a Recorder, the answer to an order) must not call it back.
type Live struct {
	run    *run
	closed bool
}

// ErrEnded says that a run is over: nothing happens in it any more.
var ErrEnded = errors.New("the simulation has ended")

// Begin is a run of the scenario at time 0, before anything has happened. Errors
// are those of Run. Options.Progress is not called.
func Begin(sc *scenarios.Scenario, opts Options) (*Live, error) {
	r, err := newRun(sc, opts)
	if err != nil {
		return nil, err
	}
	r.startProcess()
	return &Live{run: r}, nil
}

// Now is the moment at which the run stands.
func (l *Live) Now() time.Duration { return l.run.tl.Now() }

// Next is when something happens next; false once the run has ended. In a second
// of a small scenario that is a few times, of a large one thousands.
func (l *Live) Next() (time.Duration, bool) {
	at, ok := l.run.tl.Next()
	if !ok || l.closed || at > l.run.sc.Duration {
		return 0, false
	}
	return at, true
}

// Advance lets what is due happen, up to and including the moment `to`, but at
// most so many events, and answers how many. Reached says that none is left that
// is due by then: then Now is `to`, or the end of the run where that is earlier.
// It never goes back.
func (l *Live) Advance(to time.Duration, most int) (events int, reached bool) {
	if l.closed {
		return 0, true
	}
	tl := l.run.tl
	to = min(to, l.run.sc.Duration)
	for ; ; events++ {
		at, ok := tl.Next()
		switch {
		case !ok || at > to:
			tl.Pass(to)
			return events, true
		case events >= most:
			return events, false
		}
		tl.Step()
	}
}

// Ended says that the scenario's duration is over, and all that was due by then
// has happened; or that Close was called.
func (l *Live) Ended() bool {
	_, more := l.Next()
	return l.closed || !more && l.Now() >= l.run.sc.Duration
}

// Inject has a fault begin now, and answers it with its At. It is checked as the
// scenario's own are: an error of the scenario's loader says what is wrong. One
// that is about an instance, or a machine that there is now, hits that one, one by count or share draws from
// streams of its own, so that nobody else's luck changes. Once the scenario has
// healed, liveness is not demanded while the fault lasts, and from its end on
// anew; one that would last beyond heal puts that off. ErrEnded, or an error of
// its own where so many were injected that there is no room for more.
func (l *Live) Inject(f scenarios.Fault) (scenarios.Fault, error) {
	if l.Ended() {
		return scenarios.Fault{}, ErrEnded
	}
	if !slices.ContainsFunc(scenarios.FaultWords, func(w scenarios.FaultWord) bool { return w.What == f.What }) {
		return scenarios.Fault{}, fmt.Errorf("fault %q is not valid: want one of scenarios.FaultWords", f.What)
	}
	r, now := l.run, l.Now()
	f.At = 0
	_, entry, _ := strings.Cut(scenarios.FormatFault(f), ", ") // behind its at
	checked, err := r.sc.ParseFault([]byte("{"+entry), now)
	if err != nil {
		return scenarios.Fault{}, err
	}
	if names := l.Nodes(); checked.Node != "" && !slices.Contains(names, checked.Node) {
		return scenarios.Fault{}, scenarios.Errors{{Key: "name", Problem: fmt.Sprintf("no node %q now", checked.Node), Want: "want one of " + some(names)}}
	}
	if n := len(r.broken) - len(r.sc.Faults); n >= maxInjected {
		return scenarios.Fault{}, fmt.Errorf("%d faults were injected: want at most %d in a run", n, maxInjected)
	}
	r.inject(now, &checked)
	return checked, nil
}

// some are the first of many names.
func some(names []string) string {
	const most = 20
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Order gives an operator's order to the process that leads now, once. It is
// answered once, with what is wrong or with nothing: at once or in a later
// Advance; when the process dies or lays the leadership down ("no longer the
// leader: …"); when nobody can take it ("not ready: …"); or when the run is
// closed (ErrEnded).
func (l *Live) Order(kind fleet.Kind, o reconcile.Order, answer func(err string)) {
	r := l.run
	switch given := OperatorOrder(kind, o, l.Now()); {
	case l.Ended():
		answer(ErrEnded.Error())
	case !r.has(kind):
		answer(fmt.Sprintf("kind %q is not valid: want one of the scenario's (%s)", kind, strings.Join(r.kindNames(), ", ")))
	case given == nil:
		answer(fmt.Sprintf("order %T is not valid: want Orchestrate, Drain, Undrain, Replace or Maintenance", o))
	default:
		r.pics.order(given)
		r.order(l.Now(), openOrder{order: given, as: o, given: l.Now(), answer: answer})
	}
}

// Faults are those that last now, or go on happening, the scenario's and the
// injected ones: each began at At and is over at At+For.
func (l *Live) Faults() []scenarios.Fault {
	var out []scenarios.Fault
	for _, b := range l.run.broken {
		if now := l.Now(); b.At <= now && now < b.dice.End() {
			out = append(out, *b.Fault)
		}
	}
	return out
}

// Nodes are the machines that there are now, by name; none when the scenario
// counts on none.
func (l *Live) Nodes() []string { return l.run.world.Kubernetes.NodeNames() }

// Node is the machine on which an instance's pod stands; empty when it stands on
// none.
func (l *Live) Node(kind fleet.Kind, instance fleet.InstanceID) string {
	if !l.run.has(kind) {
		return ""
	}
	return l.run.world.Kubernetes.PodNode(kind, instance)
}

// Violations is how often an invariant has broken so far.
func (l *Live) Violations() int {
	n := uint64(0)
	for _, c := range l.run.check.Counts() {
		n += c.Broken
	}
	return int(n)
}

// Close ends the run where it stands: orders that wait are answered, the report is
// made, and what it is recorded with is closed. The error is the Recorder's, with
// the result; or ErrEnded without one when it has been closed before.
func (l *Live) Close() (*Result, error) {
	if l.closed {
		return nil, ErrEnded
	}
	l.closed = true
	l.run.endOrders()
	l.run.finish()
	result := l.run.result()
	return result, l.run.closeRecording(result.Report)
}

package tape

import (
	"time"

	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// Recorder is what a run tells a tape through, as it would a recording.Writer: an
// event before its machine hears of it, what it answered at once afterwards.
type Recorder struct {
	t    *Tape
	from machineKey // its process
	skew time.Duration
}

// Recorder is the tape's. There is one run: every call answers the same.
func (t *Tape) Recorder() *Recorder { return &Recorder{t: t} }

// told is an event that has been told, and what its machine here has answered.
type told struct {
	open     bool
	key      machineKey
	answered []reconcile.Command
	broke    error  // the machine panicked
	gaveUp   string // why it has given up a re-orchestration; empty: it has not
	differed map[machineKey]bool
}

// Process says whose machines the calls that follow are about, and how far its
// clock is ahead.
func (r *Recorder) Process(number int, skew time.Duration) { r.from.process, r.skew = number, skew }

// Event tells what a kind's machine is told.
func (r *Recorder) Event(at time.Duration, kind int, ev reconcile.Event) {
	if !r.t.knows(kind) {
		return
	}
	r.t.event(at, machineKey{r.from.process, kind}, r.skew, ev)
}

// Commands tells what it answered.
func (r *Recorder) Commands(at time.Duration, kind int, commands []reconcile.Command) {
	if !r.t.knows(kind) {
		return
	}
	r.t.commands(machineKey{r.from.process, kind}, commands)
}

// Restarted tells that a kind's machine was made anew.
func (r *Recorder) Restarted(at time.Duration, kind int) {
	if !r.t.knows(kind) {
		return
	}
	r.t.restarted(at, machineKey{r.from.process, kind}, r.skew)
}

// Mark tells what happened around the core.
func (r *Recorder) Mark(at time.Duration, kind int, m recording.Mark) {
	if !r.t.knows(kind) {
		return
	}
	r.t.pass(at)
	r.t.marked(machineKey{r.from.process, kind}, &m)
}

// Close tells that the run is over. What was told stays to be seen.
func (r *Recorder) Close(c recording.Closing) error {
	r.t.closing(&c)
	return nil
}

// Pass tells that nothing else has happened up to a moment: it becomes the End.
func (t *Tape) Pass(to time.Duration) { t.pass(to) }

func (t *Tape) knows(kind int) bool {
	if kind < 0 || kind >= len(t.byNum) {
		t.problem("something was told of kind number %d: the header names %d", kind, len(t.byNum))
		return false
	}
	return true
}

// pass moves the end of the tape on. Time does not go back.
func (t *Tape) pass(at time.Duration) {
	t.finish(nil)
	if at > t.now {
		t.sample(at)
		t.now = at
	}
}

func (t *Tape) event(at time.Duration, key machineKey, skew time.Duration, ev reconcile.Event) {
	t.pass(at)
	at = t.now
	t.rotate()
	t.store(func(w *recording.Writer) {
		w.Process(key.process, skew)
		w.Event(at, key.kind, ev)
	})
	t.place.n++
	t.place.at = at
	t.skewed(key.process, skew)
	t.place.last = happening{at: at, kind: key.kind, process: key.process}
	t.place.last.ev, t.place.last.text = kept(ev)
	t.told.open, t.told.key, t.told.gaveUp = true, key, ""
	t.told.answered, t.told.broke = t.crew.step(key, at+skew, ev)
	t.happened(key, ev)
}

// commands compares what was answered with what the machine here has.
func (t *Tape) commands(key machineKey, commands []reconcile.Command) {
	if !t.told.open || t.told.key != key {
		if t.finish(nil); len(commands) > 0 {
			t.problem("after event %d: commands that answer no event", t.place.n)
		}
		return
	}
	t.finish(commands)
}

// finish ends the telling of an event: commands are all that answered it.
func (t *Tape) finish(commands []reconcile.Command) {
	if !t.told.open {
		return
	}
	t.told.open = false
	key := t.told.key
	switch {
	case t.told.broke != nil:
		t.differs(key, t.told.broke.Error())
	case !same(commands, t.told.answered):
		t.differs(key, "it was answered by "+inWords(commands)+", and here by "+inWords(t.told.answered))
	default:
		commands = t.told.answered // which may be kept
	}
	t.told.answered = nil
	k := t.byNum[key.kind]
	for _, c := range commands {
		t.answered(k, key, c)
	}
	t.progress(k, key)
	t.level(k, key)
}

// differs tells that a machine here did not do what the one recorded did: its
// first time alone, since all else follows from it.
func (t *Tape) differs(key machineKey, what string) {
	if t.told.differed[key] {
		return
	}
	if t.told.differed == nil {
		t.told.differed = map[machineKey]bool{}
	}
	t.told.differed[key] = true
	t.problem("event %d, %s: from here on the state of %s may not be what it was: %s", t.place.n, t.place.last.words(), t.byNum[key.kind].name, what)
}

func inWords(commands []reconcile.Command) string {
	if len(commands) == 0 {
		return "nothing"
	}
	text := ""
	for i, c := range commands {
		if i > 0 {
			text += "; "
		}
		if text += reconcile.Describe(c); len(text) > maxText/2 {
			return shortenedTo(text, maxText/2)
		}
	}
	return text
}

func (t *Tape) restarted(at time.Duration, key machineKey, skew time.Duration) {
	t.pass(at)
	t.store(func(w *recording.Writer) {
		w.Process(key.process, skew)
		w.Restarted(t.now, key.kind)
	})
	t.place.at = t.now
	t.skewed(key.process, skew)
	t.crew.restart(key)
	delete(t.told.differed, key)
	t.beganAnew(key)
}

// takeOver has a machine go on with a state that is recorded.
func (t *Tape) takeOver(at time.Duration, key machineKey, skew time.Duration, state []byte) error {
	t.pass(at)
	if err := t.crew.restore(key, state); err != nil {
		return err
	}
	if t.place.at = t.now; t.segments.w == nil {
		t.beginSegment() // with it
	} else {
		t.store(func(w *recording.Writer) {
			w.Process(key.process, skew)
			w.Snapshot(t.now, key.kind, state)
		})
	}
	t.skewed(key.process, skew)
	t.tookOver(key)
	return nil
}

func (t *Tape) closing(c *recording.Closing) {
	t.finish(nil)
	t.endSegment()
	if t.closed = !c.Continued; len(c.Report) > 0 {
		t.report = c.Report
	}
	if c.Lost != "" {
		t.problem("after %v something is missing: %s", t.now, c.Lost)
	}
}

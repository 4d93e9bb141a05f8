package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
)

// watch looks at a kind's tree all the while. What it sees is of one moment each
// (world.read), so whatever is wrong in it was so for anybody. While ZooKeeper does
// not answer it sees nothing; it says how often it did.
type watch struct {
	w    *world
	k    *kind
	stop func()
	fail func(text string) // told once of each thing

	mu     sync.Mutex
	seen   map[string]time.Time // when each resource stood somewhere first
	before map[string]int       // where they stood at the last look
	moves  int                  // places changed between looks
	looks  int
	blind  time.Duration // the longest time between two looks
	last   time.Time
	said   sets.Set[string]
}

// observe watches until the case has ended, or done is called.
func (w *world) observe(k *kind) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	o := newWatch(k, func(text string) { w.t.Errorf("while watching %s: %s", k.name, text) })
	o.w = w
	var running sync.WaitGroup
	running.Go(func() { o.follow(ctx) })
	o.stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(o.stop)
	return o
}

func newWatch(k *kind, fail func(string)) *watch {
	return &watch{k: k, fail: fail, seen: map[string]time.Time{}, said: sets.New[string]()}
}

// follow looks again and again. One look costs ZooKeeper three reads an instance
// and a transaction that writes nothing.
func (o *watch) follow(ctx context.Context) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		// A conflict is no failure: it is a tree that changes just now. Nor is a
		// server that does not answer.
		now, err := o.w.read(ctx, o.k)
		if err == nil {
			o.look(now, time.Now())
		} else if errors.Is(err, errMalformed) {
			o.mu.Lock()
			o.say("%v", err)
			o.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// look judges one moment. A resource that has been placed, and whose row has not
// been deleted, must stand somewhere ever after: a move is one transaction.
func (o *watch) look(now tree, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := now.wrong(); err != nil {
		o.say("%v", err)
	}
	places := now.placed()
	for id, was := range o.before {
		if is, there := places[id]; !there && !o.k.isReleased(id) {
			o.say("resource %s stood on instance %d and stands nowhere, and its row is there", id, was)
		} else if there && is != was {
			o.moves++
		}
	}
	for id := range places {
		if _, known := o.seen[id]; !known {
			o.seen[id] = at
		}
	}
	o.before = places
	o.looks++
	if !o.last.IsZero() {
		o.blind = max(o.blind, at.Sub(o.last))
	}
	o.last = at
}

// again waits for a look of now: after an outage, for what came of it.
func (o *watch) again() {
	o.w.t.Helper()
	since := time.Now()
	eventually(o.w.t, healedWithin, "a look at "+o.k.name, func(context.Context) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.last.After(since) {
			return errors.New("it cannot be read")
		}
		return nil
	})
}

// say fails the case, once for each thing: it would be said at every look.
func (o *watch) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !o.said.Has(text) {
		o.said.Insert(text)
		o.fail(text)
	}
}

// end stops the watch, says what it saw, and fails the case when that was nothing.
func (o *watch) end() {
	o.w.t.Helper()
	o.stop()
	o.look(o.w.tree(o.k), time.Now()) // of all that came since the last one
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w.t.Logf("%s was looked at %d times, at most %v apart; %d moves were seen", o.k.name, o.looks, o.blind.Round(time.Millisecond), o.moves)
	if o.looks < 2 {
		o.w.t.Errorf("%s was never read while it was watched", o.k.name)
	}
}

// waits are how long rows stood nowhere after their commit.
type waits struct {
	worst time.Duration
	id    string // of the one that waited longest
	late  int    // how many waited longer than a moment
	never int    // how many were gone before they were seen anywhere: they waited all their life
}

// waited tells of rows that came while it was watched.
func (o *watch) waited(rows map[string]life) (out waits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, row := range rows {
		until, seen := o.seen[id]
		if !seen {
			out.never++
			if until = row.went; until.IsZero() {
				until = o.last
			}
		}
		if d := until.Sub(row.came); d > out.worst {
			out.worst, out.id = d, id
		}
		if until.Sub(row.came) > moment {
			out.late++
		}
	}
	return out
}

// moment is what a row that is announced waits on a machine that is busy.
const moment = 3 * time.Second

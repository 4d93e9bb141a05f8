package e2e_test

import (
	"context"
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
		// A conflict is no failure: it is a tree that changes just now.
		if now, err := o.w.read(ctx, o.k); err == nil {
			o.look(now, time.Now())
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
		o.w.t.Errorf("%s could not be read once while it was watched", o.k.name)
	}
}

// slowest is the longest time from a row's commit to its place, of those placed
// while it was watched, and how many took longer than a moment.
func (o *watch) slowest(committed map[string]time.Time) (worst time.Duration, id string, late int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, at := range committed {
		seen, there := o.seen[name]
		if !there {
			continue
		}
		if seen.Sub(at) > worst {
			worst, id = seen.Sub(at), name
		}
		if seen.Sub(at) > moment {
			late++
		}
	}
	return worst, id, late
}

// moment is what a row that is announced waits on a machine that is busy.
const moment = 3 * time.Second

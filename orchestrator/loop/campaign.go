package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// term is one leadership of this process.
type term struct {
	epoch    int64
	ctx      context.Context // ends with the leadership
	held     func() bool     // asks the clock: the leadership can still be proved
	stepDown chan string     // the machine gives it up; capacity 1
	draining bool            // nothing new is begun; the driver's alone
	idle     chan struct{}   // closed once draining and no transaction is in flight; the driver's to close
	work     sync.WaitGroup  // calls and watches that are under way; none begins after end
}

// campaign stands for election until leaving ends. A leadership that is there
// when leaving ends is handed over in order, for which alive goes on.
func (d *driver) campaign(leaving, alive context.Context) error {
	base := d.l.cfg.StepDownPause
	wait := base
	for leaving.Err() == nil {
		r, err := d.stand(leaving, alive)
		switch {
		case leaving.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, context.Canceled) && !r.led:
			return err
		case err != nil:
			d.log.Warn("the leadership ended with an error", "error", err)
		}
		if !r.gaveUp || r.lasted > steady*base {
			wait = base
		}
		pause(leaving, wait)
		if r.gaveUp {
			wait = min(2*wait, longestPause*base)
		}
	}
	return nil
}

// A process that gives up one leadership after another, each within this many
// pauses, has a trouble of its own: it must not keep the others from leading, nor
// read everything anew each second.
const steady, longestPause = 60, 32

// reign is what became of one candidacy.
type reign struct {
	led    bool
	gaveUp bool // by itself, while it could still have led
	lasted time.Duration
}

// stand is one candidacy: it follows until its turn comes, and then leads.
func (d *driver) stand(leaving, alive context.Context) (r reign, err error) {
	// Lead's context ends with leaving only while the turn has not come: a
	// leader must still finish its transaction and resign.
	standing, abandon := context.WithCancel(alive)
	defer abandon()
	gone := context.AfterFunc(leaving, abandon)
	defer gone()
	following, stopFollowing := context.WithCancel(alive)
	var follower sync.WaitGroup
	follower.Go(func() { d.follow(following) })
	defer follower.Wait()
	defer stopFollowing()

	var t *term
	err = d.l.ports.Election.Lead(standing, d.kind, d.l.cfg.Who, func(ctx context.Context, epoch int64, held func() bool) {
		r.led = true
		if !gone() { // leaving has ended already
			return
		}
		stopFollowing()
		follower.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		t = &term{epoch: epoch, ctx: ctx, held: held, stepDown: make(chan string, 1), idle: make(chan struct{})}
		began := d.l.now()
		r.gaveUp = d.lead(t, leaving)
		r.lasted = d.l.now() - began
	})
	if t != nil {
		t.work.Wait() // after the resignation: the next leader need not wait for it
	}
	return r, err
}

// lead is one leadership, from its first moment to its last. It answers whether
// the process gave it up by itself.
func (d *driver) lead(t *term, leaving context.Context) (gaveUp bool) {
	if d.ask(context.Background(), func(time.Duration) { d.begin(t) }) != nil {
		return false
	}
	d.watch(t)

	why := ""
	select {
	case <-t.ctx.Done():
		why = text(context.Cause(t.ctx))
	case why = <-t.stepDown:
		gaveUp = true
	case <-leaving.Done():
		why = "the process ends"
		_ = d.ask(context.Background(), func(time.Duration) { d.drain(t) })
		select {
		case <-t.idle:
		case <-t.ctx.Done():
		case <-time.After(d.l.cfg.DrainTimeout):
			d.log.Warn("the transaction in flight was not answered in time; whoever leads next reads what became of it")
		}
	}
	_ = d.ask(context.Background(), func(time.Duration) { d.end(t, why) }) // the driver outlives every term
	return gaveUp
}

// watch starts what a leader listens to. Each runs until the term's context ends.
func (d *driver) watch(t *term) {
	p := d.l.ports
	watch := func(what string, run func() error) {
		t.work.Go(func() {
			if err := run(); t.ctx.Err() == nil {
				select {
				case t.stepDown <- fmt.Sprintf("%s: %v", what, err):
				default:
				}
			}
		})
	}
	watch("watching the instances' status", func() error {
		return p.Store.WatchStatus(t.ctx, d.kind, func(id fleet.InstanceID, st fleet.Status) {
			d.post(work{term: t, ev: reconcile.StatusSeen{Instance: id, Status: st}})
		})
	})
	watch("watching the pods", func() error {
		return p.Pods.Watch(t.ctx, d.kind, func(pod fleet.Pod) {
			d.post(work{term: t, ev: reconcile.PodSeen{Pod: pod}})
		}, func(id fleet.InstanceID, uid string) {
			d.post(work{term: t, ev: reconcile.PodGone{Instance: id, UID: uid}})
		})
	})
	if !d.cfg.Heartbeat {
		return
	}
	watch("listening to the heartbeats", func() error { return d.listen(t.ctx, t) })
}

// follow keeps the view in line with ZooKeeper while another process leads.
func (d *driver) follow(ctx context.Context) {
	for ctx.Err() == nil {
		f := d.view.follow()
		err := d.l.ports.Store.WatchTree(ctx, d.kind, f.seen, f.gone, f.synced)
		if ctx.Err() == nil {
			d.log.Warn("following the orchestration failed; it is tried again", "error", err)
			pause(ctx, d.l.cfg.StepDownPause)
		}
	}
}

// leaderIs notes who leads the kind.
func (d *driver) leaderIs(who fleet.Candidate) {
	if was := d.leader.Swap(&who); was == nil || *was != who {
		if who.Name == "" {
			d.log.Info("nobody is known to lead")
		} else {
			d.log.Info("the leader is", "name", who.Name, "url", who.URL)
		}
		d.tell(Entry{Type: EntryLeader, Instance: fleet.NoInstance, Text: who.Name})
	}
}

// pause waits d, up to a quarter more so that processes do not come in step, or
// until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d + rand.N(d/4+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

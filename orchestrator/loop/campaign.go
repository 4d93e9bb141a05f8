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
}

// campaign stands for election until leaving ends, and runs what belongs to a
// follower while it waits and to a leader while it leads. A leadership that is
// there when leaving ends is handed over in order, within inner.
func (d *driver) campaign(leaving, inner context.Context) error {
	for attempt := 0; leaving.Err() == nil; {
		// Lead's context ends with leaving only while the turn has not come: a
		// leader must still finish its transaction and resign.
		standing, abandon := context.WithCancel(inner)
		gone := context.AfterFunc(leaving, abandon)
		following, stopFollowing := context.WithCancel(inner)
		var follower sync.WaitGroup
		follower.Go(func() { d.follow(following) })
		led := false
		err := d.l.ports.Election.Lead(standing, d.kind, d.l.cfg.Who, func(ctx context.Context, epoch int64, held func() bool) {
			led = true
			if !gone() { // leaving has ended already
				return
			}
			stopFollowing()
			follower.Wait()
			d.lead(ctx, leaving, epoch, held)
		})
		stopFollowing()
		follower.Wait()
		gone()
		abandon()
		switch {
		case leaving.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, context.Canceled) && !led:
			return err
		case err != nil:
			d.log.Warn("the leadership ended with an error", "error", err)
		}
		attempt++
		pause(leaving, d.l.cfg.StepDownPause)
	}
	return nil
}

// lead is one leadership, from its first moment to its last.
func (d *driver) lead(ctx, leaving context.Context, epoch int64, held func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &term{epoch: epoch, ctx: ctx, held: held, stepDown: make(chan string, 1), idle: make(chan struct{})}
	if !d.call(func(time.Duration) { d.begin(t) }) {
		return
	}
	var watches sync.WaitGroup
	d.watch(t, &watches)

	why := ""
	select {
	case <-ctx.Done():
		why = context.Cause(ctx).Error()
	case why = <-t.stepDown:
	case <-leaving.Done():
		why = "the process ends"
		d.call(func(time.Duration) { d.drain(t) })
		select {
		case <-t.idle:
		case <-ctx.Done():
		case <-time.After(d.l.cfg.DrainTimeout):
			d.log.Warn("the transaction in flight was not answered in time; whoever leads next reads what became of it")
		}
	}
	d.call(func(time.Duration) { d.end(t, why) })
	cancel()
	watches.Wait()
}

// watch starts what a leader listens to. Each runs until the term's context ends.
func (d *driver) watch(t *term, wg *sync.WaitGroup) {
	p := d.l.ports
	watch := func(what string, run func() error) {
		wg.Go(func() {
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
	watch("listening to the heartbeats", func() error {
		return p.Heartbeats.Listen(t.ctx, d.kind, func(id fleet.InstanceID) {
			d.post(work{term: t, ev: reconcile.Heartbeat{Instance: id}})
		}, func(up bool) {
			d.post(work{term: t, ev: reconcile.HeartbeatChannel{Up: up}})
		})
	})
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
		d.log.Info("the leader is", "name", who.Name, "url", who.URL)
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

package loop

import (
	"context"
	"sync/atomic"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// beats are heartbeats that came while the driver was busy: it takes them at
// once, since its own work for an event costs ten times the machine's for a
// heartbeat. One goroutine adds, another takes.
type beats struct {
	ids [mostBeats]fleet.InstanceID
	n   atomic.Int32 // how many there are; taken once they have been taken
}

// mostBeats bounds the heartbeats that are taken at once.
const mostBeats = 64

const taken = -1

// add is false when they have been taken already, or are enough.
func (b *beats) add(id fleet.InstanceID) bool {
	n := b.n.Load()
	if n == taken || n == mostBeats {
		return false
	}
	b.ids[n] = id // read by nobody unless it counts
	return b.n.CompareAndSwap(n, n+1)
}

func (b *beats) take() []fleet.InstanceID { return b.ids[:b.n.Swap(taken)] }

// listen hands heartbeats to the driver, in order with what is told of their
// channel, until ctx ends.
func (d *driver) listen(ctx context.Context, t *term) error {
	var last *beats
	return d.l.ports.Heartbeats.Listen(ctx, d.kind, func(id fleet.InstanceID) {
		if last != nil && last.add(id) {
			return
		}
		b := &beats{}
		b.add(id)
		last = b
		d.post(work{term: t, do: func(now time.Duration) { d.heard(now, b.take()) }})
	}, func(up bool) {
		last = nil // those that come now come after this
		d.post(work{term: t, ev: reconcile.HeartbeatChannel{Up: up}})
	})
}

// heard hands heartbeats to the machine.
func (d *driver) heard(now time.Duration, ids []fleet.InstanceID) {
	for _, id := range ids {
		for _, c := range d.answers(now, reconcile.Heartbeat{Instance: id}, nil) {
			d.execute(c)
		}
	}
	if d.l.cfg.Observe != nil {
		d.l.cfg.Observe.Stepped(d.kind, d.l.now()-now)
	}
}

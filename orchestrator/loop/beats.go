package loop

import (
	"context"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// beats are heartbeats that came while the driver was busy: it takes them at
// once, since its own work for an event costs ten times the machine's for a
// heartbeat.
type beats struct {
	mu    sync.Mutex
	ids   []fleet.InstanceID
	taken bool
}

// mostBeats bounds the heartbeats that are taken at once.
const mostBeats = 64

// add is false when they have been taken already, or are enough.
func (b *beats) add(id fleet.InstanceID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken || len(b.ids) == mostBeats {
		return false
	}
	b.ids = append(b.ids, id)
	return true
}

func (b *beats) take() []fleet.InstanceID {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = true
	return b.ids
}

// listen hands heartbeats to the driver, in order with what is told of their
// channel, until ctx ends.
func (d *driver) listen(ctx context.Context, t *term) error {
	var last *beats
	return d.l.ports.Heartbeats.Listen(ctx, d.kind, func(id fleet.InstanceID) {
		if last != nil && last.add(id) {
			return
		}
		b := &beats{ids: []fleet.InstanceID{id}}
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
		for _, c := range d.machine.Step(now, reconcile.Heartbeat{Instance: id}) {
			d.execute(c)
		}
	}
	if d.l.cfg.Observe != nil {
		d.l.cfg.Observe.Stepped(d.kind, d.l.now()-now)
	}
}

package dac

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// TestZombie: it sends heartbeats and keeps its session, and no change reaches it.
func TestZombie(t *testing.T) {
	r := newRig(t)
	r.create(0, 1, "a")
	beats := &counter{}
	u := r.run(Config{Confirms: true, Session: 400 * time.Millisecond, Heartbeat: true, Interval: time.Millisecond, Beats: beats})
	r.awaitStatus(0, `{"times":1}`)
	if !u.Zombie() || u.Zombie() {
		t.Error("one becomes a zombie once")
	}
	r.set(0, 2, "b")
	sent := beats.n.Load()
	r.await("heartbeats of a zombie", func() bool { return beats.n.Load() > sent+400 })
	r.awaitStatus(0, `{"times":1}`)
	if !u.holds("a") || u.State().Times != 1 {
		t.Errorf("state %+v, want a held by a zombie", u.State())
	}
	u.end()
}

// TestDialAndLate: whoever runs the DAC makes its connections, and may slow its
// clock down.
func TestDialAndLate(t *testing.T) {
	r := newRig(t)
	r.create(0, 1, "a")
	var dialled, asked atomic.Int64
	slow := make(chan struct{})
	beats := &counter{}
	u := r.run(Config{Confirms: true, Heartbeat: true, Interval: time.Millisecond, Beats: beats,
		Dial: func(network, address string, timeout time.Duration) (net.Conn, error) {
			dialled.Add(1)
			return net.DialTimeout(network, address, timeout)
		},
		Late: func() time.Duration {
			switch asked.Add(1) {
			case 1:
				return 0
			case 2:
				close(slow)
			}
			return time.Hour
		}})
	r.awaitStatus(0, `{"times":1}`)
	<-slow
	if dialled.Load() == 0 || beats.n.Load() != 2 {
		t.Errorf("%d connections were asked for, and %d heartbeats sent before the clock all but stopped, want 2", dialled.Load(), beats.n.Load())
	}
	u.end()
}

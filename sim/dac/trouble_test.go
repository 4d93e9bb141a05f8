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

// deadline is a connection that keeps until when it would be read.
type deadline struct {
	net.Conn
	at time.Time
}

func (d *deadline) SetReadDeadline(t time.Time) error { d.at = t; return nil }

// TestGreetingIsBounded: a server that takes the connection and says nothing is left
// within half a session; how long a later answer may take is the library's.
func TestGreetingIsBounded(t *testing.T) {
	for session, within := range map[time.Duration]time.Duration{10 * time.Second: 5 * time.Second, time.Millisecond: time.Second} {
		d := &deadline{}
		c := &line{Conn: d, link: &link{session: session}}
		hour := time.Now().Add(time.Hour)
		for _, asked := range []time.Time{hour, {}} {
			before := time.Now()
			if err := c.SetReadDeadline(asked); err != nil || d.at.Before(before.Add(within)) || d.at.After(time.Now().Add(within)) {
				t.Errorf("session %v: it is read until %v after it began, want %v: %v", session, d.at.Sub(before), within, err)
			}
		}
		c.greeted = true
		for _, asked := range []time.Time{hour, {}} {
			if err := c.SetReadDeadline(asked); err != nil || !d.at.Equal(asked) {
				t.Errorf("session %v: after the greeting it is read until %v, want %v: %v", session, d.at, asked, err)
			}
		}
	}
}

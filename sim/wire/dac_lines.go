package wire

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"

	corev1 "k8s.io/api/core/v1"
)

// dacWire is a DAC's connection to ZooKeeper: it is known whose it is, and it breaks
// when nobody reaches the DAC's node any more.
type dacWire struct {
	net.Conn
	dacs *DACs
	end  sync.Once
}

var errParted = errors.New("nobody reaches this node")

// dial connects a program to ZooKeeper.
func (d *DACs) dial(p *program, network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parted[p.node] {
		_ = conn.Close() // it was never used
		return nil, errParted
	}
	d.wiresMu.Lock()
	d.wires[conn.LocalAddr().String()] = p.at
	d.wiresMu.Unlock()
	w := &dacWire{Conn: conn, dacs: d}
	p.wire = w // the DAC closes the one before
	return w, nil
}

// Close is net.Conn's.
func (w *dacWire) Close() error {
	w.end.Do(func() {
		w.dacs.wiresMu.Lock()
		defer w.dacs.wiresMu.Unlock()
		delete(w.dacs.wires, w.LocalAddr().String())
	})
	return w.Conn.Close()
}

// client says whose connection to ZooKeeper has this address at its client's end;
// false for none of a DAC.
func (d *DACs) client(address string) (dacAt, bool) {
	d.wiresMu.Lock()
	defer d.wiresMu.Unlock()
	at, is := d.wires[address]
	return at, is
}

// part cuts off what runs on a node, or lets it reach the servers again.
func (d *DACs) part(node string, on bool) {
	d.mu.Lock()
	d.parted[node] = on
	var cut []*dacWire
	for _, p := range d.all() {
		if on && p.node == node && p.wire != nil {
			cut = append(cut, p.wire)
		}
	}
	d.mu.Unlock()
	for _, w := range cut {
		_ = w.Conn.Close() // who uses it hears of it there
	}
}

// all are the programs, those included whose instance has another pod. It needs
// the lock.
func (d *DACs) all() []*program {
	var all []*program
	for _, p := range d.programs {
		all = append(all, p)
	}
	for p := range d.strays {
		all = append(all, p)
	}
	return all
}

// on are the instances whose newest program runs on a node.
func (d *DACs) on(node string) []dacAt {
	d.mu.Lock()
	defer d.mu.Unlock()
	var on []dacAt
	for at, p := range d.programs {
		if p.node == node {
			on = append(on, at)
		}
	}
	return on
}

// Starting is kubernetes.Starter's.
func (d *DACs) Starting(pod *corev1.Pod) (late time.Duration, image bool) {
	at, err := d.instanceOf(pod)
	if err != nil || d.troubles == nil {
		return 0, true // Run says what is wrong with it
	}
	t := d.troubles.starting(at, string(pod.UID))
	if t.crash > 0 && !t.noImage {
		d.mu.Lock()
		d.crashes[string(pod.UID)] = t.crash
		d.mu.Unlock()
	}
	return t.late, !t.noImage
}

// told sends a program's heartbeats, and tells of each.
type told struct {
	dacs *DACs
	p    *program
}

// Send is dac.Beats'.
func (t told) Send(ctx context.Context, kind fleet.Kind, id fleet.InstanceID) error {
	d, now := t.dacs, time.Now()
	var trouble sendTrouble
	if d.troubles != nil {
		trouble = d.troubles.sending(t.p.at)
	}
	if trouble.lost {
		return nil
	}
	d.facts.Beat(kind, id)
	if trouble.gone {
		return errNoLeader
	}
	var errs []error
	for range 1 + trouble.copies {
		send := func(ctx context.Context) error {
			d.mu.Lock()
			parted := d.parted[t.p.node]
			d.mu.Unlock()
			if parted {
				return errParted
			}
			return d.beats.SendAt(ctx, kind, id, now.Add(trouble.skew))
		}
		if trouble.late == 0 {
			errs = append(errs, send(ctx))
			continue
		}
		d.troubles.after(trouble.late, func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, beatPatience)
			defer done()
			_ = send(ctx) // a heartbeat that is late may be lost as any other
		})
	}
	return errors.Join(errs...)
}

// errNoLeader is what becomes of a heartbeat whose partition is gone.
var errNoLeader = errors.New("the heartbeat's partition has no leader")

// node is the node that an instance's newest program runs on; empty for none.
func (d *DACs) node(at dacAt) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.programs[at]; p != nil {
		return p.node
	}
	return ""
}

// beatPatience bounds the sending of a heartbeat that is late.
const beatPatience = 5 * time.Second

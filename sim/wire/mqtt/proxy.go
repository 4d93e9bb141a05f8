package mqtt

import (
	"io"
	"net"
	"sync"
)

// Proxy stands between clients and any broker, and breaks connections on demand:
// what the fault hooks do for this broker, it does for one without any. Its
// methods are safe for concurrent use.
type Proxy struct {
	target string
	ln     net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond // on mu: stalled or closed
	refuse  bool
	stalled bool
	closed  bool
	pairs   map[*pair]struct{}
}

// pair is a client's connection and ours to the broker.
type pair struct{ client, broker net.Conn }

func (p *pair) cut() {
	p.client.Close()
	p.broker.Close()
}

// StartProxy passes connections on to the broker at target (host:port), from a
// free port of loopback, until Close.
func StartProxy(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, ln: ln, pairs: map[*pair]struct{}{}}
	p.changed.L = &p.mu
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is host and port where clients connect.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Refuse closes new connections at once, until it is called with false.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Stall passes nothing on in either direction, until it is called with false.
// Nothing is closed, and nothing is lost.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.changed.Broadcast()
}

// Cut breaks every connection on both sides, and answers how many.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.cut()
	}
	return len(p.pairs)
}

// Close cuts everything, and waits until it has ended.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	err := p.ln.Close()
	p.Cut()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.pass(client) })
	}
}

func (p *Proxy) pass(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	no := p.refuse || p.closed
	p.mu.Unlock()
	if no {
		return
	}
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	both := &pair{client, broker}
	defer both.cut()
	p.mu.Lock()
	if p.refuse || p.closed { // meanwhile
		p.mu.Unlock()
		return
	}
	p.pairs[both] = struct{}{}
	p.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		p.copy(client, broker)
		both.cut()
	})
	p.copy(broker, client)
	both.cut()
	back.Wait()
	p.mu.Lock()
	delete(p.pairs, both)
	p.mu.Unlock()
}

// copy passes on what comes, unless it is to wait.
func (p *Proxy) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.stalled && !p.closed {
			p.changed.Wait()
		}
		p.mu.Unlock()
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

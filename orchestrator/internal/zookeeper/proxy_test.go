package zookeeper

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between one client and a server, and breaks what a test wants
// broken. It reads the packets: four bytes of length, then a request's number and
// operation, or an answer's number.
type proxy struct {
	t      testing.TB
	server string
	listen net.Listener
	group  sync.WaitGroup

	mu       sync.Mutex
	open     map[net.Conn]bool
	dark     bool // nothing passes, and nobody gets in
	fault    fault
	held     chan struct{} // closed to release what holdRequest holds
	before   func()        // called before the next multi is passed on; may be nil
	session  int64
	password []byte
}

// fault is what is to happen to the next multi.
type fault int

const (
	none        fault = iota
	loseRequest       // it does not arrive, and the connection breaks
	loseAnswer        // it is answered, and the connection breaks before the answer arrives
	holdRequest       // the client's side breaks; it goes on to the server when released
)

const opMulti = 14

func newProxy(t testing.TB, server string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, server: server, listen: l, open: map[net.Conn]bool{}}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.group.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listen.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		dark := p.dark
		p.mu.Unlock()
		if dark {
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		awaited := new(number)
		p.group.Go(func() { p.pump(server, client, p.request(awaited, client)); p.end(client, server) })
		p.group.Go(func() { p.pump(client, server, p.answer(awaited)); p.end(client, server) })
	}
}

// number is that of the request whose answer is to be lost.
type number struct {
	mu  sync.Mutex
	xid int32
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.open, c)
	}
}

// pump passes packets on until see wants the connection cut.
func (p *proxy) pump(to, from net.Conn, see func(packet []byte) (cut bool)) {
	r := bufio.NewReader(from)
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		packet := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
		copy(packet, head[:])
		if _, err := io.ReadFull(r, packet[4:]); err != nil {
			return
		}
		if see(packet) {
			return
		}
		p.mu.Lock()
		dark := p.dark
		p.mu.Unlock()
		if dark {
			continue // swallowed: the connection stands, and nothing comes
		}
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

func (p *proxy) request(awaited *number, client net.Conn) func([]byte) bool {
	first := true
	return func(packet []byte) bool {
		if first {
			first = false
			return false
		}
		if binary.BigEndian.Uint32(packet[8:]) != opMulti || !writes(packet[12:]) {
			return false
		}
		p.mu.Lock()
		before := p.before
		p.before = nil
		p.mu.Unlock()
		if before != nil {
			before()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		switch p.fault {
		case holdRequest:
			p.fault = none
			client.Close()
			p.mu.Unlock()
			<-p.held
			p.mu.Lock()
		case loseRequest:
			p.fault = none
			return true
		case loseAnswer:
			awaited.mu.Lock()
			awaited.xid = int32(binary.BigEndian.Uint32(packet[4:]))
			awaited.mu.Unlock()
		}
		return false
	}
}

// writes says whether a multi does more than check versions, as a leader does now
// and then.
func writes(multi []byte) bool {
	const opCheck, opHeader, number = 13, 9, 4
	for binary.BigEndian.Uint32(multi) == opCheck {
		path := int(binary.BigEndian.Uint32(multi[opHeader:]))
		multi = multi[opHeader+number+path+number:]
	}
	return int32(binary.BigEndian.Uint32(multi)) >= 0 // -1 is the end
}

func (p *proxy) answer(awaited *number) func([]byte) bool {
	first := true
	return func(packet []byte) bool {
		if first {
			first = false
			p.mu.Lock()
			p.session = int64(binary.BigEndian.Uint64(packet[12:]))
			p.password = append([]byte(nil), packet[24:40]...)
			p.mu.Unlock()
			return false
		}
		awaited.mu.Lock()
		lost := awaited.xid != 0 && int32(binary.BigEndian.Uint32(packet[4:])) == awaited.xid
		awaited.mu.Unlock()
		if lost {
			p.next(none)
		}
		return lost
	}
}

// next sets the fault that befalls the next multi.
func (p *proxy) next(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// meanwhile has do called before the next multi is passed on.
func (p *proxy) meanwhile(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = do
}

// cut breaks every connection; the client may come back at once.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}

// partition lets nothing pass from now on. heal breaks the old connections, and
// lets new ones pass.
func (p *proxy) partition() (heal func()) {
	p.mu.Lock()
	p.dark = true
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		p.dark = false
		p.mu.Unlock()
		p.cut()
	}
}

// expire ends the client's session: in its name, on another connection.
func (p *proxy) expire() {
	p.t.Helper()
	p.mu.Lock()
	session, password := p.session, p.password
	p.mu.Unlock()
	conn, err := net.Dial("tcp", p.server)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	greeting := make([]byte, 48)
	binary.BigEndian.PutUint32(greeting, 44)
	binary.BigEndian.PutUint32(greeting[16:], 10_000) // ms; after version and last zxid
	binary.BigEndian.PutUint64(greeting[20:], uint64(session))
	binary.BigEndian.PutUint32(greeting[28:], 16)
	copy(greeting[32:], password)
	closing := []byte{0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5} // closeSession is -11
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(append(greeting, closing...)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil { // the server ends the connection when it is done
		p.t.Log("ending a session:", err)
	}
}

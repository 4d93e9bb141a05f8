package zookeeper

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestHandshake(t *testing.T) {
	s := start(t, Config{MinSessionTimeout: time.Second, MaxSessionTimeout: 10 * time.Second, TickTime: 100 * time.Millisecond})
	for asked, want := range map[int32]int32{-5: 1000, 0: 1000, 5000: 5000, 60000: 10000} {
		r, err := dialRaw(s.Addr(), asked, 0, nil, 0)
		if err != nil || r.timeout != want || r.session == 0 || len(r.password) != 16 {
			t.Fatalf("asked for %d ms: %+v, %v", asked, r, err)
		}
		r.nc.Close()
	}
	a := mustDialRaw(t, s.Addr())
	wrong, err := dialRaw(s.Addr(), 5000, a.session, bytes.Repeat([]byte("x"), 16), 0)
	if err != nil || wrong.session != 0 || wrong.timeout != 0 {
		t.Errorf("resumed with the wrong password: %+v, %v", wrong, err)
	}
	if r, err := wrong.do(opPing, nil); err != nil || !r.closed {
		t.Errorf("its connection stays: %+v, %v", r, err)
	}
	if _, err := dialRaw(s.Addr(), 5000, a.session, a.password, 1<<40); !errors.Is(err, io.EOF) {
		t.Errorf("a client of the future: %v", err)
	}
	again, err := dialRaw(s.Addr(), 5000, a.session, a.password, 0)
	if err != nil || again.session != a.session {
		t.Fatalf("resumed: %+v, %v", again, err)
	}
	defer again.nc.Close()
	if r, err := a.do(opPing, nil); err != nil || !r.closed {
		t.Errorf("the former connection stays: %+v, %v", r, err)
	}
	if r, err := again.do(opCloseSession, nil); err != nil || r.err != 0 || r.closed {
		t.Errorf("close: %+v, %v", r, err)
	}
	if gone, err := dialRaw(s.Addr(), 5000, a.session, a.password, 0); err != nil || gone.session != 0 {
		t.Errorf("resumed after the end: %+v, %v", gone, err)
	}
}

func TestPipelineKeepsItsOrder(t *testing.T) {
	s := start(t, Config{})
	r := mustDialRaw(t, s.Addr())
	const n = 5000
	go func() {
		for i := range int32(n) {
			op, body := opExists, watchBody("/", false)
			if i%3 == 0 {
				op, body = opCreate, createBody(fmt.Sprintf("/n%d", i), nil, openACL, 0)
			}
			r.write(append(putInt(putInt(nil, i+1), int32(op)), body...))
		}
	}()
	last := int64(0)
	for i := range int32(n) {
		a, err := r.answer(i + 1)
		if err != nil || a.closed || a.err != 0 || a.zxid < last {
			t.Fatalf("answer %d: %+v, %v", i, a, err)
		}
		last = a.zxid
	}
}

// TestClientThatDoesNotRead must cost bounded memory and hinder nobody.
func TestClientThatDoesNotRead(t *testing.T) {
	s := start(t, Config{})
	deaf, other := mustDialRaw(t, s.Addr()), mustDialRaw(t, s.Addr())
	if r, err := other.do(opCreate, createBody("/big", bytes.Repeat([]byte("x"), 1<<19), openACL, 0)); err != nil || r.err != 0 {
		t.Fatal(r, err)
	}
	get := append(putInt(putInt(nil, 1), int32(opGetData)), watchBody("/big", false)...)
	packet := append(putInt(nil, int32(len(get))), get...)
	if _, err := deaf.nc.Write(bytes.Repeat(packet, 2000)); err != nil { // a gigabyte of answers
		t.Fatal(err)
	}
	eventually(t, "its queue is full", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.out.mu.Lock()
			size := c.out.size
			c.out.mu.Unlock()
			if size > maxQueued {
				if size > maxQueued+1<<20 {
					t.Errorf("%d bytes are queued, want at most %d and one answer", size, maxQueued)
				}
				return true
			}
		}
		return false
	})
	if r, err := other.do(opExists, watchBody("/big", false)); err != nil || r.err != 0 {
		t.Errorf("the other client: %+v, %v", r, err)
	}
}

// TestManyClients is the load that other tests bring: 100 sessions, lists of
// 200 KB, 10,000 nodes.
func TestManyClients(t *testing.T) {
	s := start(t, Config{DataDir: t.TempDir(), SnapshotEvery: 4 << 20})
	var all sync.WaitGroup
	list := bytes.Repeat([]byte("abcdefgh"), 25_000)
	for i := range 100 {
		r := mustDialRaw(t, s.Addr())
		all.Go(func() {
			dir := fmt.Sprintf("/d%d", i)
			send := func(op opCode, body []byte) {
				if a, err := r.do(op, body); err != nil || a.err != 0 || a.closed {
					t.Errorf("client %d: %v: %+v, %v", i, op, a, err)
				}
			}
			send(opCreate, createBody(dir, list, openACL, 0))
			for j := range 100 {
				send(opCreate, createBody(fmt.Sprintf("%s/n%d", dir, j), []byte("x"), openACL, flagEphemeral*int32(j%2)))
			}
			send(opSetData, setBody(dir, list[:1000], 0))
			send(opGetData, watchBody(dir, true))
		})
	}
	all.Wait()
	if n := len(s.Dump()); n != 1+100+100*100 {
		t.Errorf("%d nodes", n)
	}
	if n := s.Expire(nil); n != 100 {
		t.Errorf("%d sessions expired", n)
	}
	if n := len(s.Dump()); n != 1+100+100*50 {
		t.Errorf("%d nodes after the sessions' end", n)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := Start(Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a := mustDialRaw(t, s.Addr())
	s.Stall(true)
	a.write(append(putInt(putInt(nil, 1), int32(opExists)), watchBody("/", true)...))
	half, err := net.Dial("tcp", s.Addr()) // no handshake
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Expire(nil); n != 0 {
		t.Errorf("%d sessions expired after Close", n)
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConfigErrors(t *testing.T) {
	for want, c := range map[string]Config{
		"TickTime":         {TickTime: time.Microsecond},
		"session timeouts": {MinSessionTimeout: time.Hour},
		"24 days":          {MaxSessionTimeout: 1000 * time.Hour},
		"MaxBuffer":        {MaxBuffer: 3},
		"SnapshotEvery":    {SnapshotEvery: -1},
		"data directory":   {DataDir: "zookeeper.go"},
		"listen":           {Addr: "127.0.0.1:999999"},
	} {
		if s, err := Start(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
			if s != nil {
				s.Close()
			}
		}
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	c, _, err := zk.Connect([]string{s.Addr()}, 20*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(
		func(network, address string, timeout time.Duration) (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, &tls.Config{RootCAs: roots})
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must[string](t)(c.Create("/secret", []byte("x"), 0, open))
	if plain, err := dialRaw(s.Addr(), 1000, 0, nil, 0); err == nil {
		t.Errorf("a client without TLS got in: %+v", plain)
	}
}

// memoryListener is a network of its own, for virtual time.
type memoryListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *memoryListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// TestVirtualTime runs server and client library in a bubble: an hour with pings,
// then a partition of exactly the session's timeout.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
		s, err := Start(Config{Listener: l, TickTime: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithLogger(quiet{}), zk.WithLogInfo(false),
			zk.WithDialer(func(string, string, time.Duration) (net.Conn, error) {
				ours, theirs := net.Pipe()
				select {
				case l.conns <- theirs:
					return ours, nil
				case <-l.done:
					return nil, net.ErrClosed
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		must[string](t)(c.Create("/mine", nil, zk.FlagEphemeral, open))
		synctest.Wait()
		<-time.After(time.Hour)
		if n := len(s.Sessions()); n != 1 {
			t.Errorf("%d sessions after an hour of pings", n)
		}
		s.Refuse(true, nil)
		s.Cut(nil)
		<-time.After(9 * time.Second)
		if n := len(s.Sessions()); n != 1 {
			t.Errorf("%d sessions before the timeout", n)
		}
		<-time.After(8 * time.Second) // the last ping, and a tick
		if n := len(s.Sessions()); n != 0 {
			t.Errorf("%d sessions after the timeout", n)
		}
		s.Refuse(false, nil)
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

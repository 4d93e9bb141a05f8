package zookeeper

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func only(id int64) func(Session) bool { return func(s Session) bool { return s.ID == id } }

func TestCutKeepsTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a, b := connect(t, s.Addr(), 20*time.Second), connect(t, s.Addr(), 20*time.Second)
	must[string](t)(a.Create("/mine", nil, zk.FlagEphemeral, open))
	id := a.SessionID()
	if n := s.Cut(only(id)); n != 1 {
		t.Fatalf("cut %d connections, want 1", n)
	}
	a.await(t, zk.StateDisconnected)
	a.await(t, zk.StateHasSession)
	if a.SessionID() != id {
		t.Errorf("the client came back as session %x, was %x", a.SessionID(), id)
	}
	if there, _, err := a.Exists("/mine"); !there || err != nil {
		t.Errorf("its ephemeral node: %v, %v", there, err)
	}
	if b.State() != zk.StateHasSession || len(b.states) > 0 {
		t.Errorf("the other client was cut too: %v", b.State())
	}
	if n := s.Cut(nil); n != 2 {
		t.Errorf("cut %d connections, want both", n)
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a, b := connect(t, s.Addr(), 20*time.Second), connect(t, s.Addr(), 20*time.Second)
	id := a.SessionID()
	s.Refuse(true, only(id))
	s.Cut(nil)
	b.await(t, zk.StateDisconnected)
	b.await(t, zk.StateHasSession)
	a.await(t, zk.StateDisconnected)
	a.await(t, zk.StateDisconnected) // the first attempt to come back
	views := s.Sessions()
	if i := slices.IndexFunc(views, only(id)); i < 0 || views[i].Connected || views[i].RemoteAddr != "" {
		t.Errorf("the refused session: %+v", views)
	}
	s.Refuse(false, nil)
	a.await(t, zk.StateHasSession)
	if a.SessionID() != id {
		t.Errorf("the client came back as another session")
	}
	s.Refuse(true, nil)
	s.Cut(nil)
	b.await(t, zk.StateDisconnected)
	b.await(t, zk.StateDisconnected)
	s.Refuse(false, nil)
	b.await(t, zk.StateHasSession)
}

func TestStall(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := connect(t, s.Addr(), 20*time.Second)
	s.Stall(true)
	s.Stall(true)
	answered := make(chan error, 1)
	go func() {
		_, err := c.Create("/a", nil, 0, open)
		answered <- err
	}()
	late := connectLater(t, s.Addr(), 20*time.Second)
	late.await(t, zk.StateConnected) // dialled, and then nothing
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Write([]byte("ruok"))
	_ = nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := nc.Read(make([]byte, 10)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stalled server answered %d bytes, %v", n, err)
	}
	if len(answered) > 0 {
		t.Errorf("a stalled server answered: %v", <-answered)
	}
	if _, _, there := s.Get("/a"); there {
		t.Error("a stalled server carried out a request")
	}
	s.Stall(false)
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("no answer after the stall")
	}
	late.await(t, zk.StateHasSession)
}

func TestDelay(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := connect(t, s.Addr(), 20*time.Second)
	const late = 50 * time.Millisecond
	s.Delay(late)
	began := time.Now()
	must[string](t)(c.Create("/a", nil, 0, open))
	if took := time.Since(began); took < late {
		t.Errorf("answered after %v, want %v or more", took, late)
	}
	s.Delay(0)
	must[string](t)(c.Create("/b", nil, 0, open))
}

func TestExpire(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a, b := connect(t, s.Addr(), 20*time.Second), connect(t, s.Addr(), 20*time.Second)
	must[string](t)(a.Create("/mine", nil, zk.FlagEphemeral, open))
	_, _, gone, err := b.ExistsW("/mine")
	if err != nil {
		t.Fatal(err)
	}
	id := a.SessionID()
	if n := s.Expire(only(id)); n != 1 {
		t.Fatalf("expired %d sessions, want 1", n)
	}
	if e := heard(t, gone); e.Type != zk.EventNodeDeleted || e.Path != "/mine" {
		t.Errorf("event %+v", e)
	}
	a.await(t, zk.StateExpired)
	a.await(t, zk.StateHasSession)
	if a.SessionID() == id {
		t.Error("the expired session was resumed")
	}
}

func TestSilentSessionExpires(t *testing.T) {
	t.Parallel()
	s := start(t, Config{TickTime: 20 * time.Millisecond, MaxSessionTimeout: time.Second})
	a := connect(t, s.Addr(), 200*time.Millisecond)
	must[string](t)(a.Create("/mine", nil, zk.FlagEphemeral, open))
	id := a.SessionID()
	s.Refuse(true, only(id))
	s.Cut(only(id))
	eventually(t, "the session ends", func() bool { return len(s.Sessions()) == 0 })
	if _, _, there := s.Get("/mine"); there {
		t.Error("its ephemeral node is still there")
	}
	s.Refuse(false, nil)
	a.await(t, zk.StateExpired)
}

func TestPingsKeepASession(t *testing.T) {
	t.Parallel()
	s := start(t, Config{TickTime: 20 * time.Millisecond, MaxSessionTimeout: time.Second})
	a := connect(t, s.Addr(), 300*time.Millisecond)
	var pings atomic.Int32
	s.Hook(func(op Op) Fault {
		if op.Name == "ping" {
			pings.Add(1)
		}
		return Pass
	})
	id := a.SessionID()
	eventually(t, "ten pings", func() bool { return pings.Load() >= 10 })
	if views := s.Sessions(); len(views) != 1 || views[0].ID != id || views[0].Timeout != 300*time.Millisecond {
		t.Errorf("sessions %+v", views)
	}
}

func TestHook(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := connect(t, s.Addr(), 20*time.Second)
	once := func(path string, f Fault) {
		var done atomic.Bool
		s.Hook(func(op Op) Fault {
			if slices.Contains(op.Paths, path) && op.Session.ID == c.SessionID() && done.CompareAndSwap(false, true) {
				return f
			}
			return Pass
		})
	}
	once("/refused", Refuse)
	if _, err := c.Create("/refused", nil, 0, open); !errors.Is(err, zk.ErrConnectionClosed) {
		t.Errorf("refused: %v", err)
	}
	if _, _, there := s.Get("/refused"); there {
		t.Error("a refused request was carried out")
	}
	c.await(t, zk.StateDisconnected)
	c.await(t, zk.StateHasSession)
	once("/after", CutAfter)
	if _, err := c.Multi(&zk.CreateRequest{Path: "/x", Acl: open}, &zk.CreateRequest{Path: "/after", Acl: open}); !errors.Is(err, zk.ErrConnectionClosed) {
		t.Errorf("cut after: %v", err)
	}
	if _, _, there := s.Get("/after"); !there {
		t.Error("a request was not carried out before the cut")
	}
	c.await(t, zk.StateDisconnected)
	c.await(t, zk.StateHasSession)
	const late = 50 * time.Millisecond
	once("/late", Late(late))
	began := time.Now()
	must[string](t)(c.Create("/late", nil, 0, open))
	if took := time.Since(began); took < late {
		t.Errorf("answered after %v, want %v or more", took, late)
	}
	s.Hook(nil)
	must[string](t)(c.Create("/pass", nil, 0, open))
}

// A request that is refused for the server's sake is answered so, not carried out,
// and the connection lives on.
func TestAnswersWithErrors(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := connect(t, s.Addr(), 20*time.Second)
	for path, f := range map[string]Fault{"/read-only": ReadOnly, "/full": Full} {
		s.Hook(func(op Op) Fault {
			if op.Name == "create" || op.Name == "multi" {
				return f
			}
			return Pass
		})
		if _, err := c.Create(path, nil, 0, open); err == nil || errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := c.Multi(&zk.CreateRequest{Path: path, Acl: open}); err == nil || errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("%s in a transaction: %v", path, err)
		}
		if there, _, err := c.Exists(path); there || err != nil {
			t.Errorf("%s: there %v, %v", path, there, err)
		}
	}
	s.Hook(nil)
	must[string](t)(c.Create("/pass", nil, 0, open))
}

package zookeeper

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// TestRefused: ZooKeeper takes a wrong password for another user's. Who may not
// stand for election for it, or may stand and not begin, says so, not each time,
// and stands again; once it is allowed it leads.
func TestRefused(t *testing.T) {
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			addr := b.start(t)
			for _, r := range []barred{
				{"wrong password", "candidates", "orchestrator", "create"},
				{"no user", "candidates", "", "create"},
				{"another's epoch", "epoch", "orchestrator", "write"},
			} {
				t.Run(string(r.kind), func(t *testing.T) { r.test(t, addr) })
			}
		})
	}
}

// barred is a kind of which a node is another's.
type barred struct {
	kind             fleet.Kind
	node, user, does string
}

func (r *barred) test(t *testing.T, addr string) {
	node, who := "/iota/orchestrator/"+string(r.kind)+"/"+r.node, "without a user"
	if r.user != "" {
		who = "as user \"" + r.user + "\""
	}
	once := open(t, Config{Servers: []string{addr}}) // all is open
	if err := once.Lead(patient(t), r.kind, fleet.Candidate{Name: "a"}, func(context.Context, int64, func() bool) {}); err != nil {
		t.Fatal(err)
	}
	owner := rawConn(t, addr)
	if err := owner.AddAuth("digest", []byte("orchestrator:secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.SetACL(node, append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...), -1); err != nil {
		t.Fatal(err)
	}
	said := make(lines, 1000)
	cfg := Config{Servers: []string{addr}, User: r.user,
		Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if r.user != "" {
		cfg.Password = "wrong one"
	}
	c := open(t, cfg)
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	led := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- c.Lead(ctx, r.kind, fleet.Candidate{Name: "b"}, func(context.Context, int64, func() bool) { close(led) })
	}()
	if n := said.warnings(t, 3); n != 1 {
		t.Errorf("%d warnings, want one", n)
	}
	for _, why := range []string{c.Refused(r.kind), c.Stats().Refused} {
		if !strings.Contains(why, r.does+" "+node) || !strings.Contains(why, who) || strings.Contains(why, "wrong one") {
			t.Errorf("refused: %q", why)
		}
	}
	if why := c.Refused("Rule"); why != "" {
		t.Errorf("of another kind: %q", why)
	}
	if _, err := owner.SetACL(node, zk.WorldACL(zk.PermAll), -1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-led:
	case <-ctx.Done():
		t.Fatal("it does not lead once it may")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if why := c.Refused(r.kind); why != "" {
		t.Errorf("after it has led: %q", why)
	}
}

// TestRefusedWhileAnother: a candidate that waits its turn is refused nothing.
func TestRefusedWhileAnother(t *testing.T) {
	addr := startStandIn(t)
	a, b := open(t, Config{Servers: []string{addr}}), open(t, Config{Servers: []string{addr}})
	b.refuse("Thing", zk.ErrNoAuth)
	if b.Refused("Thing") == "" {
		t.Fatal("no reason")
	}
	b.refuse("Thing", errors.New("the connection is lost"))
	if b.Refused("Thing") == "" {
		t.Error("what passes makes one forget what lasts")
	}
	err := a.Lead(patient(t), "Thing", fleet.Candidate{Name: "a"}, func(context.Context, int64, func() bool) {
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			ended <- b.Lead(ctx, "Thing", fleet.Candidate{Name: "b"}, func(context.Context, int64, func() bool) {})
		}()
		for b.Refused("Thing") != "" && ctx.Err() == nil {
			if err := pause(ctx, time.Millisecond); err != nil {
				t.Error("it waits and is still refused")
			}
		}
		cancel()
		<-ended
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRefusedByTurns: of candidates that are all refused the epoch, none is let off
// while it waits for another.
func TestRefusedByTurns(t *testing.T) {
	addr := startStandIn(t)
	once := open(t, Config{Servers: []string{addr}})
	if err := once.Lead(patient(t), "Thing", fleet.Candidate{Name: "a"}, func(context.Context, int64, func() bool) {}); err != nil {
		t.Fatal(err)
	}
	owner := rawConn(t, addr)
	if err := owner.AddAuth("digest", []byte("orchestrator:secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.SetACL("/iota/orchestrator/Thing/epoch", append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...), -1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	tried := make(chan struct{}, 1000)
	for _, name := range []string{"b", "c"} {
		var c atomic.Pointer[Client]
		was := false
		c.Store(open(t, Config{Servers: []string{addr}, Log: slog.New(slog.NewTextHandler(written(func(line string) {
			if !strings.Contains(line, "standing again") {
				return
			}
			is := c.Load().Refused("Thing") != ""
			if was && !is {
				t.Errorf("%s waited, and says no more what it was refused", name)
			}
			was = was || is
			tried <- struct{}{}
		}), &slog.HandlerOptions{Level: slog.LevelDebug}))}))
		all.Go(func() {
			if err := c.Load().Lead(ctx, "Thing", fleet.Candidate{Name: name}, func(context.Context, int64, func() bool) {}); ctx.Err() == nil {
				t.Errorf("%s may not write the epoch, and its Lead answers %v", name, err)
			}
		})
	}
	for range 20 {
		select {
		case <-tried:
		case <-ctx.Done():
			t.Fatal("they do not stand again")
		}
	}
	cancel()
}

// written is a log whose lines go to a function.
type written func(line string)

func (w written) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func TestReminder(t *testing.T) {
	var r reminder
	at := time.Unix(1<<30, 0)
	var told []time.Duration
	for n := range 24 * 3600 {
		if now := at.Add(time.Duration(n) * time.Second); r.due(now) {
			told = append(told, now.Sub(at))
		}
	}
	for i, want := range []time.Duration{0, time.Minute, 3 * time.Minute, 7 * time.Minute, 15 * time.Minute, 31 * time.Minute, 47 * time.Minute} {
		if told[i] != want {
			t.Errorf("told at %v, want at %v", told[i], want)
		}
	}
	if len(told) > 100 {
		t.Errorf("told %d times in a day", len(told))
	}
}

// warnings counts those there are until it has been tried that many times.
func (l lines) warnings(t *testing.T, tries int) (n int) {
	t.Helper()
	ctx := patient(t)
	for tries > 0 {
		select {
		case line := <-l:
			if strings.Contains(line, "level=WARN") && strings.Contains(line, "cannot stand for election") {
				n++
			}
			if strings.Contains(line, "standing again") {
				tries--
			}
		case <-ctx.Done():
			t.Fatal("it says nothing")
		}
	}
	return n
}

// lines are those of a log; what does not fit is lost.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

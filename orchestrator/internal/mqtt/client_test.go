package mqtt

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/porttest"
	"dacorch/orchestrator/porttest/real"
	broker "dacorch/sim/wire/mqtt"
)

var _ loop.Notifications = (*Client)(nil)

const patience = 60 * time.Second // only ever fails a test

func TestContract(t *testing.T) {
	t.Run("stand-in", func(t *testing.T) {
		porttest.Notifications(t, inProcess)
	})
	t.Run("Mosquitto", func(t *testing.T) {
		porttest.Notifications(t, mosquitto)
	})
}

// inProcess is the stand-in with its own fault hooks.
func inProcess(t *testing.T) porttest.NotificationsFixture {
	cfg := broker.Config{User: "orchestrator", Password: "right", DataDir: t.TempDir()}
	s := standIn(t, cfg)
	cfg.Addr = s.Addr() // and again after a restart
	return porttest.NotificationsFixture{
		New:     func(t *testing.T) loop.Notifications { return adapter(t, config(s.URL())) },
		Publish: func(t *testing.T, payload []byte) { inside(t, s, payload) },
		Cut:     func(*testing.T) { s.Cut(nil) },
		Outage: func(_ *testing.T, on bool) {
			if s.Refuse(on); on {
				s.Cut(nil)
			}
		},
		Stall: func(_ *testing.T, on bool) { s.Stall(on) },
		Restart: func(t *testing.T) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s = standIn(t, cfg)
		},
		Stranger: func(t *testing.T) (loop.Notifications, func(context.Context, int) error) { return stranger(t, s.URL()) },
		Window:   20,
	}
}

// mosquitto is a real broker behind a proxy that cuts.
func mosquitto(t *testing.T) porttest.NotificationsFixture {
	m := real.Mosquitto(t, real.Setting("max_queued_messages", "0"), real.Setting("max_inflight_messages", "20"),
		real.Setting("allow_anonymous", "false"), real.Setting("password_file", passwords(t)))
	p, err := broker.StartProxy(m.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	publisher := connectPublisher(t, m.Addr)
	return porttest.NotificationsFixture{
		New: func(t *testing.T) loop.Notifications { return adapter(t, config("mqtt://"+p.Addr())) },
		Publish: func(t *testing.T, payload []byte) {
			done(t, "publishing", publisher.Publish("cm/notify", 1, false, payload))
		},
		Stall: func(_ *testing.T, on bool) { p.Stall(on) },
		Restart: func(t *testing.T) {
			m.Stop()
			m.Start()
			publisher = connectPublisher(t, m.Addr)
		},
		Cut: func(*testing.T) { p.Cut() },
		Outage: func(_ *testing.T, on bool) {
			if p.Refuse(on); on {
				p.Cut()
			}
		},
		Stranger: func(t *testing.T) (loop.Notifications, func(context.Context, int) error) {
			return stranger(t, "mqtt://"+p.Addr())
		},
		Window: 20,
	}
}

// connectPublisher connects the data centre.
func connectPublisher(t *testing.T, addr string) paho.Client {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("publisher").SetAutoReconnect(false)
	c := paho.NewClient(o.SetUsername("orchestrator").SetPassword("right"))
	done(t, "connecting the publisher", c.Connect())
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

// passwords is a file for Mosquitto that knows the user orchestrator.
func passwords(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("mosquitto_passwd is not installed")
	}
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "-b", path, "orchestrator", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func done(t testing.TB, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Errorf("%s: no answer", what)
	} else if err := token.Error(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func standIn(t testing.TB, cfg broker.Config) *broker.Server {
	t.Helper()
	s, err := broker.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func inside(t testing.TB, s *broker.Server, payload []byte) {
	t.Helper()
	if err := s.Publish("cm/notify", payload, 1, false); err != nil {
		t.Error(err)
	}
}

// config suits a test: quick to come back, quick to notice.
func config(url string) Config {
	return Config{
		URL: url, ClientID: "orchestrator-0", User: "orchestrator", Password: "right",
		Reconnect: 50 * time.Millisecond, KeepAlive: time.Second, Log: slog.New(slog.DiscardHandler),
	}
}

func adapter(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stranger has the wrong password; it says how to wait for its log to tell so.
func stranger(t *testing.T, url string) (loop.Notifications, func(context.Context, int) error) {
	log := newLines()
	cfg := config(url)
	cfg.Password, cfg.Log = "wrong!", slog.New(slog.NewTextHandler(log, nil))
	t.Cleanup(func() {
		if strings.Contains(log.text(), "wrong!") {
			t.Error("the password stands in the log")
		}
	})
	return adapter(t, cfg), func(ctx context.Context, n int) error {
		return log.await(ctx, func(text string) bool {
			return strings.Count(text, "want a user and password that it knows") >= n
		})
	}
}

// lines is a log that can be waited for.
type lines struct {
	mu      sync.Mutex
	all     strings.Builder
	changed chan struct{}
}

var _ io.Writer = (*lines)(nil)

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (l *lines) await(ctx context.Context, ok func(text string) bool) error {
	for {
		l.mu.Lock()
		text, changed := l.all.String(), l.changed
		l.mu.Unlock()
		if ok(text) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

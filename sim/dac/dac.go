// Package dac is the simulated DAC: the program in an instance's pod. It does
// everything that the contract asks of one, over the real wire: it watches its
// nodes in ZooKeeper, runs the resources that its list names (a set of ids, with
// a callback for each start and end), writes what it has applied to tmp/status,
// and sends heartbeats to Kafka. It runs as a program of its own (see
// ConfigFromEnv), and hundreds of them run in one process.
package dac

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dacorch/orchestrator/fleet"
)

// Config says which instance the DAC is and how it behaves. Zero values stand
// for the defaults; Kind and ZooKeeper have none.
type Config struct {
	Kind     fleet.Kind
	Instance fleet.InstanceID
	// ZooKeeper are the servers, host:port.
	ZooKeeper []string
	// Dial, unless nil, makes the connections to ZooKeeper, as net.DialTimeout does.
	Dial func(network, address string, timeout time.Duration) (net.Conn, error)
	// TLS, unless nil, is spoken with ZooKeeper, above Dial. An empty ServerName is
	// the host's.
	TLS *tls.Config
	// Login, unless empty, is the user at ZooKeeper (scheme digest). Others may then
	// read the status and no more.
	Login Login
	// Root is the node above the kinds, "/iota/orchestration" by default.
	Root string
	// Session is the ZooKeeper session's timeout, 10 s by default. The server may
	// grant another.
	Session time.Duration
	// MaxPacket bounds what ZooKeeper may send, 1 MiB + 4 KiB by default. So many
	// bytes are set aside for each DAC.
	MaxPacket int

	// Heartbeat turns heartbeats on: one at the start and one every Interval, 60 s
	// by default.
	Heartbeat bool
	Interval  time.Duration
	// Late, unless nil, is asked after each Interval how much longer it is, as one
	// is that is measured with a slow clock.
	Late func() time.Duration
	// Beats is how they are sent; DACs of one process may share it, and whoever
	// made it closes it. When it is nil, Run sends them to Kafka, host:port of some
	// brokers, with a producer of its own.
	Beats Beats
	Kafka []string
	// KafkaTLS and SASL are how Run's own producer connects and logs in.
	KafkaTLS *tls.Config
	SASL     SASL
	// Topic is where Run's own producer sends, "HeartBeat" by default.
	Topic string

	// Confirms has tmp/status say which _reload times have been applied.
	Confirms bool
	// Latency is how long a reload takes, and Cost how long each id takes that it
	// starts or stops. None by default.
	Latency, Cost time.Duration

	// OnRun, unless nil, hears of each resource that starts and ends. OnReload
	// hears of the times of each list that has been applied, before the status
	// says so. One call at a time; they hold the DAC up, and must not call its
	// methods.
	OnRun    func(id string, on bool)
	OnReload func(times int64)
	// Log gets what people should know; nothing is logged when it is nil.
	Log *slog.Logger
}

// State is what a DAC is doing.
type State struct {
	Held    []string // what it runs, ascending; the caller's to keep
	Times   int64    // of the list that it has applied, -1 before the first
	Session int64    // of ZooKeeper, 0 without one
	Hung    bool
	Reloads uint64 // lists applied
	Beats   uint64 // heartbeats that were acknowledged
	Lost    uint64 // heartbeats that were not
}

// DAC is one run of the program. Its methods are safe for concurrent use.
type DAC struct {
	cfg  Config
	path string // of the instance's node
	link *link

	hang, kill         chan struct{}
	hangOnce, killOnce sync.Once
	zombie             atomic.Bool

	mu    sync.Mutex
	state State
}

// New checks the configuration; it connects to nothing. The error names the field.
func New(cfg Config) (*DAC, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("dac: %w", err)
	}
	d := &DAC{
		cfg: cfg, path: fmt.Sprintf("%s/%s/%d", cfg.Root, cfg.Kind, cfg.Instance), link: &link{via: cfg.Dial, tls: cfg.TLS, session: cfg.Session},
		hang: make(chan struct{}), kill: make(chan struct{}),
	}
	d.state.Times = -1
	return d, nil
}

// Run is New and the DAC's Run.
func Run(ctx context.Context, cfg Config) error {
	d, err := New(cfg)
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

func (cfg Config) withDefaults() Config {
	if cfg.Root == "" {
		cfg.Root = "/iota/orchestration"
	}
	if cfg.Session == 0 {
		cfg.Session = 10 * time.Second
	}
	if cfg.MaxPacket == 0 {
		cfg.MaxPacket = 1<<20 + 4<<10
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Minute
	}
	if cfg.Dial == nil {
		cfg.Dial = net.DialTimeout
	}
	if cfg.Topic == "" {
		cfg.Topic = "HeartBeat"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	cfg.Log = cfg.Log.With("kind", string(cfg.Kind), "instance", int(cfg.Instance))
	return cfg
}

func (cfg Config) check() error {
	switch {
	case cfg.Kind == "":
		return &fleet.FieldError{Field: "kind", Value: `""`, Want: `a kind such as "Thing"`}
	case cfg.Instance < 0:
		return &fleet.FieldError{Field: "instance", Value: fmt.Sprint(int(cfg.Instance)), Want: "0 or more"}
	case len(cfg.ZooKeeper) == 0:
		return &fleet.FieldError{Field: "zookeeper", Value: "none", Want: "at least one host:port"}
	case cfg.Session < time.Millisecond:
		return &fleet.FieldError{Field: "session", Value: cfg.Session.String(), Want: "1ms or more"}
	case cfg.Heartbeat && cfg.Beats == nil && len(cfg.Kafka) == 0:
		return &fleet.FieldError{Field: "kafka", Value: "none", Want: "at least one host:port, or no heartbeats"}
	case cfg.Heartbeat && cfg.Interval < time.Millisecond:
		return &fleet.FieldError{Field: "interval", Value: cfg.Interval.String(), Want: "1ms or more"}
	case cfg.MaxPacket < 1<<10 || cfg.MaxPacket > 1<<28:
		return &fleet.FieldError{Field: "maxPacket", Value: fmt.Sprint(cfg.MaxPacket), Want: "1024 to 268435456"}
	case cfg.Latency < 0 || cfg.Cost < 0:
		return errors.New("latency or cost is negative: want 0 or more")
	}
	return errors.Join(cfg.Login.check("zookeeper"), cfg.SASL.check())
}

// Run runs the program until ctx ends (SIGTERM): then what it runs ends first,
// and its session after that, so that nobody takes a resource over that still
// runs here. It answers nil, or what keeps it from starting. Once only.
func (d *DAC) Run(ctx context.Context) error {
	beats := d.cfg.Beats
	if d.cfg.Heartbeat && beats == nil {
		own, err := NewBeats(BeatsConfig{Brokers: d.cfg.Kafka, Topic: d.cfg.Topic, TLS: d.cfg.KafkaTLS, SASL: d.cfg.SASL})
		if err != nil {
			return fmt.Errorf("dac: %w", err)
		}
		defer own.Close()
		beats = own
	}
	work, stop := context.WithCancel(ctx) // ends by SIGTERM, by Kill and by Hang
	defer stop()
	var all sync.WaitGroup
	if d.cfg.Heartbeat {
		all.Go(func() { d.beat(work, beats) })
	}
	all.Go(func() {
		select {
		case <-d.hang:
		case <-d.kill:
		case <-work.Done():
		}
		stop()
	})
	err := d.serve(work)
	stop()
	all.Wait()
	if d.hung() { // it stays, and does nothing
		select {
		case <-ctx.Done():
		case <-d.kill:
		}
	}
	d.endAll()
	return err
}

// Hang stops everything that the program does, but not the program: what it runs
// runs on, its session expires, nothing is sent. Run returns as before.
func (d *DAC) Hang() {
	d.link.mute()
	d.hangOnce.Do(func() {
		d.mu.Lock()
		d.state.Hung = true
		d.mu.Unlock()
		close(d.hang)
	})
}

// Zombie has the program do nothing any more but send heartbeats and keep its
// session: what it runs runs on, and no change is applied or confirmed. It says
// whether it was none before.
func (d *DAC) Zombie() bool { return !d.zombie.Swap(true) }

// Kill ends the program as SIGKILL does: Run returns, and nobody is told; its
// session expires by itself.
func (d *DAC) Kill() {
	d.link.mute()
	d.killOnce.Do(func() { close(d.kill) })
}

// State tells what the DAC is doing now.
func (d *DAC) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state
	s.Held = append([]string(nil), s.Held...)
	return s
}

func (d *DAC) hung() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state.Hung
}

// beat sends heartbeats. One that cannot be sent until the next is due is lost.
func (d *DAC) beat(ctx context.Context, beats Beats) {
	tick := time.NewTicker(d.cfg.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		sending, done := context.WithTimeout(ctx, d.cfg.Interval)
		err := beats.Send(sending, d.cfg.Kind, d.cfg.Instance)
		done()
		d.mu.Lock()
		if err == nil {
			d.state.Beats++
		} else {
			d.state.Lost++
		}
		d.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Warn("a heartbeat is lost", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if d.cfg.Late == nil {
			continue
		}
		if late := d.cfg.Late(); late > 0 {
			pause(ctx, late)
			tick.Reset(d.cfg.Interval)
		}
	}
}

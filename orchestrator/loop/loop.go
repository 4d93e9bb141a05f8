// Package loop drives the core in production: it is the only place with
// goroutines and a clock, as thin as it can be. Each kind has a driver
// (driver.go): one goroutine that hands events to the kind's reconcile.Machine
// and executes its commands through the ports (ports.go). A campaign per kind
// (campaign.go) stands for election, runs the watches of a leader while it
// leads, and those of a follower while it does not. Readers look into the View
// (view.go) without disturbing either.
package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Ports are the adapters. All are required, but Heartbeats where no kind has
// them.
type Ports struct {
	Election      Election
	Store         Store
	Pods          Pods
	Database      Database
	Notifications Notifications
	Heartbeats    Heartbeats
}

// Config is what a loop is told beside its ports.
type Config struct {
	Who   fleet.Candidate // this process; Name is required
	Kinds []reconcile.Config
	Log   *slog.Logger // default: discards

	// CommitTimeout bounds one transaction, with the reading that finds out what
	// became of it; default 30 s.
	CommitTimeout time.Duration
	// CallTimeout bounds every other call of a port; default 1 min, a listing of
	// the database ten times that.
	CallTimeout time.Duration
	// DrainTimeout bounds the wait for the transaction in flight when the process
	// ends; default 5 s.
	DrainTimeout time.Duration
	// StepDownPause is the wait before a process that led stands for election
	// again; default 1 s. It doubles, up to 32 times that, with each leadership in
	// a row that the process gave up within 60 of these pauses.
	StepDownPause time.Duration
	// Inbox bounds the events that wait for a driver; whoever has more waits.
	// Default 4096.
	Inbox int
	// PodCalls bounds the pod calls under way for a kind at once; default 16.
	PodCalls int
	// Moves bounds the placements remembered for a kind; default 100,000.
	Moves int

	// Tell, unless nil, is told what happens. It must not block.
	Tell func(Entry)

	// Observe, unless nil, is told of what is measured. It must not block.
	Observe Observer

	// Record, unless nil, is shown all that the machines are told and answer. It
	// must not block.
	Record Recorder
}

// Observer is told of what is measured.
type Observer interface {
	Stepped(kind fleet.Kind, took time.Duration)
	Committed(kind fleet.Kind, outcome fleet.Outcome, took time.Duration)
	Called(kind fleet.Kind, port string, took time.Duration, err error)
}

// Recorder is shown all that each machine is told and answers, in that order, by
// the goroutine that steps it. It keeps nothing of what it is shown but strings.
type Recorder interface {
	// Told comes before the machine hears of the event: some are its to change.
	Told(kind fleet.Kind, now time.Duration, ev reconcile.Event)
	// Answered comes before the commands are executed. It may look at the machine.
	Answered(kind fleet.Kind, now time.Duration, commands []reconcile.Command, m *reconcile.Machine)
}

// Loop runs the machines of one process.
type Loop struct {
	cfg     Config
	ports   Ports
	origin  time.Time
	wall    time.Time
	drivers []*driver
	byKind  map[fleet.Kind]*driver
	acks    *acks

	notesUp atomic.Bool // the notification channel
	running atomic.Bool
}

// ErrUnknownKind says that a kind is not configured.
var ErrUnknownKind = errors.New("no such kind")

// ErrNotLeader says that another process leads, or none.
var ErrNotLeader = errors.New("this process does not lead the kind")

// New makes a loop; Run runs it.
func New(cfg Config, ports Ports) (*Loop, error) {
	if cfg.Who.Name == "" {
		return nil, &fleet.FieldError{Field: "name", Value: `""`, Want: "a name that no other process of the platform has"}
	}
	if len(cfg.Kinds) == 0 {
		return nil, &fleet.FieldError{Field: "kinds", Value: "[]", Want: "at least one kind"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.CommitTimeout = cmp.Or(cfg.CommitTimeout, 30*time.Second)
	cfg.CallTimeout = cmp.Or(cfg.CallTimeout, time.Minute)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 5*time.Second)
	cfg.StepDownPause = cmp.Or(cfg.StepDownPause, time.Second)
	cfg.Inbox = cmp.Or(cfg.Inbox, 4096)
	cfg.PodCalls = cmp.Or(cfg.PodCalls, 16)
	cfg.Moves = cmp.Or(cfg.Moves, 100_000)
	now := time.Now()
	l := &Loop{cfg: cfg, ports: ports, origin: now, wall: now, byKind: map[fleet.Kind]*driver{}}
	l.acks = newAcks(ports.Notifications.Ack)
	for _, c := range cfg.Kinds {
		if l.byKind[c.Kind] != nil {
			return nil, &fleet.FieldError{Field: "kinds", Value: string(c.Kind), Want: "each kind once"}
		}
		if c.Heartbeat && ports.Heartbeats == nil {
			return nil, &fleet.FieldError{Field: string(c.Kind) + ".heartbeat", Value: "true", Want: "false where there is no Kafka to hear them from"}
		}
		d, err := newDriver(l, c)
		if err != nil {
			return nil, fmt.Errorf("kind %s: %w", c.Kind, err)
		}
		l.drivers = append(l.drivers, d)
		l.byKind[c.Kind] = d
		l.acks.join(c.Kind)
	}
	return l, nil
}

// Run drives the machines until ctx ends. Then each leadership is handed over:
// the transaction in flight finishes, open orders are answered with an error,
// and the candidacies are given up. It answers nil after an orderly end, or the
// error of a port that no waiting mends. It can be called once.
func (l *Loop) Run(ctx context.Context) error {
	if l.running.Swap(true) {
		return errors.New("loop: Run was called twice")
	}
	// The drivers outlive the campaigns, and these ctx: what is under way must be
	// answered, whatever the reason for the end.
	alive, die := context.WithCancel(context.WithoutCancel(ctx))
	defer die()
	leaving, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	fatal := func(what string, err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			leave(fmt.Errorf("%s: %w", what, err))
		}
	}

	var drivers, campaigns, feeds sync.WaitGroup
	for _, d := range l.drivers {
		drivers.Go(func() { d.run(alive) })
	}
	fed, stopFeeds := context.WithCancel(alive)
	defer stopFeeds()
	feeds.Go(func() { fatal("notifications", l.ports.Notifications.Listen(fed, l.notified, l.noteChannel)) })
	for _, d := range l.drivers {
		campaigns.Go(func() { fatal("election of "+string(d.kind), d.campaign(leaving, alive)) })
		feeds.Go(func() {
			fatal("the leader of "+string(d.kind), l.ports.Election.WatchLeader(fed, d.kind, d.leaderIs))
		})
	}
	campaigns.Wait()
	stopFeeds()
	feeds.Wait()
	die()
	drivers.Wait()
	if cause := context.Cause(leaving); cause != context.Cause(ctx) {
		return cause
	}
	return nil
}

// now is the time as the machines count it.
func (l *Loop) now() time.Duration { return time.Since(l.origin) }

// Wall is the wall clock's reading of a machine's time.
func (l *Loop) Wall(at time.Duration) time.Time { return l.wall.Add(at) }

// notified routes a notification to the driver of its table. One for a table
// that is not orchestrated needs nobody.
func (l *Loop) notified(token uint64, n *fleet.Notification) {
	d := l.byKind[fleet.Kind(n.Table)]
	if d == nil {
		l.acks.skip(token)
		return
	}
	l.acks.expect(d.kind, token)
	d.post(work{ev: reconcile.Notified{Token: token, Note: n}})
}

func (l *Loop) noteChannel(up bool) {
	if l.notesUp.Swap(up) == up {
		return
	}
	if !up {
		l.acks.cut()
	}
	for _, d := range l.drivers {
		d.post(work{ev: reconcile.NotificationChannel{Up: up}})
	}
}

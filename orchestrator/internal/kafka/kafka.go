// Package kafka reads the topic HeartBeat (CONTRACT.md, Kafka) with a consumer
// group per kind, and knows at each moment whether its silence means anything.
//
// That knowledge is made of three things. A second connection of its own asks
// the brokers, several times in Config.Fresh, where each partition ends. The
// consumer knows how far it has read. The channel is up while every partition of
// the topic is this consumer's own, and all that the brokers held at a moment no
// longer ago than Config.Fresh has been handed over. Whatever breaks, an answer
// that does not come or a record that is not read, lets that moment fall behind.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"dacorch/orchestrator/fleet"
)

// Config says how the topic is read. Zero values stand for the defaults; only
// Brokers has none.
type Config struct {
	// Brokers are host:port of some of the brokers; the others are learnt from them.
	Brokers []string
	// Topic is where heartbeats are, "HeartBeat" by default. It is never created:
	// while it is missing, the channel is down.
	Topic string
	// GroupPrefix and the kind are the consumer group's name;
	// "iota-orchestrator-" by default.
	GroupPrefix string
	// ClientID is what brokers log and count by, "iota-orchestrator" by default.
	ClientID string
	// Fresh is how old the knowledge may be that everything has been read, 1.5 s
	// by default, 100 ms to 1 min. The brokers are asked four times in it.
	Fresh time.Duration
	// MaxAge is how old a heartbeat may be that still says anything, 90 s by
	// default (the silence deadline), at least 1 s. See Stats.Late.
	MaxAge time.Duration
	// Session is the time after which the brokers take the partitions from a
	// member that has died, 10 s by default. Brokers accept 6 s to 30 min unless
	// told otherwise.
	Session time.Duration
	// Leave bounds how long Listen takes to leave the group in order once its
	// context has ended, 2 s by default. Who is cut off then leaves by dying.
	Leave time.Duration
	// MaxBytes bounds a heartbeat, 4 KiB by default. Larger ones are unparseable.
	MaxBytes int
	// SASL, unless Mechanism is empty, is how to log in.
	SASL SASL
	// TLS, unless nil, is spoken with the brokers.
	TLS *tls.Config
	// Log gets what people should know; nothing is logged when it is nil.
	Log *slog.Logger
}

// SASL is a login. It prints without the password.
type SASL struct {
	Mechanism string // "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512"; empty for none
	User      string
	Password  string
}

// String tells the mechanism and the user.
func (s SASL) String() string { return fmt.Sprintf("%s as %q", s.Mechanism, s.User) }

// GoString is String: a password does not get into a log by way of %#v.
func (s SASL) GoString() string { return s.String() }

// Stats counts what all Listens of a Consumer have met.
type Stats struct {
	Beats  uint64 // handed over
	Others uint64 // for another kind
	// Unparseable are records that are no heartbeats.
	Unparseable uint64
	// Late are heartbeats of the kind that were not handed over: read from a
	// backlog, and with a timestamp more than MaxAge ago. Where the record itself
	// proves to have been appended within MaxAge, its sender lives, whatever its
	// clock says: see Skewed. So a sender's clock matters in a backlog alone;
	// there, one that is slow by s seconds makes MaxAge s seconds shorter, and one
	// that is fast makes it longer.
	Late uint64
	// Skewed are heartbeats that were handed over although their timestamp is more
	// than MaxAge from the time here: a clock is wrong.
	Skewed uint64
	// Sessions are the times that a group has been joined.
	Sessions uint64
	// Failures are errors of joining, fetching, committing and asking.
	Failures uint64
}

// Consumer is loop.Heartbeats. Its methods are safe for concurrent use; a kind
// may be listened to by one Listen of a process at a time, since two would share
// its heartbeats and both be down.
type Consumer struct {
	cfg   Config
	stats struct {
		beats, others, unparseable, late, skewed, sessions, failures atomic.Uint64
	}
}

// New checks the configuration. It does not connect: Listen does, for as long as
// it takes. The error names the field.
func New(cfg Config) (*Consumer, error) {
	cfg = cfg.withDefaults()
	c := &Consumer{cfg: cfg}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return c, nil
}

func (cfg Config) withDefaults() Config {
	orString := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	orTime := func(t *time.Duration, d time.Duration) {
		if *t == 0 {
			*t = d
		}
	}
	orString(&cfg.Topic, "HeartBeat")
	orString(&cfg.GroupPrefix, "iota-orchestrator-")
	orString(&cfg.ClientID, "iota-orchestrator")
	orTime(&cfg.Fresh, 1500*time.Millisecond)
	orTime(&cfg.MaxAge, 90*time.Second)
	orTime(&cfg.Session, 10*time.Second)
	orTime(&cfg.Leave, 2*time.Second)
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 4 << 10
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	return cfg
}

func (c *Consumer) check() error {
	cfg := c.cfg
	if len(cfg.Brokers) == 0 {
		return &fleet.FieldError{Field: "brokers", Value: "none", Want: "at least one host:port"}
	}
	for _, b := range []struct {
		field      string
		value      time.Duration
		least, top time.Duration
	}{
		{"fresh", cfg.Fresh, 100 * time.Millisecond, time.Minute},
		{"maxAge", cfg.MaxAge, time.Second, 24 * time.Hour},
		{"session", cfg.Session, 100 * time.Millisecond, 30 * time.Minute},
		{"leave", cfg.Leave, time.Millisecond, time.Minute},
	} {
		if b.value < b.least || b.value > b.top {
			return &fleet.FieldError{Field: b.field, Value: b.value.String(), Want: fmt.Sprintf("%s to %s", b.least, b.top)}
		}
	}
	if cfg.MaxBytes < 64 || cfg.MaxBytes > 1<<20 {
		return &fleet.FieldError{Field: "maxBytes", Value: fmt.Sprint(cfg.MaxBytes), Want: "64 to 1048576"}
	}
	if err := cfg.SASL.check(); err != nil {
		return err
	}
	if err := c.clientConfig(nil).Validate(); err != nil {
		return fmt.Errorf("brokers, clientID or tls: %w", err)
	}
	return nil
}

func (s SASL) check() error {
	switch s.Mechanism {
	case "":
		if s != (SASL{}) {
			return &fleet.FieldError{Field: "sasl.mechanism", Value: `""`, Want: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 where there is a user"}
		}
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if s.User == "" || s.Password == "" {
			return errors.New("sasl.user and sasl.password: one is empty: want both")
		}
	default:
		return &fleet.FieldError{Field: "sasl.mechanism", Value: s.Mechanism, Want: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"}
	}
	return nil
}

// Stats is what has been counted so far.
func (c *Consumer) Stats() Stats {
	s := &c.stats
	return Stats{
		Beats: s.beats.Load(), Others: s.others.Load(), Unparseable: s.unparseable.Load(), Late: s.late.Load(),
		Skewed: s.skewed.Load(), Sessions: s.sessions.Load(), Failures: s.failures.Load(),
	}
}

// Listen is loop.Heartbeats' Listen. It answers ctx's error, after at most
// Config.Leave and what a call of beat or channel that is under way takes.
func (c *Consumer) Listen(ctx context.Context, kind fleet.Kind, beat func(fleet.InstanceID), channel func(up bool)) error {
	l := &listener{
		Consumer: c, kind: kind, beat: beat, channel: channel,
		group: c.cfg.GroupPrefix + string(kind),
		log:   c.cfg.Log.With("topic", c.cfg.Topic, "kind", string(kind)),
	}
	l.run(ctx)
	return ctx.Err()
}

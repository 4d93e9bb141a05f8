package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"dacorch/orchestrator/fleet"
)

// listener is one Listen. It is the handler of its consumer group.
type listener struct {
	*Consumer
	kind    fleet.Kind
	group   string
	log     *slog.Logger
	beat    func(fleet.InstanceID)
	channel func(up bool)

	progress progress
	junk     sparse // the log of records that are no heartbeats
	trouble  sparse // the log of what fails

	calls sync.Mutex // one call of beat or channel at a time
	up    bool       // what channel was told last
}

// The waits between attempts grow from the first to the second, each up to half
// of it shorter by chance.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

func (l *listener) run(ctx context.Context) {
	l.progress.fresh, l.progress.maxAge = l.cfg.Fresh, l.cfg.MaxAge
	via := newLines(5 * time.Second)
	defer via.cut()
	var all sync.WaitGroup
	all.Go(func() { l.watch(ctx) })
	all.Go(func() { l.ask(ctx, via) })
	all.Go(func() { l.consume(ctx, via) })

	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	<-ctx.Done()
	leave := time.AfterFunc(l.cfg.Leave, via.cut)
	<-done
	leave.Stop()
}

// watch tells what changes by time alone.
func (l *listener) watch(ctx context.Context) {
	tick := time.NewTicker(l.cfg.Fresh / 8)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.tell()
		}
	}
}

// tell tells whether the channel is up, if that has changed.
func (l *listener) tell() {
	l.calls.Lock()
	defer l.calls.Unlock()
	up := l.progress.up(time.Now())
	if up == l.up {
		return
	}
	l.up = up
	if up {
		l.log.Info("heartbeats are read up to now")
	} else {
		l.log.Warn("heartbeats may be missing: their silence means nothing")
	}
	l.channel(up)
}

// consume is a member of the group until ctx ends.
func (l *listener) consume(ctx context.Context, via *lines) {
	group, err := sarama.NewConsumerGroup(l.cfg.Brokers, l.group, l.groupConfig(via))
	if err != nil { // New has tried the configuration; nothing has been connected yet
		l.failed("cannot make a consumer group: "+l.group, err)
		<-ctx.Done()
		return
	}
	var errs sync.WaitGroup
	errs.Go(func() {
		for err := range group.Errors() {
			l.failed("reading failed", err)
		}
	})
	wait := firstWait
	for ctx.Err() == nil {
		began := time.Now()
		err := group.Consume(ctx, []string{l.cfg.Topic}, l)
		l.progress.stop()
		if ctx.Err() != nil {
			break
		}
		l.tell()
		if err != nil {
			l.failed("cannot join the group "+l.group, err)
		}
		if time.Since(began) > lastWait {
			wait = firstWait
		}
		wait = pause(ctx, wait)
	}
	if err := group.Close(); err != nil {
		l.log.Warn("the group was not left in order: its partitions are free once the session has timed out",
			"group", l.group, "session", l.cfg.Session, "error", err)
	}
	errs.Wait()
}

// pause waits, or until ctx ends, and answers the next wait.
func pause(ctx context.Context, wait time.Duration) time.Duration {
	timer := time.NewTimer(wait - rand.N(wait/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return min(2*wait, lastWait)
}

// Setup hears of a new session, before its partitions are read.
func (l *listener) Setup(session sarama.ConsumerGroupSession) error {
	l.stats.sessions.Add(1)
	l.progress.start()
	l.log.Info("joined the group", "group", l.group, "partitions", len(session.Claims()[l.cfg.Topic]))
	return nil
}

// Cleanup hears that a session is over.
func (l *listener) Cleanup(session sarama.ConsumerGroupSession) error {
	l.progress.stop()
	return nil
}

// ConsumeClaim reads one partition until the session ends.
func (l *listener) ConsumeClaim(session sarama.ConsumerGroupSession, claimed sarama.ConsumerGroupClaim) error {
	next, end := claimed.InitialOffset(), claimed.HighWaterMarkOffset()
	if next < 0 { // nobody has read it before: what comes from now on is ours
		next = end
		session.MarkOffset(claimed.Topic(), claimed.Partition(), next, "")
	}
	c := l.progress.claim(time.Now(), claimed.Partition(), next, end)
	room := make([]record, 0, mostAtOnce)
	for m := range claimed.Messages() { // closed when the session ends
		if session.Context().Err() != nil {
			return nil
		}
		batch := l.gather(room, m, claimed.Messages())
		l.handOver(c, batch)
		session.MarkMessage(batch[len(batch)-1].message, "")
		clear(batch) // lets go of the messages
	}
	return nil
}

// mostAtOnce bounds for how long one partition's records keep others waiting.
const mostAtOnce = 64

// record is a record that has been read.
type record struct {
	message *sarama.ConsumerMessage
	beat    Beat
	err     error // why it is no heartbeat
}

// gather reads a record and what has come behind it, without waiting. Partitions
// do so beside each other.
func (l *listener) gather(into []record, m *sarama.ConsumerMessage, more <-chan *sarama.ConsumerMessage) []record {
	for {
		b, err := l.parse(m.Value)
		into = append(into, record{m, b, err})
		if len(into) == mostAtOnce {
			return into
		}
		select {
		case next, open := <-more:
			if !open {
				return into
			}
			m = next
		default:
			return into
		}
	}
}

// handOver hands records over: turns between partitions at each of them would
// cost more than the records do.
func (l *listener) handOver(c *claim, batch []record) {
	l.calls.Lock()
	defer l.calls.Unlock()
	now, beats := time.Now(), uint64(0)
	for i := range batch {
		if l.take(c, &batch[i], now) {
			beats++
		}
	}
	l.stats.beats.Add(beats) // once for all, as is the place: partitions share what they write to
	c.next.Store(batch[len(batch)-1].message.Offset + 1)
}

// take takes one record in, and says whether it was handed over as a heartbeat;
// the calls are locked.
func (l *listener) take(c *claim, r *record, now time.Time) bool {
	m, b := r.message, &r.beat
	switch {
	case r.err != nil:
		l.stats.unparseable.Add(1)
		if n, ok := l.junk.next(now); ok {
			l.log.Warn("a record is no heartbeat: skipped", "partition", m.Partition, "offset", m.Offset, "error", r.err, "unlogged", n)
		}
	case b.Kind != l.kind:
		l.stats.others.Add(1)
	case l.says(c, m.Offset, *b, now):
		l.beat(b.Instance)
		return true
	default:
		l.stats.late.Add(1)
	}
	return false
}

func (l *listener) parse(value []byte) (Beat, error) {
	if len(value) > l.cfg.MaxBytes {
		return Beat{}, fmt.Errorf("%d bytes: want at most %d", len(value), l.cfg.MaxBytes)
	}
	return parse(value, l.kind)
}

// says is whether a heartbeat says anything about now.
func (l *listener) says(c *claim, offset int64, b Beat, now time.Time) bool {
	age := now.Sub(b.SentAt)
	if age.Abs() <= l.cfg.MaxAge {
		return true
	}
	if age > 0 && offset < c.recent.Load() {
		return false
	}
	l.stats.skewed.Add(1)
	return true
}

// failed counts and logs what will be tried again.
func (l *listener) failed(what string, err error) {
	l.stats.failures.Add(1)
	if n, ok := l.trouble.next(time.Now()); ok {
		l.log.Warn(what, "error", err, "unlogged", n)
	}
}

// sparse lets one line in ten seconds through.
type sparse struct {
	mu     sync.Mutex
	last   time.Time
	missed int
}

// next says whether to log now, and how many lines have been left out.
func (s *sparse) next(now time.Time) (missed int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < 10*time.Second {
		s.missed++
		return 0, false
	}
	missed, s.missed, s.last = s.missed, 0, now
	return missed, true
}

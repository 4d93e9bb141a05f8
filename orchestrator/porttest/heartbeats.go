package porttest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// HeartbeatsFixture is a topic that nobody has read or written.
type HeartbeatsFixture struct {
	// New makes one process's adapter for the topic.
	New func(t *testing.T) loop.Heartbeats
	// Produce appends a record and waits until the brokers hold it.
	Produce func(t *testing.T, value []byte)
	// Outage makes the brokers unreachable, and reachable again. The case is
	// skipped when it is nil.
	Outage func(t *testing.T, on bool)
	// Stall lets the brokers take requests and answer none, until it is over. The
	// case is skipped when it is nil.
	Stall func(t *testing.T, on bool)
	// MaxAge is how old the adapter lets a heartbeat in a backlog be.
	MaxAge time.Duration
}

// Heartbeats holds an adapter of loop.Heartbeats to its contract. start is called
// once for each case.
func Heartbeats(t *testing.T, start func(t *testing.T) HeartbeatsFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f HeartbeatsFixture)
	}{
		{"only new ones", beatsOnlyNew},
		{"other kinds are ignored", beatsOtherKinds},
		{"junk is skipped", beatsJunk},
		{"either way of writing a heartbeat", beatsWritings},
		{"a reader that blocks", beatsBlocked},
		{"an outage", beatsOutage},
		{"a stall", beatsStall},
		{"what came in an outage of the reader", beatsBacklog},
		{"another process takes over", beatsTakeOver},
		{"two processes at once", beatsTwoAtOnce},
		{"nothing after the end", beatsEnd},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, start(t)) })
	}
}

// HeartbeatValue is a heartbeat as a DAC sends it.
func HeartbeatValue(kind fleet.Kind, id fleet.InstanceID, at time.Time) []byte {
	return fmt.Appendf(nil, `{"resource":%q,"instanceId":"%d","timestamp":"%d"}`, string(kind), id, at.Unix())
}

// beatPatience only ever fails a test; nothing waits for its end.
const beatPatience = 60 * time.Second

// beatListening is a Listen under way and what it has told.
type beatListening struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	beats   []fleet.InstanceID
	up      bool
	downs   int
	inside  int  // calls under way
	ended   bool // no call may come
	block   chan struct{}
	wrong   []string
}

func listenBeats(t *testing.T, h loop.Heartbeats, kind fleet.Kind) *beatListening {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &beatListening{t: t, cancel: cancel, done: make(chan error, 1), changed: make(chan struct{})}
	go func() {
		err := h.Listen(ctx, kind, l.beat, l.channel)
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.done <- err
	}()
	t.Cleanup(func() {
		cancel()
		l.unblock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, w := range l.wrong {
			t.Error(w)
		}
	})
	return l
}

// call is a call of beat or channel, one at a time.
func (l *beatListening) call(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inside++; l.inside > 1 {
		l.wrong = append(l.wrong, "two calls at once")
	}
	if l.ended {
		l.wrong = append(l.wrong, "a call after Listen has returned")
	}
	block := l.block
	l.mu.Unlock()
	if block != nil {
		<-block
	}
	l.mu.Lock()
	what()
	l.inside--
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *beatListening) beat(id fleet.InstanceID) {
	l.call(func() { l.beats = append(l.beats, id) })
}

func (l *beatListening) channel(up bool) {
	l.call(func() {
		if up == l.up {
			l.wrong = append(l.wrong, fmt.Sprintf("the channel was told twice that up is %t", up))
		}
		if l.up = up; !up {
			l.downs++
		}
	})
}

// wait waits until what holds.
func (l *beatListening) wait(why string, what func() bool) {
	l.t.Helper()
	late := time.NewTimer(beatPatience)
	defer late.Stop()
	for {
		l.mu.Lock()
		ok, changed := what(), l.changed
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case err := <-l.done:
			l.done <- err
			l.t.Fatalf("waiting for %s: Listen has returned %v", why, err)
		case <-late.C:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.t.Fatalf("waited %s for %s: up %t, beats %v", beatPatience, why, l.up, l.beats)
		}
	}
}

func (l *beatListening) waitUp() {
	l.t.Helper()
	l.wait("the channel to be up", func() bool { return l.up })
}

func (l *beatListening) waitDown() {
	l.t.Helper()
	l.wait("the channel to be down", func() bool { return !l.up })
}

// waitBeats waits for these beats and no others, ascending, in whatever order they
// came: there is none between partitions.
func (l *beatListening) waitBeats(want ...fleet.InstanceID) {
	l.t.Helper()
	l.wait(fmt.Sprintf("beats of %v", want), func() bool { return len(l.beats) >= len(want) })
	l.mu.Lock()
	defer l.mu.Unlock()
	got := slices.Sorted(slices.Values(l.beats))
	if !slices.Equal(got, want) {
		l.t.Fatalf("beats of %v, want %v", got, want)
	}
}

// stop ends the Listen and waits for it.
func (l *beatListening) stop() {
	l.t.Helper()
	l.cancel()
	select {
	case err := <-l.done:
		if !errors.Is(err, context.Canceled) {
			l.t.Errorf("Listen answers %v, want the context's error", err)
		}
	case <-time.After(beatPatience):
		l.t.Fatalf("Listen has not returned %s after its context's end", beatPatience)
	}
}

func (l *beatListening) unblock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.block != nil {
		close(l.block)
		l.block = nil
	}
}

func beatsOnlyNew(t *testing.T, f HeartbeatsFixture) {
	for id := range fleet.InstanceID(5) {
		f.Produce(t, HeartbeatValue("Thing", id, time.Now()))
	}
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	for id := fleet.InstanceID(10); id < 15; id++ {
		f.Produce(t, HeartbeatValue("Thing", id, time.Now()))
	}
	l.waitBeats(10, 11, 12, 13, 14)
	l.stop()
}

func beatsOtherKinds(t *testing.T, f HeartbeatsFixture) {
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	f.Produce(t, HeartbeatValue("Rule", 1, time.Now()))
	f.Produce(t, HeartbeatValue("thing", 2, time.Now()))
	f.Produce(t, HeartbeatValue("Thing", 3, time.Now()))
	l.waitBeats(3)
	l.stop()
}

func beatsJunk(t *testing.T, f HeartbeatsFixture) {
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	for _, junk := range []string{"", "{", "null", "[]", "7", `{"resource":"Thing"}`, `{"resource":7,"instanceId":1,"timestamp":1}`,
		`{"resource":"Thing","instanceId":-1,"timestamp":1700000000}`, `{"resource":"Thing","instanceId":"x","timestamp":1700000000}`,
		`{"resource":"Thing","instanceId":1,"timestamp":"noon"}`, "\xff\x00", strings.Repeat("x", 100_000)} {
		f.Produce(t, []byte(junk))
	}
	f.Produce(t, HeartbeatValue("Thing", 4, time.Now()))
	l.waitBeats(4)
	l.stop()
}

func beatsWritings(t *testing.T, f HeartbeatsFixture) {
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	f.Produce(t, []byte(`{"resource":"Thing","instanceId":1,"timestamp":`+now+`}`))
	f.Produce(t, []byte(`{"RESOURCE":"Thing","InstanceID":"2","Timestamp":"`+now+`"}`))
	f.Produce(t, []byte(`{"host":{"name":"a"},"resource":"Thing","instanceId":3,"timestamp":"`+now+`","load":[1,2]}`))
	l.waitBeats(1, 2, 3)
	l.stop()
}

// beatsBlocked: a call may block for long. What comes meanwhile waits.
func beatsBlocked(t *testing.T, f HeartbeatsFixture) {
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	l.mu.Lock()
	l.block = make(chan struct{})
	l.mu.Unlock()
	for id := range fleet.InstanceID(20) {
		f.Produce(t, HeartbeatValue("Thing", id, time.Now()))
	}
	l.mu.Lock()
	got := len(l.beats)
	l.mu.Unlock()
	if got != 0 {
		t.Errorf("%d beats were handed over while the first call blocked", got)
	}
	l.unblock()
	l.wait("all beats", func() bool { return len(l.beats) == 20 })
	l.waitUp()
	l.stop()
}

func beatsOutage(t *testing.T, f HeartbeatsFixture) {
	if f.Outage == nil {
		t.Skip("the fixture has no outages")
	}
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	f.Outage(t, true)
	l.waitDown()
	f.Outage(t, false)
	l.waitUp()
	f.Produce(t, HeartbeatValue("Thing", 7, time.Now()))
	l.waitBeats(7)
	l.stop()
}

func beatsStall(t *testing.T, f HeartbeatsFixture) {
	if f.Stall == nil {
		t.Skip("the fixture has no stalls")
	}
	l := listenBeats(t, f.New(t), "Thing")
	l.waitUp()
	f.Stall(t, true)
	l.waitDown()
	f.Stall(t, false)
	l.waitUp()
	f.Produce(t, HeartbeatValue("Thing", 8, time.Now()))
	l.waitBeats(8)
	l.stop()
}

// beatsBacklog: what was sent while nobody read is read before the channel is up, and
// what is too old to say anything is not handed over.
func beatsBacklog(t *testing.T, f HeartbeatsFixture) {
	first := listenBeats(t, f.New(t), "Thing")
	first.waitUp()
	f.Produce(t, HeartbeatValue("Thing", 1, time.Now()))
	first.waitBeats(1)
	first.stop()
	for id := fleet.InstanceID(20); id < 25; id++ {
		f.Produce(t, HeartbeatValue("Thing", id, time.Now()))
	}
	f.Produce(t, HeartbeatValue("Thing", 30, time.Now().Add(-2*f.MaxAge)))
	second := listenBeats(t, f.New(t), "Thing")
	second.waitUp()
	second.mu.Lock()
	got := slices.Sorted(slices.Values(second.beats))
	second.mu.Unlock()
	if want := []fleet.InstanceID{20, 21, 22, 23, 24}; !slices.Equal(got, want) {
		t.Errorf("when the channel came up, beats of %v had been handed over, want %v", got, want)
	}
	second.stop()
}

func beatsTakeOver(t *testing.T, f HeartbeatsFixture) {
	first := listenBeats(t, f.New(t), "Thing")
	first.waitUp()
	f.Produce(t, HeartbeatValue("Thing", 1, time.Now()))
	first.waitBeats(1)
	first.stop()
	second := listenBeats(t, f.New(t), "Thing")
	second.waitUp()
	f.Produce(t, HeartbeatValue("Thing", 2, time.Now()))
	second.waitBeats(2)
	second.stop()
}

// beatsTwoAtOnce: who reads a part of the topic cannot tell what silence means. Once
// one has gone, the other can.
func beatsTwoAtOnce(t *testing.T, f HeartbeatsFixture) {
	first := listenBeats(t, f.New(t), "Thing")
	first.waitUp()
	second := listenBeats(t, f.New(t), "Thing")
	first.wait("the first to have been down while the second joined", func() bool { return first.downs > 0 })
	first.stop()
	second.waitUp()
	f.Produce(t, HeartbeatValue("Thing", 5, time.Now()))
	second.wait("the beat of 5", func() bool { return slices.Contains(second.beats, 5) })
	second.stop()
}

func beatsEnd(t *testing.T, f HeartbeatsFixture) {
	h := f.New(t)
	for range 16 { // the producer's own connections come first
		f.Produce(t, HeartbeatValue("Thing", 1, time.Now()))
	}
	before := runtime.NumGoroutine()
	for range 3 {
		l := listenBeats(t, h, "Thing")
		l.waitUp()
		l.stop()
		f.Produce(t, HeartbeatValue("Thing", 1, time.Now()))
	}
	// Goroutines of connections end a moment after them, the brokers' own too.
	for deadline := time.Now().Add(beatPatience); runtime.NumGoroutine() > before+2; {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		<-time.After(10 * time.Millisecond)
	}
}

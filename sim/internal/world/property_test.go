package world

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

func seconds(t *rapid.T, label string, most int) time.Duration {
	return time.Duration(rapid.IntRange(0, most*1000).Draw(t, label)) * time.Millisecond
}

func drawSeed(t *rapid.T) timeline.Seed { return timeline.Seed(rapid.Uint64().Draw(t, "seed")) }

// Whatever breaks: on each connection messages come in order and without a gap,
// from no later than the first one not yet delivered; one that comes again says
// so; one whose acknowledgement has arrived does not come again; in the end all
// have come. The publisher buffers, so that nothing may be lost.
func TestMQTTKeepsMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		cfg := DefaultConfig().MQTT
		cfg.PublisherBuffers = true
		m := NewMQTT(tl, drawSeed(t), cfg)
		numbers := map[*fleet.Notification]int{}
		published, delivered, safe := 0, 0, 0 // counts from the front
		previous, token := -1, uint64(0)
		tokens := map[uint64]int{} // of this connection
		var sub *Subscriber
		subscribe := func() {
			previous = -1
			sub = m.Subscribe("orchestrator", func(_ time.Duration, d Delivery) {
				n := numbers[d.Notification]
				switch {
				case previous >= 0 && n != previous+1:
					t.Fatalf("message %d follows %d", n, previous)
				case n > delivered:
					t.Fatalf("message %d comes, %d was never delivered", n, delivered)
				case n < safe:
					t.Fatalf("message %d comes again after its acknowledgement", n)
				case n < delivered && !d.Dup:
					t.Fatalf("message %d comes again without saying so", n)
				case d.Token <= token:
					t.Fatalf("token %d follows %d", d.Token, token)
				}
				previous, token, delivered = n, d.Token, max(delivered, n+1)
				tokens[d.Token] = n
			}, func(time.Duration, bool) { previous = -1 })
		}
		subscribe()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"publish", "publish", "ack", "break", "close", "down", "up", "publisher", "safe"}).Draw(t, "do") {
			case "publish":
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					n := &fleet.Notification{}
					numbers[n] = published
					published++
					m.Publish(n)
				}
			case "ack":
				sub.Ack(rapid.Uint64Range(0, token+1).Draw(t, "token"))
			case "safe": // an acknowledgement that has the time to arrive
				if sub.Connected() && previous >= 0 {
					acked := previous
					sub.Ack(token)
					runUntil(tl, tl.Now()+cfg.Ack.Max)
					safe = acked + 1
				}
			case "break":
				sub.Break()
			case "publisher":
				m.BreakPublisher()
			case "close":
				sub.Close()
				subscribe()
			case "down":
				m.Down()
			case "up":
				m.Up()
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 20))
		}
		m.Up()
		runUntil(tl, tl.Now()+time.Minute)
		if delivered != published {
			t.Fatalf("%d of %d messages delivered", delivered, published)
		}
		sub.Ack(token)
		sub.Ack(token + 1)
		runUntil(tl, tl.Now()+cfg.Ack.Max)
		sub.Break()
		if sub.Pending() != 0 {
			t.Fatalf("%d messages kept after the last acknowledgement", sub.Pending())
		}
	})
}

func TestMQTTBoundsQueues(t *testing.T) {
	tl := timeline.New()
	cfg := DefaultConfig().MQTT
	cfg.QueueBound, cfg.PublisherBound, cfg.PublisherBuffers = 3, 2, true
	m := NewMQTT(tl, 1, cfg)
	var got []string
	on := func(_ time.Duration, d Delivery) { got = append(got, d.Notification.Table) }
	m.Subscribe("orchestrator", on, func(time.Duration, bool) {}).Close()
	for i := range 5 {
		m.Publish(&fleet.Notification{Table: fmt.Sprint(i)})
	}
	runUntil(tl, time.Second)
	m.BreakPublisher()
	for i := range 5 {
		m.Publish(&fleet.Notification{Table: fmt.Sprint("late", i)})
	}
	sub := m.Subscribe("orchestrator", on, func(time.Duration, bool) {})
	runUntil(tl, 2*time.Second)
	sub.Ack(3)
	runUntil(tl, time.Minute)
	if want := []string{"0", "1", "2", "late0", "late1"}; !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
	if s := m.Stats(); s.Overflowed != 2 || s.Lost != 3 || s.Published != 10 || s.Delivered != 5 {
		t.Errorf("stats %+v", s)
	}
}

// One member reads at a time; from the group's first assignment on every record
// of the log is read, in order, from no later than the committed offset; what was
// sent while the broker was up and stayed up is in the log.
func TestKafkaReadsTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		k := NewKafka(tl, drawSeed(t), DefaultConfig().Kafka)
		read, committed := int64(-1), int64(-1) // next to be read by the group
		var members []*Consumer
		join := func() {
			var c *Consumer
			last := int64(-1)
			c = k.Join("group", func(_ time.Duration, h Heartbeat) {
				for _, other := range members {
					if other != c && other.Assigned() && other.open {
						t.Fatal("two members hold the partition")
					}
				}
				switch {
				case last >= 0 && h.Offset != last+1:
					t.Fatalf("offset %d follows %d", h.Offset, last)
				case read >= 0 && h.Offset > read:
					t.Fatalf("offset %d is read, %d never was", h.Offset, read)
				case h.Offset < committed:
					t.Fatalf("offset %d is read again, %d was committed", h.Offset, committed)
				}
				last, read = h.Offset, max(read, h.Offset+1)
				if h.SentAt%2 == 0 {
					c.Commit(h.Offset + 1)
					committed = max(committed, h.Offset+1)
				}
			}, func(_ time.Duration, up bool) {
				if read < 0 {
					read = k.end
				}
			})
			members = append(members, c)
		}
		join()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"produce", "produce", "produce", "join", "close", "kill", "down", "up"}).Draw(t, "do") {
			case "produce":
				for i := range rapid.IntRange(1, 5).Draw(t, "n") {
					k.Produce(thing, fleet.InstanceID(i), tl.Now()+time.Duration(i))
				}
			case "join":
				join()
			case "close":
				members[rapid.IntRange(0, len(members)-1).Draw(t, "member")].Close()
			case "kill":
				members[rapid.IntRange(0, len(members)-1).Draw(t, "member")].Kill()
			case "down":
				k.Down()
			case "up":
				k.Up()
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 20))
		}
		k.Up()
		join()
		runUntil(tl, tl.Now()+2*time.Minute)
		if read != k.end {
			t.Fatalf("read up to %d of %d", read, k.end)
		}
		if s := k.Stats(); s.Produced-s.Lost != uint64(k.end) || s.Expired != 0 {
			t.Fatalf("stats %+v at offset %d", s, k.end)
		}
		k.Produce(thing, 1, tl.Now())
		runUntil(tl, tl.Now()+time.Second)
		if read != k.end || k.end == 0 {
			t.Fatalf("a record sent in peace was not read: %d of %d", read, k.end)
		}
	})
}

func TestKafkaForgetsOldRecords(t *testing.T) {
	tl := timeline.New()
	cfg := DefaultConfig().Kafka
	cfg.Retention = 3
	k := NewKafka(tl, 1, cfg)
	var got []int64
	on := func(_ time.Duration, h Heartbeat) { got = append(got, h.Offset) }
	c := k.Join("group", on, func(time.Duration, bool) {})
	runUntil(tl, 10*time.Second)
	c.Close()
	for range 5 {
		k.Produce(thing, 0, tl.Now())
	}
	runUntil(tl, 20*time.Second)
	k.Join("group", on, func(time.Duration, bool) {})
	runUntil(tl, 30*time.Second)
	if want := []int64{2, 3, 4}; !slices.Equal(got, want) || k.Stats().Expired != 2 {
		t.Errorf("read %v, want %v; stats %+v", got, want, k.Stats())
	}
}

// podLedger checks what the runtime and a watch see of each name.
type podLedger struct {
	t       *rapid.T
	running map[fleet.InstanceID]string
	facts   map[fleet.InstanceID]PodFact // the newest but PodWasRefused
	seen    map[fleet.InstanceID]string
	last    map[fleet.InstanceID]fleet.Pod // as told
	used    map[string]bool
	away    map[string]bool // nobody reaches the program
	strays  map[string]bool // it runs on though its pod is gone
}

func newPodLedger(t *rapid.T) *podLedger {
	return &podLedger{
		t: t, running: map[fleet.InstanceID]string{}, facts: map[fleet.InstanceID]PodFact{}, seen: map[fleet.InstanceID]string{},
		last: map[fleet.InstanceID]fleet.Pod{}, used: map[string]bool{}, away: map[string]bool{}, strays: map[string]bool{},
	}
}

// fact checks the order created, bound or not, terminating, gone; refused only in
// between.
func (l *podLedger) fact(_ time.Duration, _ fleet.Kind, id fleet.InstanceID, uid string, fact PodFact) {
	last, known := l.facts[id]
	there := known && last != PodIsGone
	ok := map[PodFact]bool{PodWasCreated: !there, PodWasRefused: there, PodWasBound: last == PodWasCreated && known,
		PodIsTerminating: there && last != PodIsTerminating, PodIsGone: last == PodIsTerminating}
	if !ok[fact] || uid == "" {
		l.t.Fatalf("instance %v (%s): fact %d follows %d", id, uid, fact, last)
	}
	if fact == PodIsGone && l.running[id] == uid {
		if !l.away[uid] {
			l.t.Fatalf("%s is gone and runs on, within reach", uid)
		}
		l.strays[uid] = true
		delete(l.running, id)
	}
	if fact != PodWasRefused {
		l.facts[id] = fact
	}
}

func (l *podLedger) StartContainer(_ time.Duration, _ fleet.Kind, id fleet.InstanceID, uid string) {
	if old := l.running[id]; old != "" {
		l.t.Fatalf("%s starts while %s of the same name runs", uid, old)
	}
	l.running[id] = uid
}

func (l *podLedger) Responds(fleet.Kind, fleet.InstanceID, string) bool { return true }

func (l *podLedger) ReachContainer(_ time.Duration, _ fleet.Kind, id fleet.InstanceID, uid string, reachable bool) {
	if l.away[uid] == !reachable || l.running[id] != uid && !l.strays[uid] {
		l.t.Fatalf("%s becomes reachable %v, and was not otherwise", uid, reachable)
	}
	l.away[uid] = !reachable
}

func (l *podLedger) StopContainer(_ time.Duration, _ fleet.Kind, id fleet.InstanceID, uid string, _ bool) {
	delete(l.away, uid)
	if l.strays[uid] {
		delete(l.strays, uid)
		return
	}
	if l.running[id] != uid {
		l.t.Fatalf("%s stops, %q runs", uid, l.running[id])
	}
	delete(l.running, id)
}

func (l *podLedger) pod(_ time.Duration, p fleet.Pod) {
	switch {
	case l.seen[p.Instance] == p.UID:
	case l.seen[p.Instance] != "":
		l.t.Fatalf("%s appears before %s of the same name is gone", p.UID, l.seen[p.Instance])
	case l.used[p.UID]:
		l.t.Fatalf("UID %s is used again", p.UID)
	}
	l.seen[p.Instance], l.last[p.Instance], l.used[p.UID] = p.UID, p, true
}

func (l *podLedger) gone(_ time.Duration, id fleet.InstanceID, uid string) {
	if l.seen[id] != uid {
		l.t.Fatalf("%s is gone, %q was there", uid, l.seen[id])
	}
	delete(l.seen, id)
	delete(l.last, id)
}

// A name is never borne by two pods, nodes hold no more than they can, 409 comes
// exactly while the name is taken, and pods that wait find room when there is some.
func TestPodsNeverShareAName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		l := newPodLedger(t)
		k := NewKubernetes(tl, drawSeed(t), DefaultConfig().Kubernetes, l)
		k.WatchPods(thing, l.pod, l.gone)
		k.OnPod = l.fact
		refused := errors.New("quota")
		k.OnCall = func(_ time.Duration, c Call) (f CallFault) {
			if c.Verb == CallCreate && rapid.IntRange(0, 9).Draw(t, "quota") == 0 {
				f.Err = refused
			}
			return f
		}
		created := func(_ time.Duration, r PodReply) {
			if r.Err == nil && r.UID == "" || errors.Is(r.Err, ErrAlreadyExists) && r.UID != "" {
				t.Fatalf("reply %+v", r)
			}
		}
		deleted := func(_ time.Duration, r PodReply) {
			if r.Err != nil && !errors.Is(r.Err, ErrNotFound) {
				t.Fatalf("reply %+v", r)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := fleet.InstanceID(rapid.IntRange(0, 4).Draw(t, "instance"))
			name := rapid.SampledFrom([]string{"n0", "n1"}).Draw(t, "node")
			switch rapid.SampledFrom([]string{"create", "create", "create", "delete", "delete", "finish", "lose", "add", "remove"}).Draw(t, "do") {
			case "create":
				k.CreatePod(thing, id, 0, created)
			case "delete":
				k.DeletePod(thing, id, "", seconds(t, "grace", 5), 0, deleted)
			case "finish":
				k.Finish(thing, id, rapid.SampledFrom([]fleet.Phase{fleet.PhaseFailed, fleet.PhaseSucceeded, fleet.PhaseRunning}).Draw(t, "phase"), "Error")
			case "lose":
				k.LoseNode(thing, id)
			case "add":
				_ = k.AddNode(name, rapid.IntRange(1, 2).Draw(t, "capacity")) // a name taken is refused
			case "remove":
				k.RemoveNode(name, "NodeShutdown")
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 5))
			for _, n := range k.nodes {
				if len(n.pods) > n.capacity {
					t.Fatalf("node %s holds %d pods, room for %d", n.name, len(n.pods), n.capacity)
				}
			}
		}
		runUntil(tl, tl.Now()+time.Minute)
		room := !k.limited
		for _, n := range k.nodes {
			room = room || n.takes()
		}
		for id := range fleet.InstanceID(5) {
			p := k.Pod(thing, id)
			if p.UID != l.seen[id] {
				t.Fatalf("instance %v: %q stands, the watch saw %q", id, p.UID, l.seen[id])
			}
			if p.Terminating || p.Phase == fleet.PhasePending && room {
				t.Fatalf("after a minute of peace: %+v, room %v", p, room)
			}
			if running := l.running[id] != ""; running != (p.Phase == fleet.PhaseRunning && !p.NodeLost) {
				t.Fatalf("program runs: %v, pod %+v", running, p)
			}
		}
	})
}

package world

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// listener is a member of a consumer group that writes down what it is told.
type listener struct {
	c     *Consumer
	heard []Heartbeat
	ups   []bool
}

func listen(k *Kafka) *listener {
	l := &listener{}
	l.c = k.Join("group", func(_ time.Duration, h Heartbeat) {
		l.heard = append(l.heard, h)
		l.c.Commit(h.Offset + 1)
	}, func(_ time.Duration, up bool) { l.ups = append(l.ups, up) })
	return l
}

func newKafka(t *testing.T) (*timeline.Timeline, *Kafka, *listener) {
	tl := timeline.New()
	k := NewKafka(tl, 1, fixedConfig().Kafka)
	l := listen(k)
	runUntil(tl, 10*time.Second)
	return tl, k, l
}

func TestHeartbeatsGoWrong(t *testing.T) {
	tl, k, l := newKafka(t)
	var fault SendFault
	k.OnSend = func(_ time.Duration, kind fleet.Kind, instance fleet.InstanceID) SendFault {
		if kind != thing || instance != 4 {
			t.Errorf("asked about %s %v", kind, instance)
		}
		return fault
	}
	sent := 0
	k.OnProduce = func(fleet.Kind) { sent++ }
	for _, fault = range []SendFault{{Drop: true}, {Delay: time.Minute}, {Copies: 2}, {Skew: -time.Hour}} {
		k.Produce(thing, 4, tl.Now())
		runUntil(tl, tl.Now()+10*time.Second)
	}
	runUntil(tl, tl.Now()+time.Minute)
	var got []string
	for _, h := range l.heard {
		got = append(got, fmt.Sprintf("%d: sent %v appended %v", h.Offset, h.SentAt, h.Appended))
	}
	want := []string{
		"0: sent 30s appended 30.01s", "1: sent 30s appended 30.01s", "2: sent 30s appended 30.01s",
		"3: sent -59m20s appended 40.01s", "4: sent 20s appended 1m20.01s",
	}
	if s := k.Stats(); !slices.Equal(got, want) || s.Unsent != 1 || s.Produced != 5 || s.Lost != 0 || sent != 5 {
		t.Errorf("%q; %+v, %d told of", got, s, sent)
	}
	k.OnSend = nil
	k.SetDelay(20 * time.Second)
	k.Produce(thing, 4, tl.Now())
	runUntil(tl, tl.Now()+20*time.Second)
	if len(l.heard) != 5 {
		t.Error("a slow broker is fast")
	}
	runUntil(tl, tl.Now()+time.Second)
	if len(l.heard) != 6 {
		t.Error("a slow broker is silent")
	}
}

func TestConsumersLoseThePartition(t *testing.T) {
	tl, k, l := newKafka(t)
	other := listen(k)
	for i := range 3 {
		k.Produce(thing, fleet.InstanceID(i), 0)
	}
	runUntil(tl, 20*time.Second)
	k.Revoke()
	runUntil(tl, 20*time.Second+time.Millisecond)
	if l.c.Assigned() || !slices.Equal(l.ups, []bool{true, false}) {
		t.Errorf("revoked: assigned %v, told %v", l.c.Assigned(), l.ups)
	}
	k.Revoke() // a storm
	runUntil(tl, 30*time.Second)
	if !slices.Equal(l.ups, []bool{true, false, true}) || len(l.heard) != 3 {
		t.Errorf("joined again: told %v, heard %v", l.ups, l.heard)
	}
	k.ResetOffsets()
	runUntil(tl, 40*time.Second)
	if n := len(l.heard); n != 6 || l.heard[3].Offset != 0 || l.heard[3].Appended != l.heard[0].Appended {
		t.Errorf("after the reset %v", l.heard)
	}
	if len(other.heard)+len(other.ups) > 0 || other.c.Assigned() {
		t.Error("two members hold the partition")
	}
	k.Down()
	k.Revoke()
	k.Up()
	k.Revoke()
	runUntil(tl, time.Minute)
	if !l.c.Assigned() || !l.ups[len(l.ups)-1] {
		t.Errorf("after all: assigned %v, told %v", l.c.Assigned(), l.ups)
	}
}

func TestOnePartitionIsGone(t *testing.T) {
	tl, k, l := newKafka(t)
	odd := func(_ fleet.Kind, instance fleet.InstanceID) bool { return instance%2 == 1 }
	beat := func(until time.Duration) {
		for i := range 4 {
			k.Produce(thing, fleet.InstanceID(i), 0)
		}
		runUntil(tl, until)
	}
	k.LosePartition(odd)
	k.LosePartition(odd)
	beat(15 * time.Second)
	if !slices.Equal(l.ups, []bool{true}) {
		t.Errorf("not detected yet, told %v", l.ups)
	}
	beat(30 * time.Second)
	l.c.Close()
	l2 := listen(k)
	beat(50 * time.Second)
	if len(l.heard) != 4 || len(l2.heard) != 2 || k.Stats().Lost != 6 || !slices.Equal(l.ups, []bool{true, false}) || len(l2.ups) != 0 {
		t.Errorf("%d and %d heard, %+v, told %v and %v", len(l.heard), len(l2.heard), k.Stats(), l.ups, l2.ups)
	}
	k.ReturnPartition()
	k.ReturnPartition()
	beat(time.Minute)
	if len(l2.heard) != 6 || !slices.Equal(l2.ups, []bool{true}) {
		t.Errorf("%d heard, told %v", len(l2.heard), l2.ups)
	}
	k.LosePartition(odd)
	k.ReturnPartition() // before anybody noticed
	runUntil(tl, 2*time.Minute)
	if !slices.Equal(l2.ups, []bool{true}) {
		t.Errorf("told %v", l2.ups)
	}
}

// What was lost is told by name, everything else arrives in the end, garbage
// takes its tokens and holds nothing up, and what is acknowledged comes no more.
func TestNotificationsGoWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		cfg := DefaultConfig().MQTT
		cfg.QueueBound = 10
		m := NewMQTT(tl, drawSeed(t), cfg)
		m.OnMessage = func(time.Duration, *fleet.Notification) MessageFault {
			return rapid.SampledFrom([]MessageFault{{}, {}, {Lose: true}, {Copies: 2}, {Delay: 5 * time.Second}, {Delay: time.Second, Copies: 1}}).Draw(t, "fault")
		}
		lost := map[*fleet.Notification]bool{}
		m.OnLost = func(_ time.Duration, n *fleet.Notification) {
			if n == nil || lost[n] {
				t.Fatalf("%v is lost again", n)
			}
			lost[n] = true
		}
		seen := map[*fleet.Notification]bool{}
		token, garbage := uint64(0), uint64(0)
		var sub *Subscriber
		sub = m.Subscribe("orchestrator", func(_ time.Duration, d Delivery) {
			if d.Notification == nil || d.Token <= token {
				t.Fatalf("%+v after token %d", d, token)
			}
			token, seen[d.Notification] = d.Token, true
			if rapid.Bool().Draw(t, "ack") {
				sub.Ack(d.Token)
			}
		}, func(time.Duration, bool) {})
		runUntil(tl, time.Second)
		var all []*fleet.Notification
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"publish", "publish", "publish", "garbage", "down", "up", "break"}).Draw(t, "do") {
			case "publish":
				n := &fleet.Notification{Table: string(thing)}
				all = append(all, n)
				m.Publish(n)
			case "garbage":
				garbage++
				m.PublishGarbage()
			case "down":
				m.Down()
			case "up":
				m.Up()
			case "break":
				sub.Break()
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 10))
		}
		m.Up()
		runUntil(tl, tl.Now()+2*time.Minute)
		sub.Ack(sub.token)
		runUntil(tl, tl.Now()+time.Minute)
		m.OnMessage = nil
		m.PublishGarbage()
		runUntil(tl, tl.Now()+time.Minute)
		sub.trim(tl.Now())
		for i, n := range all {
			if lost[n] == seen[n] {
				t.Fatalf("message %d: lost %v, arrived %v", i, lost[n], seen[n])
			}
		}
		if s := m.Stats(); uint64(len(lost)) != s.Lost+s.Overflowed || sub.Pending() != 0 {
			t.Fatalf("%d lost, %+v, %d pending", len(lost), s, sub.Pending())
		}
	})
}

func TestYoungerMessagesOvertake(t *testing.T) {
	tl := timeline.New()
	m := NewMQTT(tl, 1, fixedConfig().MQTT)
	var got []string
	m.Subscribe("orchestrator", func(_ time.Duration, d Delivery) {
		got = append(got, fmt.Sprintf("%s %d %v", d.Notification.Table, d.Token, d.Dup))
	}, func(time.Duration, bool) {})
	runUntil(tl, time.Second)
	faults := map[string]MessageFault{"a": {Delay: time.Second}, "c": {Copies: 1}, "d": {Lose: true}}
	m.OnMessage = func(_ time.Duration, n *fleet.Notification) MessageFault { return faults[n.Table] }
	for _, name := range []string{"a", "b", "c", "d"} {
		m.Publish(&fleet.Notification{Table: name})
		m.PublishGarbage()
	}
	runUntil(tl, 10*time.Second)
	if want := []string{"b 2 false", "c 4 false", "c 5 true", "a 8 false"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := m.Stats(); s.Unparseable != 4 || s.Lost != 1 || s.Delivered != 4 || s.Published != 4 {
		t.Errorf("%+v", s)
	}
}

// A torn listing has each row that stood all the while once, as it was at some
// moment, and none that never stood; its digest is that of its rows.
func TestTornListings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		d := NewDatabase(tl, drawSeed(t), DefaultConfig().Database)
		row := func(i int) fleet.Resource { return fleet.Resource{ID: fmt.Sprintf("r%03d", i), Group: "old"} }
		for i := range rapid.IntRange(0, 40).Draw(t, "rows") {
			d.Insert(thing, row(i))
		}
		d.SetTorn(20 * time.Second)
		always, ever := map[string]bool{}, map[string]bool{}
		for _, r := range d.Rows(thing) {
			always[r.ID], ever[r.ID] = true, true
		}
		var got *Listing
		d.List(thing, nil, 9, func(_ time.Duration, l *Listing) {
			got = &Listing{Rows: slices.Clone(l.Rows), Digest: l.Digest, Err: l.Err}
		})
		for range rapid.IntRange(0, 30).Draw(t, "changes") {
			r := row(rapid.IntRange(0, 50).Draw(t, "row"))
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				d.Insert(thing, r)
				ever[r.ID] = true
			case 1:
				d.Delete(thing, r.ID)
				delete(always, r.ID)
			case 2:
				d.Update(thing, fleet.Resource{ID: r.ID, Group: "new"})
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 3))
		}
		runUntil(tl, tl.Now()+time.Minute)
		var digest fleet.Digest
		for i, r := range got.Rows {
			digest.Add(r)
			if !ever[r.ID] || i > 0 && got.Rows[i-1].ID >= r.ID {
				t.Fatalf("rows %v", got.Rows)
			}
			delete(always, r.ID)
		}
		if len(always) > 0 || digest != got.Digest {
			t.Fatalf("missed %v; digest %v of rows %v", always, got.Digest, digest)
		}
	})
}

func TestListingsAreSlow(t *testing.T) {
	tl := timeline.New()
	d := NewDatabase(tl, 1, fixedConfig().Database)
	d.Insert(thing, fleet.Resource{ID: "a"})
	var got []string
	done := func(now time.Duration, l *Listing) {
		got = append(got, fmt.Sprintf("%v as of %v: %d err %v", now, l.At, len(l.Rows), l.Err))
	}
	d.SetDelay(5 * time.Second)
	d.List(thing, nil, 1, done)
	runUntil(tl, 10*time.Second)
	d.SetDelay(0)
	d.SetTorn(7 * time.Second)
	d.List(thing, nil, 2, done)
	d.List(thing, []string{"a"}, 3, done) // is not torn
	runUntil(tl, 20*time.Second)
	d.List(thing, nil, 4, done)
	runUntil(tl, 22*time.Second)
	d.SetDown(true)
	runUntil(tl, 30*time.Second)
	want := []string{
		"5.024s as of 4ms: 1 err <nil>", "10.024s as of 10.004s: 1 err <nil>", "17.024s as of 17.004s: 1 err <nil>",
		"22.024s as of 22.004s: 0 err database: connection refused",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A consumer that is given the partition after an outage, before it would have
// fetched again, goes on with what it has begun.
func TestAConsumerIsAssignedAfterAnOutage(t *testing.T) {
	tl := timeline.New()
	cfg := fixedConfig().Kafka
	cfg.Reconnect = timeline.Latency{Min: 5 * time.Second, Mean: 5 * time.Second, Max: 5 * time.Second}
	cfg.Join = timeline.Latency{Min: 500 * time.Millisecond, Mean: 500 * time.Millisecond, Max: 500 * time.Millisecond}
	cfg.Fetch = timeline.Latency{Min: 5 * time.Second, Mean: 5 * time.Second, Max: 5 * time.Second}
	k := NewKafka(tl, 1, cfg)
	first := listen(k)
	runUntil(tl, 10*time.Second)
	second := listen(k)
	first.c.Kill()
	k.Produce(thing, 1, 0)
	runUntil(tl, 20*time.Second)
	k.Down()
	runUntil(tl, 54*time.Second) // the first is let go at 55 s
	k.Up()
	runUntil(tl, 2*time.Minute)
	if len(second.heard) != 1 || !slices.Equal(second.ups, []bool{true}) {
		t.Errorf("heard %v, told %v", second.heard, second.ups)
	}
}

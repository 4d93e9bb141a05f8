package mqtt

import (
	"fmt"
	"slices"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"dacorch/orchestrator/porttest/real"
)

const storyMessages = 10_000

// The same story for this broker and for Mosquitto, with the same proxy between
// the subscriber and either: many messages while the subscriber's connection is
// cut again and again. None may be missing, and the first sight of each must be
// in order. What the broker grants is compared too.
func TestStory(t *testing.T) {
	var ours story
	t.Run("stand-in", func(t *testing.T) {
		s := start(t, Config{})
		ours = tell(t, s.Addr())
		await(t, s, "all acknowledged", empty)
	})
	t.Run("Mosquitto", func(t *testing.T) {
		m := real.Mosquitto(t, real.Setting("max_queued_messages", "0"))
		theirs := tell(t, m.Addr)
		if !slices.Equal(ours.granted, theirs.granted) {
			t.Errorf("granted: the stand-in %v, Mosquitto %v", ours.granted, theirs.granted)
		}
	})
}

type story struct {
	granted []string
	repeats int
}

func tell(t *testing.T, addr string) (told story) {
	p, err := StartProxy(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	box := newInbox()
	lost := make(chan struct{}, 1)
	subscriber := func(o *paho.ClientOptions) {
		o.SetDefaultPublishHandler(box.take)
		o.SetConnectionLostHandler(func(paho.Client, error) { lost <- struct{}{} })
	}
	c := connect(t, p.Addr(), "subscriber", subscriber)
	told.granted = grants(t, c)

	published := make(chan error, 1)
	publisher := connect(t, addr, "publisher", nil)
	go func() {
		for i := range storyMessages {
			token := publisher.Publish("story/told", 1, false, number(i))
			if i%100 == 99 && (!token.WaitTimeout(patience) || token.Error() != nil) {
				published <- fmt.Errorf("message %d: %v", i, token.Error())
				return
			}
		}
		published <- nil
	}()
	for cuts := 1; cuts <= 20; cuts++ {
		box.first(t, cuts*storyMessages/25)
		p.Cut()
		select {
		case <-lost:
		case <-time.After(patience):
			t.Fatal("the subscriber does not notice that it was cut off")
		}
		connect(t, p.Addr(), "subscriber", subscriber)
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	got := box.await(t, "every message", func(got []paho.Message) bool {
		return len(got) >= storyMessages && numberOf(got[len(got)-1]) == storyMessages-1
	})
	next := 0
	for i, m := range got {
		switch n := numberOf(m); {
		case n == next:
			next++
		case n > next:
			t.Fatalf("delivery %d is message %d, and %d never came before it", i, n, next)
		case !m.Duplicate():
			t.Errorf("delivery %d is message %d again, without DUP", i, n)
		}
	}
	told.repeats = len(got) - storyMessages
	t.Logf("%d messages, %d deliveries, %d of them repeated", storyMessages, len(got), told.repeats)
	return told
}

// grants subscribes in several ways and answers what was granted.
func grants(t *testing.T, c paho.Client) []string {
	var all []string
	for _, ask := range []struct {
		filter string
		qos    byte
	}{{"a/0", 0}, {"a/1", 1}, {"a/2", 2}, {"a/+", 1}, {"+/x/#", 2}, {"#", 0}, {"$SYS/none", 1}, {"story/#", 1}} {
		token := c.Subscribe(ask.filter, ask.qos, nil)
		done(t, ask.filter, token)
		all = append(all, fmt.Sprintf("%s %d → %d", ask.filter, ask.qos, token.(*paho.SubscribeToken).Result()[ask.filter]))
	}
	for _, filter := range []string{"#"} {
		done(t, filter, c.Unsubscribe(filter))
	}
	return all
}

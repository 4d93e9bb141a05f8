package wire

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"dacorch/sim/wire/mqtt"
)

// TestPublisher: without a connection nothing is published, and nobody waits for one;
// with it again, it is. Whoever brings a client id keeps it.
func TestPublisher(t *testing.T) {
	broker, err := mqtt.Start(mqtt.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	came := func(c chan struct{}, what string) {
		t.Helper()
		select {
		case <-c:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
	up, lost := make(chan struct{}, 10), make(chan struct{}, 10)
	_, end, err := Publisher(paho.NewClientOptions().AddBroker(broker.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	publish, endMine, err := Publisher(paho.NewClientOptions().AddBroker(broker.URL()).SetClientID("mine").
		SetOnConnectHandler(func(paho.Client) { up <- struct{}{} }).SetConnectionLostHandler(func(paho.Client, error) { lost <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	defer endMine()
	came(up, "no connection")
	if err := broker.Await(ctx, func(ss []mqtt.Session) bool {
		var ids []string
		for _, s := range ss {
			ids = append(ids, s.ClientID)
		}
		slices.Sort(ids)
		return slices.Equal(ids, []string{"dacorch-data-centre-says", "mine"})
	}); err != nil {
		t.Errorf("the clients' ids: %v", err)
	}
	if err := publish([]byte("one")); err != nil {
		t.Errorf("with a connection: %v", err)
	}
	broker.Refuse(true)
	broker.Cut(nil)
	came(lost, "the connection is cut, and nobody notices")
	if err := publish([]byte("two")); err == nil || !strings.Contains(err.Error(), "there is no connection") {
		t.Errorf("without a connection: %v", err)
	}
	broker.Refuse(false)
	came(up, "the connection does not come back")
	if err := publish([]byte("three")); err != nil {
		t.Errorf("with a connection again: %v", err)
	}
}

// TestMuted: what is cut off from the broker says nothing, announcements or else.
func TestMuted(t *testing.T) {
	c, said := centreTest(t)
	c.Mute(true)
	if err := c.publish([]byte("garbage")); err == nil {
		t.Error("it publishes")
	}
	c.Mute(false)
	if err := c.publish([]byte("garbage")); err != nil || !slices.Equal(*said, []string{"garbage"}) {
		t.Errorf("%v, it says %q", err, *said)
	}
}

package kubernetes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	standin "dacorch/sim/wire/kubernetes"
)

func isEvent(_, path string) bool { return strings.Contains(path, "/events") }

func someone(name string) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "iota", Name: name, UID: "7f1a"}
}

// TestEventsRepeat: equal events are one with a count; what differs is not.
func TestEventsRepeat(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	for range 3 {
		client.events.add(someone("iota-dac-0"), reasonDeleted, "silent")
	}
	client.events.add(someone("iota-dac-0"), reasonDeleted, "Failed (OOMKilled)")
	c.event(t, "7f1a", reasonDeleted, "silent", 3)
	c.event(t, "7f1a", reasonDeleted, "Failed (OOMKilled)", 1)
	if n := len(c.events(t)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	for _, e := range c.events(t) { // as when the server's hour is over
		c.do(t, http.MethodDelete, "events/"+e.Name, nil, nil)
	}
	client.events.add(someone("iota-dac-0"), reasonDeleted, "silent")
	c.event(t, "7f1a", reasonDeleted, "silent", 1)
}

// TestEventsBound: nobody waits for events; too many are dropped and counted;
// Close sends those queued.
func TestEventsBound(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	end := c.Delay(1, 1<<40, isEvent) // the sender is held in its first request
	const n = maxQueued + 200
	for i := range n {
		client.events.add(someone("iota-dac-0"), reasonCreated, fmt.Sprint("number ", i))
	}
	if s := client.Stats(); s.EventsDropped < n-maxQueued-1 || s.EventsDropped > n-maxQueued {
		t.Errorf("%d events dropped, want those above %d of %d", s.EventsDropped, maxQueued, n)
	}
	end()
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	s := client.Stats()
	if s.EventsSent+s.EventsDropped != n {
		t.Errorf("%d sent and %d dropped of %d", s.EventsSent, s.EventsDropped, n)
	}
	client.events.add(someone("iota-dac-0"), reasonCreated, "after Close")
	if got := client.Stats().EventsDropped; got != s.EventsDropped+1 {
		t.Errorf("an event after Close: %d dropped, want %d", got, s.EventsDropped+1)
	}
}

// TestEventsRefused: a server that takes no events keeps nothing from being done.
func TestEventsRefused(t *testing.T) {
	c := startCluster(t, standin.Config{})
	client := c.client(t, nil)
	c.Refuse(standin.Always, http.StatusForbidden, isEvent)
	if _, err := client.Create(t.Context(), things, 0, "new"); err != nil {
		t.Fatal(err)
	}
	until(t, "the event is dropped", func() bool { return client.Stats().EventsDropped == 1 })
}

func TestShorten(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("a", maxMessage), strings.Repeat("ä€", maxMessage), strings.Repeat("\x80", 2*maxMessage)} {
		short := shorten(text)
		if len(short) > maxMessage || !utf8.ValidString(short) || len(text) <= maxMessage && short != text {
			t.Errorf("%d bytes became %d: %q", len(text), len(short), short)
		}
	}
}

package rest

import (
	"fmt"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// TestRewind: what had happened at another moment is told as recent, and to
// nobody who reads the stream.
func TestRewind(t *testing.T) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	event := func(text string) api.Event { return api.Event{Type: api.EventNote, At: at, Text: text} }
	e := NewEvents(16)
	watching, _, _ := e.from("", "")
	read := func(r *reader) (out []string) {
		events, _, ok := r.read(make([]api.Event, 0, 64))
		if !ok {
			t.Fatal("the reader was cut")
		}
		for _, ev := range events {
			out = append(out, ev.Text)
		}
		return out
	}
	recent := func() (out []string, whole bool) {
		r := e.recent(&wanted{instance: anyInstance}, 100)
		for _, ev := range r.Events {
			out = append(out, ev.Text)
		}
		return out, r.Complete
	}
	is := func(what string, got any, want string) {
		t.Helper()
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", what, got, want)
		}
	}
	e.Publish(event("a"))
	e.Publish(event("b"))
	is("before", read(watching), "[a b]")
	last := watching.place()
	e.Publish(event("c"))
	e.Rewind([]api.Event{event("x"), event("y")}, true, event("jump"))
	is("a reader that was there", read(watching), "[jump]")
	again, gap, lost := e.from("", last)
	is("a reader that comes again", fmt.Sprint(read(again), gap, lost), "[jump] false 0")
	list, whole := recent()
	is("recent", fmt.Sprint(list, whole), "[jump y x] true")
	e.Publish(event("d"))
	is("afterwards", read(watching), "[d]")

	e.Rewind([]api.Event{event("z")}, false, event("back"))
	list, whole = recent()
	is("recent of a part", fmt.Sprint(list, whole), "[back z] false")
	var many []api.Event
	for i := range 100 {
		many = append(many, event(fmt.Sprint(i)))
	}
	e.Rewind(many, true, event("far"))
	list, whole = recent()
	is("more than is remembered", fmt.Sprint(len(list), list[:2], list[15:], whole), "16 [far 99] [85] false")
	is("the reader", read(watching), "[far]")
	for i := range 20 {
		e.Publish(event(fmt.Sprint("later ", i)))
	}
	if _, _, ok := watching.read(make([]api.Event, 0, 64)); ok {
		t.Error("a reader that 20 events have passed by in a ring of 16 was not cut")
	}
}

// TestRewindKeepsWhatIsRare: of what is older than the ring, what does not come
// with each resource is told.
func TestRewindKeepsWhatIsRare(t *testing.T) {
	e := NewEvents(16)
	past := []api.Event{{Type: api.EventAlarm, Text: "old"}}
	for range 100 {
		past = append(past, api.Event{Type: api.EventMove})
	}
	e.Rewind(past, true, api.Event{Type: api.EventTime})
	found := e.recent(&wanted{instance: anyInstance, typ: api.EventAlarm}, 10)
	if len(found.Events) != 1 || found.Events[0].Text != "old" || !found.Complete {
		t.Errorf("alarms %+v, want the old one, and that it is all", found)
	}
	if found := e.recent(&wanted{instance: anyInstance}, 1000); len(found.Events) != 17 || found.Complete {
		t.Errorf("%d events, complete %t: want 16 of the ring and the alarm, and that there was more", len(found.Events), found.Complete)
	}
}

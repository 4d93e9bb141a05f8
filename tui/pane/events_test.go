package pane

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

func TestEventsInWords(t *testing.T) {
	for _, c := range []struct {
		ev   api.Event
		want string
	}{
		{api.Event{Type: api.EventCommit, Code: "done", Count: 3}, "written: 3 changes of instances' lists"},
		{api.Event{Type: api.EventCommit, Code: "done"}, "written: instances' nodes"},
		{api.Event{Type: api.EventCommit, Code: "deposed", Count: 1}, "not written, another process leads: 1 change of instances' lists"},
		{api.Event{Type: api.EventCommit, Code: "conflict"}, "not written, somebody else had changed it: instances' nodes"},
		{api.Event{Type: api.EventCommit, Code: "unknown"}, "perhaps written, the answer was lost: instances' nodes"},
		{api.Event{Type: api.EventCommit, Code: "failed", Text: "no quorum"}, "could not be written: instances' nodes · no quorum"},
		{api.Event{Type: api.EventPod, Code: "Running", Text: "Running"}, "its pod runs"},
		{api.Event{Type: api.EventPod, Code: "Pending", Text: "Unschedulable"}, "its pod is pending: Unschedulable"},
		{api.Event{Type: api.EventPod, Code: "Failed", Text: "OOMKilled"}, "its pod has failed: OOMKilled"},
		{api.Event{Type: api.EventPod, Code: "Failed", Text: "Failed, terminating: Error"}, "its pod has failed, and is being deleted: Error"},
		{api.Event{Type: api.EventPod, Code: "Running", Text: "Running, terminating"}, "its pod runs, and is being deleted"},
		{api.Event{Type: api.EventPod, Code: "Missing", Text: "gone"}, "its pod is gone"},
		{api.Event{Type: api.EventPod, Code: "Weird"}, "its pod: Weird"},
		{api.Event{Type: api.EventInstance, Code: "opened"}, "opened: its nodes are in ZooKeeper"},
		{api.Event{Type: api.EventInstance, Code: "gone"}, "let go: its nodes are out of ZooKeeper"},
		{api.Event{Type: api.EventInstance, Code: "create", Text: "new instance"}, "its pod is being created: new instance"},
		{api.Event{Type: api.EventInstance, Code: "replace", Text: "silent"}, "its pod is deleted, to be created anew: silent"},
		{api.Event{Type: api.EventInstance, Code: "release"}, "its pod is deleted for good"},
		{api.Event{Type: api.EventInstance, Code: "new", Text: "word"}, "new: word"},
		{api.Event{Type: api.EventOrder, Code: "done", Text: "drain"}, "order: drain – done"},
		{api.Event{Type: api.EventProgress, Text: "ended"}, "re-orchestration: ended"},
		{api.Event{Type: api.EventMaintenance, On: new(true)}, "maintenance is on: nothing is done automatically"},
		{api.Event{Type: api.EventMaintenance, On: new(false)}, "maintenance is over"},
		{api.Event{Type: api.EventAlarm, On: new(true), Code: "kafka-down"}, "alarm: kafka-down"},
		{api.Event{Type: api.EventAlarm, On: new(false), Text: "Kafka is away"}, "alarm is over: Kafka is away"},
		{api.Event{Type: api.EventLeader, Code: "a"}, "a leads"},
		{api.Event{Type: api.EventLeader}, "nobody leads"},
		{api.Event{Type: api.EventNote, Text: "because"}, "because"},
		{api.Event{Type: api.EventGap, Count: 12}, "12 events did not reach this terminal"},
		{api.Event{Type: api.EventGap}, "events did not reach this terminal"},
		{api.Event{Type: api.EventBye, Code: api.ByeClosing}, "the server has ended the stream of events: it shuts down"},
		{api.Event{Type: api.EventTime}, "another moment is shown"},
		{api.Event{Type: "of tomorrow", Text: "something"}, "something"},
	} {
		if got, _ := eventWords(&c.ev); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.ev, got, c.want)
		}
	}
}

// move is one of a resource, below 0 for nowhere.
func move(id string, from, to int, why string) api.Event {
	ev := api.Event{Type: api.EventMove, Resource: "Thing", ResourceID: id, Text: why}
	if from >= 0 {
		ev.From = &from
	}
	if to >= 0 {
		ev.To = &to
	}
	return ev
}

func TestMovesOfOneTransactionAreOneLine(t *testing.T) {
	done := api.Event{Type: api.EventCommit, Resource: "Thing", Code: "done", Count: 4}
	failed := api.Event{Type: api.EventCommit, Resource: "Thing", Code: "failed", Count: 4}
	full := "4 has more than its capacity; 9 has "
	for _, c := range []struct {
		events []api.Event
		want   string
	}{
		{[]api.Event{move("a", 4, 9, full+"3 free")}, "4 → 9|a moved from 4 to 9: " + full + "3 free"},
		{[]api.Event{move("a", 4, 9, full+"3 free"), move("b", 4, 9, full+"2 free"), done}, "4 → 9|2 resources moved from 4 to 9: 4 has more than its capacity"},
		{[]api.Event{move("a", 4, 9, "x"), move("b", 5, 9, "y"), failed}, "|2 resources moved from 4 and 5 to 9//|could not be written: 4 changes of instances' lists"},
		{[]api.Event{move("a", -1, 9, ""), move("b", -1, 9, "")}, "→ 9|2 resources placed on 9"},
		{[]api.Event{move("a", 3, -1, "no room")}, "3 →|a taken off 3: no room"},
		{[]api.Event{move("a", 1, 2, ""), move("b", 2, 3, ""), move("c", 3, 1, ""), done}, "|3 resources moved among 3 instances"},
		{[]api.Event{done, done, done, failed, done}, "|written: 12 changes of instances' lists, in 3 transactions//|could not be written: 4 changes of instances' lists//|written: 4 changes of instances' lists"},
		{[]api.Event{done, move("a", 1, 2, ""), done}, "|written: 4 changes of instances' lists//1 → 2|a moved from 1 to 2"},
		{[]api.Event{move("a", -1, -1, "")}, "|a moved from nowhere to nowhere"},
		{[]api.Event{move("a", -1, 2, ""), move("b", 3, -1, ""), move("c", -1, 2, ""), done}, "|2 resources placed on 2, 1 taken off 3"},
		{nil, ""},
	} {
		var got []string
		for _, r := range eventRows(nil, c.events) {
			got = append(got, r.place+"|"+r.text)
		}
		if all := strings.Join(got, "//"); all != c.want {
			t.Errorf("got %q, want %q", all, c.want)
		}
	}
}

func TestEventsFollowTheNewest(t *testing.T) {
	s := sample.State(40, 4000)
	v := NewEvents()
	c := screen.New(100, 12)
	tell := func(text string) {
		s.Events = append(s.Events, api.Event{ID: text, Type: api.EventNote, Text: text, At: s.Now})
		v.Draw(c, s)
	}
	tell("one")
	if r := v.table.current(); r == nil || r.text != "one" {
		t.Fatalf("the newest is not followed: %+v", r)
	}
	v.Press("up", s)
	was := v.table.current().text
	tell("two")
	if r := v.table.current(); r.text != was {
		t.Errorf("scrolled back, and the cursor goes from %q to %q", was, r.text)
	}
	if !strings.Contains(v.Note(s), "G follows") {
		t.Errorf("the note does not say how to follow again: %q", v.Note(s))
	}
	v.Press("G", s)
	tell("three")
	if r := v.table.current(); r.text != "three" {
		t.Errorf("after G the newest is not followed: %q", r.text)
	}
	v.Press("S", s) // the newest first
	tell("four")
	if r := v.table.current(); r.text != "three" {
		t.Errorf("with another order the cursor does not stay: %q", r.text)
	}
}

func TestEventOpensWhatItIsAbout(t *testing.T) {
	for want, ev := range map[string]api.Event{
		"resource a":    move("a", 1, 2, ""),
		"instance 7":    {Type: api.EventPod, Resource: "Thing", Instance: new(7)},
		"nothing":       {Type: api.EventNote, Resource: "Thing"},
		"resource \x1b": move("\x1b", 1, 2, ""),
	} {
		v, s := NewEvents(), sample.State(3, 10)
		s.Events = []api.Event{ev}
		v.Draw(screen.New(80, 24), s)
		do, _ := v.Press("enter", s)
		got := "nothing"
		switch {
		case do.View == Resource:
			got = "resource " + do.Resource
		case do.View == Instance:
			got = "instance " + Count(do.Instance)
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNoEventIsLostInFolding compares with a regular expression: small letters
// are another kind's.
func TestNoEventIsLostInFolding(t *testing.T) {
	fold := regexp.MustCompile(`M+C?|m+c?|[Cc]+|.`)
	letters := map[rune]api.Event{
		'm': {Type: api.EventMove, To: new(1)}, 'c': {Type: api.EventCommit, Code: "done"},
		'f': {Type: api.EventCommit, Code: "failed"}, 'p': {Type: api.EventPod},
	}
	rapid.Check(t, func(t *rapid.T) {
		var events []api.Event
		text := rapid.StringOfN(rapid.SampledFrom([]rune("MMMCCCFPmmcfp")), 0, 40, -1).Draw(t, "events")
		for _, r := range text {
			ev := letters[unicode.ToLower(r)]
			if ev.Resource = "Thing"; unicode.IsLower(r) {
				ev.Resource = "Rule"
			}
			events = append(events, ev)
		}
		if rows, want := eventRows(nil, events), fold.FindAllString(text, -1); len(rows) != len(want) {
			t.Fatalf("%d rows, want %q", len(rows), want)
		}
	})
}

func FuzzFold(f *testing.F) {
	f.Add("iota-dac-17", "DAC")
	f.Add("Ähre", "äh")
	f.Add("\xff\xfe", "\xfe")
	f.Fuzz(func(t *testing.T, text, what string) {
		from, to := fold(text, what)
		if from >= 0 && (to > len(text) || !strings.EqualFold(text[from:to], what)) {
			t.Fatalf("%q in %q: [%d:%d]", what, text, from, to)
		}
		if what != "" && from < 0 && strings.Contains(text, what) && utf8.ValidString(text) && utf8.ValidString(what) {
			t.Fatalf("%q is in %q, and is not found", what, text)
		}
		marked(screen.New(20, 1), 0, 0, text, screen.Style{}, what)
	})
}

func BenchmarkEventsFrame(b *testing.B) {
	s := sample.State(1000, 50_000)
	for len(s.Events) < data.MaxEvents {
		s.Events = append(s.Events, s.Events...)
	}
	s.Events = s.Events[:data.MaxEvents]
	v, c := NewEvents(), screen.New(200, 60)
	for i := 0; b.Loop(); i++ {
		s.Events[len(s.Events)-1].At = s.Now.Add(time.Duration(i)) // each frame shows new ones
		v.Draw(c, s)
	}
}

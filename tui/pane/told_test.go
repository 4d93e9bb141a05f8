package pane

import (
	"strings"
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

func frameOf(p Pane, s *data.State) string {
	c := screen.New(120, 40)
	p.Draw(c, s)
	return c.Plain()
}

func TestEventsWithoutMoves(t *testing.T) {
	s := sample.State(40, 4000)
	s.Events = []api.Event{
		{ID: "1", Type: api.EventMove, Resource: "Thing", ResourceID: "a", To: new(3), Text: "room"},
		{ID: "2", Type: api.EventPod, Resource: "Thing", Instance: new(3), Code: "Failed", Text: "OOMKilled"},
		{ID: "3", Type: api.EventCommit, Resource: "Thing", Code: "done", Count: 1},
		{ID: "4", Type: api.EventCommit, Resource: "Thing", Code: "failed", Text: "no quorum"},
	}
	v := NewEvents()
	told := func(want string, words ...string) {
		t.Helper()
		got := frameOf(v, s)
		for _, w := range words {
			if strings.Contains(got, w) != (want == "seen") {
				t.Errorf("%q is not %s:\n%s", w, want, got)
			}
		}
	}
	told("seen", "a placed on 3", "OOMKilled", "written: 1 change", "no quorum")
	v.Press("m", s)
	told("seen", "OOMKilled", "no quorum")
	told("hidden", "a placed on 3", "written: 1 change")
	if note := v.Note(s); !strings.Contains(note, "without moves") {
		t.Errorf("the note does not say that moves are hidden: %q", note)
	}
	s.Events = s.Events[:1]
	told("seen", "nothing but resources that moved", "m shows them again")
	v.Press("m", s)
	told("seen", "a placed on 3")
}

func TestUnplacedResourceTellsWhy(t *testing.T) {
	s := sample.State(40, 4000)
	v := NewResource("Thing", "lost")
	for _, q := range v.Needs(s) {
		sample.Answer(s, q)
	}
	s.Answers[v.askWhere()] = &data.Answer{Value: api.Search{Resource: "Thing", Resources: []api.Found{{ID: "lost"}}}}
	status := data.Query{What: data.AskStatus, Kind: "Thing"}
	for pending, want := range map[string]string{
		"lost has no place: all are full":  "all are full",
		"other has no place: all are full": "as another that waits: all are full",
	} {
		s.Answers[status] = &data.Answer{Value: api.Status{Resource: "Thing", Pending: []string{"something else", pending}}}
		if got := frameOf(v, s); !strings.Contains(got, "why       "+want) {
			t.Errorf("%q is not told:\n%s", want, got)
		}
	}
}

func TestResourcesTellHowTheirInstancesAre(t *testing.T) {
	s := sample.State(40, 4000)
	v := NewResources()
	for range 2 {
		for _, q := range v.Needs(s) {
			sample.Answer(s, q)
		}
	}
	list, _ := s.Instances("Thing")
	if got := frameOf(v, s); !strings.Contains(got, "which is") || !strings.Contains(got, list[0].Node) {
		t.Errorf("neither the health nor the node of the instances is told:\n%s", got)
	}
	for _, id := range []*int{nil, new(-1), new(1 << 40)} {
		if in := instanceOf(s, "Thing", id); in != nil {
			t.Errorf("instance %v is found: %+v", id, in)
		}
	}
}

func TestWorstFirst(t *testing.T) {
	s := sample.State(40, 4000)
	v := NewInstances()
	for _, q := range v.Needs(s) {
		sample.Answer(s, q)
	}
	v.Press("G", s)
	v.Press("!", s)
	v.Draw(screen.New(120, 40), s)
	if in := v.table.current(); in == nil || data.HealthOf(in) != data.Down {
		t.Errorf("under the cursor is %+v, want one that is down", in)
	}
}

func TestFaultsThatLast(t *testing.T) {
	for _, c := range []struct {
		faults []string
		want   string
	}{
		{nil, ""},
		{[]string{"{at: 16m, for: 6m, node: partition, count: 1}"}, "fault: node partition"},
		{[]string{"{every: 9m, pod: crash, kind: Thing}"}, "fault: pod crash"},
		{[]string{"kafka: down", "mqtt: lose", "?"}, "3 faults last"},
		{[]string{""}, "fault: "},
	} {
		if got := FaultsLast(api.Clock{Faults: c.faults}); got != c.want {
			t.Errorf("%q: got %q, want %q", c.faults, got, c.want)
		}
	}
}

func TestMarksInWords(t *testing.T) {
	for _, c := range []struct {
		mark api.Mark
		want string
	}{
		{api.Mark{Class: api.MarkAlarm, Text: "heartbeats-down: the channel is down: silence replaces nobody"}, "the channel is down: silence replaces nobody"},
		{api.Mark{Class: api.MarkAlarm, Text: "an instance is down: 3"}, "an instance is down: 3"},
		{api.Mark{Class: api.MarkFault, Text: "{at: 5m, for: 10m, kafka: down}"}, "kafka: down"},
		{api.Mark{Class: api.MarkAlarm}, ""},
	} {
		if got := markText(&c.mark); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.mark, got, c.want)
		}
	}
}

package pane

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

// keys presses one key after the other, and answers what came of the last.
func keys(d Dialog, s *data.State, keys ...string) (do Intent, closed bool) {
	for _, k := range keys {
		do, closed = d.Press(k, s)
	}
	return do, closed
}

// dialog draws a dialog as it is drawn on a screen of a size.
func dialog(d Dialog, s *data.State, width, height int) *screen.Canvas {
	w, h := d.Size(s)
	c := screen.New(min(w, width-4), min(h, height-4))
	d.Draw(c, s)
	return c
}

// inSimulation is a state with all that the dialogs ask for.
func inSimulation() *data.State {
	s := simulation()
	sample.Answer(s, data.Query{What: data.AskFaults}, data.Query{What: data.AskKinds}, data.Query{What: data.AskInstances, Kind: "Thing"})
	return s
}

func TestReorchestrateFrames(t *testing.T) {
	for _, size := range sizes {
		s := inSimulation()
		d := NewReorchestrate("Thing")
		keys(d, s, "1", "2", "0")
		sample.Answer(s, d.Needs(s)...)
		golden(t, fmt.Sprintf("reorchestrate-%dx%d", size[0], size[1]), dialog(d, s, size[0], size[1]))
	}
	s := inSimulation()
	d := NewReorchestrate("Thing")
	keys(d, s, "1", "tab", "3")
	q, _ := d.query()
	s.Answers[q] = &data.Answer{Err: api.Errorf(api.CodeRefused, "require instances more than the max: 12/10")}
	golden(t, "reorchestrate-refused-80x24", dialog(d, s, 80, 24))
}

// The preview is asked for as soon as the fields are numbers, the defaults first.
func TestReorchestrateAsks(t *testing.T) {
	s := inSimulation()
	d := NewReorchestrate("Thing")
	asks := func(per, most int) data.Query {
		return data.Query{What: data.AskPlan, Kind: "Thing", N: plannedMoves, Per: per, Max: most}
	}
	instances := data.Query{What: data.AskInstances, Kind: "Thing"}
	for _, tc := range []struct {
		keys []string
		want []data.Query
	}{
		{nil, []data.Query{instances, asks(0, 0)}},
		{[]string{"3", "0"}, []data.Query{instances, asks(30, 0)}},
		{[]string{"tab", "1"}, []data.Query{instances}},
		{[]string{"2"}, []data.Query{instances, asks(30, 12)}},
		{[]string{"x"}, []data.Query{instances}},
	} {
		keys(d, s, tc.keys...)
		if got := d.Needs(s); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("after %v: needs %v, want %v", tc.keys, got, tc.want)
		}
	}
}

// Nothing is done before its preview is there, and a wrong field says what is
// wrong, in the server's words where it is the server who says so.
func TestReorchestrateConfirms(t *testing.T) {
	s := inSimulation()
	d := NewReorchestrate("Thing")
	if do, closed := keys(d, s, "1", "0", "enter", "enter", "enter"); do.Act != Say || closed {
		t.Errorf("without a preview: %+v, %v", do, closed)
	}
	sample.Answer(s, d.Needs(s)...)
	do, closed := keys(d, s, "enter")
	if do.Act != Orchestrate || !do.Sure || !closed || do.Kind != "Thing" || *do.Request.ResourcePerInstance != 10 || do.Request.MaxInstances != nil {
		t.Errorf("with a preview: %+v, %v", do, closed)
	}
	q, _ := d.query()
	s.Answers[q].Err = &api.Error{Code: api.CodeOutOfRange, Field: "resourcePerInstance", Message: "want 1 to 4999"}
	if frame := dialog(d, s, 120, 40).Plain(); !strings.Contains(frame, "✗ want 1 to 4999") {
		t.Errorf("the server's complaint is not beside the field:\n%s", frame)
	}
	if do, closed := keys(d, s, "enter"); do.Act != Say || closed {
		t.Errorf("with a field that is wrong: %+v, %v", do, closed)
	}
	delete(s.Answers, q)
	sample.Answer(s, d.Needs(s)...)
	about, _ := s.About()
	about.Scope = "read"
	s.Answers[data.Query{What: data.AskAbout}] = &data.Answer{Value: about}
	if do, closed := keys(d, s, "enter"); do.Act != Say || closed || !strings.Contains(do.Text, "read") {
		t.Errorf("with a token that may only read: %+v, %v", do, closed)
	}
	if do, closed := keys(d, s, "tab", "enter"); do.Act != None || !closed {
		t.Errorf("cancelled: %+v, %v", do, closed)
	}
}

func TestPlanInWords(t *testing.T) {
	for _, tc := range []struct {
		cost api.Cost
		want string
	}{
		{api.Cost{}, "Nothing would change: everything is as it would be after a re-orchestration."},
		{api.Cost{Moves: 1240, Opened: 3}, "It would move 1 240 of 4 000 resources and create 3 instances."},
		{api.Cost{Moves: 1, Placements: 2, Released: 1}, "It would move 1 of 4 000 resources, place 2 resources that stand nowhere and release 1 instance."},
		{api.Cost{Recapacitated: 4}, "It would change what 4 instances may hold; no resource moves from one instance to another."},
	} {
		if got := costText(api.Plan{Resources: 4000, Cost: tc.cost}); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.cost, got, tc.want)
		}
	}
}

func TestBreakFrames(t *testing.T) {
	for _, size := range sizes {
		s := inSimulation()
		name := func(what string) string { return fmt.Sprintf("break-%s-%dx%d", what, size[0], size[1]) }
		d := NewBreak("Thing", 3)
		golden(t, name("list"), dialog(d, s, size[0], size[1]))
		keys(d, s, "enter")
		golden(t, name("pod"), dialog(d, s, size[0], size[1]))
		keys(d, s, "esc", "n", "o", "d", "e", "enter")
		golden(t, name("node"), dialog(d, s, size[0], size[1]))
	}
	s := inSimulation()
	d := NewBreak("Thing", -1)
	keys(d, s, "k", "a", "f", "k", "a", "space", "s", "l", "enter", "5", "x")
	golden(t, "break-kafka-80x24", dialog(d, s, 80, 24))
	d = NewBreak("", -1)
	keys(d, s, "y", "e", "t", "i")
	golden(t, "break-none-80x24", dialog(d, s, 80, 24))
}

// What comes of a choice is a fault as a scenario has it.
func TestBreakFaults(t *testing.T) {
	pod := api.FaultWord{Subject: "pod", Word: "crash", Once: true, Target: "instance", Needs: true,
		Keys: []string{"kind", "instance", "count", "share", "where", "every", "stable"}}
	hang := pod
	hang.Word, hang.Once = "hang", false
	node := api.FaultWord{Subject: "node", Word: "lose", Target: "node", Needs: true, Keys: []string{"count", "share"}}
	slow := api.FaultWord{Subject: "zookeeper", Word: "slow", Keys: []string{"by", "of", "later"}, By: 1}
	for _, tc := range []struct {
		word api.FaultWord
		set  map[string]string
		want map[string]any
		flow string
	}{
		{pod, nil, map[string]any{"pod": "crash", "kind": "Thing", "instance": 3}, "{pod: crash, kind: Thing, instance: 3}"},
		{hang, map[string]string{"instance": "", "share": "20", "where": "load > 90%, age < 1m"},
			map[string]any{"pod": "hang", "kind": "Thing", "share": "20%", "where": []any{"load > 90%", "age < 1m"}, "for": "5m"},
			"{pod: hang, kind: Thing, share: 20%, where: [load > 90%, age < 1m], for: 5m}"},
		{node, nil, map[string]any{"node": "lose", "count": 1, "for": "5m"}, "{node: lose, count: 1, for: 5m}"},
		{slow, map[string]string{"of": "dacs", "by": "30s", "chance": "50%", "later": "on"},
			map[string]any{"zookeeper": "slow", "of": "dacs", "for": "5m", "by": "30s", "chance": "50%", "later": "on"},
			"{zookeeper: slow, of: dacs, for: 5m, by: 30s, chance: 50%, later: on}"},
	} {
		s := inSimulation()
		s.Answers[data.Query{What: data.AskFaults}] = &data.Answer{Value: api.Faults{Offered: []api.FaultWord{tc.word}}}
		d := NewBreak("Thing", 3)
		keys(d, s, "enter")
		for name, value := range tc.set {
			if f := d.form.field(name); f.choices != nil {
				f.choose(value)
			} else {
				f.line.Set(value)
			}
		}
		d.form.at = len(d.form.fields)
		if _, flow := faultOf(tc.word, &d.form); flow != tc.flow {
			t.Errorf("%s, want %s", flow, tc.flow)
		}
		do, closed := keys(d, s, "enter")
		if do.Act != Inject || !do.Sure || !closed || !reflect.DeepEqual(do.Fault, tc.want) {
			t.Errorf("%+v %v, want %v", do, closed, tc.want)
		}
	}
}

// A fault of nodes begins with the node of the instance under the cursor; another
// can be chosen, or typed where there are many.
func TestBreakNodes(t *testing.T) {
	word := api.FaultWord{Subject: "node", Word: "lose", Target: "node", Needs: true, Keys: []string{"name", "count", "share"}}
	many := make([]string, maxNodeChoices+1)
	for i := range many {
		many[i] = fmt.Sprint("node-", i)
	}
	for name, tc := range map[string]struct {
		nodes    []string
		instance int
		keys     []string
		want     map[string]any
		says     string
	}{
		"its own":      {nodes: many[:3], instance: 3, want: map[string]any{"name": "node-1"}},
		"of many":      {nodes: many, instance: 3, want: map[string]any{"name": "node-1"}},
		"the next":     {nodes: many[:3], instance: 3, keys: []string{"up", "up", "up", "up", "up", "right"}, want: map[string]any{"name": "node-2"}},
		"typed":        {nodes: many, instance: 3, keys: []string{"up", "up", "up", "up", "up", "2"}, want: map[string]any{"name": "node-12"}},
		"none such":    {nodes: many, instance: 3, keys: []string{"up", "up", "up", "up", "up", "x"}, says: "✗"},
		"and a count":  {nodes: many[:3], instance: 3, keys: []string{"up", "up", "up", "up", "2"}, says: "name and count only"},
		"no instance":  {nodes: many[:3], instance: -1, want: map[string]any{"count": 1}},
		"not known":    {nodes: many[5:7], instance: 3, want: map[string]any{"count": 1}},
		"nothing said": {nodes: many[:3], instance: 3, keys: []string{"up", "up", "up", "up", "up", "left", "left"}, says: "which node"},
	} {
		s := inSimulation()
		s.Answers[data.Query{What: data.AskFaults}] = &data.Answer{Value: api.Faults{Offered: []api.FaultWord{word}, Nodes: tc.nodes}}
		d := NewBreak("Thing", tc.instance)
		keys(d, s, "enter")
		keys(d, s, tc.keys...)
		dialog(d, s, 100, 30)
		d.form.at = len(d.form.fields)
		do, closed := keys(d, s, "enter")
		want := map[string]any{"node": "lose", "for": "5m"}
		maps.Copy(want, tc.want)
		switch {
		case tc.says != "" && (do.Act != Say || closed || !strings.Contains(do.Text, tc.says)):
			t.Errorf("%s: %+v", name, do)
		case tc.says == "" && !reflect.DeepEqual(do.Fault, want):
			t.Errorf("%s: %v, want %v", name, do.Fault, want)
		}
	}
}

// A fault of ZooKeeper is the orchestrator's or everybody's, unless somebody says
// whose: no instance is meant, though one is under the cursor.
func TestBreakSessions(t *testing.T) {
	s := inSimulation()
	word := api.FaultWord{Subject: "zookeeper", Word: "expire", Once: true, Target: "instance", Keys: []string{"of", "kind", "instance", "count", "share", "where"}}
	s.Answers[data.Query{What: data.AskFaults}] = &data.Answer{Value: api.Faults{Offered: []api.FaultWord{word}}}
	d := NewBreak("Thing", 3)
	keys(d, s, "enter")
	if _, flow := faultOf(word, &d.form); flow != "{zookeeper: expire}" || missing(word, &d.form) != "" {
		t.Errorf("it begins with %s, %s", flow, missing(word, &d.form))
	}
	d.form.field("kind").choose("Thing")
	if says := missing(word, &d.form); !strings.Contains(says, "of: dacs") {
		t.Errorf("with a kind: %q", says)
	}
	d.form.field("of").choose("dacs")
	if says := missing(word, &d.form); says != "" {
		t.Errorf("with of: dacs as well: %q", says)
	}
}

// What cannot be right is not sent.
func TestBreakRefuses(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{"instance", "x", "✗"}, {"instance", "", "which instance"}, {"count", "2", "exclude"},
		{"for", "5", "✗"}, {"for", "", "how long"}, {"chance", "often", "✗"},
	} {
		s := inSimulation()
		word := api.FaultWord{Subject: "pod", Word: "hang", Needs: true, Target: "instance", Keys: []string{"kind", "instance", "count", "share", "where"}}
		s.Answers[data.Query{What: data.AskFaults}] = &data.Answer{Value: api.Faults{Offered: []api.FaultWord{word}}}
		d := NewBreak("Thing", 3)
		keys(d, s, "enter")
		d.form.field(tc.name).line.Set(tc.value)
		d.form.at = len(d.form.fields)
		do, closed := keys(d, s, "enter")
		if do.Act != Say || closed || !strings.Contains(do.Text, tc.want) {
			t.Errorf("%s = %q: %+v, %v", tc.name, tc.value, do, closed)
		}
	}
}

// Esc goes back from the fields to the list, and leaves from there; a click does
// what the keys do.
func TestBreakWays(t *testing.T) {
	s := inSimulation()
	d := NewBreak("Thing", 3)
	if _, closed := keys(d, s, "enter", "esc"); closed || d.chosen != nil {
		t.Error("esc does not go back to the list")
	}
	if _, closed := keys(d, s, "esc"); !closed {
		t.Error("esc does not leave the list")
	}
	dialog(d, s, 120, 40)
	d.Click(10, d.picks[3].y, s)
	if d.chosen == nil || d.chosen.Subject != "kafka" {
		t.Fatalf("a click on the fourth chose %+v", d.chosen)
	}
	dialog(d, s, 120, 40)
	spot := d.form.spots[len(d.form.spots)-1]
	if do, closed := d.Click(spot.Min.X+2, spot.Min.Y, s); do.Act != None || !closed {
		t.Errorf("a click on cancel: %+v, %v", do, closed)
	}
}

// Any keys, sizes and answers, in any order: no panic, and nothing is ordered that
// the person was not shown a button for.
func TestDialogsAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sample.State(rapid.IntRange(0, 200).Draw(t, "instances"), rapid.IntRange(0, 5000).Draw(t, "resources"))
		var d Dialog = NewReorchestrate("Thing")
		if rapid.Bool().Draw(t, "break") {
			d = NewBreak(rapid.SampledFrom([]string{"", "Thing", "Rule", "?"}).Draw(t, "kind"), rapid.IntRange(-1, 5).Draw(t, "instance"))
		}
		canvas := screen.New(310, 110)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"tab", "shift+tab", "up", "down", "left", "right", "enter", "space", "backspace",
				"pgup", "pgdown", "1", "0", "a", "k", "%", "esc", "ctrl+u", ""}).Draw(t, "key")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				sample.Answer(s, d.Needs(s)...)
			case 1:
				for _, q := range d.Needs(s) {
					s.Answers[q] = &data.Answer{Err: &api.Error{Message: rapid.String().Draw(t, "message"),
						Field: rapid.SampledFrom([]string{"", "maxInstances", "other"}).Draw(t, "field")}}
				}
			case 2:
				d.Paste(rapid.String().Draw(t, "paste"), s)
			case 3:
				if do, _ := d.Click(rapid.IntRange(-2, 300).Draw(t, "x"), rapid.IntRange(-2, 100).Draw(t, "y"), s); do.Act == Inject && len(do.Fault) == 0 {
					t.Fatalf("%+v", do)
				}
			default:
				do, closed := d.Press(key, s)
				if (do.Act == Orchestrate || do.Act == Inject) && (!closed || !do.Sure || key != "enter" && key != "space") {
					t.Fatalf("%s: %+v, %v", key, do, closed)
				}
			}
			d.Draw(canvas.Sub(0, 0, rapid.IntRange(0, 300).Draw(t, "width"), rapid.IntRange(0, 100).Draw(t, "height")), s)
			_, _ = d.Title(s), d.Keys()
		}
	})
}

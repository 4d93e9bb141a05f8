package pane

import (
	"strings"
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

// TestTableIntents presses keys and compares what the last of them asks for.
func TestTableIntents(t *testing.T) {
	at := func(act Act, instance int) Intent { return Intent{Act: act, Kind: "Thing", Instance: instance} }
	opened := func(v View, instance int, resource string) Intent {
		return Intent{Act: Open, View: v, Kind: "Thing", Instance: instance, Resource: resource}
	}
	for _, c := range []struct {
		pane Pane
		keys string
		want Intent
	}{
		{NewKinds(), "enter", Intent{Act: Open, View: Instances, Kind: "Thing"}},
		{NewKinds(), "down o", Intent{Act: Orchestrate, Kind: "Rule"}},
		{NewKinds(), "down m", Intent{Act: Maintenance, Kind: "Rule", On: true}},
		{NewInstances(), "down down enter", opened(Instance, 2, "")},
		{NewInstances(), "G r", at(Replace, 39)},
		{NewInstances(), "G d", at(Drain, 39)},
		{NewInstances(), "G u", at(Undrain, 39)},
		{NewInstances(), "G b", at(Break, 39)},
		{NewInstances(), "S d", at(Drain, 39)},
		{NewInstances(), "o", Intent{Act: Orchestrate, Kind: "Thing"}},
		{filtered(NewInstances(), "oom"), "r", at(Replace, 11)},
		{NewResources(), "enter", opened(Resource, 0, "00000000-cdaf-4b1d-9397-e220a8397b1d")},
		{filtered(NewResources(), resourceOf), "i", opened(Instance, 17, "")},
		{NewReorchestrations(), "o", Intent{Act: Orchestrate, Kind: "Thing"}},
		{NewInstance("Thing", 17), "enter", opened(Resource, 0, resourceOf)},
		{NewInstance("Thing", 17), "tab r", at(Replace, 17)},
		{NewInstance("Thing", 17), "shift+tab d", at(Drain, 17)},
		{NewInstance("Thing", 17), "b", at(Break, 17)},
		{NewInstance("Thing", 17), "tab tab enter", opened(Resource, 0, "3ac08312-f1d7-401b-98e5-9cbc978e501b")},
		{NewResource("Thing", resourceOf), "enter", opened(Instance, 17, "")},
		{NewResource("Thing", resourceOf), "r", at(Replace, 17)},
	} {
		s := supplied(sample.State(40, 4000), c.pane)
		c.pane.Draw(screen.New(80, 24), s)
		var got Intent
		var ok bool
		for _, key := range strings.Fields(c.keys) {
			got, ok = c.pane.Press(key, s)
			c.pane.Draw(screen.New(80, 24), s)
		}
		if got.Act != c.want.Act || got.View != c.want.View || got.Kind != c.want.Kind || got.Instance != c.want.Instance ||
			got.Resource != c.want.Resource || got.On != c.want.On || !ok {
			t.Errorf("%s, %q: got %+v (%v), want %+v", c.pane.Title(s), c.keys, got, ok, c.want)
		}
	}
}

// TestKeysThatMeanNothing are left to the model, whatever is known.
func TestKeysThatMeanNothingToTables(t *testing.T) {
	for name, make := range tableViews {
		for _, s := range []*data.State{supplied(sample.State(40, 4000), make()), {Answers: map[data.Query]*data.Answer{}}} {
			p := make()
			p.Draw(screen.New(80, 24), s)
			for _, key := range strings.Fields("q ? : esc / F n N space , . [ ] { } < > L 1 7 ctrl+f f5") {
				if do, ok := p.Press(key, s); ok || do.Act != None {
					t.Errorf("%s takes the key %q, which all views share", name, key)
				}
			}
		}
	}
}

func TestTableClicks(t *testing.T) {
	v := NewInstances()
	s := supplied(sample.State(40, 4000), v)
	c := screen.New(80, 24)
	v.Draw(c, s)
	if do := v.Click(10, 5, false, s); do.Act != None || v.table.current().ID != 4 {
		t.Errorf("a click on the row of instance 4: %+v, the cursor is on %d", do, v.table.current().ID)
	}
	if do := v.Click(10, 6, true, s); do.Act != Open || do.Instance != 5 {
		t.Errorf("a double click on the row of instance 5: %+v", do)
	}
	v.Click(10, 0, false, s) // the title "health"
	v.Draw(c, s)
	if v.table.columns[v.table.sorted].title != "health" || v.table.current().ID != 5 {
		t.Errorf("a click on a title: sorted by %q, the cursor is on %d", v.table.columns[v.table.sorted].title, v.table.current().ID)
	}
	v.Click(10, 0, false, s)
	if v.Draw(c, s); !v.table.reverse {
		t.Error("a second click on a title does not turn the order round")
	}
	for _, at := range [][2]int{{-1, 0}, {79, 0}, {0, -1}, {0, 24}, {500, 500}} {
		if do := v.Click(at[0], at[1], true, s); do.Act != None {
			t.Errorf("a click at %v: %+v", at, do)
		}
	}
}

func TestSectionsAreClicked(t *testing.T) {
	v := NewInstance("Thing", 17)
	s := supplied(sample.State(40, 4000), v)
	v.Draw(screen.New(80, 23), s)
	v.Click(20, 5, false, s) // "pod" among the names
	if v.parts.at != 1 {
		t.Errorf("a click on the name of the pod's section gives section %d the keyboard", v.parts.at)
	}
	v.Draw(screen.New(120, 40), s)
	if do := v.Click(10, 8, true, s); v.parts.at != 0 || do.View != Resource {
		t.Errorf("a double click on a resource: section %d, %+v", v.parts.at, do)
	}
}

// TestOnlyWhatIsSeenIsFormatted counts how often a value is made.
func TestOnlyWhatIsSeenIsFormatted(t *testing.T) {
	made := 0
	var v rows[api.Instance, int]
	v.columns = []column[api.Instance]{{title: "no.", least: 5, most: 9,
		text: func(*api.Instance, *data.State) (string, screen.Style) { made++; return "x", plainStyle }}}
	v.key = func(in *api.Instance) int { return in.ID }
	s := sample.State(10_000, 10_000)
	list, a := s.Instances("Thing")
	v.set(list, a.At)
	v.draw(screen.New(80, 24), s, true, false)
	if made != 23 {
		t.Errorf("%d values were made to show 23", made)
	}
}

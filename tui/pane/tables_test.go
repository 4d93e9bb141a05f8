package pane

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

// resourceOf is the id of a resource that stands on the 17th instance.
const resourceOf = "223d70a3-7178-4302-977c-078ab977c302"

var tableViews = map[string]func() Pane{
	"kinds":          func() Pane { return NewKinds() },
	"instances":      func() Pane { return NewInstances() },
	"resources":      func() Pane { return NewResources() },
	"orchestrations": func() Pane { return NewReorchestrations() },
	"events":         func() Pane { return NewEvents() },
	"instance":       func() Pane { return NewInstance("Thing", 17) },
	"resource":       func() Pane { return NewResource("Thing", resourceOf) },
	"help": func() Pane {
		return NewHelp("instances", NewInstances().Keys(), []KeyHelp{{Key: "1 … 7", Does: "another view"}, {Key: "q", Does: "quit"}})
	},
}

// supplied answers all that a pane needs, also what it needs then.
func supplied(s *data.State, p Pane) *data.State {
	for range 4 {
		sample.Answer(s, p.Needs(s)...)
	}
	return s
}

// framed is a pane as it is seen: its title, its note, and what it draws.
func framed(c *screen.Canvas, s *data.State, p Pane) {
	w, h := c.Size()
	c.Text(0, 0, p.Title(s), screen.Fg(screen.Strong))
	c.TextRight(w/2, 0, w-w/2, p.Note(s), screen.Fg(screen.Dim))
	p.Draw(c.Sub(0, 1, w, h-1), s)
}

func TestTableFrames(t *testing.T) {
	for name, make := range tableViews {
		goldens(t, name, func(c *screen.Canvas) {
			p := make()
			framed(c, supplied(sample.State(40, 4000), p), p)
		})
	}
}

func TestTableFramesThatDiffer(t *testing.T) {
	for name, c := range map[string]struct {
		pane Pane
		keys string
		do   func(s *data.State)
	}{
		"instances-by-health": {pane: NewInstances(), keys: "s down down"},
		"instances-filtered":  {pane: filtered(NewInstances(), "DOWN")},
		"instances-none":      {pane: NewInstances(), do: func(s *data.State) { *s = *sample.State(0, 0) }},
		"instances-nothing":   {pane: filtered(NewInstances(), "gibraltar")},
		"instances-error":     {pane: NewInstances(), do: failing},
		"instances-loading":   {pane: NewInstances(), do: func(s *data.State) { clear(s.Answers) }},
		"kinds-unled":         {pane: NewKinds(), do: unled},
		"resources-prefix":    {pane: filtered(NewResources(), "22"), keys: "down down down"},
		"resources-pod":       {pane: filtered(NewResources(), "iota-dac-9"), keys: ""},
		"resources-of-pod":    {pane: filtered(NewResources(), "iota-dac-5"), keys: "G"},
		"resources-nothing":   {pane: filtered(NewResources(), "gibraltar")},
		"events-flood":        {pane: NewEvents(), do: func(s *data.State) { s.Sampled, s.Skipped, s.Rate = true, 98_450, 1250 }},
		"events-scrolled":     {pane: filtered(NewEvents(), "pod"), keys: "pgup up"},
		"events-none":         {pane: NewEvents(), do: func(s *data.State) { s.Events = nil }},
		"instance-history":    {pane: NewInstance("Thing", 17), keys: "tab tab down"},
		"instance-gone":       {pane: NewInstance("Thing", 4711)},
		"instance-error":      {pane: NewInstance("Thing", 11), do: failing},
		"resource-gone":       {pane: NewResource("Thing", "gibraltar\x1b[2J")},
		"production-resource": {pane: NewResource("Thing", resourceOf), do: func(s *data.State) { sample.Production(s) }},
	} {
		frame := screen.New(80, 24)
		s := supplied(sample.State(40, 4000), c.pane)
		c.pane.Draw(frame, s)
		frame.Reset()
		if c.do != nil {
			c.do(s)
			supplied(s, c.pane)
		}
		if name == "instances-loading" {
			clear(s.Answers)
		}
		for _, key := range strings.Fields(c.keys) {
			if _, ok := c.pane.Press(key, s); !ok {
				t.Errorf("%s: the key %q means nothing", name, key)
			}
		}
		framed(frame, s, c.pane)
		golden(t, "table-"+name, frame)
	}
}

func filtered(p Filtered, text string) Pane { p.Filter(text); return p }

func failing(s *data.State) {
	for _, a := range s.Answers {
		a.Err = errors.New("connection refused")
	}
}

func unled(s *data.State) {
	for q, a := range s.Answers {
		switch v := a.Value.(type) {
		case api.Kinds:
			v.Kinds[0].Leader, v.Kinds[0].Unplaced = api.Leader{}, 40
			a.Value = v
		case api.Status:
			if q.Kind == "Thing" {
				v.Leader, v.Stage = api.Leader{}, "follower"
				a.Value = v
			}
		}
	}
}

// anyKey is every key that means something to one of the tables, and some that
// do not.
var anyKey = rapid.SampledFrom(strings.Fields("up down left right pgup pgdown home end g G j k h l s S tab shift+tab enter " +
	"ctrl+u ctrl+d r d u f o i m x esc"))

// TestTablesStandEverything presses any keys, at any size, while answers come, go
// and fail: nothing panics, and the cursor stays on a row.
func TestTablesStandEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"kinds", "instances", "resources", "orchestrations", "events", "instance", "resource", "help"}).Draw(t, "view")
		p := tableViews[name]()
		s := sample.State(rapid.IntRange(0, 60).Draw(t, "instances"), rapid.IntRange(0, 3000).Draw(t, "resources"))
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "happens") {
			case 0:
				other := sample.State(rapid.IntRange(0, 60).Draw(t, "then"), 500)
				other.Kind = rapid.SampledFrom([]string{"Thing", "Rule", "", "Nothing"}).Draw(t, "kind")
				other.Now = other.Now.Add(time.Second)
				s = other
			case 1:
				failing(s)
			case 2:
				clear(s.Answers)
			case 3:
				if f, ok := p.(Filtered); ok {
					f.Filter(rapid.SampledFrom([]string{"", "i", "down", "2", "é", strings.Repeat("x", 500)}).Draw(t, "filter"))
				}
			case 4:
				p.Click(rapid.IntRange(-2, 210).Draw(t, "x"), rapid.IntRange(-2, 70).Draw(t, "y"), rapid.Bool().Draw(t, "twice"), s)
			case 5:
				p.Wheel(rapid.IntRange(-9, 9).Draw(t, "wheel"), s)
			case 6:
				supplied(s, p)
			default:
				p.Press(anyKey.Draw(t, "key"), s)
			}
			c := screen.New(rapid.IntRange(1, 210).Draw(t, "width"), rapid.IntRange(1, 70).Draw(t, "height"))
			if rapid.IntRange(0, 9).Draw(t, "tiny") == 0 {
				c = c.Sub(0, 0, 0, 0)
			}
			framed(c, s, p)
			if needs := p.Needs(s); len(needs) > 40 {
				t.Fatalf("%s needs %d answers at once", name, len(needs))
			}
		}
	})
}

// TestSelectionSurvives changes data, order and filter of a table: the row under
// the cursor stays the same while it is there.
func TestSelectionSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := NewInstances()
		s := sample.State(rapid.IntRange(1, 50).Draw(t, "instances"), 2000)
		c := screen.New(120, 20)
		v.Draw(c, s)
		for range rapid.IntRange(1, 10).Draw(t, "moves") {
			v.Press(rapid.SampledFrom([]string{"down", "up", "pgdown", "G"}).Draw(t, "key"), s)
		}
		on := v.table.current().ID
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			list, a := s.Instances("Thing")
			first := v.table.cursor == 0 // sorted by hand it stays there
			next := append([]api.Instance(nil), list...)
			change := rapid.IntRange(0, 4).Draw(t, "change")
			switch change {
			case 0:
				v.Press("s", s)
			case 1:
				v.Press("S", s)
			case 2:
				at := rapid.IntRange(0, len(next)-1).Draw(t, "gone")
				next = append(next[:at], next[at+1:]...)
			case 3:
				next[rapid.IntRange(0, len(next)-1).Draw(t, "loaded")].Used = rapid.IntRange(0, 200).Draw(t, "used")
			case 4:
				v.Filter(rapid.SampledFrom([]string{"", "iota", "1"}).Draw(t, "filter"))
			}
			if len(next) == 0 {
				return
			}
			s.Answers[data.Query{What: data.AskInstances, Kind: "Thing"}] = &data.Answer{Value: api.Instances{Instances: next}, At: a.At.Add(time.Second)}
			v.Draw(c, s)
			there := false
			for i := range next {
				there = there || next[i].ID == on && (v.filter() == "" || contains(v.filter(), next[i].Pod))
			}
			now := v.table.current()
			switch {
			case now == nil && v.table.count > 0:
				t.Fatalf("the cursor is at %d of %d", v.table.cursor, v.table.count)
			case now == nil:
				return
			case first && change <= 1:
				if v.table.cursor != 0 {
					t.Fatalf("sorted by hand, and the cursor goes from the first row to %d", v.table.cursor)
				}
			case there && now.ID != on:
				t.Fatalf("the cursor was on instance %d, which is still there, and is on %d", on, now.ID)
			}
			on = now.ID
		}
	})
}

func (v *InstancesView) filter() string { return v.table.filter }

// server hands out ids page by page, as the real one does.
type server struct{ ids []string }

func (sv *server) answer(q data.Query) api.Search {
	var out api.Search
	for _, id := range sv.ids {
		if id <= q.After || !strings.HasPrefix(id, q.Text) {
			continue
		}
		if len(out.Resources) == q.N {
			out.Next = out.Resources[q.N-1].ID
			break
		}
		out.Resources = append(out.Resources, api.Found{ID: id, RunIn: "pod"})
	}
	return out
}

// TestPages walks through lists of any length while pages come late and are
// forgotten: what is seen is what the server has, and few pages are asked for.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sv := &server{}
		for i := range rapid.IntRange(0, 1700).Draw(t, "resources") {
			sv.ids = append(sv.ids, fmt.Sprintf("thing-%06d", 2*i))
		}
		v, s := NewResources(), sample.State(3, 100)
		c := screen.New(80, rapid.IntRange(2, 60).Draw(t, "height"))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "happens") {
			case 0:
				if n := len(sv.ids); n > 0 {
					at := rapid.IntRange(0, n-1).Draw(t, "row")
					if rapid.Bool().Draw(t, "goes") {
						sv.ids = append(sv.ids[:at:at], sv.ids[at+1:]...)
					} else if id := sv.ids[at] + "x"; at+1 == n || sv.ids[at+1] != id {
						sv.ids = append(sv.ids[:at+1:at+1], append([]string{id}, sv.ids[at+1:]...)...)
					}
				}
			case 1:
				clear(s.Answers)
			default:
				v.Press(rapid.SampledFrom([]string{"G", "g", "down", "pgdown", "pgdown", "pgup"}).Draw(t, "key"), s)
			}
			needs := v.Needs(s)
			if len(needs) > 10 {
				t.Fatalf("%d pages are asked for at once", len(needs))
			}
			for _, q := range needs {
				if q.What == data.AskSearch && rapid.IntRange(0, 3).Draw(t, "late") > 0 {
					s.Answers[q] = &data.Answer{Value: sv.answer(q), At: s.Now}
				}
			}
			v.Draw(c, s)
			if p := &v.table; p.cursor < 0 || p.cursor >= max(p.count, 1) || p.top < 0 || p.top > p.cursor {
				t.Fatalf("the cursor is at %d, the top at %d of %d", p.cursor, p.top, p.count)
			}
		}
		v.Filter("") // from here on nothing changes any more: all must be found
		clear(s.Answers)
		for row := 0; row < 2000; row += 100 {
			v.table.cursor = row
			v.table.moved(s)
			for _, q := range v.Needs(s) {
				if q.What == data.AskSearch {
					s.Answers[q] = &data.Answer{Value: sv.answer(q), At: s.Now}
				}
			}
		}
		v.table.cursor = 2000
		v.table.moved(s)
		v.Draw(c, s)
		n, all := v.table.readSoFar()
		if !all || n != len(sv.ids) {
			t.Fatalf("%d rows have been read (all: %v), there are %d", n, all, len(sv.ids))
		}
		v.Press("G", s)
		if r := v.table.current(s); n > 0 && (r == nil || r.ID != sv.ids[n-1]) {
			t.Fatalf("the last row is %v, the last id %s", r, sv.ids[n-1])
		}
	})
}

func TestPagesOfAServerThatTurnsInCircles(t *testing.T) {
	v, s := NewResources(), sample.State(3, 100)
	for range 10 {
		for _, q := range v.Needs(s) {
			if q.What == data.AskSearch {
				s.Answers[q] = &data.Answer{Value: api.Search{Resources: []api.Found{{ID: "a"}}, Next: "a"}}
			}
		}
	}
	if n := len(v.table.known); n > 2 {
		t.Errorf("%d pages are known of a list whose end is its beginning", n)
	}
}

// TestLayout draws the instances' table at each width: columns lie side by side,
// and those that must be there are.
func TestTableLayout(t *testing.T) {
	s := sample.State(40, 4000)
	for width := range 240 {
		v := NewInstances()
		v.Draw(screen.New(max(width, 1), 20), s)
		x := 0
		for _, at := range v.table.shown {
			if at.x < x || at.width > 0 && at.x+at.width > width {
				t.Errorf("%d columns wide: %q is at %d, %d wide, the one before ends at %d", width, v.table.columns[at.column].title, at.x, at.width, x)
			}
			x = at.x + at.width
		}
		for i, col := range v.table.columns {
			if shown := strings.Contains(fmt.Sprint(v.table.shown), "{"+strconv.Itoa(i)+" "); col.rank == 0 && !shown {
				t.Errorf("%d columns wide: %q has fallen away", width, col.title)
			}
		}
	}
}

func BenchmarkInstancesFrame(b *testing.B) {
	s := sample.State(10_000, 500_000)
	q := data.Query{What: data.AskInstances, Kind: "Thing"}
	for _, sorted := range []string{"number", "load"} {
		b.Run(sorted, func(b *testing.B) {
			v := NewInstances()
			c := screen.New(200, 60)
			if sorted == "load" {
				v.table.sorted = 3
			}
			for i := 0; b.Loop(); i++ {
				a := *s.Answers[q]
				a.At = a.At.Add(time.Duration(i)) // each frame shows new data
				s.Answers[q] = &a
				v.Draw(c, s)
			}
		})
	}
}

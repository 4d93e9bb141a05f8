package pane

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
	"dacorch/tui/screen"
)

// instancesOf is the query for the sample's instances.
var instancesOf = data.Query{What: data.AskInstances, Kind: "Thing"}

// TestPlacementFrames are frames for 3 to 10,000 instances.
func TestPlacementFrames(t *testing.T) {
	for _, n := range []int{3, 40, 120, 1000, 10_000} {
		s := sample.State(n, n*100)
		goldens(t, fmt.Sprintf("placement-%d", n), func(c *screen.Canvas) { NewPlacement().Draw(c, s) })
	}
}

// TestPlacementStates are frames of what is not the rule.
func TestPlacementStates(t *testing.T) {
	loading := sample.State(0, 0)
	delete(loading.Answers, instancesOf)
	nobody := sample.State(0, 0)
	nobody.Answers[data.Query{What: data.AskStatus, Kind: "Thing"}].Value = api.Status{Resource: "Thing"}
	stale := sample.State(40, 4000)
	stale.Answers[instancesOf].Err = errors.New("connection refused")
	refused := sample.State(0, 0)
	refused.Answers[instancesOf] = &data.Answer{Err: errors.New("connection refused")}
	star := sample.State(40, 4000)
	star.Found = &api.Found{ID: "51eb851e-9a3c", RunIn: "iota-dac-22", Instance: new(22)}
	for name, s := range map[string]*data.State{
		"loading": loading, "nobody": nobody, "stale": stale, "refused": refused, "found": star,
		"no-kinds": {Now: sample.Now()},
	} {
		c := screen.New(80, 24)
		NewPlacement().Draw(c, s)
		golden(t, "placement-"+name+"-80x24", c)
	}
}

// drawn is a view of a sample that has been drawn once.
func drawn(instances, width, height int) (*PlacementView, *data.State, *screen.Canvas) {
	s := sample.State(instances, instances*100)
	v, c := NewPlacement(), screen.New(width, height)
	v.Draw(c, s)
	return v, s, c
}

func press(t *testing.T, v *PlacementView, s *data.State, keys ...string) (last Intent) {
	t.Helper()
	for _, key := range keys {
		do, ok := v.Press(key, s)
		if !ok {
			t.Fatalf("%q means nothing", key)
		}
		v.Draw(screen.New(80, 24), s)
		last = do
	}
	return last
}

// TestPlacementFits: automatically, as large as all fit.
func TestPlacementFits(t *testing.T) {
	for _, want := range []struct {
		n, width, height int
		form             cellForm
		per              int
	}{
		{3, 80, 24, cardCell, 1}, {16, 80, 24, cardCell, 1}, {40, 80, 24, boxCell, 1}, {150, 80, 24, tileCell, 1},
		{400, 80, 24, dotCell, 1}, {1200, 80, 24, pointCell, 1}, {10_000, 80, 24, groupCell, 20}, {10_000, 200, 60, groupCell, 5},
		{10_000, 300, 100, dotCell, 1}, {100_000, 80, 24, groupCell, 200},
	} {
		v, _, _ := drawn(want.n, want.width, want.height)
		if g := v.grid; g.form != want.form || g.per != want.per || g.rows > g.seen {
			t.Errorf("%d at %d×%d: %s of %d, %d rows of which %d are seen; want %s of %d",
				want.n, want.width, want.height, g.form, g.per, g.rows, g.seen, want.form, want.per)
		}
	}
}

func TestPlacementZooms(t *testing.T) {
	v, s, _ := drawn(10_000, 80, 24)
	press(t, v, s, "G")
	seen := []string{v.grid.form.String()}
	for range 10 {
		press(t, v, s, "+")
		if f := v.grid.form.String(); f != seen[len(seen)-1] {
			seen = append(seen, f)
		}
		if row := v.place / v.grid.per / v.grid.cols; row < v.grid.top || row >= v.grid.top+v.grid.seen {
			t.Errorf("at %s the cursor's row %d is not seen: %d from %d on", v.grid.form, row, v.grid.seen, v.grid.top)
		}
	}
	if got, want := strings.Join(seen, " "), "groups points dots tiles boxes cards"; got != want {
		t.Errorf("zooming in: %s, want %s", got, want)
	}
	for range 30 {
		press(t, v, s, "-")
	}
	if v.grid.form != groupCell || v.grid.cells < 2 {
		t.Errorf("zoomed out: %s, %d cells", v.grid.form, v.grid.cells)
	}
	press(t, v, s, "0")
	if v.grid.per != 20 {
		t.Errorf("automatic: %d to a cell", v.grid.per)
	}
}

func TestPlacementKeys(t *testing.T) {
	v, s, _ := drawn(40, 80, 24)
	cols := v.grid.cols
	for _, step := range []struct {
		key string
		at  int
	}{
		{"right", 1}, {"l", 2}, {"left", 1}, {"down", 1 + cols}, {"k", 1}, {"j", 1 + cols}, {"up", 1}, {"up", 0}, {"h", 0},
		{"G", 39}, {"right", 39}, {"down", 39}, {"g", 0}, {"end", 39}, {"home", 0}, {"pgdown", 39}, {"pgup", 0}, {"!", 5}, {"!", 7}, {"!", 11},
	} {
		if press(t, v, s, step.key); v.at != step.at {
			t.Errorf("after %s at %d, want %d", step.key, v.at, step.at)
		}
	}
	for key, want := range map[string]Intent{
		"enter": {Act: Open, View: Instance, Kind: "Thing", Instance: 11}, "r": {Act: Replace, Kind: "Thing", Instance: 11},
		"d": {Act: Drain, Kind: "Thing", Instance: 11}, "u": {Act: Undrain, Kind: "Thing", Instance: 11},
		"b": {Act: Break, Kind: "Thing", Instance: 11}, "o": {Act: Orchestrate, Kind: "Thing"},
	} {
		if got := press(t, v, s, key); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	if _, ok := v.Press("x", s); ok {
		t.Error("x means something")
	}
}

// TestPlacementGroups: a group can only be looked at more closely.
func TestPlacementGroups(t *testing.T) {
	v, s, _ := drawn(10_000, 80, 24)
	if do := press(t, v, s, "right", "r"); do.Act != Say || !strings.Contains(do.Text, "20 instances") {
		t.Errorf("r on a group: %+v", do)
	}
	if do := press(t, v, s, "enter"); do.Act != None || v.grid.per >= 20 || v.at < 20 || v.at >= 40 {
		t.Errorf("enter on a group: %+v, %d to a cell, at %d", do, v.grid.per, v.at)
	}
}

func TestPlacementSorts(t *testing.T) {
	v, s, _ := drawn(40, 80, 24)
	press(t, v, s, "right", "right")
	if do := press(t, v, s, "s"); do.Text != "sorted by load" || v.at != 2 {
		t.Errorf("%+v, at %d", do, v.at)
	}
	for place := 1; place < 40; place++ {
		if fullness(v.order.in(place-1)) < fullness(v.order.in(place)) {
			t.Errorf("by load, place %d is emptier than the next", place-1)
		}
	}
	press(t, v, s, "s")
	for place := 1; place < 40; place++ {
		if v.order.healthAt(place-1) < v.order.healthAt(place) {
			t.Errorf("by health, place %d is better than the next", place-1)
		}
	}
	if press(t, v, s, "g"); v.order.healthAt(v.place) != data.Down || v.at != 11 {
		t.Errorf("by health the first is %d, %s", v.at, v.order.healthAt(v.place))
	}
	if note := v.Note(s); !strings.HasSuffix(note, "by health") {
		t.Errorf("note %q", note)
	}
}

func TestPlacementClicks(t *testing.T) {
	v, s, _ := drawn(40, 120, 40)
	g := v.grid
	if do := v.Click(g.x(2)+1, g.h+1, false, s); do.Act != None || v.at != g.cols+2 {
		t.Errorf("%+v, at %d, want %d", do, v.at, g.cols+2)
	}
	if do := v.Click(g.x(1), 0, true, s); do.Act != Open || do.Instance != 1 {
		t.Errorf("double click: %+v", do)
	}
	if v.list.count == 0 {
		t.Fatal("nothing is listed beside the cells")
	}
	v.Click(v.list.x+3, v.list.y, false, s)
	if v.at != 11 {
		t.Errorf("the first that is not up: at %d", v.at)
	}
	for _, p := range [][2]int{{-1, -1}, {119, 39}, {0, 39}, {1000, 1000}} {
		if do := v.Click(p[0], p[1], true, s); do.Act != None {
			t.Errorf("a click at %v: %+v", p, do)
		}
	}
}

func TestPlacementWheel(t *testing.T) {
	v, s, c := drawn(1000, 80, 24)
	press(t, v, s, "+", "+")
	v.Wheel(5, s)
	v.Draw(c, s)
	if v.grid.top != 5 || v.at != 0 {
		t.Errorf("row %d, at %d", v.grid.top, v.at)
	}
	v.Wheel(-100, s)
	v.Draw(c, s)
	if v.grid.top != 0 {
		t.Errorf("row %d", v.grid.top)
	}
	v.Wheel(100, s)
	if press(t, v, s, "right"); v.grid.top != 0 {
		t.Errorf("a key does not go back to the cursor: row %d", v.grid.top)
	}
}

// TestPlacementFinds: the cursor goes where a resource was found, once.
func TestPlacementFinds(t *testing.T) {
	v, s, c := drawn(1000, 80, 24)
	s.Found = &api.Found{ID: "51eb851e", RunIn: "iota-dac-622", Instance: new(622)}
	press(t, v, s, "+", "+")
	if v.Draw(c, s); v.at != 622 || !strings.Contains(c.Plain(), "★") || !strings.Contains(c.Plain(), "51eb851e runs on iota-dac-622") {
		t.Errorf("at %d\n%s", v.at, c.Plain())
	}
	if press(t, v, s, "left"); v.at != 621 {
		t.Errorf("the cursor is held: at %d", v.at)
	}
	s.Found = &api.Found{ID: "51eb851e", RunIn: "iota-dac-7", Instance: new(7)}
	if v.Draw(c, s); v.at != 7 {
		t.Errorf("it runs elsewhere now: at %d", v.at)
	}
}

// TestPlacementMoves: what moves is seen, and after Fade, when the model drops it,
// no more.
func TestPlacementMoves(t *testing.T) {
	v, s, c := drawn(40, 80, 24)
	list, _ := s.Instances("Thing")
	for i := range list {
		list[i].Arriving, list[i].Leaving = 0, 0
	}
	s.Flows = map[data.Place]data.Flow{{Kind: "Thing", Instance: 0}: {In: 12}, {Kind: "Thing", Instance: 1}: {Out: 3}, {Kind: "Rule", Instance: 2}: {In: 9}}
	cells := func() string {
		v.Draw(c, s)
		lines := strings.Split(c.Plain(), "\n")
		return strings.Join(lines[:len(lines)-4], "\n")
	}
	if plain := cells(); !strings.Contains(plain, "▲12") || !strings.Contains(plain, "▼3") || strings.Contains(plain, "▲9") {
		t.Errorf("%s", plain)
	}
	clear(s.Flows)
	if plain := cells(); strings.ContainsAny(plain, "▲▼") {
		t.Errorf("%s", plain)
	}
}

// TestPlacementGrows: what is created and removed is seen until data.Fade is over,
// and not when time goes back.
func TestPlacementGrows(t *testing.T) {
	v, s, c := drawn(40, 80, 24)
	clear(s.Flows)
	s.Answers[data.Query{What: data.AskClock}] = nil
	cells := func(after time.Duration, change int) string {
		s.Now = s.Now.Add(after)
		before, _ := s.Instances("Thing")
		list := slices.Clone(before)
		for i := range list {
			list[i].Arriving, list[i].Leaving = 0, 0
		}
		list[0].Used += change
		list[1].Used -= change
		s.Answers[instancesOf] = &data.Answer{Value: api.Instances{Resource: "Thing", Instances: list}, At: s.Now}
		v.Draw(c, s)
		lines := strings.Split(c.Plain(), "\n")
		return strings.Join(lines[:len(lines)-4], "\n")
	}
	for _, step := range []struct {
		after   time.Duration
		change  int
		in, out string
	}{
		{time.Second, 0, "", ""}, {time.Second, 4, "▲4", "▼4"}, {time.Second, 2, "▲6", "▼6"}, {time.Second, 0, "▲6", "▼6"},
		{time.Second, 3, "▲3", "▼3"}, // what it began with is over
		{data.Fade, 0, "", ""}, {-time.Minute, 9, "", ""}, {time.Second, 1, "▲1", "▼1"},
	} {
		plain := cells(step.after, step.change)
		if !strings.Contains(plain, step.in) || !strings.Contains(plain, step.out) || step.in == "" && strings.ContainsAny(plain, "▲▼") {
			t.Errorf("%+v:\n%s", step, plain)
		}
	}
}

// TestPlacementAnything: any size, any keys, any answers: no panic; the cursor is
// on an instance that there is, and stays on it while there is.
func TestPlacementAnything(t *testing.T) {
	samples := map[int]*data.State{}
	for _, n := range []int{0, 1, 3, 40, 150, 1000, 3000} {
		samples[n] = sample.State(n, n*50)
	}
	keys := []string{"up", "down", "left", "right", "g", "G", "pgup", "pgdown", "+", "-", "0", "s", "!", "enter", "r", "o", "x"}
	rapid.Check(t, func(t *rapid.T) {
		v := NewPlacement()
		count := rapid.SampledFrom([]int{0, 1, 3, 40, 150, 1000, 3000})
		s := samples[count.Draw(t, "instances")]
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			before, shown := v.at, v.kind
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				s = samples[count.Draw(t, "instances")]
				v.Note(s)
				if list, _ := s.Instances("Thing"); shown == "Thing" && before < len(list) && v.at != before {
					t.Fatalf("the cursor went from %d to %d, which there is", before, v.at)
				}
			case 1:
				v.Click(rapid.IntRange(-2, 310).Draw(t, "x"), rapid.IntRange(-2, 110).Draw(t, "y"), rapid.Bool().Draw(t, "twice"), s)
			case 2:
				v.Wheel(rapid.IntRange(-50, 50).Draw(t, "wheel"), s)
			case 3:
				v.Press(rapid.SampledFrom(keys).Draw(t, "key"), s)
			default:
				c := screen.New(1, 1).Sub(0, 0, 0, 0)
				if w, h := rapid.IntRange(0, 310).Draw(t, "width"), rapid.IntRange(0, 105).Draw(t, "height"); w > 0 && h > 0 {
					c = screen.New(w, h)
				}
				v.Draw(c, s)
			}
			if list, _ := s.Instances("Thing"); len(list) > 0 && v.kind != "" && (v.at < 0 || v.at >= len(list) || v.order.in(v.place).ID != v.at) {
				t.Fatalf("the cursor is on %d of %d", v.at, len(list))
			}
		}
	})
}

// TestPlacementNonsense: a server that says nonsense gets a strange picture, no
// more.
func TestPlacementNonsense(t *testing.T) {
	number := rapid.OneOf(rapid.IntRange(-2, 5), rapid.Int())
	age := rapid.Ptr(rapid.Float64(), true)
	instance := rapid.Custom(func(t *rapid.T) api.Instance {
		return api.Instance{ID: number.Draw(t, "id"), Pod: rapid.String().Draw(t, "pod"), Used: number.Draw(t, "used"), Capacity: number.Draw(t, "capacity"),
			Phase: rapid.SampledFrom([]string{"", "Failed", "Running", "\x1b[31m"}).Draw(t, "phase"), Up: rapid.Bool().Draw(t, "up"),
			Silent: rapid.Bool().Draw(t, "silent"), Closing: rapid.Bool().Draw(t, "closing"), NodeLost: rapid.Bool().Draw(t, "lost"),
			HeartbeatAgeSeconds: age.Draw(t, "heard"), DownForSeconds: age.Draw(t, "down"), AgeSeconds: age.Draw(t, "age"),
			Arriving: number.Draw(t, "arriving"), Leaving: number.Draw(t, "leaving"), Node: rapid.String().Draw(t, "node")}
	})
	sizes := [][2]int{{80, 24}, {120, 40}, {20, 6}, {7, 3}}
	rapid.Check(t, func(t *rapid.T) {
		v, s := NewPlacement(), &data.State{Kind: "Thing", Answers: map[data.Query]*data.Answer{}, Now: sample.Now()}
		for range 3 {
			s.Now = s.Now.Add(time.Second)
			list := rapid.SliceOfN(instance, 0, 60).Draw(t, "list")
			s.Answers[instancesOf] = &data.Answer{Value: api.Instances{Instances: list}, At: s.Now}
			size := rapid.SampledFrom(sizes).Draw(t, "size")
			v.Press(rapid.SampledFrom([]string{"s", "-", "+", "!", "G"}).Draw(t, "key"), s)
			c := screen.New(size[0], size[1])
			v.Draw(c, s)
			if strings.Contains(c.Plain(), "\x1b") {
				t.Fatal("an escape sequence is drawn")
			}
			if x, y, _ := c.CursorAt(); x != 0 || y != 0 {
				t.Fatal("it shows the terminal's cursor")
			}
		}
	})
}

// BenchmarkPlacement draws with new instances each time, and writes what a
// terminal would get.
func BenchmarkPlacement(b *testing.B) {
	for _, size := range sizes {
		for _, keys := range []string{"", "s"} {
			b.Run(fmt.Sprintf("%dx%d%s", size[0], size[1], keys), func(b *testing.B) {
				s := sample.State(10_000, 500_000)
				v, c := NewPlacement(), screen.New(size[0], size[1])
				for _, key := range keys {
					v.Press(string(key), s)
				}
				var out []byte
				b.ReportAllocs()
				for b.Loop() {
					a := s.Answers[instancesOf]
					a.At = a.At.Add(time.Second)
					c.Reset()
					v.Draw(c, s)
					out = c.AppendANSI(out[:0], screen.Dark)
				}
				b.ReportMetric(float64(len(out)), "bytes/frame")
			})
		}
	}
}

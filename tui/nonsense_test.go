package tui

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/sample"
)

var (
	badInts    = []int64{0, 1, -1, 7, 1 << 31, math.MaxInt64, math.MinInt64}
	badFloats  = []float64{0, 1, -1, 0.5, 1e18, 1e300, -1e300, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	badStrings = []string{"", "Thing", "Running", "move", "a\x1b]0;owned\x07", "\u202egnp.exe", "日本語", "👩‍👩‍👧", "a\u0300\u0300\u0300", "\xff\xfe", "\n\r\t", strings.Repeat("x", 1024)}
	badTimes   = []time.Time{{}, sample.Now(), sample.Now().AddDate(300, 0, 0), sample.Now().AddDate(-3000, 0, 0), time.Unix(1<<40, 0)}
)

// nonsenseInto fills a value with what no server should send: extremes, doubles,
// nothing.
func nonsenseInto(t *rapid.T, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.SampledFrom(badInts).Draw(t, "int"))
	case reflect.Float64:
		v.SetFloat(rapid.SampledFrom(badFloats).Draw(t, "float"))
	case reflect.String:
		v.SetString(rapid.SampledFrom(badStrings).Draw(t, "string"))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			nonsenseInto(t, v.Elem(), depth)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, "len")
		if v.Type().Elem().Kind() == reflect.Uint8 || depth > 5 {
			n = 0
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			nonsenseInto(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 2).Draw(t, "len") {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			nonsenseInto(t, key, depth+1)
			nonsenseInto(t, elem, depth+1)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			v.Set(reflect.ValueOf(rapid.SampledFrom(badTimes).Draw(t, "time")))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				nonsenseInto(t, v.Field(i), depth)
			}
		}
	}
}

// A server that answers nonsense: no panic in any view, at any key; no control
// character reaches the terminal but those that the frame itself is made of.
func TestNonsenseProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStand(sample.State(12, 400))
		m := newModel(t.Context(), Config{View: "placement", Theme: "dark"}, s)
		now := sample.Now()
		m.now = func() time.Time { return now }
		m.after = func(time.Duration, tea.Msg) tea.Cmd { return nil }
		m.Update(tea.WindowSizeMsg{Width: rapid.IntRange(1, 160).Draw(rt, "width"), Height: rapid.IntRange(1, 60).Draw(rt, "height")})
		key := rapid.SampledFrom(someKeys)
		for range 6 {
			for range 3 {
				begin, _ := m.asks.due(t.Context(), now, m.unasked(), false, 100)
				for _, b := range begin {
					right, err := s.ask(b.ctx, b.query)
					v := reflect.New(reflect.TypeOf(right)).Elem()
					v.Set(reflect.ValueOf(right))
					if rapid.IntRange(0, 3).Draw(rt, "right") > 0 {
						v.SetZero()
						nonsenseInto(rt, v, 0)
					}
					m.answer(result{b.query, b.serial, v.Interface(), err}, now)
				}
				m.draw()
			}
			var b batch
			for range 3 {
				var ev api.Event
				nonsenseInto(rt, reflect.ValueOf(&ev).Elem(), 0)
				b.add(ev)
			}
			m.happened(b, now)
			for range 4 {
				m.Update(keyPress(key.Draw(rt, "key")))
			}
			now = now.Add(3 * time.Second)
			m.Update(wakeMsg{})
			m.draw()
			m.show()
			for _, r := range m.canvas.Plain() {
				if r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u202e') {
					rt.Fatalf("%q reaches the screen", r)
				}
			}
			if strings.ContainsFunc(m.view.WindowTitle, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }) {
				rt.Fatalf("the window's title is %q", m.view.WindowTitle)
			}
		}
	})
}

package tui

import (
	"errors"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"pgregory.net/rapid"

	"dacorch/orchestrator/api"
	"dacorch/tui/sample"
)

// someKeys are keys that mean something somewhere.
var someKeys = []string{"1", "2", "3", "4", "5", "6", "7", "8", "tab", "esc", "enter", "up", "down", "left", "right", "home", "pgdown", "space", "backspace",
	"q", "?", ":", "/", "F", "o", "b", "f", "r", "d", "u", "m", "s", "S", "y", "n", "N", "L", "z", "[", "]", "{", "}", ",", ".", "<", ">", "+", "-", "0", "g", "G", "i", "!", "h", "j", "k", "l", "x", "ctrl+f", "ctrl+u", "ctrl+l", "ctrl+z", "日"}

// Any keys, clicks, sizes and events, with answers that come in any order, late,
// or as errors: no panic; the bounds hold; what the terminal gets is one frame.
func TestModelProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStand(sample.State(rapid.SampledFrom([]int{0, 1, 12, 300}).Draw(rt, "instances"), 600))
		if rapid.Bool().Draw(rt, "production") {
			sample.Production(s.state)
		}
		m := newModel(t.Context(), Config{View: "placement", Theme: "dark"}, s)
		now := sample.Now()
		m.now = func() time.Time { return now }
		m.after = func(time.Duration, tea.Msg) tea.Cmd { return nil }
		var pending []tea.Cmd
		var take func(cmd tea.Cmd)
		update := func(msg tea.Msg) {
			_, cmd := m.Update(msg)
			take(cmd)
		}
		take = func(cmd tea.Cmd) { // batches are opened, what is in them waits for its turn
			if cmd == nil || len(pending) > 200 {
				return
			}
			pending = append(pending, cmd)
		}
		key := rapid.SampledFrom(someKeys)
		rt.Repeat(map[string]func(*rapid.T){
			"key":   func(t *rapid.T) { update(keyPress(key.Draw(t, "key"))) },
			"paste": func(t *rapid.T) { update(tea.PasteMsg{Content: rapid.String().Draw(t, "text")}) },
			"resize": func(t *rapid.T) {
				update(tea.WindowSizeMsg{Width: rapid.IntRange(0, 220).Draw(t, "width"), Height: rapid.IntRange(0, 70).Draw(t, "height")})
			},
			"click": func(t *rapid.T) {
				mouse := tea.Mouse{X: rapid.IntRange(-1, 220).Draw(t, "x"), Y: rapid.IntRange(-1, 70).Draw(t, "y"), Button: rapid.SampledFrom([]tea.MouseButton{tea.MouseLeft, tea.MouseWheelUp, tea.MouseWheelDown}).Draw(t, "button")}
				update(rapid.SampledFrom([]tea.Msg{tea.MouseClickMsg(mouse), tea.MouseMotionMsg(mouse), tea.MouseWheelMsg(mouse)}).Draw(t, "what"))
			},
			"answer": func(t *rapid.T) {
				if len(pending) == 0 {
					return
				}
				n := rapid.IntRange(0, len(pending)-1).Draw(t, "which")
				cmd := pending[n]
				pending = append(pending[:n], pending[n+1:]...)
				switch msg := cmd().(type) {
				case tea.BatchMsg:
					for _, c := range msg {
						take(c)
					}
				case nil, tea.QuitMsg:
				default:
					update(msg)
				}
			},
			"fail": func(t *rapid.T) {
				s.err = rapid.SampledFrom([]error{nil, nil, errors.New("broken pipe"), &api.Error{Code: api.CodeNoLeader, HTTPStatus: 503}, &api.Error{Code: api.CodeUnknownInstance, HTTPStatus: 404}}).Draw(t, "error")
			},
			"events": func(t *rapid.T) {
				var b batch
				b.fresh, b.jumped = rapid.Bool().Draw(t, "fresh"), rapid.Bool().Draw(t, "jumped")
				for n := range rapid.IntRange(0, 600).Draw(t, "events") {
					b.add(moveOf(n))
				}
				m.happened(b, now)
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * time.Millisecond)
				update(wakeMsg{})
			},
			"": func(t *rapid.T) {
				if m.asks.running > maxReads || m.orders.running > maxOrders || len(m.back) > maxBack || len(m.state.Orders) > keepOrder {
					t.Fatalf("%d reads, %d orders under way, %d pages, %d orders remembered", m.asks.running, m.orders.running, len(m.back), len(m.state.Orders))
				}
				if m.width > 0 && m.height > 0 {
					m.draw()
				}
			},
		})
	})
}

package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
)

// The bounds of orders.
const (
	maxOrders = 10 // under way at once
	keepOrder = 50 // that are remembered
)

// orders are those given here that are under way.
type orders struct {
	running int
}

// ordered is what came of an order.
type ordered struct {
	at     time.Time // of the order: what it is found by
	says   string
	err    error
	kind   string
	dialog pane.Dialog // that it was given in
}

// order carries out what has been confirmed.
func (m *model) order(in pane.Intent, from pane.Dialog, now time.Time) tea.Cmd {
	if why := m.state.ReadOnly(); why != "" {
		m.fail("cannot " + wish(in) + ": " + why)
		return nil
	}
	if m.orders.running >= maxOrders {
		m.fail(fmt.Sprintf("cannot %s: %d orders are under way already, wait for one to end", wish(in), maxOrders))
		return nil
	}
	at := now
	for _, o := range m.state.Orders {
		if !at.After(o.At) {
			at = o.At.Add(1) // each has its own: they are found by it
		}
	}
	m.orders.running++
	m.state.Orders = append(m.state.Orders, data.Order{At: at, Text: wish(in)})
	if n := len(m.state.Orders) - keepOrder; n > 0 {
		m.state.Orders = slices.Delete(m.state.Orders, 0, n)
	}
	m.say("asked for: " + wish(in))
	s, ctx := m.server, m.ctx
	return func() tea.Msg {
		says, err := s.do(ctx, in)
		return ordered{at, says, err, in.Kind, from}
	}
}

// ordered notes what came of an order.
func (m *model) ordered(r ordered, now time.Time) {
	m.orders.running--
	m.asks.stale(func(q data.Query) bool {
		return q.Kind == r.kind || q.What == data.AskFaults || q.What == data.AskTimeline
	})
	text := "order"
	for i := range m.state.Orders {
		if o := &m.state.Orders[i]; o.At.Equal(r.at) {
			text = o.Text
			o.Done, o.Says, o.Err = true, r.says, explain(r.err, r.kind)
		}
	}
	var e *api.Error
	switch {
	case r.err == nil:
		m.say(r.says)
	case errors.Is(r.err, context.Canceled):
	case errors.As(r.err, &e) && e.Code == api.CodeTimeout:
		m.say(text + " goes on: " + e.Message)
	case errors.As(r.err, &e):
		m.fail("cannot " + text + ": " + explain(r.err, r.kind).Error())
		if r.dialog != nil && m.dialog == nil && hopeless(r.err) {
			m.dialog = r.dialog // what was wrong with it can be mended
		}
	case errors.Is(r.err, syscall.ECONNREFUSED):
		m.fail("cannot " + text + ": connection refused")
	default:
		m.fail(text + ": " + explain(r.err, r.kind).Error() + "; it is not known whether it was done")
	}
}

// wish is an order as a person would say it: "replace Thing 3".
func wish(in pane.Intent) string {
	name := instanceName(in.Kind, in.Instance)
	switch in.Act {
	case pane.Orchestrate:
		return "re-orchestrate " + in.Kind
	case pane.Replace:
		return "replace " + name
	case pane.Drain:
		return "drain " + name
	case pane.Undrain:
		return "take back the drain of " + name
	case pane.Maintenance:
		if in.On {
			return "put " + in.Kind + " into maintenance"
		}
		return "take " + in.Kind + " out of maintenance"
	case pane.Inject, pane.Break:
		return "break something"
	}
	return "change the clock"
}

// waiting tells of the orders under way: "waiting: replace Thing 3 (12 s)".
func (m *model) waiting() string {
	if m.orders.running == 0 {
		return ""
	}
	for i := range m.state.Orders {
		if o := &m.state.Orders[i]; !o.Done {
			text := "waiting: " + o.Text + " (" + pane.Age(m.state.Now.Sub(o.At)) + ")"
			if m.orders.running > 1 {
				text += fmt.Sprintf(" and %d more", m.orders.running-1)
			}
			return text
		}
	}
	return ""
}

// turning is the change of the clock that is under way, and what has been asked
// for since: at most one of each.
type turning struct {
	under bool
	next  *turn
}

// turned is what came of a change of the clock.
type turned struct {
	to    turn
	clock api.Clock
	err   error
}

// turn changes the clock: at once on the screen, and on the server as soon as it
// has done what was asked before.
func (m *model) turn(to turn) tea.Cmd {
	m.foresee(to)
	if m.turning.under {
		m.turning.next = merge(m.turning.next, to)
		return nil
	}
	m.turning.under = true
	s, ctx := m.server, m.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, askFor)
		defer cancel()
		c, err := s.turn(ctx, to)
		return turned{to, c, err}
	}
}

// merge is one change for two. Steps add up; a step after a change of the moment
// cannot be merged, and the later one counts.
func merge(first *turn, then turn) *turn {
	if first == nil || then.step != 0 && first.step == 0 && (first.change.Seek != nil || first.change.Live != nil) {
		return &then
	}
	sum := *first
	switch {
	case then.step != 0:
		sum.step = max(-10_000, min(10_000, sum.step+then.step))
		if sum.step == 0 {
			return nil
		}
		return &turn{step: sum.step}
	case sum.step != 0:
		return &then
	}
	if then.change.Paused != nil {
		sum.change.Paused = then.change.Paused
	}
	if then.change.Speed != nil {
		sum.change.Speed = then.change.Speed
	}
	if then.change.Seek != nil || then.change.Live != nil {
		sum.change.Seek, sum.change.Live = then.change.Seek, then.change.Live
	}
	return &sum
}

// foresee shows the clock as it will be, so that the next key counts from there.
func (m *model) foresee(to turn) {
	c, ok := m.state.Clock()
	if !ok {
		return
	}
	if to.step != 0 {
		c.Paused = true
	}
	if v := to.change.Paused; v != nil {
		c.Paused = *v
	}
	if v := to.change.Speed; v != nil {
		c.Speed = *v
	}
	if v := to.change.Seek; v != nil {
		c.Now, c.Live = min(max(*v, c.Begin), c.End), false
	}
	if v := to.change.Live; v != nil && *v {
		c.Now, c.Live = c.End, true
	}
	m.asks.answers[data.Query{What: data.AskClock}].Value = c
}

// turned takes the server's clock, and asks for what was wished meanwhile.
func (m *model) turned(r turned, now time.Time) tea.Cmd {
	m.turning.under = false
	next := m.turning.next
	m.turning.next = nil
	if r.err != nil {
		m.fail("cannot change the clock: " + explain(r.err, "").Error())
		m.asks.stale(func(q data.Query) bool { return q.What == data.AskClock })
		return nil
	}
	if r.to.step != 0 || r.to.change.Seek != nil || r.to.change.Live != nil {
		m.asks.jump()
	} else {
		m.asks.stale(func(q data.Query) bool { return q.What != data.AskAbout })
	}
	if a := m.asks.answers[data.Query{What: data.AskClock}]; a != nil && next == nil {
		a.Value, a.At = r.clock, now
	}
	if next == nil {
		return nil
	}
	return m.turn(*next)
}

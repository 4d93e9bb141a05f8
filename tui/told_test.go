package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/sample"
)

// What a person must know is on the screen whatever view is open: faults that
// last, a re-orchestration that runs, and what it means that nobody leads.
func TestHeaderTellsWhatGoesOn(t *testing.T) {
	s := newStand(sample.State(12, 400))
	s.set(func() {
		s.put(data.Query{What: data.AskReorchestrations, Kind: "Thing"}, api.Reorchestrations{Resource: "Thing", Runs: []api.Reorchestration{
			{StartedAt: s.state.Moment().Add(-7e9), Outcome: "running", Text: "30 of 60 moves left, 1 of 2 instances to create, 0 of 0 to release"}}})
		status := data.Query{What: data.AskStatus, Kind: "Thing"}
		sample.Answer(s.state, status)
		st := s.state.Answers[status].Value.(api.Status)
		st.Alarms = nil
		s.put(status, st)
	})
	r := newRig(t, s, Config{})
	r.settle()
	for i := range tabs {
		r.press(string(rune('1' + i)))
		r.settle()
		r.sees("re-orchestrating", "2 faults last", "re-orchestrating Thing for 7 s: 30 of 60 moves left, 1 of 2 instances to create")
		r.seesNot("0 of 0 to release")
	}
	s.set(func() {
		s.errOf[data.AskStatus] = &api.Error{Code: api.CodeNoLeader, Message: "nobody leads Thing", HTTPStatus: 503}
	})
	r.pass(3 * time.Second)
	r.until("it is told", func() bool {
		return strings.Contains(r.screen(), "nobody leads Thing: resources run on where they are, nothing is mended")
	})
}

// A small screen has the keys of orders, too.
func TestSmallScreenShowsTheKeysThatMatter(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	r.settle()
	r.sees("enter open", "r replace its pod", "d drain", "o re-orchestrate", "b break something", "space pause", "F find a resource", "? help")
}

// Two escapes in a row arrive as one key with alt.
func TestEscapeTwiceGoesBack(t *testing.T) {
	r := newRig(t, newStand(sample.State(12, 400)), Config{})
	r.settle()
	r.press("2")
	r.send(tea.KeyPressMsg{Code: tea.KeyEscape, Mod: tea.ModAlt})
	equal(t, "view", r.m.page.view, pane.Placement)
}

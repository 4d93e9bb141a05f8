package pane

import (
	"cmp"
	"strings"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ReorchestrationsView is the table of the re-orchestrations that the leader
// remembers.
type ReorchestrationsView struct {
	table rows[api.Reorchestration, time.Time]
	kind  string
}

// NewReorchestrations makes the view.
func NewReorchestrations() *ReorchestrationsView {
	v := &ReorchestrationsView{}
	v.table.columns = runColumns
	v.table.key = func(r *api.Reorchestration) time.Time { return r.StartedAt }
	v.table.match = func(r *api.Reorchestration, filter string) bool { return contains(filter, r.Outcome, r.Text) }
	return v
}

var runColumns = []column[api.Reorchestration]{
	{title: "started", least: 10, most: 19, right: true,
		text: func(r *api.Reorchestration, s *data.State) (string, screen.Style) {
			return Moment(r.StartedAt, s), plainStyle
		},
		order: func(a, b *api.Reorchestration) int { return a.StartedAt.Compare(b.StartedAt) }, down: true},
	{title: "ago", least: 7, most: 9, right: true, rank: 4,
		text: func(r *api.Reorchestration, s *data.State) (string, screen.Style) {
			return Age(present(s).Sub(r.StartedAt)), screen.Fg(screen.Dim)
		}},
	{title: "took", least: 8, most: 12, right: true, rank: 1,
		text: func(r *api.Reorchestration, s *data.State) (string, screen.Style) {
			if r.EndedAt == nil {
				return Took(present(s).Sub(r.StartedAt)) + " …", screen.Fg(screen.Starting)
			}
			return Took(r.EndedAt.Sub(r.StartedAt)), plainStyle
		},
		order: func(a, b *api.Reorchestration) int { return cmp.Compare(length(a), length(b)) }, down: true},
	{title: "outcome", least: 13, most: 13,
		text: func(r *api.Reorchestration, _ *data.State) (string, screen.Style) {
			switch r.Outcome {
			case "done":
				return "✓ done", screen.Fg(screen.Good)
			case "running":
				return "▸ running", screen.Fg(screen.Starting)
			}
			return "! " + r.Outcome, screen.Fg(screen.Warn)
		},
		order: func(a, b *api.Reorchestration) int { return strings.Compare(a.Outcome, b.Outcome) }},
	counted("moves", func(r *api.Reorchestration) int { return r.Moves }),
	counted("create", func(r *api.Reorchestration) int { return r.Create }),
	counted("release", func(r *api.Reorchestration) int { return r.Release }),
	{title: "text", least: 10, most: 400, rank: 3,
		text: func(r *api.Reorchestration, _ *data.State) (string, screen.Style) { return runWords(r), plainStyle }},
}

// counted is a column of a count of a run.
func counted(title string, of func(*api.Reorchestration) int) column[api.Reorchestration] {
	return column[api.Reorchestration]{title: title, least: 7, most: 10, right: true, rank: 2,
		text: func(r *api.Reorchestration, _ *data.State) (string, screen.Style) {
			if n := of(r); n > 0 {
				return Count(n), plainStyle
			}
			return "–", screen.Fg(screen.Dim)
		},
		order: func(a, b *api.Reorchestration) int { return cmp.Compare(of(a), of(b)) }, down: true}
}

// length is how long a run took; one that runs is the longest.
func length(r *api.Reorchestration) time.Duration {
	if r.EndedAt == nil {
		return 1<<63 - 1
	}
	return r.EndedAt.Sub(r.StartedAt)
}

// runWords is the server's text, or what the figures say.
func runWords(r *api.Reorchestration) string {
	if r.Text == "" && r.Outcome == "done" && r.Moves+r.Create+r.Release == 0 {
		return "nothing was to be changed"
	}
	return r.Text
}

// Title names the kind.
func (v *ReorchestrationsView) Title(s *data.State) string {
	return "re-orchestrations of " + cmp.Or(s.Kind, "…")
}

// Note counts, and tells order and filter.
func (v *ReorchestrationsView) Note(s *data.State) string {
	v.look(s)
	if len(v.table.all) == 0 {
		return ""
	}
	return notes(v.table.filtering(), v.table.sorting())
}

// Needs are the runs of the kind.
func (v *ReorchestrationsView) Needs(s *data.State) []data.Query {
	if s.Kind == "" {
		return nil
	}
	return []data.Query{v.query(s)}
}

func (v *ReorchestrationsView) query(s *data.State) data.Query {
	return data.Query{What: data.AskReorchestrations, Kind: s.Kind}
}

func (v *ReorchestrationsView) look(s *data.State) (api.Reorchestrations, *data.Answer) {
	if v.kind != s.Kind {
		v.kind = s.Kind
		v.table.restart()
	}
	runs, a, _ := data.Get[api.Reorchestrations](s, v.query(s))
	v.table.set(runs.Runs, a.At)
	return runs, a
}

// Draw draws the table.
func (v *ReorchestrationsView) Draw(c *screen.Canvas, s *data.State) {
	runs, a := v.look(s)
	switch {
	case s.Kind == "":
		empty(c, Waiting(s.Answers[data.Query{What: data.AskKinds}], "the kinds"))
		return
	case a.Value == nil:
		empty(c, Waiting(a, "the re-orchestrations of "+s.Kind))
		return
	case len(v.table.all) == 0:
		empty(c, "no re-orchestration of "+s.Kind+" since "+Moment(runs.Since, s), "The leader remembers none before. Press o to see what one would do.")
		return
	case v.table.count == 0:
		empty(c, "no re-orchestration with “"+screen.Cut(v.table.filter, 40)+"”", "Esc shows all again.")
		return
	}
	above, old := trouble(c, s, a, "the re-orchestrations")
	if r := v.table.current(); r != nil {
		if w, h := above.Size(); w < 100 && h >= 14 {
			above = inFull(above, cmp.Or(runWords(r), "done"), screen.Default)
		}
	}
	v.table.draw(above, s, true, old)
	if w, h := above.Size(); v.table.count+2 < h {
		above.TextIn(gutter, v.table.count+2, w-gutter, "The leader remembers none before "+Moment(runs.Since, s)+".", screen.Fg(screen.Dim))
	}
}

// Press moves, sorts and orders.
func (v *ReorchestrationsView) Press(key string, s *data.State) (Intent, bool) {
	v.look(s)
	if key == "o" && s.Kind != "" {
		return Intent{Act: Orchestrate, Kind: s.Kind}, true
	}
	return Intent{}, v.table.press(key)
}

// Click sorts or chooses.
func (v *ReorchestrationsView) Click(x, y int, _ bool, s *data.State) Intent {
	v.look(s)
	v.table.click(x, y)
	return Intent{}
}

// Wheel scrolls.
func (v *ReorchestrationsView) Wheel(n int, s *data.State) { v.look(s); v.table.wheel(n) }

// Filter shows only what holds a text.
func (v *ReorchestrationsView) Filter(text string) { v.table.filter = text }

// Filtering is the text.
func (v *ReorchestrationsView) Filtering() string { return v.table.filter }

// Keys are the table's.
func (v *ReorchestrationsView) Keys() []KeyHelp {
	keys := []KeyHelp{{Key: "o", Does: "re-orchestrate", Footer: true, Changes: true}}
	return append(append(keys, keysOfSorting...), keysOfTables...)
}

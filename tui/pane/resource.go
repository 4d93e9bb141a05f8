package pane

import (
	"cmp"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ResourceView is all that is known of one resource: where it is, where it was,
// and why.
type ResourceView struct {
	kind, id string

	parts  sections
	moves  rows[moveRow, int]
	list   []moveRow
	events eventTable
	past   []api.Event
	told   made
	above  int // lines of the summary, at the last draw
}

// moveRow is a move, and its place from the oldest on: newer ones leave it.
type moveRow struct {
	api.MoveRecord
	place int
}

// NewResource makes the view of a resource of a kind.
func NewResource(kind, id string) *ResourceView {
	v := &ResourceView{kind: kind, id: id, events: newEventTable(false)}
	v.parts = sections{names: []string{"moves", "events"}, areas: v.areas}
	v.moves.columns = moveColumns
	v.moves.key = func(r *moveRow) int { return r.place }
	v.events.reverse = true // the newest first
	return v
}

var moveColumns = []column[moveRow]{
	{title: "time", least: 9, most: 19, right: true,
		text:  func(r *moveRow, s *data.State) (string, screen.Style) { return Moment(r.At, s), plainStyle },
		order: func(a, b *moveRow) int { return cmp.Compare(a.place, b.place) }, down: true},
	{title: "ago", least: 7, most: 9, right: true, rank: 2,
		text: func(r *moveRow, s *data.State) (string, screen.Style) {
			return Age(present(s).Sub(r.At)), screen.Fg(screen.Dim)
		}},
	{title: "from → to", least: 12, most: 16,
		text: func(r *moveRow, _ *data.State) (string, screen.Style) {
			from, to := placeOf(r.From), placeOf(r.To)
			switch {
			case from < 0 && to < 0:
				return "nowhere", screen.Fg(screen.Bad)
			case from < 0:
				return "new → " + strconv.Itoa(to), screen.Fg(screen.Arriving)
			case to < 0:
				return strconv.Itoa(from) + " → nowhere", screen.Fg(screen.Bad)
			}
			return arrowWords(from, to), plainStyle
		},
		order: func(a, b *moveRow) int {
			return cmp.Or(cmp.Compare(placeOf(a.To), placeOf(b.To)), cmp.Compare(placeOf(a.From), placeOf(b.From)))
		}},
	{title: "why", least: 16, most: 500, rank: 1,
		text:  func(r *moveRow, _ *data.State) (string, screen.Style) { return r.Reason, plainStyle },
		order: func(a, b *moveRow) int { return strings.Compare(a.Reason, b.Reason) }},
}

// placeOf is an instance's number; -1 for none.
func placeOf(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

func (v *ResourceView) askWhere() data.Query {
	return data.Query{What: data.AskSearch, Kind: v.kind, Text: v.id, N: 1}
}

func (v *ResourceView) askMoves() data.Query {
	return data.Query{What: data.AskMoves, Kind: v.kind, Text: v.id}
}

func (v *ResourceView) askEvents() data.Query {
	return data.Query{What: data.AskRecent, Kind: v.kind, Instance: -1, Text: v.id, N: mostHistory}
}

// Title names the resource.
func (v *ResourceView) Title(*data.State) string {
	return "resource " + screen.Cut(v.id, 60) + " of " + v.kind
}

// Note is where it runs.
func (v *ResourceView) Note(s *data.State) string {
	switch at, known := v.where(s); {
	case at != nil && at.Instance != nil:
		return "runs in " + at.RunIn
	case known:
		return "runs nowhere"
	}
	return ""
}

// Needs are where it is, where it was, its events, and the instances, for the
// health of the one that it stands on.
func (v *ResourceView) Needs(*data.State) []data.Query {
	return []data.Query{v.askWhere(), v.askMoves(), v.askEvents(), {What: data.AskInstances, Kind: v.kind}, {What: data.AskStatus, Kind: v.kind}}
}

// where is the resource as a search finds it; nil with known: there is none.
func (v *ResourceView) where(s *data.State) (at *api.Found, known bool) {
	found, _, ok := data.Get[api.Search](s, v.askWhere())
	for i := range found.Resources {
		if found.Resources[i].ID == v.id {
			return &found.Resources[i], true
		}
	}
	return nil, ok
}

// look brings the tables to what is known now.
func (v *ResourceView) look(s *data.State) {
	moves, a, _ := data.Get[api.Moves](s, v.askMoves())
	v.list = v.list[:0]
	for i := range moves.Moves {
		v.list = append(v.list, moveRow{moves.Moves[i], len(moves.Moves) - i})
	}
	v.moves.set(v.list, a.At)
	recent, a, _ := data.Get[api.Recent](s, v.askEvents())
	v.events.past(recent.Events, made{count: len(recent.Events), at: a.At}, &v.past, &v.told)
}

// Draw draws where it is, and the sections.
func (v *ResourceView) Draw(c *screen.Canvas, s *data.State) {
	v.look(s)
	_, a, _ := data.Get[api.Search](s, v.askWhere())
	above, old := trouble(c, s, a, "where it runs")
	v.parts.told = a.Err
	w, h := above.Size()
	v.above = labels(above, v.summary(s)) + 1
	if old {
		faded(above.Sub(0, 0, w, v.above))
	}
	v.parts.draw(above.Sub(0, v.above, w, h-v.above), []string{Count(v.moves.count), Count(v.events.count)},
		func(part int, c *screen.Canvas, focused bool) {
			if part == 0 {
				v.drawMoves(c, s, focused)
			} else {
				v.parts.past(c, s, &v.events, v.askEvents(), focused, "no event about it is remembered")
			}
		})
}

// areas are the sections below each other, where there is room.
func (v *ResourceView) areas(w, h int) []area {
	if h < 20 {
		return nil
	}
	high := min(max(v.moves.count+4, 6), h/2)
	return []area{{width: w, height: high}, {y: high, width: w, height: h - high}}
}

// summary tells where it is, how that instance is, and since when and why.
func (v *ResourceView) summary(s *data.State) []label {
	lines := []label{{name: "id", text: v.id, role: screen.Strong}}
	at, known := v.where(s)
	switch _, a, _ := data.Get[api.Search](s, v.askWhere()); {
	case !known:
		return append(lines, label{name: "runs in", text: Waiting(a, "where it runs"), role: screen.Dim})
	case at == nil:
		return append(lines, label{name: "runs in", text: "! nowhere: there is no such resource now", role: screen.Warn})
	case at.Instance == nil:
		lines = append(lines, label{name: "runs in", text: "! nowhere: it exists, and is not placed", role: screen.Bad})
		if why := v.unplaced(s); why != "" {
			lines = append(lines, label{name: "why", text: why, role: screen.Bad})
		}
	default:
		lines = append(lines, label{name: "runs in", text: at.RunIn + ", instance " + strconv.Itoa(*at.Instance) + " of " + v.kind, role: screen.Accent})
		lines = append(lines, v.health(s, *at.Instance))
	}
	if moves, _, ok := data.Get[api.Moves](s, v.askMoves()); ok && len(moves.Moves) > 0 {
		last := &moves.Moves[0]
		lines = append(lines, label{name: "since", text: notes(Ago(last.At, present(s)), last.Reason)})
	}
	return lines
}

// unplaced is why the leader has not placed the resource, as far as it tells: it
// lists not all of them, but their reasons are rarely different.
func (v *ResourceView) unplaced(s *data.State) (why string) {
	st, _, _ := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: v.kind})
	for _, text := range st.Pending {
		id, because, ok := strings.Cut(text, " has no place: ")
		if ok && id == v.id {
			return because
		}
		if ok && why == "" {
			why = "as another that waits: " + because
		}
	}
	return why
}

// health is that of the instance that it stands on.
func (v *ResourceView) health(s *data.State, instance int) label {
	list, _ := s.Instances(v.kind)
	for i := range list {
		if in := &list[i]; in.ID == instance {
			text, role := healthWords(in)
			if why := troubleOf(in); why != "" {
				text += ": " + why
			}
			return label{name: "which is", text: text, role: role}
		}
	}
	return label{name: "which is", text: "…", role: screen.Dim}
}

func (v *ResourceView) drawMoves(c *screen.Canvas, s *data.State, focused bool) {
	moves, a, ok := data.Get[api.Moves](s, v.askMoves())
	above, old := v.parts.trouble(c, s, a, "its moves")
	w, h := above.Size()
	if !ok {
		empty(c, Waiting(a, "its moves"))
		return
	}
	since := "remembered since " + Moment(moves.Since, s)
	if !moves.Complete {
		since = "older moves are forgotten"
	}
	if v.moves.count == 0 {
		empty(above, "no move of it is remembered", since)
		return
	}
	if h > 3 {
		above.TextIn(gutter, h-1, w-gutter, since, screen.Fg(screen.Dim))
		above = above.Sub(0, 0, w, h-1)
	}
	v.moves.draw(above, s, focused, old)
}

// Press switches the section, moves, opens, and orders for its instance.
func (v *ResourceView) Press(key string, s *data.State) (Intent, bool) {
	v.look(s)
	if v.parts.press(key) {
		return Intent{}, true
	}
	if v.parts.at == 0 && v.moves.press(key) || v.parts.at == 1 && v.events.press(key) {
		return Intent{}, true
	}
	if key == "o" {
		return Intent{Act: Orchestrate, Kind: v.kind}, true
	}
	at, _ := v.where(s)
	if at == nil || at.Instance == nil {
		return Intent{}, false
	}
	if key == "i" {
		key = "enter"
	}
	return instanceKeys(key, v.kind, *at.Instance)
}

// Click goes to a section, or chooses.
func (v *ResourceView) Click(x, y int, _ bool, s *data.State) Intent {
	v.look(s)
	if x, y, ok := v.parts.click(x, y-v.above); ok && y >= 0 {
		if v.parts.at == 0 {
			v.moves.click(x, y)
		} else {
			v.events.click(x, y)
		}
	}
	return Intent{}
}

// Wheel scrolls the section that has the keyboard.
func (v *ResourceView) Wheel(n int, s *data.State) {
	v.look(s)
	if v.parts.at == 0 {
		v.moves.wheel(n)
	} else {
		v.events.wheel(n)
	}
}

// Keys are the sections', the tables', and those of orders for its instance.
func (v *ResourceView) Keys() []KeyHelp {
	keys := append([]KeyHelp{{Key: "enter", Does: "its instance", Footer: true}}, keysOfSections...)
	for _, k := range keysOfOrders {
		switch k.Key {
		case "r":
			k.Does = "replace its pod: the instance's is deleted, and created anew"
		case "d", "u":
			does, _, _ := strings.Cut(k.Does, ":")
			k.Does = does + " its instance"
		}
		keys = append(keys, k)
	}
	keys = append(keys, keysOfSorting[0], keysOfSorting[2])
	return append(keys, keysOfTables...)
}

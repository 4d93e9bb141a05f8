package pane

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// EventsView is what happens, of all kinds, as it happens: the newest is the last
// line, and is kept in sight until somebody scrolls up.
type EventsView struct {
	table  eventTable
	follow bool // the newest is under the cursor
}

// NewEvents makes the view.
func NewEvents() *EventsView { return &EventsView{table: newEventTable(true), follow: true} }

// eventTable is a table of events in words.
type eventTable struct {
	rows[eventRow, eventKey]
	list []eventRow
	of   eventsOf
	made int  // how often list was made
	rare bool // without moves and what went well with them
}

// eventsOf tells event lists apart.
type eventsOf struct {
	first *api.Event
	count int
	last  eventKey
}

func newEventTable(kinds bool) eventTable {
	t := eventTable{}
	t.columns = eventColumns
	if !kinds {
		t.columns = append(append([]column[eventRow]{}, eventColumns[:2]...), eventColumns[3:]...)
	}
	t.key = (*eventRow).key
	t.match = func(r *eventRow, filter string) bool {
		return contains(filter, r.text, string(r.what), r.kind, r.place)
	}
	return t
}

var eventColumns = []column[eventRow]{
	{title: "time", least: 9, most: 19, right: true,
		text: func(r *eventRow, s *data.State) (string, screen.Style) {
			return Moment(r.at, s), screen.Fg(screen.Dim)
		},
		order: func(a, b *eventRow) int { return cmp.Compare(a.seq, b.seq) }},
	{title: "about", least: 11, most: 12, rank: 3,
		text:  func(r *eventRow, _ *data.State) (string, screen.Style) { return string(r.what), plainStyle },
		order: func(a, b *eventRow) int { return strings.Compare(string(a.what), string(b.what)) }},
	{title: "kind", least: 6, most: 16, rank: 2,
		text:  func(r *eventRow, _ *data.State) (string, screen.Style) { return r.kind, plainStyle },
		order: func(a, b *eventRow) int { return strings.Compare(a.kind, b.kind) }},
	{title: "instance", least: 10, most: 15, rank: 1,
		text:  func(r *eventRow, _ *data.State) (string, screen.Style) { return r.place, screen.Fg(screen.Accent) },
		order: func(a, b *eventRow) int { return cmp.Compare(a.instance, b.instance) }},
	{title: "what has happened", least: 40, most: 1000,
		text: func(r *eventRow, _ *data.State) (string, screen.Style) { return r.text, screen.Fg(r.role) }},
}

// tell gives the table events, oldest first.
func (t *eventTable) tell(events []api.Event) {
	now := eventsOf{count: len(events)}
	if n := len(events); n > 0 {
		last := &events[n-1]
		now.first, now.last = &events[0], eventKey{last.ID, last.At.UnixNano(), last.Type}
	}
	if now != t.of || t.made == 0 {
		t.of = now
		t.made++
		t.list = eventRows(t.list, events)
		if t.rare {
			t.list = slices.DeleteFunc(t.list, eventRow.common)
		}
	}
	t.set(t.list, time.Unix(int64(t.made), 0))
}

// open opens what the event under the cursor is about.
func (t *eventTable) open() (Intent, bool) {
	switch r := t.current(); {
	case r == nil:
	case r.resource != "":
		return Intent{Act: Open, View: Resource, Kind: r.kind, Resource: r.resource}, true
	case r.instance >= 0:
		return Intent{Act: Open, View: Instance, Kind: r.kind, Instance: r.instance}, true
	}
	return Intent{}, false
}

// Title says what it is.
func (v *EventsView) Title(*data.State) string { return "events" }

// Note says how many come, what was left out, order and filter.
func (v *EventsView) Note(s *data.State) string {
	v.look(s)
	rate, following := "", "G follows the newest"
	if s.Rate >= 0.05 {
		rate = strconv.FormatFloat(s.Rate, 'f', 1, 64) + " a second"
		if s.Rate >= 100 {
			rate = Count(int(s.Rate)) + " a second"
		}
	}
	if v.follow {
		following = ""
	}
	skipped := ""
	if s.Skipped > 0 {
		skipped = Plural(s.Skipped, "event") + " left out"
	}
	hidden := ""
	if v.table.rare {
		hidden = "without moves"
	}
	order := v.table.sorting()
	if v.inTime() {
		order = ""
	}
	return notes(following, skipped, hidden, v.table.filtering(), order, rate)
}

// inTime says that the newest is the last line.
func (v *EventsView) inTime() bool { return v.table.sorted == 0 && !v.table.reverse }

// Needs nothing: events come by the stream.
func (v *EventsView) Needs(*data.State) []data.Query { return nil }

func (v *EventsView) look(s *data.State) {
	follow := v.follow && v.inTime()
	v.table.tell(s.Events)
	if follow && v.table.count > 0 {
		v.table.cursor = v.table.count - 1
		v.table.follow()
	}
}

// Draw draws the table.
func (v *EventsView) Draw(c *screen.Canvas, s *data.State) {
	v.look(s)
	w, h := c.Size()
	switch {
	case len(v.table.all) == 0 && s.Kind == "":
		empty(c, Waiting(s.Answers[data.Query{What: data.AskKinds}], "the kinds"))
		return
	case len(v.table.all) == 0 && len(s.Events) > 0:
		empty(c, "nothing but resources that moved, were placed, or removed", "m shows them again.")
		return
	case len(v.table.all) == 0:
		empty(c, "no event yet", "What happens from now on is told here as it happens.")
		return
	case v.table.count == 0:
		empty(c, "no event with “"+screen.Cut(v.table.filter, 40)+"”", "All "+Count(len(v.table.all))+" lines that are kept were looked at. Esc shows them again.")
		return
	}
	if s.Sampled && h > 4 {
		c.TextIn(gutter, h-1, w-gutter, "! more happens than can be told: some events are left out, "+Count(s.Skipped)+" so far; moves are still counted in the placement", screen.Fg(screen.Warn))
		c = c.Sub(0, 0, w, h-1)
	}
	if r := v.table.current(); r != nil && w < 100 && h >= 14 {
		c = inFull(c, r.text, r.role)
	}
	v.table.draw(c, s, true, false)
}

// inFull tells at the bottom what the line under the cursor has no room for, and
// answers the canvas above it.
func inFull(c *screen.Canvas, text string, role screen.Role) *screen.Canvas {
	const lines = 2
	w, h := c.Size()
	c.Rule(0, h-lines-1, w, screen.Fg(screen.Border))
	for i, line := range Wrap(text, w-2*gutter, lines) {
		c.Text(gutter, h-lines+i, line, screen.Fg(role))
	}
	return c.Sub(0, 0, w, h-lines-1)
}

// Press moves, sorts and opens.
func (v *EventsView) Press(key string, s *data.State) (Intent, bool) {
	v.look(s)
	if v.table.press(key) {
		v.scrolled()
		return Intent{}, true
	}
	switch key {
	case "enter":
		return v.table.open()
	case "m":
		v.table.rare, v.table.of = !v.table.rare, eventsOf{}
		return Intent{}, true
	}
	return Intent{}, false
}

// scrolled finds out whether the newest is still to be followed.
func (v *EventsView) scrolled() { v.follow = v.inTime() && v.table.cursor >= v.table.count-1 }

// Click sorts, chooses, or opens.
func (v *EventsView) Click(x, y int, twice bool, s *data.State) (do Intent) {
	v.look(s)
	if v.table.click(x, y) && twice {
		do, _ = v.table.open()
	}
	v.scrolled()
	return do
}

// Wheel scrolls.
func (v *EventsView) Wheel(n int, s *data.State) {
	v.look(s)
	v.table.wheel(n)
	v.follow = v.inTime() && v.table.top+v.table.height >= v.table.count
}

// Filter shows only what holds a text.
func (v *EventsView) Filter(text string) { v.table.filter = text }

// Filtering is the text.
func (v *EventsView) Filtering() string { return v.table.filter }

// Keys are the table's.
func (v *EventsView) Keys() []KeyHelp {
	keys := []KeyHelp{
		{Key: "enter", Does: "open", Footer: true},
		{Key: "G", Does: "newest", Footer: true},
		{Key: "m", Does: "hide, show moves: all that is placed, moved and removed", Footer: true},
	}
	return append(append(keys, keysOfSorting...), keysOfTables...)
}

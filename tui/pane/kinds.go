package pane

import (
	"cmp"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// KindsView is the table of all kinds, and what the one under the cursor needs.
type KindsView struct {
	table rows[kindRow, string]
}

// kindRow is a kind with its status, which may not be known yet.
type kindRow struct {
	api.KindSummary
	place  int // in the configuration's order
	status api.Status
	known  bool // status is there
}

// resources that exist, as far as is known.
func (k *kindRow) resources() int {
	if k.known && k.status.Resources > 0 {
		return k.status.Resources
	}
	return k.Used + k.Unplaced
}

// NewKinds makes the view.
func NewKinds() *KindsView {
	v := &KindsView{}
	v.table.columns = kindColumns
	v.table.key = func(k *kindRow) string { return k.Resource }
	v.table.match = func(k *kindRow, filter string) bool {
		return contains(filter, k.Resource, k.InstanceName, k.Leader.Name)
	}
	return v
}

var kindColumns = []column[kindRow]{
	{title: "kind", least: 8, most: 30,
		text: func(k *kindRow, s *data.State) (string, screen.Style) {
			st := screen.Fg(screen.Accent)
			if k.Resource == s.Kind {
				st = st.With(screen.Bold)
			}
			return k.Resource, st
		},
		order: func(a, b *kindRow) int { return cmp.Compare(a.place, b.place) }},
	{title: "instances", least: 10, most: 11, right: true, rank: 1,
		text: func(k *kindRow, _ *data.State) (string, screen.Style) {
			return Count(k.InstanceCount), plainStyle
		},
		order: func(a, b *kindRow) int { return cmp.Compare(a.InstanceCount, b.InstanceCount) }, down: true},
	{title: "resources", least: 11, most: 12, right: true, rank: 1,
		text: func(k *kindRow, _ *data.State) (string, screen.Style) {
			return Count(k.resources()), plainStyle
		},
		order: func(a, b *kindRow) int { return cmp.Compare(a.resources(), b.resources()) }, down: true},
	{title: "used", least: 12, most: 18, rank: 2,
		draw: func(c *screen.Canvas, width int, k *kindRow, s *data.State) {
			drawLoad(c, width, &api.Instance{Used: k.Used, Capacity: k.Capacity}, s)
		},
		order: func(a, b *kindRow) int {
			return byLoad(&api.Instance{Used: a.Used, Capacity: a.Capacity}, &api.Instance{Used: b.Used, Capacity: b.Capacity})
		}, down: true},
	{title: "unplaced", least: 10, most: 12, right: true,
		text: func(k *kindRow, _ *data.State) (string, screen.Style) {
			if k.Unplaced > 0 {
				return Count(k.Unplaced), screen.Fg(screen.Bad)
			}
			return "0", plainStyle
		},
		order: func(a, b *kindRow) int { return cmp.Compare(a.Unplaced, b.Unplaced) }, down: true},
	{title: "alarms", least: 8, most: 8, right: true, text: alarmCount,
		order: func(a, b *kindRow) int { return cmp.Compare(len(a.status.Alarms), len(b.status.Alarms)) }, down: true},
	{title: "state", least: 11, most: 14, rank: 3, text: stageWords,
		order: func(a, b *kindRow) int { return strings.Compare(a.status.Stage, b.status.Stage) }},
	{title: "leader", least: 12, most: 40, rank: 4, text: leaderWords,
		order: func(a, b *kindRow) int { return strings.Compare(a.Leader.Name, b.Leader.Name) }},
}

func alarmCount(k *kindRow, _ *data.State) (string, screen.Style) {
	switch n := len(k.status.Alarms); {
	case !k.known:
		return "…", screen.Fg(screen.Dim)
	case n > 0:
		return "! " + Count(n), screen.Fg(screen.Bad)
	}
	return "0", plainStyle
}

// stageWords is what the leader does.
func stageWords(k *kindRow, _ *data.State) (string, screen.Style) {
	switch st := &k.status; {
	case !k.known:
		return "…", screen.Fg(screen.Dim)
	case st.Maintenance:
		return "maintenance", screen.Fg(screen.Warn)
	case st.Stage == "loading":
		return "loading", screen.Fg(screen.Starting)
	default:
		return st.Stage, plainStyle
	}
}

func leaderWords(k *kindRow, _ *data.State) (string, screen.Style) {
	switch {
	case k.Leader == (api.Leader{}):
		return "nobody", screen.Fg(screen.Bad)
	case k.Leader.Self && k.Leader.Name == "":
		return "the process that answers", plainStyle
	case k.Leader.Name == "":
		return k.Leader.URL, plainStyle
	}
	return k.Leader.Name, plainStyle
}

// Title says what it is.
func (v *KindsView) Title(*data.State) string { return "kinds" }

// Note counts.
func (v *KindsView) Note(s *data.State) string {
	v.look(s)
	if len(v.table.all) == 0 {
		return ""
	}
	total := ""
	if v.table.filter == "" {
		total = Plural(len(v.table.all), "kind")
	}
	return notes(total, v.table.filtering(), v.table.sorting())
}

// mostKinds bounds the kinds whose status is asked for.
const mostKinds = 32

// Needs are the kinds and the status of each.
func (v *KindsView) Needs(s *data.State) []data.Query {
	needs := []data.Query{{What: data.AskKinds}}
	k, _, _ := data.Get[api.Kinds](s, needs[0])
	for i := range k.Kinds[:min(len(k.Kinds), mostKinds)] {
		needs = append(needs, data.Query{What: data.AskStatus, Kind: k.Kinds[i].Resource})
	}
	return needs
}

func (v *KindsView) look(s *data.State) *data.Answer {
	k, a, _ := data.Get[api.Kinds](s, data.Query{What: data.AskKinds})
	latest := a.At
	list := make([]kindRow, 0, len(k.Kinds))
	for i, kind := range k.Kinds {
		row := kindRow{KindSummary: kind, place: i}
		var status *data.Answer
		if row.status, status, row.known = data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: kind.Resource}); status.At.After(latest) {
			latest = status.At
		}
		list = append(list, row)
	}
	v.table.set(list, latest)
	return a
}

// Draw draws the table, and below it what the kind under the cursor needs.
func (v *KindsView) Draw(c *screen.Canvas, s *data.State) {
	a := v.look(s)
	switch {
	case a.Value == nil:
		empty(c, Waiting(a, "the kinds"))
		return
	case len(v.table.all) == 0:
		empty(c, "no kind", "The server's configuration names none.")
		return
	case v.table.count == 0:
		empty(c, "no kind with “"+screen.Cut(v.table.filter, 40)+"”", "Esc shows all again.")
		return
	}
	above, old := trouble(c, s, a, "the kinds")
	w, h := above.Size()
	high := min(v.table.count+1, max(h/2, 3))
	v.table.draw(above.Sub(0, 0, w, high), s, true, old)
	if k := v.table.current(); k != nil && h-high >= 3 {
		k.draw(above.Sub(0, high+1, w, h-high-1))
	}
}

// draw tells in words what a kind needs and what it is at.
func (k *kindRow) draw(c *screen.Canvas) {
	w, h := c.Size()
	st := &k.status
	c.Text(gutter, 0, k.Resource, screen.Fg(screen.Strong))
	head := "its pods are named " + k.InstanceName + "-0, " + k.InstanceName + "-1, …"
	if name, _ := leaderWords(k, nil); k.Leader != (api.Leader{}) {
		head = notes(head, "led by "+name)
	}
	if st.Epoch > 0 {
		head = notes(head, "epoch "+Count(st.Epoch))
	}
	c.TextIn(gutter+screen.Width(k.Resource)+2, 0, w-gutter*2-screen.Width(k.Resource), head, screen.Fg(screen.Dim))
	y := 1
	say := func(sign, text string, role screen.Role) {
		if y >= h {
			return
		}
		c.Text(gutter, y, sign, screen.Fg(role))
		for _, line := range Wrap(text, w-gutter-3, min(h-y, 2)) {
			c.Text(gutter+2, y, line, screen.Fg(role))
			y++
		}
	}
	if !k.known {
		say("…", "loading its status", screen.Dim)
		return
	}
	if k.Leader == (api.Leader{}) {
		say("!", "nobody leads it: nothing is placed or replaced until a process does", screen.Bad)
	}
	if st.Maintenance {
		say("!", "in maintenance: nothing is done automatically", screen.Warn)
	}
	for _, alarm := range st.Alarms {
		say("!", cmp.Or(alarm.Text, alarm.Code), screen.Bad)
	}
	if len(st.Pending) == 0 {
		say("✓", "nothing is left to do", screen.Good)
		return
	}
	for _, text := range st.Pending {
		say("·", text, screen.Default)
	}
	if st.PendingTruncated {
		say("·", "and more", screen.Dim)
	}
}

// Press moves, sorts, opens and orders.
func (v *KindsView) Press(key string, s *data.State) (Intent, bool) {
	v.look(s)
	if v.table.press(key) {
		return Intent{}, true
	}
	k := v.table.current()
	if k == nil {
		return Intent{}, false
	}
	switch key {
	case "enter":
		return Intent{Act: Open, View: Instances, Kind: k.Resource}, true
	case "o":
		return Intent{Act: Orchestrate, Kind: k.Resource}, true
	case "m":
		return Intent{Act: Maintenance, Kind: k.Resource, On: !k.status.Maintenance}, k.known
	}
	return Intent{}, false
}

// Click sorts, chooses, or opens.
func (v *KindsView) Click(x, y int, twice bool, s *data.State) Intent {
	v.look(s)
	if v.table.click(x, y) && twice {
		return Intent{Act: Open, View: Instances, Kind: v.table.current().Resource}
	}
	return Intent{}
}

// Wheel scrolls.
func (v *KindsView) Wheel(n int, s *data.State) { v.look(s); v.table.wheel(n) }

// Filter shows only what holds a text.
func (v *KindsView) Filter(text string) { v.table.filter = text }

// Filtering is the text.
func (v *KindsView) Filtering() string { return v.table.filter }

// Keys are the table's, and those of orders.
func (v *KindsView) Keys() []KeyHelp {
	keys := []KeyHelp{
		{Key: "enter", Does: "its instances", Footer: true},
		{Key: "o", Does: "re-orchestrate", Footer: true, Changes: true},
		{Key: "m", Does: "maintenance on, off", Footer: true, Changes: true},
	}
	return append(append(keys, keysOfSorting...), keysOfTables...)
}

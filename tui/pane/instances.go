package pane

import (
	"cmp"
	"fmt"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// InstancesView is the table of the instances of the kind that is looked at.
type InstancesView struct {
	table rows[api.Instance, int]
	kind  string
}

// NewInstances makes the view.
func NewInstances() *InstancesView {
	v := &InstancesView{}
	v.table.columns = instanceColumns
	v.table.key = func(in *api.Instance) int { return in.ID }
	v.table.match = func(in *api.Instance, filter string) bool {
		health, _ := healthWords(in)
		return contains(filter, in.Pod, health, phaseWords(in), in.Node)
	}
	return v
}

// healthColumn is the place of the health among instanceColumns.
const healthColumn = 2

var instanceColumns = []column[api.Instance]{
	{title: "no.", least: 5, most: 7, right: true,
		text:  func(in *api.Instance, _ *data.State) (string, screen.Style) { return fmt.Sprint(in.ID), plainStyle },
		order: func(a, b *api.Instance) int { return cmp.Compare(a.ID, b.ID) }},
	{title: "pod", least: 12, most: 48, rank: 6,
		text:  func(in *api.Instance, _ *data.State) (string, screen.Style) { return in.Pod, screen.Fg(screen.Accent) },
		order: func(a, b *api.Instance) int { return cmp.Compare(a.ID, b.ID) }},
	{title: "health", least: 15, most: 20,
		text: func(in *api.Instance, _ *data.State) (string, screen.Style) {
			text, role := healthWords(in)
			return text, screen.Fg(role)
		},
		order: func(a, b *api.Instance) int { return cmp.Compare(data.HealthOf(a), data.HealthOf(b)) }, down: true},
	{title: "load", least: 12, most: 18, draw: drawLoad, order: byLoad, down: true},
	{title: "resources", least: 13, most: 19, right: true, rank: 1,
		text: func(in *api.Instance, _ *data.State) (string, screen.Style) {
			return Count(in.Used) + " of " + Count(in.Capacity), plainStyle
		},
		order: func(a, b *api.Instance) int { return cmp.Compare(a.Used, b.Used) }, down: true},
	{title: "moving", least: 8, most: 14, rank: 3, text: movingWords,
		order: func(a, b *api.Instance) int { return cmp.Compare(a.Arriving+a.Leaving, b.Arriving+b.Leaving) }, down: true},
	{title: "phase", least: 9, most: 32, rank: 4,
		text: func(in *api.Instance, _ *data.State) (string, screen.Style) {
			return phaseWords(in), screen.Fg(phaseRole(in.Phase))
		},
		order: func(a, b *api.Instance) int { return strings.Compare(phaseWords(a), phaseWords(b)) }},
	{title: "heard", least: 7, most: 8, right: true, rank: 2, text: heardWords,
		order: func(a, b *api.Instance) int { return lacking(a.HeartbeatAgeSeconds, b.HeartbeatAgeSeconds) }, down: true},
	{title: "restarts", least: 10, most: 10, right: true, rank: 5, text: restartWords,
		order: func(a, b *api.Instance) int { return lacking(a.Restarts, b.Restarts) }, down: true},
	{title: "age", least: 6, most: 8, right: true, rank: 5,
		text: func(in *api.Instance, _ *data.State) (string, screen.Style) {
			return AgeSeconds(in.AgeSeconds), plainStyle
		},
		order: func(a, b *api.Instance) int { return lacking(a.AgeSeconds, b.AgeSeconds) }},
	{title: "node", least: 8, most: 32, rank: 7,
		text: func(in *api.Instance, _ *data.State) (string, screen.Style) {
			return cmp.Or(in.Node, "–"), plainStyle
		},
		order: func(a, b *api.Instance) int { return strings.Compare(a.Node, b.Node) }},
	{title: "its list", least: 11, most: 14, rank: 8, text: listWords,
		order: func(a, b *api.Instance) int { return cmp.Compare(behind(a), behind(b)) }, down: true},
}

var plainStyle = screen.Style{} // of values that need no attention

// healthWords is how an instance is, with the letter that stands for it in the
// placement view.
func healthWords(in *api.Instance) (string, screen.Role) {
	h := data.HealthOf(in)
	text := h.Letter() + " " + h.String()
	switch {
	case h == data.Silent && in.NodeLost:
		text = h.Letter() + " node lost"
	case (h == data.Down || h == data.Starting) && in.DownForSeconds != nil:
		text += " " + AgeSeconds(in.DownForSeconds)
	}
	return text, HealthRole(h)
}

// drawLoad draws a bar and the share in percent.
func drawLoad(c *screen.Canvas, width int, in *api.Instance, _ *data.State) {
	const number = 6
	role := screen.LoadRole(in.Used, in.Capacity)
	text := screen.Default
	if role == screen.Load7 {
		text = screen.Bad
	}
	if role == screen.Load0 {
		text = screen.Dim
	}
	ThinBar(c, 0, 0, width-number, in.Used, in.Capacity, screen.Fg(role))
	c.TextRight(max(width-number, 0), 0, min(number, width), Percent(in.Used, in.Capacity), screen.Fg(text))
}

// byLoad compares used/capacity without dividing; no capacity counts as full.
func byLoad(a, b *api.Instance) int {
	share := func(in *api.Instance) float64 {
		if in.Capacity <= 0 {
			return min(float64(in.Used), 1)
		}
		return float64(in.Used) / float64(in.Capacity)
	}
	return cmp.Compare(share(a), share(b))
}

func movingWords(in *api.Instance, _ *data.State) (string, screen.Style) {
	var parts []string
	role := screen.Arriving
	if in.Arriving > 0 {
		parts = append(parts, "+"+Count(in.Arriving))
	}
	if in.Leaving > 0 {
		parts = append(parts, "-"+Count(in.Leaving))
		if in.Arriving == 0 {
			role = screen.Leaving
		}
	}
	return strings.Join(parts, " "), screen.Fg(role)
}

// phaseWords is the pod's phase; Kubernetes' reason comes first, as it says more.
func phaseWords(in *api.Instance) string {
	text := in.Phase
	if in.Reason != "" {
		text = in.Reason + " (" + in.Phase + ")"
	}
	if in.Terminating {
		text = "terminating, " + text
	}
	return text
}

func phaseRole(phase string) screen.Role {
	switch phase {
	case "Running":
		return screen.Default
	case "Pending":
		return screen.Starting
	case "Missing", "Failed", "Unknown":
		return screen.Down
	}
	return screen.Warn
}

func heardWords(in *api.Instance, _ *data.State) (string, screen.Style) {
	st := plainStyle
	if in.Silent {
		st = screen.Fg(screen.Silent)
	}
	return AgeSeconds(in.HeartbeatAgeSeconds), st
}

func restartWords(in *api.Instance, _ *data.State) (string, screen.Style) {
	switch {
	case in.Restarts == nil:
		return "–", screen.Fg(screen.Dim)
	case *in.Restarts > 0:
		return Count(*in.Restarts), screen.Fg(screen.Warn)
	}
	return "0", plainStyle
}

// behind is by how many changes of its list an instance lags; -1: not known.
func behind(in *api.Instance) int64 {
	if !in.Confirms || in.ConfirmedTimes == nil {
		return -1
	}
	return max(in.Times-*in.ConfirmedTimes, 0)
}

// listWords says whether the DAC has its newest list of resources.
func listWords(in *api.Instance, _ *data.State) (string, screen.Style) {
	switch n := behind(in); {
	case !in.Session:
		return "not connected", screen.Fg(screen.Dim)
	case n < 0:
		return "connected", plainStyle
	case n > 0:
		return Count(n) + " behind", screen.Fg(screen.Warn)
	}
	return "current", plainStyle
}

// lacking compares values that may not be known; those come before all others.
func lacking[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

// Title names the kind.
func (v *InstancesView) Title(s *data.State) string {
	return notes("instances of "+cmp.Or(s.Kind, "…"), "")
}

// Note counts, and tells order and filter.
func (v *InstancesView) Note(s *data.State) string {
	v.look(s)
	if len(v.table.all) == 0 {
		return ""
	}
	total := ""
	if v.table.filter == "" {
		total = Plural(len(v.table.all), "instance")
	}
	return notes(total, v.table.filtering(), v.table.sorting())
}

// Needs are the instances, and the status that says why there are none.
func (v *InstancesView) Needs(s *data.State) []data.Query {
	if s.Kind == "" {
		return nil
	}
	return []data.Query{{What: data.AskInstances, Kind: s.Kind}, {What: data.AskStatus, Kind: s.Kind}}
}

// look brings the table to what is known now.
func (v *InstancesView) look(s *data.State) *data.Answer {
	if v.kind != s.Kind {
		v.kind = s.Kind
		v.table.restart()
	}
	list, a := s.Instances(s.Kind)
	v.table.set(list, a.At)
	return a
}

// Draw draws the table.
func (v *InstancesView) Draw(c *screen.Canvas, s *data.State) {
	a := v.look(s)
	switch {
	case s.Kind == "":
		empty(c, Waiting(s.Answers[data.Query{What: data.AskKinds}], "the kinds"))
		return
	case a.Value == nil:
		empty(c, Waiting(a, "the instances of "+s.Kind))
		return
	case len(v.table.all) == 0:
		empty(c, noInstances(s, s.Kind)...)
		return
	case v.table.count == 0:
		empty(c, "no instance with “"+screen.Cut(v.table.filter, 40)+"”", "Pod, health, phase and node are looked at. Esc shows all "+Count(len(v.table.all))+" again.")
		return
	}
	above, old := trouble(c, s, a, "the instances")
	v.table.draw(above, s, true, old)
}

// noInstances says why a kind has no instances.
func noInstances(s *data.State, kind string) []string {
	st, _, ok := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: kind})
	switch {
	case !ok:
		return []string{kind + " has no instance."}
	case st.Leader == (api.Leader{}):
		return []string{"no instance yet: nobody leads " + kind, "A process that leads it makes instances as resources need them."}
	case st.Stage == "loading":
		return []string{"no instance yet: " + cmp.Or(st.Leader.Name, "the leader") + " still reads what there is"}
	case st.Maintenance:
		return []string{"no instance: " + kind + " is in maintenance, nothing is done automatically"}
	case st.Resources == 0:
		return []string{kind + " has no instance: there are no resources", "Instances are made as resources need them, or by re-orchestrating: o."}
	}
	return []string{"no instance yet for " + Plural(st.Resources, "resource"), "Press o to re-orchestrate."}
}

// Press moves, sorts, opens and orders.
func (v *InstancesView) Press(key string, s *data.State) (Intent, bool) {
	v.look(s)
	if v.table.press(key) {
		return Intent{}, true
	}
	switch key {
	case "o":
		return Intent{Act: Orchestrate, Kind: s.Kind}, s.Kind != ""
	case "!":
		v.table.cursor = 0
		v.table.by(healthColumn, false)
		return Intent{}, true
	}
	in := v.table.current()
	if in == nil {
		return Intent{}, false
	}
	return instanceKeys(key, s.Kind, in.ID)
}

// instanceKeys are what can be done with an instance.
func instanceKeys(key, kind string, instance int) (Intent, bool) {
	do := Intent{Kind: kind, Instance: instance}
	switch key {
	case "enter":
		do.Act, do.View = Open, Instance
	case "r":
		do.Act = Replace
	case "d":
		do.Act = Drain
	case "u":
		do.Act = Undrain
	case "b":
		do.Act = Break
	default:
		return Intent{}, false
	}
	return do, true
}

// Click sorts, chooses, or opens.
func (v *InstancesView) Click(x, y int, twice bool, s *data.State) Intent {
	v.look(s)
	if v.table.click(x, y) && twice {
		return Intent{Act: Open, View: Instance, Kind: s.Kind, Instance: v.table.current().ID}
	}
	return Intent{}
}

// Wheel scrolls.
func (v *InstancesView) Wheel(n int, s *data.State) { v.look(s); v.table.wheel(n) }

// Filter shows only what holds a text.
func (v *InstancesView) Filter(text string) { v.table.filter = text }

// Filtering is the text.
func (v *InstancesView) Filtering() string { return v.table.filter }

// Keys are the table's, and those of orders.
func (v *InstancesView) Keys() []KeyHelp {
	keys := []KeyHelp{{Key: "enter", Does: "open", Footer: true}, {Key: "!", Does: "worst first: sort by health", Footer: true}}
	return append(append(append(keys, keysOfOrders...), keysOfSorting...), keysOfTables...)
}

// keysOfOrders are what can be asked for an instance.
var keysOfOrders = []KeyHelp{
	{Key: "r", Does: "replace its pod: delete it, and create it anew", Footer: true, Changes: true},
	{Key: "d", Does: "drain: move all its resources away, then let it go", Footer: true, Changes: true},
	{Key: "u", Does: "undrain", Changes: true},
	{Key: "o", Does: "re-orchestrate", Footer: true, Changes: true},
}

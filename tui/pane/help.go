package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// HelpView tells the keys of the view before and those that work everywhere, and
// what the words mean.
type HelpView struct {
	view        string
	own, global []KeyHelp

	top   int
	count int // lines, at the last draw
	seen  int // of which these were seen
}

// NewHelp makes the help for a view, which has keys of its own.
func NewHelp(view string, own, global []KeyHelp) *HelpView {
	return &HelpView{view: view, own: own, global: global}
}

// helpLine is a line of the help: a heading, or a key or word with what it means.
type helpLine struct {
	head, name, text string
	role             screen.Role // of the name
}

// vocabulary are the words that a newcomer needs.
var vocabulary = []helpLine{
	{name: "resource", text: "one thing that has to run, such as a monitored structure; it has an id and belongs to a kind"},
	{name: "instance", text: "a numbered pod that runs resources of one kind; each has a list of them in ZooKeeper"},
	{name: "kind", text: "resources that are placed together, such as Thing or Rule"},
	{name: "unplaced", text: "exists, and stands on no instance: nobody runs it now"},
	{name: "leader", text: "the one process that places a kind's resources; without it nothing is mended"},
	{name: "re-orchestrate", text: "compute anew how many instances there are and what each runs, with the fewest moves"},
	{name: "drain", text: "move all resources away from an instance, then let it go; undrain takes that back"},
	{name: "replace", text: "delete an instance's pod and create it anew; its resources stay on it"},
	{name: "break", text: "in a simulation: make something fail, such as a pod, a node or Kafka, for a while"},
	{name: "maintenance", text: "a mode in which nothing is done automatically"},
	{name: "heard", text: "how long ago the last heartbeat came"},
}

// healthHelp explains each health.
var healthHelp = [...]string{
	data.Up:       "its pod runs, and is heard",
	data.Closing:  "its resources move away, or it is let go: on purpose",
	data.Starting: "its pod is on its way",
	data.Silent:   "its pod runs and is not heard, or its node does not answer",
	data.Down:     "its pod failed, or has not come up for minutes",
}

// loadHelp explains the colours of load, from Load0 on.
var loadHelp = [...]helpLine{
	{name: "·····", text: "nothing"}, {name: "█", text: "up to 20 %"}, {name: "██", text: "up to 40 %"}, {name: "███", text: "up to 60 %"},
	{name: "████", text: "up to 80 %"}, {name: "████▊", text: "below 100 %"}, {name: "█████", text: "full"}, {name: "█████ !", text: "more than it may hold"},
}

// lines is the whole help.
func (v *HelpView) lines() []helpLine {
	lines := []helpLine{{head: "keys of " + v.view}}
	add := func(keys []KeyHelp) {
		for _, k := range keys {
			lines = append(lines, helpLine{name: k.Key, text: k.Does, role: screen.Key})
		}
	}
	add(v.own)
	lines = append(lines, helpLine{}, helpLine{head: "keys everywhere"})
	add(v.global)
	lines = append(lines, helpLine{}, helpLine{head: "how an instance is"})
	for h, text := range healthHelp {
		health := data.Health(h)
		lines = append(lines, helpLine{name: health.Letter() + " " + health.String(), text: text, role: HealthRole(health)})
	}
	lines = append(lines, helpLine{}, helpLine{head: "how full it is"})
	for i, l := range loadHelp {
		l.role = screen.Load0 + screen.Role(i)
		lines = append(lines, l)
	}
	lines = append(lines, helpLine{}, helpLine{head: "words"})
	for _, l := range vocabulary {
		l.role = screen.Strong
		lines = append(lines, l)
	}
	return lines
}

// Title says what it is.
func (v *HelpView) Title(*data.State) string { return "help" }

// Note tells the way out.
func (v *HelpView) Note(*data.State) string { return "esc goes back" }

// Needs nothing.
func (v *HelpView) Needs(*data.State) []data.Query { return nil }

// Draw draws the help, in two columns where there is room.
func (v *HelpView) Draw(c *screen.Canvas, _ *data.State) {
	w, h := c.Size()
	columns := 1
	if w >= 140 {
		columns = 2
	}
	width := (w - 2) / columns
	var drawn []func(x, y int)
	for _, l := range v.lines() {
		drawn = append(drawn, l.draw(c, width-gutter)...)
	}
	v.seen = max(h*columns, 0)
	v.count = len(drawn)
	if columns == 2 && v.count <= v.seen { // both of the same height
		h = (v.count + 1) / 2
	}
	v.scroll(0)
	for i := range min(v.count-v.top, h*columns) {
		drawn[v.top+i](gutter+i/max(h, 1)*width, i%max(h, 1))
	}
	c.Scrollbar(w-1, 0, h, v.top, v.seen, v.count, screen.Fg(screen.Dim))
}

// draw is the line's rows on the screen, each to be drawn where it falls.
func (l helpLine) draw(c *screen.Canvas, width int) []func(x, y int) {
	const names = 18
	if l.head != "" || l.name == "" {
		return []func(x, y int){func(x, y int) { c.TextIn(x, y, width, l.head, screen.Fg(screen.Accent).With(screen.Bold)) }}
	}
	var out []func(x, y int)
	for i, text := range Wrap(l.text, width-names-2, 9) {
		out = append(out, func(x, y int) {
			if i == 0 {
				c.TextIn(x+2, y, names-3, l.name, screen.Fg(l.role))
			}
			c.Text(x+names, y, text, plainStyle)
		})
	}
	return out
}

func (v *HelpView) scroll(n int) { v.top = max(min(v.top+n, v.count-v.seen), 0) }

// Press scrolls.
func (v *HelpView) Press(key string, _ *data.State) (Intent, bool) {
	page := max(v.seen-1, 1)
	switch key {
	case "up", "k":
		v.scroll(-1)
	case "down", "j":
		v.scroll(1)
	case "pgup", "ctrl+u":
		v.scroll(-page)
	case "pgdown", "ctrl+d":
		v.scroll(page)
	case "home", "g":
		v.scroll(-v.count)
	case "end", "G":
		v.scroll(v.count)
	default:
		return Intent{}, false
	}
	return Intent{}, true
}

// Click does nothing.
func (v *HelpView) Click(int, int, bool, *data.State) Intent { return Intent{} }

// Wheel scrolls.
func (v *HelpView) Wheel(n int, _ *data.State) { v.scroll(n) }

// Keys scroll.
func (v *HelpView) Keys() []KeyHelp {
	return []KeyHelp{
		{Key: "↑ ↓ j k", Does: "one line up, down", Footer: true},
		{Key: "pgup pgdn", Does: "one page up, down"},
		{Key: "g G", Does: "first, last line"},
	}
}

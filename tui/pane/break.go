package pane

import (
	"slices"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// BreakDialog picks a fault for a simulation: first which, out of all that are
// offered, then whom it hits and for how long.
type BreakDialog struct {
	kind     string
	instance int // that it is to hit; -1: none is chosen

	// Which fault.
	search Line
	at     int // of those that match
	top    int // first line of the list that is seen
	picks  []faultLine

	chosen *api.FaultWord // nil: not yet
	form   form
}

// faultLine is a line of the list that was drawn last.
type faultLine struct {
	y     int
	index int // of those that match
}

const (
	buttonBreak   = "Break it"
	buttonAnother = "Another fault"
)

// NewBreak makes the dialog; instance -1: none is chosen.
func NewBreak(kind string, instance int) *BreakDialog {
	return &BreakDialog{kind: kind, instance: instance}
}

// Title says what it is for.
func (d *BreakDialog) Title(*data.State) string {
	if d.chosen != nil {
		return "break something: " + d.chosen.Subject + ": " + d.chosen.Word
	}
	if d.instance >= 0 {
		return "break something, such as instance " + strconv.Itoa(d.instance) + " of " + d.kind
	}
	return "break something"
}

// Size is how much room it would like.
func (d *BreakDialog) Size(*data.State) (width, height int) { return 92, 26 }

// Needs is what can be broken, and the instances of the kind that is aimed at.
func (d *BreakDialog) Needs(*data.State) []data.Query {
	needs := []data.Query{{What: data.AskFaults}, {What: data.AskKinds}}
	if kind := d.form.value("kind"); d.chosen != nil && kind != "" {
		needs = append(needs, data.Query{What: data.AskInstances, Kind: kind})
	} else if d.kind != "" && d.instance >= 0 { // on which node it is
		needs = append(needs, data.Query{What: data.AskInstances, Kind: d.kind})
	}
	return needs
}

// offered are the faults that the search leaves.
func (d *BreakDialog) offered(s *data.State) []api.FaultWord {
	all, _, _ := data.Get[api.Faults](s, data.Query{What: data.AskFaults})
	words := strings.Fields(strings.ToLower(d.search.Value()))
	if len(words) == 0 {
		return all.Offered
	}
	var out []api.FaultWord
	for _, w := range all.Offered {
		text := strings.ToLower(w.Subject + " " + w.Word + " " + w.About)
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
			out = append(out, w)
		}
	}
	return out
}

// Press handles a key. Esc leaves the fault's fields for the list, and the list
// for good.
func (d *BreakDialog) Press(key string, s *data.State) (Intent, bool) {
	if d.chosen != nil {
		if key == "esc" {
			d.chosen = nil
			return Intent{}, false
		}
		return d.do(d.form.press(key), s)
	}
	offered := d.offered(s)
	switch key {
	case "esc":
		return Intent{}, true
	case "up", "shift+tab", "ctrl+p":
		d.at--
	case "down", "tab", "ctrl+n":
		d.at++
	case "pgup":
		d.at -= 10
	case "pgdown":
		d.at += 10
	case "enter":
		d.choose(offered, s)
	default:
		before := d.search.Value()
		if d.search.Press(key); d.search.Value() != before {
			d.at = 0
		}
	}
	d.at = min(max(d.at, 0), max(len(offered)-1, 0))
	return Intent{}, false
}

// choose goes on to the fields of the fault under the cursor.
func (d *BreakDialog) choose(offered []api.FaultWord, s *data.State) {
	if d.at < 0 || d.at >= len(offered) {
		return
	}
	w := offered[d.at]
	d.chosen = &w
	d.form = faultForm(w, d.kind, d.instance, s)
}

// do is what a button does.
func (d *BreakDialog) do(button string, s *data.State) (Intent, bool) {
	switch button {
	case buttonCancel:
		return Intent{}, true
	case buttonAnother:
		d.chosen = nil
	case buttonBreak:
		if why := d.refuse(s); why != "" {
			return say(why), false
		}
		fault, _ := faultOf(*d.chosen, &d.form)
		return Intent{Act: Inject, Sure: true, Kind: d.form.value("kind"), Fault: fault}, true
	}
	return Intent{}, false
}

// refuse says why it cannot be done; empty: it can.
func (d *BreakDialog) refuse(s *data.State) string {
	d.aim(s)
	switch {
	case s.ReadOnly() != "":
		return "Not possible: " + s.ReadOnly() + "."
	case d.form.wrong():
		return "Not possible: look at the fields marked ✗."
	}
	if missing := missing(*d.chosen, &d.form); missing != "" {
		return "Not possible yet: " + missing + "."
	}
	return ""
}

// aim says beside the node's name what runs there, and beside the instance's number how that instance is, or that there is
// none.
func (d *BreakDialog) aim(s *data.State) {
	d.aimNodes(s)
	field := d.form.field("instance")
	if field == nil {
		return
	}
	field.about, field.problem = "its number", ""
	kind := d.form.value("kind")
	instances, _ := s.Instances(kind)
	if kind == "" || len(instances) == 0 {
		return
	}
	field.about = "its number; there are " + Plural(len(instances), "instance")
	id, err := strconv.Atoi(field.value())
	if err != nil {
		return
	}
	i, found := slices.BinarySearchFunc(instances, id, func(in api.Instance, id int) int { return in.ID - id })
	if !found {
		field.problem = kind + " has no instance " + strconv.Itoa(id) + " now"
		return
	}
	in := &instances[i]
	field.about = in.Pod + ": " + data.HealthOf(in).String() + ", " + Plural(in.Used, "resource")
	if in.Node != "" {
		field.about += ", on " + in.Node
	}
}

// Paste goes into the search, or into the field.
func (d *BreakDialog) Paste(text string, _ *data.State) {
	if d.chosen != nil {
		d.form.paste(text)
		return
	}
	d.search.Insert(text)
	d.at = 0
}

// Click picks a fault, moves the focus, or presses a button.
func (d *BreakDialog) Click(x, y int, s *data.State) (Intent, bool) {
	if d.chosen != nil {
		return d.do(d.form.click(x, y), s)
	}
	for _, line := range d.picks {
		if line.y == y {
			d.at = line.index
			d.choose(d.offered(s), s)
			break
		}
	}
	return Intent{}, false
}

// Keys are the dialog's.
func (d *BreakDialog) Keys() []KeyHelp {
	if d.chosen != nil {
		return formKeys()
	}
	return []KeyHelp{
		{Key: "letters", Does: "search", Footer: true},
		{Key: "↑/↓", Does: "choose", Footer: true},
		{Key: "enter", Does: "go on", Footer: true},
		{Key: "esc", Does: "leave", Footer: true},
	}
}

// Draw draws the list of faults, or the fields of the one that was chosen.
func (d *BreakDialog) Draw(c *screen.Canvas, s *data.State) {
	d.picks = d.picks[:0]
	if d.chosen != nil {
		d.drawFault(c, s)
		return
	}
	width, height := c.Size()
	offered := d.offered(s)
	c.Text(2, 0, "search", screen.Fg(screen.Dim))
	c.Fill(9, 0, min(width-11, 30), 1, " ", screen.Style{}.On(screen.Select))
	d.search.Draw(c, 9, 0, min(width-11, 30), screen.Style{}.On(screen.Select))
	c.TextRight(42, 0, width-44, Plural(len(offered), "fault"), screen.Fg(screen.Dim))
	if len(offered) == 0 {
		d.drawNone(c, s)
		return
	}
	room := height - 2
	if height >= 14 { // what the one under the cursor does, in full
		room -= 3
		at := offered[min(max(d.at, 0), len(offered)-1)]
		drawWrapped(c.Sub(2, height-2, width-4, 2), 0, at.About, screen.Fg(screen.Strong))
	}
	d.drawList(c.Sub(0, 2, width, room), offered)
	for i := range d.picks {
		d.picks[i].y += 2
	}
}

// drawNone says why the list is empty.
func (d *BreakDialog) drawNone(c *screen.Canvas, s *data.State) {
	faults, a, ok := data.Get[api.Faults](s, data.Query{What: data.AskFaults})
	text := "No fault has these words: " + d.search.Value() + ". Delete some of them."
	if about, known := s.About(); known && !about.Faults {
		text = "Faults can be injected in simulations only: this server is none."
	} else if !ok {
		text = Waiting(a, "what can be broken")
	} else if len(faults.Offered) == 0 {
		text = "This server offers no faults."
	}
	width, _ := c.Size()
	drawWrapped(c.Sub(2, 2, width-4, 4), 0, text, screen.Fg(screen.Dim))
}

// drawList draws the faults, with their subject before the first of each.
func (d *BreakDialog) drawList(c *screen.Canvas, offered []api.FaultWord) {
	width, height := c.Size()
	d.at = min(max(d.at, 0), len(offered)-1)
	d.top = min(max(d.top, d.at-height+1), d.at)
	d.top = max(min(d.top, len(offered)-height), 0)
	subjects, words := 0, 0
	for _, w := range offered {
		subjects, words = max(subjects, screen.Width(w.Subject)), max(words, screen.Width(w.Word))
	}
	for y := range min(height, len(offered)-d.top) {
		i := d.top + y
		w := offered[i]
		style, dim := screen.Style{}, screen.Fg(screen.Dim)
		if i == d.at {
			style, dim = style.On(screen.Select).With(screen.Bold), dim.On(screen.Select)
			c.Fill(1, y, width-2, 1, " ", style)
			c.Text(1, y, "▸", screen.Fg(screen.Key).On(screen.Select))
		}
		if y == 0 || offered[i-1].Subject != w.Subject || i == d.at {
			c.TextIn(3, y, subjects, w.Subject, screen.Fg(screen.Accent).On(style.Bg))
		}
		c.TextIn(5+subjects, y, words, w.Word, style)
		x := 7 + subjects + words
		c.TextIn(x, y, width-x-2, w.About, dim)
		d.picks = append(d.picks, faultLine{y, i})
	}
	if d.top > 0 {
		c.Text(width-1, 0, "▲", screen.Fg(screen.Key))
	}
	if d.top+height < len(offered) {
		c.Text(width-1, height-1, "▼", screen.Fg(screen.Key))
	}
}

// drawFault draws the fields of the fault that was chosen, the fault as a scenario
// would have it, and what lasts now.
func (d *BreakDialog) drawFault(c *screen.Canvas, s *data.State) {
	width, height := c.Size()
	inner := func(y, h int) *screen.Canvas { return c.Sub(2, y, width-4, h) }
	d.aim(s)
	y := drawWrapped(inner(0, min(height, 3)), 0, d.chosen.About, screen.Fg(screen.Strong))
	if height >= 16 {
		y++
	}
	y = d.form.drawFields(c, 1, y)
	if height >= 16 {
		y++
	}
	body := inner(y, height-1-y)
	_, text := faultOf(*d.chosen, &d.form)
	line := drawWrapped(body, 0, "As a scenario has it: "+text, screen.Fg(screen.Dim))
	if missing := missing(*d.chosen, &d.form); missing != "" {
		line = drawWrapped(body, line, "Missing: "+missing+".", screen.Fg(screen.Warn))
	}
	if s.ReadOnly() != "" {
		line = drawWrapped(body, line, "Not possible: "+s.ReadOnly()+".", screen.Fg(screen.Warn))
	}
	faults, _, _ := data.Get[api.Faults](s, data.Query{What: data.AskFaults})
	_, room := body.Size()
	if rest := room - line - 1; rest > 1 && len(faults.Active) > 0 {
		drawActive(body, line+1, rest, faults.Active)
	}
	d.form.drawButtons(c, 1, height-1, d.refuse(s) != "")
}

// drawActive lists what is broken now.
func drawActive(c *screen.Canvas, y, room int, active []api.Mark) {
	width, _ := c.Size()
	c.Text(0, y, "Broken now:", screen.Fg(screen.Dim))
	for i, m := range active {
		if i+1 == room-1 && len(active) > room-1 {
			c.Text(2, y+1+i, "… and "+strconv.Itoa(len(active)-i)+" more", screen.Fg(screen.Dim))
			return
		}
		text := faultText(m.Text) + ", since " + Offset(m.At)
		if m.Until != nil {
			text += ", until " + Offset(*m.Until)
		}
		c.TextIn(2, y+1+i, width-2, text, screen.Fg(screen.Warn))
	}
}

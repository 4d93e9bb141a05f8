package pane

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ReorchestrateDialog asks what a re-orchestration shall aim at, and shows what it
// would do before it is done.
type ReorchestrateDialog struct {
	kind string
	form form
	last data.Query // whose plan was shown last: shown on, dimmed, until the next is there
	top  int        // first move that is seen
}

// The fields' names are those of the request; the server's errors name them.
const (
	fieldPer  = "resourcePerInstance"
	fieldMost = "maxInstances"

	buttonReorchestrate = "Re-orchestrate"
	buttonCancel        = "Cancel"
)

// plannedMoves is how many moves a preview asks for: with all of them the loads
// afterwards can be drawn.
const plannedMoves = 2000

// NewReorchestrate makes the dialog for a kind.
func NewReorchestrate(kind string) *ReorchestrateDialog {
	return &ReorchestrateDialog{kind: kind, form: form{
		fields: []*field{
			{name: fieldPer, label: "resources per instance", empty: "default", about: "that an instance may hold", check: wholeFrom(1)},
			{name: fieldMost, label: "most instances", empty: "default", about: "that there may be, 3 or more", check: wholeFrom(3)},
		},
		buttons: []string{buttonReorchestrate, buttonCancel},
	}}
}

// wholeFrom checks a whole number.
func wholeFrom(least int) func(string) string {
	return func(text string) string {
		if n, err := strconv.Atoi(text); err != nil {
			return "want a whole number"
		} else if n < least {
			return fmt.Sprintf("want %d or more", least)
		}
		return ""
	}
}

// Title names the kind.
func (d *ReorchestrateDialog) Title(*data.State) string { return "re-orchestrate " + d.kind }

// Size is how much room it would like.
func (d *ReorchestrateDialog) Size(*data.State) (width, height int) { return 84, 24 }

// query asks for the plan of the fields' values; ok is false while one of them is
// no number.
func (d *ReorchestrateDialog) query() (q data.Query, ok bool) {
	q = data.Query{What: data.AskPlan, Kind: d.kind, N: plannedMoves}
	for name, to := range map[string]*int{fieldPer: &q.Per, fieldMost: &q.Max} {
		f := d.form.field(name)
		if v := f.value(); v == "" {
			continue
		} else if f.check(v) != "" {
			return q, false
		}
		*to, _ = strconv.Atoi(f.value())
	}
	return q, true
}

// Needs is the plan of the fields' values, and the instances as they are now.
func (d *ReorchestrateDialog) Needs(*data.State) []data.Query {
	needs := []data.Query{{What: data.AskInstances, Kind: d.kind}}
	if q, ok := d.query(); ok {
		needs = append(needs, q)
	}
	return needs
}

// plan is what is shown: the plan of the fields' values when current, else the one
// before.
func (d *ReorchestrateDialog) plan(s *data.State) (p api.Plan, current bool, err error) {
	q, ok := d.query()
	if ok {
		p, a, got := data.Get[api.Plan](s, q)
		if a.Err != nil {
			return p, false, a.Err
		}
		if got {
			d.last = q
			return p, true, nil
		}
	}
	p, _, _ = data.Get[api.Plan](s, d.last)
	return p, false, nil
}

// blame puts the server's complaint beside the field that it is about; what is
// about none is answered.
func (d *ReorchestrateDialog) blame(err error) (rest string) {
	for _, f := range d.form.fields {
		f.problem = ""
	}
	if err == nil {
		return ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if f := d.form.field(e.Field); f != nil {
		f.problem = strings.TrimPrefix(e.Message, e.Field+": ")
		return ""
	}
	return e.Message
}

// Press handles a key: page up and down scroll the moves, all else is the form's.
func (d *ReorchestrateDialog) Press(key string, s *data.State) (Intent, bool) {
	switch key {
	case "esc":
		return Intent{}, true
	case "pgdown":
		d.top += 5
		return Intent{}, false
	case "pgup":
		d.top = max(d.top-5, 0)
		return Intent{}, false
	}
	return d.do(d.form.press(key), s)
}

// do is what a button does.
func (d *ReorchestrateDialog) do(button string, s *data.State) (Intent, bool) {
	switch button {
	case buttonCancel:
		return Intent{}, true
	case buttonReorchestrate:
		if why := d.refuse(s); why != "" {
			return say(why), false
		}
		q, _ := d.query()
		do := Intent{Act: Orchestrate, Sure: true, Kind: d.kind}
		if q.Per > 0 {
			do.Request.ResourcePerInstance = &q.Per
		}
		if q.Max > 0 {
			do.Request.MaxInstances = &q.Max
		}
		return do, true
	}
	return Intent{}, false
}

// refuse says why it cannot be done now; empty: it can.
func (d *ReorchestrateDialog) refuse(s *data.State) string {
	_, current, err := d.plan(s)
	switch rest := d.blame(err); {
	case s.ReadOnly() != "":
		return "Not possible: " + s.ReadOnly() + "."
	case rest != "":
		return "Not possible: " + rest + "."
	case d.form.wrong():
		return "Not possible: look at the fields marked ✗."
	case !current:
		return "Wait for the preview: it shows what would be done."
	}
	return ""
}

// Paste goes into the field.
func (d *ReorchestrateDialog) Paste(text string, _ *data.State) { d.form.paste(text) }

// Click moves the focus, or presses a button.
func (d *ReorchestrateDialog) Click(x, y int, s *data.State) (Intent, bool) {
	return d.do(d.form.click(x, y), s)
}

// Keys are the dialog's.
func (d *ReorchestrateDialog) Keys() []KeyHelp {
	return append(formKeys(), KeyHelp{Key: "pgup/pgdn", Does: "more moves"})
}

// Draw draws the fields, what would be done, and the buttons at the bottom.
func (d *ReorchestrateDialog) Draw(c *screen.Canvas, s *data.State) {
	width, height := c.Size()
	plan, current, err := d.plan(s)
	rest := d.blame(err)
	y := 1
	if height < 14 {
		y = 0
	}
	y = d.form.drawFields(c, 1, y)
	if height >= 14 {
		y++
	}
	body := c.Sub(2, y, width-4, height-2-y)
	switch {
	case s.ReadOnly() != "":
		drawWrapped(body, 0, "Not possible: "+s.ReadOnly()+".", screen.Fg(screen.Warn))
	case rest != "":
		n := drawWrapped(body, 0, "✗ "+rest, screen.Fg(screen.Bad))
		if strings.HasPrefix(rest, "require instances more than the max") {
			drawWrapped(body, n, "More instances would be needed than there may be: let an instance hold more, or allow more instances.", screen.Style{})
		}
	case d.form.wrong():
		drawWrapped(body, 0, "Correct the fields marked ✗: then what would be done is shown here.", screen.Fg(screen.Dim))
	case plan.Resource == "":
		drawWrapped(body, 0, "Working out what would be done …", screen.Fg(screen.Dim))
	default:
		d.drawPlan(body, plan, s)
		if !current { // of other values
			bw, bh := body.Size()
			body.Paint(0, 0, bw, bh, func(st screen.Style) screen.Style { st.Fg = screen.Dim; return st })
		}
	}
	d.form.drawButtons(c, 1, height-1, d.refuse(s) != "")
}

// drawWrapped writes a text from line y on, and answers the line after it.
func drawWrapped(c *screen.Canvas, y int, text string, st screen.Style) int {
	width, height := c.Size()
	for _, line := range Wrap(text, width, max(height-y, 0)) {
		c.Text(0, y, line, st)
		y++
	}
	return y
}

// drawPlan draws what would be done.
func (d *ReorchestrateDialog) drawPlan(c *screen.Canvas, p api.Plan, s *data.State) {
	_, height := c.Size()
	y := drawWrapped(c, 0, costText(p), screen.Fg(screen.Strong))
	if p.Cost.Unplaced > 0 {
		y = drawWrapped(c, y, Plural(p.Cost.Unplaced, "resource")+" would stand nowhere.", screen.Fg(screen.Bad).With(screen.Bold))
	}
	then := "Then there are " + Plural(p.Instances, "instance") + " of at most " + Plural(p.ResourcePerInstance, "resource") + " each."
	y = drawWrapped(c, y, then, screen.Style{})
	if height-y > 4 {
		y++
	}
	if height-y > 2 {
		instances, _ := s.Instances(d.kind)
		y = drawPlanLoads(c, y, instances, p)
	}
	if height-y > 3 {
		y++
	}
	d.drawSteps(c, y, p)
}

// drawSteps lists what would be done, one a line: instances first, then moves.
func (d *ReorchestrateDialog) drawSteps(c *screen.Canvas, y int, p api.Plan) {
	width, height := c.Size()
	total := len(p.Opened) + len(p.Released) + p.Cost.Moves + p.Cost.Placements
	listed := len(p.Opened) + len(p.Released) + len(p.Moves)
	room := height - y
	if room < 1 || listed == 0 {
		return
	}
	more := total > room
	if more {
		room--
	}
	d.top = min(max(d.top, 0), max(listed-room, 0))
	for i := range min(room, listed-d.top) {
		what, why := planStep(p, d.top+i)
		n := min(screen.Width(what), width)
		c.TextIn(0, y+i, width, what, screen.Style{})
		c.TextIn(n+2, y+i, width-n-2, why, screen.Fg(screen.Dim))
	}
	if left := total - d.top - room; more && left > 0 {
		text := "… and " + Count(left) + " more"
		if listed > room {
			text += " (pgdn)"
		}
		c.TextIn(0, height-1, width, text, screen.Fg(screen.Dim))
	}
}

package tui

import (
	"fmt"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// confirm asks whether an order is really meant. Nothing is done by one key: No
// has the focus, and y or tab only moves it.
type confirm struct {
	order   pane.Intent
	yes     bool
	buttons [2][3]int // row, and columns from and to, of the last Draw: no, yes
}

func newConfirm(in pane.Intent) *confirm { return &confirm{order: in} }

func (d *confirm) Title(*data.State) string { return wish(d.order) + "?" }

func (d *confirm) Size(s *data.State) (width, height int) {
	return confirmWidth, len(d.lines(s, confirmWidth-6)) + 6
}

const confirmWidth = 64

// Needs is what the words are about.
func (d *confirm) Needs(*data.State) []data.Query {
	return []data.Query{{What: data.AskInstances, Kind: d.order.Kind}, {What: data.AskStatus, Kind: d.order.Kind}}
}

func (d *confirm) lines(s *data.State, width int) (lines []string) {
	for _, sentence := range d.consequences(s) {
		lines = append(lines, pane.Wrap(sentence, width, 4)...)
	}
	return lines
}

// consequences say what will happen, with the numbers.
func (d *confirm) consequences(s *data.State) []string {
	var in *api.Instance
	instances, _ := s.Instances(d.order.Kind)
	for i := range instances {
		if instances[i].ID == d.order.Instance {
			in = &instances[i]
		}
	}
	name, has := fmt.Sprintf("Instance %d", d.order.Instance), "It is not known how many resources it has."
	if in != nil {
		name += " (" + in.Pod + ")"
		has = fmt.Sprintf("It has %s of at most %s.", pane.Plural(in.Used, "resource"), pane.Count(in.Capacity))
	}
	switch d.order.Act {
	case pane.Replace:
		return []string{name + ": its pod is deleted and created anew.", has, "They stay its own: none moves. They do not run until the new pod has loaded them."}
	case pane.Drain:
		said := []string{name + ": its resources move to the other instances, then it is let go.", has}
		if in != nil {
			said = append(said, room(instances, in))
		}
		return said
	case pane.Undrain:
		return []string{name + " stays. What has moved away does not come back by itself.", has}
	case pane.Maintenance:
		if d.order.On {
			return []string{"Nothing is done to " + d.order.Kind + " automatically any longer: no pod is replaced, nothing is placed or moved.", "What a person orders is done still. It lasts until it is switched off."}
		}
		return []string{d.order.Kind + " is looked after again: what has been left undone is done at once."}
	}
	return []string{"This will " + wish(d.order) + "."}
}

// room says where the resources of an instance that goes could go.
func room(all []api.Instance, gone *api.Instance) string {
	free := 0
	for i := range all {
		if all[i].ID != gone.ID && !all[i].Closing {
			free += max(all[i].Capacity-all[i].Used, 0)
		}
	}
	if free < gone.Used {
		return fmt.Sprintf("The others have room for %s only: more instances may be created.", pane.Count(free))
	}
	return fmt.Sprintf("The others have room for %s.", pane.Count(free))
}

func (d *confirm) Draw(c *screen.Canvas, s *data.State) {
	w, h := c.Size()
	y := 1
	for _, line := range d.lines(s, w-4) {
		if y < h-2 {
			c.TextIn(2, y, w-4, line, screen.Style{})
		}
		y++
	}
	y = min(y+1, h-1)
	x := 2
	for i, text := range [2]string{" No, leave it ", " Yes, " + verb(d.order) + " "} {
		st := screen.Fg(screen.Dim)
		if (i == 1) == d.yes {
			st, text = screen.Fg(screen.Strong).On(screen.Select).With(screen.Bold), "▸"+text
		} else {
			text = " " + text
		}
		n := c.Text(x, y, text, st)
		d.buttons[i] = [3]int{y, x, x + n}
		x += n + 2
	}
	hint := "y, then enter: " + verb(d.order) + " · esc: no"
	if d.yes {
		hint = "enter: " + verb(d.order) + " · esc: no"
	}
	if y+1 < h {
		c.TextIn(2, y+1, w-4, hint, screen.Fg(screen.Dim))
	}
}

// verb is what the button says.
func verb(in pane.Intent) string {
	switch in.Act {
	case pane.Replace:
		return "replace it"
	case pane.Drain:
		return "drain it"
	case pane.Undrain:
		return "keep it"
	}
	return "do it"
}

func (d *confirm) Press(key string, _ *data.State) (pane.Intent, bool) {
	switch key {
	case "y", "Y":
		d.yes = true
	case "tab", "shift+tab", "left", "right", "h", "l":
		d.yes = !d.yes
	case "n", "N", "esc", "q":
		return pane.Intent{}, true
	case "enter":
		return d.decide(), true
	}
	return pane.Intent{}, false
}

func (d *confirm) decide() pane.Intent {
	if !d.yes {
		return pane.Intent{}
	}
	in := d.order
	in.Sure = true
	return in
}

func (d *confirm) Paste(string, *data.State) {}

// Click presses a button. The mouse aims: one click is enough.
func (d *confirm) Click(x, y int, _ *data.State) (pane.Intent, bool) {
	for i, b := range d.buttons {
		if y == b[0] && x >= b[1] && x < b[2] {
			d.yes = i == 1
			return d.decide(), true
		}
	}
	return pane.Intent{}, false
}

func (d *confirm) Keys() []pane.KeyHelp {
	return []pane.KeyHelp{{Key: "y", Does: "yes", Footer: true}, {Key: "enter", Does: "confirm", Footer: true}, {Key: "esc", Does: "no", Footer: true}}
}

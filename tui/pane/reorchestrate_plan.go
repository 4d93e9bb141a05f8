package pane

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/screen"
)

// What a plan says: its cost in words, its steps, and the instances' loads.

// costText says in one sentence what would be done.
func costText(p api.Plan) string {
	cost := p.Cost
	var parts []string
	if cost.Moves > 0 {
		parts = append(parts, fmt.Sprintf("move %s of %s", Count(cost.Moves), Plural(p.Resources, "resource")))
	}
	if cost.Placements > 0 {
		parts = append(parts, "place "+Plural(cost.Placements, "resource")+" that stand nowhere")
	}
	if cost.Opened > 0 {
		parts = append(parts, "create "+Plural(cost.Opened, "instance"))
	}
	if cost.Released > 0 {
		parts = append(parts, "release "+Plural(cost.Released, "instance"))
	}
	if cost.Recapacitated > 0 {
		parts = append(parts, "change what "+Plural(cost.Recapacitated, "instance")+" may hold")
	}
	if len(parts) == 0 {
		return "Nothing would change: everything is as it would be after a re-orchestration."
	}
	text := strings.Join(parts, ", ")
	if n := len(parts); n > 1 {
		text = strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	if cost.Moves == 0 {
		text += "; no resource moves from one instance to another"
	}
	return "It would " + text + "."
}

// planStep is step i of a plan, and why.
func planStep(p api.Plan, i int) (what, why string) {
	if i < len(p.Opened) {
		o := p.Opened[i]
		return "create instance " + strconv.Itoa(o.ID) + " for " + Plural(o.Capacity, "resource"), o.Reason
	}
	if i -= len(p.Opened); i < len(p.Released) {
		return "release instance " + strconv.Itoa(p.Released[i].ID), p.Released[i].Reason
	}
	m := p.Moves[i-len(p.Released)]
	where := func(n *int) string {
		if n == nil {
			return "nowhere"
		}
		return strconv.Itoa(*n)
	}
	return "move " + screen.Cut(m.ID, 36) + ": " + where(m.From) + " → " + where(m.To), m.Reason
}

// loads are how many resources instances have, and may have, by their numbers.
type loads struct{ used, capacity map[int]int }

// loadsNow are those of the instances that there are.
func loadsNow(instances []api.Instance) loads {
	l := loads{map[int]int{}, map[int]int{}}
	for _, in := range instances {
		l.used[in.ID], l.capacity[in.ID] = in.Used, in.Capacity
	}
	return l
}

// loadsThen are those after a plan, all of whose moves are listed.
func loadsThen(instances []api.Instance, p api.Plan) loads {
	l := loadsNow(instances)
	for _, r := range p.Recapacitated {
		l.capacity[r.ID] = r.To
	}
	for _, o := range p.Opened {
		l.capacity[o.ID], l.used[o.ID] = o.Capacity, 0
	}
	for _, m := range p.Moves {
		if m.From != nil {
			l.used[*m.From]--
		}
		if m.To != nil {
			l.used[*m.To]++
		}
	}
	for _, r := range p.Released {
		delete(l.used, r.ID)
		delete(l.capacity, r.ID)
	}
	return l
}

// words say how many instances there are and how full they are.
func (l loads) words() string {
	sum, whole := 0, 0
	for id, n := range l.used {
		sum, whole = sum+n, whole+l.capacity[id]
	}
	return Plural(len(l.used), "instance") + ", " + Percent(sum, whole) + " full"
}

// drawPlanLoads draws how full the instances are now and how full they would be,
// one column for each or for several, and answers the line after it.
func drawPlanLoads(c *screen.Canvas, y int, instances []api.Instance, p api.Plan) int {
	if len(instances) == 0 {
		return y
	}
	width, _ := c.Size()
	now := loadsNow(instances)
	c.Text(0, y, "now", screen.Fg(screen.Dim))
	c.Text(0, y+1, "then", screen.Fg(screen.Dim))
	if p.MovesTruncated {
		c.TextIn(6, y, width-6, now.words(), screen.Style{})
		c.TextIn(6, y+1, width-6, "more moves than are listed: how full each would be is not known here", screen.Fg(screen.Dim))
		return y + 2
	}
	then := loadsThen(instances, p)
	most := max(len(now.used), len(then.used))
	room := max(width-6-2-max(screen.Width(now.words()), screen.Width(then.words())), 1)
	each := 1
	if 3*most <= room {
		each = 3
	}
	now.draw(c, y, most, each, room)
	then.draw(c, y+1, most, each, room)
	return y + 2
}

// draw draws one line of loads, in order of the instances' numbers: the room is
// for most instances, of so many columns each.
func (l loads) draw(c *screen.Canvas, y, most, each, room int) {
	width, _ := c.Size()
	ids := slices.Sorted(maps.Keys(l.used))
	columns := len(ids)
	if most > room {
		columns = (len(ids)*room + most - 1) / most
	}
	for x := range columns {
		part, of := 0, 0
		for _, id := range ids[x*len(ids)/columns : (x+1)*len(ids)/columns] {
			part, of = part+l.used[id], of+l.capacity[id]
		}
		glyph, style := "·", screen.Fg(screen.Dim)
		switch {
		case part > of:
			glyph, style = "█", screen.Fg(screen.Bad)
		case part > 0:
			glyph, style = eighths[max(part*8/of, 1)], screen.Fg(screen.Info)
		}
		c.Fill(6+x*each, y, max(each-1, 1), 1, glyph, style)
	}
	at := 6 + min(most*each, room) + 2
	c.TextIn(at, y, width-at, l.words(), screen.Style{})
}

package pane

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// stateWords is how an instance is and why, as a sentence without its name.
func stateWords(in *api.Instance, h data.Health) string {
	text := h.String()
	since := ""
	if in.DownForSeconds != nil && !in.Up {
		since = " for " + AgeSeconds(in.DownForSeconds)
	}
	switch {
	case in.NodeLost:
		text = "its node does not answer" + since
	case h == data.Silent && in.HeartbeatAgeSeconds != nil:
		return "silent: not heard for " + AgeSeconds(in.HeartbeatAgeSeconds)
	case h == data.Closing && in.Used > 0:
		return "closing: " + Plural(in.Used, "resource") + " still on it"
	case h == data.Down, h == data.Starting:
		text += since + ": pod " + phaseWords(in)
	}
	return text
}

// shortWords is what of stateWords a list has room for.
func shortWords(in *api.Instance, h data.Health) string {
	text := h.String()
	switch {
	case in.NodeLost:
		text = "node lost"
	case h == data.Silent:
		return "silent " + AgeSeconds(in.HeartbeatAgeSeconds)
	case h == data.Closing:
		return "closing, " + Count(in.Used) + " left"
	}
	if in.DownForSeconds != nil {
		text += " " + AgeSeconds(in.DownForSeconds)
	}
	if h == data.Silent || in.Phase == "" {
		return text
	}
	return text + ", " + cmp.Or(in.Reason, in.Phase)
}

// whereWords is on which node it is, when it was heard, and what moves; each may
// be missing.
func whereWords(in *api.Instance, flow data.Flow) []string {
	var words []string
	if in.Node != "" {
		words = append(words, "on "+in.Node)
	}
	if in.HeartbeatAgeSeconds != nil && !in.Silent {
		words = append(words, "heard "+AgeSeconds(in.HeartbeatAgeSeconds)+" ago")
	}
	return append(words, flowWords(flow)...)
}

func flowWords(flow data.Flow) []string {
	var words []string
	verb := func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return Count(n) + " " + many
	}
	if flow.In > 0 {
		words = append(words, verb(flow.In, "arrives", "arrive"))
	}
	if flow.Out > 0 {
		words = append(words, verb(flow.Out, "leaves", "leave"))
	}
	return words
}

func usedWords(used, capacity int) string {
	return Count(used) + " of " + Count(capacity) + " (" + Percent(used, capacity) + ")"
}

// rangeWords names a group: "400 to 419".
func (v *PlacementView) rangeWords(g *several) string {
	if v.by != numberOrder {
		return "places " + Count(g.first+1) + " to " + Count(g.last+1) + " by " + v.by.String()
	}
	return "instances " + strconv.Itoa(v.order.in(g.first).ID) + " to " + strconv.Itoa(v.order.in(g.last).ID)
}

// drawLine says in one line what is under the cursor.
func (v *PlacementView) drawLine(c *screen.Canvas, s *data.State) {
	w, _ := c.Size()
	c.Clear(screen.Style{Bg: screen.Bar})
	x := 1
	write := func(text string, role screen.Role) {
		x += c.Text(x, 0, screen.Cut(text, w-1-x), screen.Fg(role).On(screen.Bar))
	}
	if per := v.grid.each(); per > 1 {
		g := v.order.group(s, v.place/per*per, per)
		write(v.rangeWords(&g), screen.Strong)
		write(": "+usedWords(g.used, g.capacity), screen.Default)
		for h := data.Down; h >= data.Closing; h-- {
			if n := g.count[h]; n > 0 {
				write(", ", screen.Default)
				write(Count(n)+" "+h.String(), HealthRole(h))
			}
		}
		for _, text := range flowWords(g.flow) {
			write(", "+text, screen.Default)
		}
		return
	}
	in, h := v.order.in(v.place), v.order.healthAt(v.place)
	if s.Found != nil && found(s) == in.ID {
		write("★ "+screen.Cut(s.Found.ID, 36)+" runs on ", screen.Match)
	}
	write(in.Pod, screen.Strong)
	write(": ", screen.Default)
	if h != data.Up {
		write(stateWords(in, h)+"; ", HealthRole(h))
	}
	rest := append([]string{usedWords(in.Used, in.Capacity)}, whereWords(in, v.order.flow(s, v.place))...)
	if h == data.Up {
		rest = slices.Insert(rest, 1, "up")
	}
	write(strings.Join(rest, ", "), screen.Default)
}

// side writes line after line of the panel.
type side struct {
	c    *screen.Canvas
	y    int
	w, h int
}

func (p *side) line(text string, st screen.Style) {
	p.c.TextIn(0, p.y, p.w, text, st)
	p.y++
}

// pair is a line with a word and what is to be said of it.
func (p *side) pair(word, text string, role screen.Role) {
	if text == "" {
		return
	}
	const column = 10
	p.c.TextIn(0, p.y, p.w, word, screen.Fg(screen.Dim))
	p.c.TextIn(column, p.y, p.w-column, text, screen.Fg(role))
	p.y++
}

func (p *side) heading(text, note string) {
	if p.y > 0 {
		p.y++
	}
	p.c.TextIn(0, p.y, p.w, text, screen.Fg(screen.Strong))
	p.c.TextRight(0, p.y, p.w, note, screen.Fg(screen.Dim))
	p.y++
}

// drawSide is the panel beside the cells: the one under the cursor, those that
// are not up, the latest moves.
func (v *PlacementView) drawSide(c *screen.Canvas, s *data.State) {
	_, h := c.Size()
	c.Fill(0, 0, 1, h, "│", screen.Fg(screen.Border))
	w, _ := c.Size()
	p := &side{c: c.Sub(2, 0, w-3, h), w: w - 3, h: h}
	if per := v.grid.each(); per > 1 {
		v.sideGroup(p, s, v.order.group(s, v.place/per*per, per))
	} else {
		v.sideInstance(p, s, v.order.in(v.place), v.order.healthAt(v.place))
	}
	v.sideUnwell(p)
	v.sideMoves(p, s)
}

func (v *PlacementView) sideInstance(p *side, s *data.State, in *api.Instance, h data.Health) {
	p.heading(in.Pod, "enter opens")
	for _, text := range Wrap(stateWords(in, h), p.w-2, 2) {
		if p.y == 1 {
			p.c.Text(0, p.y, h.Letter(), screen.Fg(screen.Ink).On(HealthRole(h)))
		}
		p.c.TextIn(2, p.y, p.w-2, text, screen.Fg(HealthRole(h)))
		p.y++
	}
	p.y++
	role := screen.LoadRole(in.Used, in.Capacity)
	Bar(p.c, 0, p.y, p.w-7, in.Used, in.Capacity, screen.Fg(role))
	p.c.TextRight(p.w-6, p.y, 6, Percent(in.Used, in.Capacity), screen.Fg(screen.Strong))
	p.y++
	p.pair("resources", Count(in.Used)+" of "+Count(in.Capacity), screen.Default)
	p.pair("moving", strings.Join(flowWords(v.order.flow(s, v.place)), ", "), screen.Default)
	p.pair("node", in.Node, screen.Default)
	p.pair("pod", phaseWords(in), screen.Default)
	if in.Restarts != nil && *in.Restarts > 0 {
		p.pair("restarts", Count(*in.Restarts), screen.Warn)
	}
	if in.AgeSeconds != nil {
		p.pair("age", AgeSeconds(in.AgeSeconds), screen.Default)
	}
	if in.HeartbeatAgeSeconds != nil {
		p.pair("heard", AgeSeconds(in.HeartbeatAgeSeconds)+" ago", screen.Default)
	}
	list, st := listWords(in, s)
	p.pair("its list", list, st.Fg)
	if s.Found != nil && found(s) == in.ID {
		p.pair("★ found", s.Found.ID, screen.Match)
	}
}

func (v *PlacementView) sideGroup(p *side, s *data.State, g several) {
	p.heading(v.rangeWords(&g), "enter zooms in")
	for h := data.Down; ; h-- {
		if n := g.count[h]; n > 0 {
			p.c.Text(0, p.y, h.Letter(), screen.Fg(screen.Ink).On(HealthRole(h)))
			p.c.TextIn(2, p.y, p.w-2, Count(n)+" "+h.String(), screen.Fg(HealthRole(h)))
			p.y++
		}
		if h == data.Up {
			break
		}
	}
	p.y++
	Bar(p.c, 0, p.y, p.w-7, g.used, g.capacity, screen.Fg(screen.LoadRole(g.used, g.capacity)))
	p.c.TextRight(p.w-6, p.y, 6, Percent(g.used, g.capacity), screen.Fg(screen.Strong))
	p.y++
	p.pair("resources", Count(g.used)+" of "+Count(g.capacity), screen.Default)
	p.pair("moving", strings.Join(flowWords(g.flow), ", "), screen.Default)
	fullest := v.order.in(g.fullest)
	p.pair("fullest", strconv.Itoa(fullest.ID)+" with "+Percent(fullest.Used, fullest.Capacity), screen.Default)
}

// listed is where, on the canvas, those that are not up are listed.
type listed struct{ x, y, count int }

// listedAt is the position in the order of the one listed at a place.
func (v *PlacementView) listedAt(x, y int) (place int, ok bool) {
	if row := y - v.list.y; x >= v.list.x && row >= 0 && row < min(v.list.count, len(v.order.bad)) {
		return v.order.placeOf(v.order.of[v.order.bad[row]].ID, -1)
	}
	return 0, false
}

// sideUnwell lists those that are not up, the worst first.
func (v *PlacementView) sideUnwell(p *side) {
	o := &v.order
	if p.y+3 > p.h {
		return
	}
	if o.unwell() == 0 {
		p.heading("all "+Plural(len(o.list), "instance")+" up", "")
		return
	}
	p.heading(Count(o.unwell())+" not up", "! next")
	most := max((p.h-p.y)*2/3, 1)
	if len(o.bad) > most {
		most--
	}
	v.list = listed{x: v.list.x, y: p.y, count: min(most, len(o.bad))}
	for _, i := range o.bad[:v.list.count] {
		in, h := &o.of[i], o.health[i]
		p.c.Text(0, p.y, h.Letter(), screen.Fg(screen.Ink).On(HealthRole(h)))
		p.c.TextRight(2, p.y, o.digits, strconv.Itoa(in.ID), screen.Fg(screen.Accent))
		p.c.TextIn(3+o.digits, p.y, p.w-3-o.digits, shortWords(in, h), screen.Fg(HealthRole(h)))
		p.y++
	}
	if more := o.unwell() - v.list.count; more > 0 {
		p.line("  and "+Count(more)+" more", screen.Fg(screen.Dim))
	}
}

// sideMoves lists the latest moves, those of one way in one line.
func (v *PlacementView) sideMoves(p *side, s *data.State) {
	if p.y+4 > p.h {
		return
	}
	type way struct{ from, to int }
	type moves struct {
		way
		count int
		last  *api.Event
	}
	var list []moves
	for i := len(s.Events) - 1; i >= max(len(s.Events)-200, 0) && len(list) < p.h-p.y-2; i-- {
		ev := &s.Events[i]
		if ev.Type != api.EventMove || ev.Resource != s.Kind {
			continue
		}
		w := way{-1, -1}
		if ev.From != nil {
			w.from = *ev.From
		}
		if ev.To != nil {
			w.to = *ev.To
		}
		if at := slices.IndexFunc(list, func(m moves) bool { return m.way == w }); at >= 0 {
			list[at].count++
			continue
		}
		list = append(list, moves{way: w, count: 1, last: ev})
	}
	if len(list) == 0 {
		return
	}
	p.heading("latest moves", "ago")
	number := max(v.order.digits, 4)
	for _, m := range list {
		p.c.TextRight(0, p.y, number, numberOr(m.from, "new"), screen.Fg(screen.Default))
		p.c.Text(number, p.y, " → ", screen.Fg(screen.Dim))
		p.c.TextIn(number+3, p.y, number, numberOr(m.to, "gone"), screen.Fg(screen.Default))
		what := m.last.ResourceID
		if m.count > 1 {
			what = Plural(m.count, "resource")
		}
		p.c.TextIn(number*2+4, p.y, p.w-number*2-4-7, what, screen.Fg(screen.Dim))
		p.c.TextRight(p.w-8, p.y, 8, Age(s.Moment().Sub(m.last.At)), screen.Fg(screen.Dim))
		p.y++
	}
}

// numberOr is an instance's number, or what it means that there is none.
func numberOr(n int, none string) string {
	if n < 0 {
		return none
	}
	return strconv.Itoa(n)
}

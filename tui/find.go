package tui

import (
	"cmp"
	"slices"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/pane"
	"dacorch/tui/screen"
)

// find looks for a resource of any kind by its id, or by how the id begins.
type find struct {
	line pane.Line
	at   int // of the candidate under the cursor
	top  int // row of the first candidate in the last Draw
}

// findMost is how many candidates are shown.
const findMost = 10

func newFind() *find { return &find{} }

func (d *find) Title(*data.State) string             { return "find a resource" }
func (d *find) Size(*data.State) (width, height int) { return 76, findMost + 6 }
func (d *find) Needs(s *data.State) (needs []data.Query) {
	if d.line.Value() == "" {
		return nil
	}
	for _, kind := range kindNames(s) {
		needs = append(needs, d.query(kind))
	}
	return needs
}

func (d *find) query(kind string) data.Query {
	return data.Query{What: data.AskSearch, Kind: kind, Text: d.line.Value(), N: findMost + 1}
}

// candidate is a resource that it may be.
type candidate struct {
	kind string
	api.Found
}

// candidates are what has been found so far: who has exactly this id first, then
// the kind that is looked at. More says that there are others.
func (d *find) candidates(s *data.State) (found []candidate, more, loading bool, err error) {
	text := d.line.Value()
	if text == "" {
		return nil, false, false, nil
	}
	for _, kind := range kindNames(s) {
		v, a, ok := data.Get[api.Search](s, d.query(kind))
		if !ok {
			loading = loading || a.Err == nil
			err = cmp.Or(err, a.Err)
		}
		more = more || v.Next != ""
		for _, f := range v.Resources {
			found = append(found, candidate{kind, f})
		}
	}
	rank := func(c candidate) int {
		switch {
		case c.ID == text:
			return 0
		case c.kind == s.Kind:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(rank(a), rank(b)) })
	if len(found) > findMost {
		found, more = found[:findMost], true
	}
	return found, more, loading, err
}

// chosen is the candidate under the cursor.
func (d *find) chosen(s *data.State) (kind string, found api.Found, ok bool) {
	c, _, _, _ := d.candidates(s)
	if len(c) == 0 {
		return "", found, false
	}
	at := c[min(d.at, len(c)-1)]
	return at.kind, at.Found, true
}

func (d *find) Draw(c *screen.Canvas, s *data.State) {
	w, h := c.Size()
	n := c.Text(2, 1, "id: ", screen.Fg(screen.Dim))
	d.line.Draw(c, 2+n, 1, w-4-n, screen.Fg(screen.Strong))
	found, more, loading, err := d.candidates(s)
	d.top = 3
	for i, f := range found {
		if d.top+i < h-1 {
			d.row(c, d.top+i, w, f, i == min(d.at, len(found)-1), s)
		}
	}
	text := ""
	switch {
	case d.line.Value() == "":
		text = "type an id, or how it begins"
	case len(found) == 0 && loading:
		text = "looking …"
	case len(found) == 0 && err != nil:
		text = err.Error()
	case len(found) == 0:
		text = "no resource's id begins so, of " + listed(kindNames(s))
	case more:
		text = "there are more: type on"
	}
	c.TextIn(2, min(d.top+len(found)+min(len(found), 1), h-1), w-4, text, screen.Fg(screen.Dim))
}

func (d *find) row(c *screen.Canvas, y, w int, f candidate, here bool, s *data.State) {
	st, mark := screen.Style{}, " "
	if here {
		st, mark = st.On(screen.Select), "▸"
		c.Fill(1, y, w-2, 1, " ", st)
	}
	where := "stands on no instance"
	if f.Instance != nil {
		where = "on instance " + pane.Count(*f.Instance)
	}
	right := screen.Width(where) + 1
	c.Text(1, y, mark, st)
	n := c.Text(3, y, f.kind+" ", screen.Fg(screen.Dim).On(st.Bg))
	room := max(w-4-n-right-1, 0)
	id, typed := screen.Cut(f.ID, room), screen.Cut(d.line.Value(), room)
	c.Text(3+n, y, id, screen.Fg(screen.Accent).On(st.Bg))
	if len(f.ID) >= len(typed) && f.ID[:len(typed)] == typed {
		c.Text(3+n, y, typed, screen.Fg(screen.Match).On(st.Bg))
	}
	c.TextRight(w-1-right, y, right-1, where, st)
}

func (d *find) Press(key string, s *data.State) (pane.Intent, bool) {
	found, _, _, _ := d.candidates(s)
	switch key {
	case "esc":
		return pane.Intent{}, true
	case "up", "ctrl+p":
		d.at = max(min(d.at, len(found)-1)-1, 0)
	case "down", "ctrl+n", "tab":
		d.at = min(d.at+1, max(len(found)-1, 0))
	case "enter":
		if len(found) > 0 {
			return pane.Intent{Act: pane.Open, View: pane.Placement}, true
		}
	default:
		if d.line.Press(key) {
			d.at = 0
		}
	}
	return pane.Intent{}, false
}

func (d *find) Paste(text string, _ *data.State) { d.line.Insert(text); d.at = 0 }

func (d *find) Click(_, y int, s *data.State) (pane.Intent, bool) {
	found, _, _, _ := d.candidates(s)
	if i := y - d.top; i >= 0 && i < len(found) {
		d.at = i
		return pane.Intent{Act: pane.Open, View: pane.Placement}, true
	}
	return pane.Intent{}, false
}

func (d *find) Keys() []pane.KeyHelp {
	return []pane.KeyHelp{{Key: "enter", Does: "show where it runs", Footer: true}, {Key: "↑ ↓", Does: "choose", Footer: true}, {Key: "esc", Does: "leave", Footer: true}}
}

package pane

import (
	"cmp"
	"slices"
	"sort"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// pageSize is how many resources are asked for at once.
const pageSize = 200

// pages is a table of resources that the server hands out page by page, by id.
// Only the pages around what is seen are asked for; what has been scrolled away
// may be forgotten, and where it began is kept.
type pages struct {
	grid[api.Found]
	base  data.Query // of the first page
	known []page     // from the first on, without a gap
	ended bool       // the last of known is the list's last

	on     string // the id under the cursor
	chosen bool
}

// page is what is known of one.
type page struct {
	after string // it begins after this id
	first int    // the number of its first row
	size  int    // rows; 0 while it has never been read
}

// maxPages bounds what is kept of where pages begin: a million resources.
const maxPages = 5000

// about makes base what the pages are of; others than before are begun anew.
func (p *pages) about(base data.Query) {
	base.N, base.After = pageSize, ""
	if base != p.base || len(p.known) == 0 {
		p.base, p.known, p.ended = base, []page{{}}, false
		p.cursor, p.top, p.count, p.chosen = 0, 0, 0, false
	}
}

func (p *pages) query(i int) data.Query {
	q := p.base
	q.After = p.known[i].after
	return q
}

// window is the pages that matter now: what is seen, and one before and after.
func (p *pages) window() (from, to int) {
	from = max(p.pageOf(p.top)-1, 0)
	to = min(max(p.pageOf(p.top+p.height), p.pageOf(p.cursor))+2, len(p.known))
	return from, min(to, from+8)
}

// pageOf is the page that a row is on.
func (p *pages) pageOf(row int) int {
	return max(sort.Search(len(p.known), func(i int) bool { return p.known[i].first > row })-1, 0)
}

// look learns from the answers that are there.
func (p *pages) look(s *data.State) {
	from, _ := p.window()
	for i := from; i < len(p.known) && i < from+10; i++ {
		found, _, ok := data.Get[api.Search](s, p.query(i))
		if !ok {
			continue
		}
		at := &p.known[i]
		at.size = len(found.Resources)
		last := found.Next <= at.after || at.size == 0 || i+1 == maxPages
		switch {
		case last:
			p.known, p.ended = p.known[:i+1], true
		case i+1 == len(p.known) || p.known[i+1].after != found.Next:
			p.known, p.ended = append(p.known[:i+1], page{after: found.Next}), false
		}
		for j := i + 1; j < len(p.known) && p.known[j].first != p.known[j-1].first+p.known[j-1].size; j++ {
			p.known[j].first = p.known[j-1].first + p.known[j-1].size
		}
	}
	end := p.known[len(p.known)-1]
	p.count = end.first + end.size
	if !p.ended {
		p.count++ // the row that says that there is more
	}
	p.find(s)
}

// find puts the cursor on the id that it was on, if that is at hand.
func (p *pages) find(s *data.State) {
	p.scroll()
	r := p.row(s)(p.cursor)
	if r != nil && (!p.chosen || r.ID == p.on) {
		p.on, p.chosen = r.ID, true
		return
	}
	from, to := p.window()
	for i := from; p.chosen && i < to; i++ {
		found, _, _ := data.Get[api.Search](s, p.query(i))
		for n := range found.Resources {
			if found.Resources[n].ID == p.on {
				p.cursor = p.known[i].first + n
				p.scroll()
				return
			}
		}
	}
	if r != nil {
		p.on, p.chosen = r.ID, true
	}
}

// row answers rows that are at hand.
func (p *pages) row(s *data.State) func(int) *api.Found {
	last, rows := -1, []api.Found(nil)
	return func(i int) *api.Found {
		if i < 0 || i >= p.count {
			return nil
		}
		n := p.pageOf(i)
		if n != last {
			found, _, _ := data.Get[api.Search](s, p.query(n))
			last, rows = n, found.Resources
		}
		if i -= p.known[n].first; i < len(rows) {
			return &rows[i]
		}
		return nil
	}
}

// current is the resource under the cursor; nil when it is not at hand.
func (p *pages) current(s *data.State) *api.Found { return p.row(s)(p.cursor) }

// moved remembers what the cursor has been put on.
func (p *pages) moved(s *data.State) {
	p.chosen = false
	if r := p.current(s); r != nil {
		p.on, p.chosen = r.ID, true
	}
}

// needs are the pages of the window.
func (p *pages) needs() []data.Query {
	from, to := p.window()
	var needs []data.Query
	for i := from; i < to; i++ {
		needs = append(needs, p.query(i))
	}
	return needs
}

// first is the answer of the first page that is seen, to tell whether there is
// anything, and what went wrong.
func (p *pages) first(s *data.State) *data.Answer {
	if a := s.Answers[p.query(p.pageOf(p.top))]; a != nil {
		return a
	}
	return &data.Answer{}
}

func (p *pages) draw(c *screen.Canvas, s *data.State, focused, old bool) {
	p.grid.draw(c, s, p.row(s), focused)
	if old {
		faded(c)
	}
}

// readSoFar is how many rows have been read; all says that there are no more.
func (p *pages) readSoFar() (n int, all bool) {
	if p.ended {
		return p.count, true
	}
	return max(p.count-1, 0), false
}

// foundColumns are those of a table of resources.
func foundColumns(where bool) []column[api.Found] {
	columns := []column[api.Found]{{title: "id", least: 12, most: 200,
		text: func(r *api.Found, _ *data.State) (string, screen.Style) { return r.ID, screen.Fg(screen.Accent) }}}
	if !where {
		return columns
	}
	return append(columns, column[api.Found]{title: "runs in", least: 12, most: 60,
		text: func(r *api.Found, _ *data.State) (string, screen.Style) {
			if r.Instance == nil {
				return "! nowhere: not placed", screen.Fg(screen.Bad)
			}
			return r.RunIn, plainStyle
		}}, column[api.Found]{title: "which is", least: 15, most: 40, rank: 1,
		text: func(r *api.Found, s *data.State) (string, screen.Style) {
			if in := instanceOf(s, s.Kind, r.Instance); in != nil {
				text, role := healthWords(in)
				return text, screen.Fg(role)
			}
			return "", plainStyle
		}}, column[api.Found]{title: "on", least: 8, most: 40, rank: 2,
		text: func(r *api.Found, s *data.State) (string, screen.Style) {
			if in := instanceOf(s, s.Kind, r.Instance); in != nil {
				return in.Node, plainStyle
			}
			return "", plainStyle
		}})
}

// instanceOf is an instance of a kind, which servers list by number; nil when it is
// not known.
func instanceOf(s *data.State, kind string, id *int) *api.Instance {
	if id == nil {
		return nil
	}
	list, _ := s.Instances(kind)
	i, ok := slices.BinarySearchFunc(list, *id, func(in api.Instance, id int) int { return cmp.Compare(in.ID, id) })
	if !ok {
		return nil
	}
	return &list[i]
}

package tui

import (
	"fmt"
	"slices"
	"strings"

	"dacorch/tui/data"
	"dacorch/tui/pane"
)

// tabs are the views that a number opens, in their order.
var tabs = []pane.View{pane.Placement, pane.Instances, pane.Resources, pane.Events, pane.Reorchestrations, pane.Charts, pane.Kinds}

// page is a view and what it is about.
type page struct {
	view pane.View
	pane pane.Pane
	kind string
}

// maxBack is how many pages esc finds its way back through.
const maxBack = 50

// open makes the page that an intent names. Views of which there is one keep
// their cursor, filter and order.
func (m *model) open(in pane.Intent) page {
	kind := in.Kind
	if kind == "" {
		kind = m.state.Kind
	}
	p := page{view: in.View, kind: kind}
	switch in.View {
	case pane.Instance:
		p.pane = pane.NewInstance(kind, in.Instance)
	case pane.Resource:
		p.pane = pane.NewResource(kind, in.Resource)
	case pane.Help:
		p.pane = pane.NewHelp(string(m.page.view), m.page.pane.Keys(), m.globalKeys())
	default:
		if !slices.Contains(tabs, in.View) {
			p.view = pane.Placement
		}
		if m.views[p.view] == nil {
			m.views[p.view] = newView(p.view)
		}
		p.pane = m.views[p.view]
	}
	return p
}

func newView(v pane.View) pane.Pane {
	switch v {
	case pane.Instances:
		return pane.NewInstances()
	case pane.Resources:
		return pane.NewResources()
	case pane.Events:
		return pane.NewEvents()
	case pane.Reorchestrations:
		return pane.NewReorchestrations()
	case pane.Charts:
		return pane.NewCharts()
	case pane.Kinds:
		return pane.NewKinds()
	}
	return pane.NewPlacement()
}

// visit goes to a page; esc comes back.
func (m *model) visit(in pane.Intent) {
	if in.Kind != "" && in.Kind != m.state.Kind {
		m.selectKind(in.Kind)
	}
	p := m.open(in)
	if p.pane == m.page.pane {
		return
	}
	if m.page.view != pane.Help {
		m.back = append(m.back, m.page)
	}
	if len(m.back) > maxBack {
		m.back = slices.Delete(m.back, 0, 1)
	}
	m.page, m.toast = p, toast{}
}

// goBack goes to the page before; false when there is none.
func (m *model) goBack() bool {
	n := len(m.back)
	if n == 0 {
		return false
	}
	m.page, m.back = m.back[n-1], m.back[:n-1]
	if m.page.kind != "" && m.page.kind != m.state.Kind && m.page.view != pane.Kinds {
		m.selectKind(m.page.kind)
	}
	return true
}

// selectKind looks at another kind.
func (m *model) selectKind(kind string) {
	m.state.Kind, m.state.Found = kind, nil
	m.page.kind = kind
}

// kindNames are the kinds that the server knows.
func kindNames(s *data.State) (names []string) {
	v := kindsOf(s)
	for i := range v {
		names = append(names, v[i].Resource)
	}
	return names
}

// kindNamed finds a kind by its name, or by its name in other letters' case.
func kindNamed(s *data.State, name string) (string, bool) {
	names := kindNames(s)
	if slices.Contains(names, name) {
		return name, true
	}
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return n, true
		}
	}
	return "", false
}

// listed are words with commas; of many only the first.
func listed(words []string) string {
	const most = 12
	if len(words) == 0 {
		return "none"
	}
	if len(words) > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
	}
	return strings.Join(words, ", ")
}

package pane

import (
	"cmp"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ResourcesView is the table of the resources of the kind that is looked at, of
// which there may be very many: the server hands them out by id, and the filter
// is what the id begins with, or the name of the pod that they stand on.
type ResourcesView struct {
	table  pages
	filter string
}

// NewResources makes the view.
func NewResources() *ResourcesView {
	v := &ResourcesView{}
	v.table.columns = foundColumns(true)
	return v
}

// Title names the kind.
func (v *ResourcesView) Title(s *data.State) string { return "resources of " + cmp.Or(s.Kind, "…") }

// Note says how many there are, as far as is known.
func (v *ResourcesView) Note(s *data.State) string {
	if s.Kind == "" {
		return ""
	}
	v.look(s)
	n, all := v.table.readSoFar()
	st, known := v.status(s)
	total := ""
	switch {
	case all || v.filter != "" && n > 0:
		total = Plural(n, "resource")
		if !all {
			total = "more than " + Plural(n, "resource")
		}
	case known && n > 0:
		total = "row " + Count(min(v.table.cursor+1, n)) + " of " + Count(st.Resources)
	}
	if _, pod := v.pod(s); pod {
		total += " in " + v.filter
	} else if v.filter != "" {
		total += " with ids that begin with “" + screen.Cut(v.filter, 24) + "”"
	}
	return notes(total, "by id ▲")
}

// Needs are the pages around what is seen, and how many there are in all.
func (v *ResourcesView) Needs(s *data.State) []data.Query {
	if s.Kind == "" {
		return nil
	}
	v.look(s)
	return append(v.table.needs(), data.Query{What: data.AskStatus, Kind: s.Kind}, data.Query{What: data.AskInstances, Kind: s.Kind})
}

func (v *ResourcesView) look(s *data.State) {
	base := data.Query{What: data.AskSearch, Kind: s.Kind, Text: v.filter}
	if instance, ok := v.pod(s); ok {
		base = data.Query{What: data.AskList, Kind: s.Kind, Instance: instance}
	}
	v.table.about(base)
	v.table.mark = v.filter
	v.table.look(s)
	v.table.whole = 0
	if st, ok := v.status(s); ok && v.filter == "" && !v.table.ended {
		v.table.whole = st.Resources
	}
}

// pod is the instance whose pod the filter names.
func (v *ResourcesView) pod(s *data.State) (instance int, ok bool) {
	k, _, _ := data.Get[api.Kinds](s, data.Query{What: data.AskKinds})
	for i := range k.Kinds {
		number, is := strings.CutPrefix(v.filter, k.Kinds[i].InstanceName+"-")
		if n, err := strconv.Atoi(number); is && k.Kinds[i].Resource == s.Kind && err == nil && n >= 0 && strconv.Itoa(n) == number {
			return n, true
		}
	}
	return 0, false
}

func (v *ResourcesView) status(s *data.State) (api.Status, bool) {
	st, _, ok := data.Get[api.Status](s, data.Query{What: data.AskStatus, Kind: s.Kind})
	return st, ok
}

// Draw draws the table.
func (v *ResourcesView) Draw(c *screen.Canvas, s *data.State) {
	if s.Kind == "" {
		empty(c, Waiting(s.Answers[data.Query{What: data.AskKinds}], "the kinds"))
		return
	}
	v.look(s)
	a := v.table.first(s)
	n, all := v.table.readSoFar()
	switch _, pod := v.pod(s); {
	case n == 0 && all && pod:
		empty(c, "no resource runs in "+v.filter, "Esc shows all again.")
		return
	case n == 0 && all && v.filter != "":
		empty(c, "no id of "+s.Kind+" begins with “"+screen.Cut(v.filter, 40)+"”", "Capital letters differ from small ones. The name of a pod works too. Esc shows all again.")
		return
	case n == 0 && all:
		empty(c, s.Kind+" has no resource", "Resources are the rows of its table in the database.")
		return
	case n == 0:
		empty(c, Waiting(a, "the resources of "+s.Kind))
		return
	}
	above, old := trouble(c, s, a, "the resources")
	v.table.draw(above, s, true, old)
}

// Press moves and opens.
func (v *ResourcesView) Press(key string, s *data.State) (Intent, bool) {
	if s.Kind == "" {
		return Intent{}, false
	}
	v.look(s)
	if v.table.press(key) {
		v.table.moved(s)
		if n, all := v.table.readSoFar(); (key == "G" || key == "end") && !all {
			return say(Plural(n, "resource") + " read so far, more as you go on; / goes to a prefix at once"), true
		}
		return Intent{}, true
	}
	switch key {
	case "o":
		return Intent{Act: Orchestrate, Kind: s.Kind}, true
	case "s", "S":
		return say("the server lists resources by id; / narrows them to a prefix, or to a pod"), true
	}
	return openResource(key, s.Kind, v.table.current(s))
}

// openResource opens a resource, or the instance that it stands on.
func openResource(key, kind string, r *api.Found) (Intent, bool) {
	switch {
	case r == nil:
	case key == "enter":
		return Intent{Act: Open, View: Resource, Kind: kind, Resource: r.ID}, true
	case key == "i" && r.Instance != nil:
		return Intent{Act: Open, View: Instance, Kind: kind, Instance: *r.Instance}, true
	case key == "i":
		return say("it stands on no instance"), true
	}
	return Intent{}, false
}

// Click chooses, or opens.
func (v *ResourcesView) Click(x, y int, twice bool, s *data.State) (do Intent) {
	if s.Kind == "" {
		return do
	}
	v.look(s)
	if _, ok := v.table.click(x, y); ok {
		v.table.moved(s)
		if twice {
			do, _ = openResource("enter", s.Kind, v.table.current(s))
		}
	}
	return do
}

// Wheel scrolls.
func (v *ResourcesView) Wheel(n int, s *data.State) {
	if s.Kind != "" {
		v.look(s)
		v.table.wheel(n)
		v.table.moved(s)
	}
}

// Filter shows only ids that begin with a text.
func (v *ResourcesView) Filter(text string) { v.filter = text }

// Filtering is the text.
func (v *ResourcesView) Filtering() string { return v.filter }

// Keys are the table's.
func (v *ResourcesView) Keys() []KeyHelp {
	keys := []KeyHelp{
		{Key: "enter", Does: "where it is and was, and why", Footer: true},
		{Key: "i", Does: "its instance", Footer: true},
		{Key: "/", Does: "by id or pod", Footer: true},
		{Key: "o", Does: "re-orchestrate", Changes: true},
	}
	return append(keys, keysOfTables...)
}

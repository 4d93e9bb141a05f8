package pane

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// faultKeys are the keys of a fault as people know them, in the order of a
// scenario. A server may offer others: they are plain text here.
var faultKeys = []struct {
	name, label, empty, about string
	check                     func(string) string
}{
	{"kind", "kind", "all kinds", "whose instances", nil},
	{"instance", "instance", "", "its number", wholeFrom(0)},
	{"name", "name", "not by name", "of the node", nil},
	{"count", "count", "", "so many, drawn at random", wholeFrom(1)},
	{"share", "share", "", "such as 10% of them, drawn at random", checkShare},
	{"where", "where", "", "only these, such as load > 90%, age < 1m", nil},
	{"of", "of", "default", "whose sessions and connections", nil},
	{"command", "at command", "at once", "of the core, such as commit", nil},
	{"for", "for", "", "how long it lasts, such as 5m", checkDuration},
	{"every", "every", "once", "again and again, such as 1m; beside for", checkDuration},
	{"by", "by", "default", "how late, how slow, how far off", checkDuration},
	{"rate", "rate", "10/s", "how many messages, such as 100/s", checkRate},
	{"chance", "chance", "100%", "how likely each case is, such as 20%", checkShare},
	{"stable", "stable", "default", "beside chance: how long its decision stands", checkDuration},
}

var (
	durations = regexp.MustCompile(`^(\d+(\.\d+)?(ns|us|ms|s|m|h|d))+$`)
	shares    = regexp.MustCompile(`^\d+(\.\d+)?%?$`)
	rates     = regexp.MustCompile(`^\d+(\.\d+)?/(s|m|h|d)$`)
)

func checkDuration(text string) string {
	if !durations.MatchString(text) {
		return "want a number with a unit, such as 30s or 5m"
	}
	return ""
}

func checkShare(text string) string {
	if !shares.MatchString(text) {
		return "want a percentage, such as 20%"
	}
	return ""
}

func checkRate(text string) string {
	if !rates.MatchString(text) {
		return "want a number per time, such as 100/s"
	}
	return ""
}

// takes says whether a fault takes a key.
func takes(w api.FaultWord, key string) bool {
	switch key {
	case "for": // what happens once takes it beside every
		return !w.Once || slices.Contains(w.Keys, "every")
	case "chance":
		return true
	case "by":
		return w.By > 0 || slices.Contains(w.Keys, key)
	}
	return slices.Contains(w.Keys, key)
}

// faultForm has a field for each key that a fault takes, with the instance that
// was chosen before, if it can be hit.
func faultForm(w api.FaultWord, kind string, instance int, s *data.State) form {
	f := form{buttons: []string{buttonBreak, buttonAnother, buttonCancel}}
	for _, k := range faultKeys {
		if takes(w, k.name) {
			f.fields = append(f.fields, &field{name: k.name, label: k.label, empty: k.empty, about: k.about, check: k.check})
		}
	}
	for _, key := range w.Keys {
		if f.field(key) == nil && key != w.Subject {
			f.fields = append(f.fields, &field{name: key, label: key})
		}
	}
	if by := f.field("by"); by != nil && w.By > 0 {
		by.empty = Took(Seconds(w.By))
	}
	if lasts := f.field("for"); w.Once && lasts != nil {
		lasts.empty, lasts.about = "once", "beside every: for how long it goes on"
	} else if lasts != nil {
		lasts.line.Set("5m")
	}
	if of := f.field("of"); of != nil {
		for _, c := range []string{"", "orchestrator", "dacs", "all"} {
			of.choices = append(of.choices, choice{c, cmp.Or(c, "default")})
		}
	}
	if f.field("of") != nil { // it breaks for the orchestrator, or for all, unless somebody says otherwise
		instance = -1
	}
	offerKinds(&f, w, kind, instance, s)
	startNodes(&f, w, kind, instance, s)
	if at := f.field("instance"); at != nil && instance >= 0 {
		at.line.Set(strconv.Itoa(instance))
	}
	if len(f.fields) == 0 {
		return f
	}
	if missing(w, &f) == "" {
		f.at = len(f.fields) // all is given: the button
	} else if at := f.field("instance"); at != nil {
		f.at = slices.Index(f.fields, at)
	}
	return f
}

// offerKinds makes a choice of the kind.
func offerKinds(f *form, w api.FaultWord, kind string, instance int, s *data.State) {
	field := f.field("kind")
	if field == nil {
		return
	}
	if !w.Needs {
		field.choices = append(field.choices, choice{"", field.empty})
	}
	kinds, _, _ := data.Get[api.Kinds](s, data.Query{What: data.AskKinds})
	for _, k := range kinds.Kinds {
		field.choices = append(field.choices, choice{k.Resource, k.Resource})
	}
	if kind != "" && !slices.Contains(field.choices, choice{kind, kind}) {
		field.choices = append(field.choices, choice{kind, kind})
	}
	if len(field.choices) == 0 {
		return // typed, then
	}
	if w.Needs || instance >= 0 {
		field.choose(kind)
	}
}

// missing says what has to be given, and what excludes each other; empty: nothing.
func missing(w api.FaultWord, f *form) string {
	var whom []string
	could := f.field("where") != nil
	for _, key := range []string{"instance", "name", "count", "share"} {
		could = could || f.field(key) != nil
		if f.value(key) != "" {
			whom = append(whom, key)
		}
	}
	given := func(key string) bool { return f.value(key) != "" }
	switch {
	case len(whom) > 1:
		return "one of " + strings.Join(whom, " and ") + " only: they exclude each other"
	case w.Needs && could && len(whom) == 0 && !given("where"):
		if w.Target == "node" {
			return "which node: its name, a count or a share"
		}
		return "which instance: its number, a count, a share, or where"
	case f.field("of") != nil && f.value("of") != "dacs" && (len(whom) > 0 || given("kind") || given("where")):
		return "of: dacs, since nobody else has a kind or instances"
	case given("instance") && f.field("kind") != nil && !given("kind"):
		return "the kind that instance " + f.value("instance") + " is of"
	case !w.Once && !given("for"):
		return "for how long it lasts"
	case w.Once && given("for") != given("every"):
		return "for and every belong together: it happens every so often, for so long"
	}
	return ""
}

// faultOf is the fault as the call takes it, and as a scenario has it on one line.
func faultOf(w api.FaultWord, f *form) (fault map[string]any, flow string) {
	fault = map[string]any{w.Subject: w.Word}
	flow = "{" + w.Subject + ": " + w.Word
	for _, field := range f.fields {
		text := field.value()
		if text == "" {
			continue
		}
		var value any = text
		switch field.name {
		case "instance", "count":
			if n, err := strconv.Atoi(text); err == nil {
				value, text = n, strconv.Itoa(n)
			}
		case "share", "chance":
			text = strings.TrimSuffix(text, "%") + "%"
			value = text
		case "where":
			conditions := []any{}
			for part := range strings.SplitSeq(text, ",") {
				if part = strings.TrimSpace(part); part != "" {
					conditions = append(conditions, part)
				}
			}
			value, text = conditions, "["+text+"]"
		}
		fault[field.name] = value
		flow += ", " + field.name + ": " + text
	}
	return fault, flow + "}"
}

// faultText is a fault's text without what a band of the timeline shows anyway:
// "{at: 5m, for: 10m, kafka: down}" is "kafka: down".
func faultText(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	parts := strings.Split(text, ", ")
	shown := func(p string) bool {
		return strings.HasPrefix(p, "at: ") || strings.HasPrefix(p, "for: ") || strings.HasPrefix(p, "every: ")
	}
	return strings.Join(slices.DeleteFunc(parts, shown), ", ")
}

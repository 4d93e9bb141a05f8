package replay

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// Diff is how two recordings differ.
type Diff struct {
	Settings []Setting  `json:"settings,omitempty"` // that are not the same
	Kinds    []KindDiff `json:"kinds"`
}

// Same says that nothing differs but what they were written by and when.
func (d *Diff) Same() bool {
	if slices.ContainsFunc(d.Settings, func(s Setting) bool { return s.Matters }) {
		return false
	}
	return !slices.ContainsFunc(d.Kinds, func(k KindDiff) bool { return k.World != nil || k.Core != nil || k.Only != "" })
}

// Setting is something that was set otherwise.
type Setting struct {
	Name    string `json:"name"`
	A       string `json:"a"`
	B       string `json:"b"`
	Matters bool   `json:"matters"` // to what happens
}

// KindDiff is how a kind fared.
type KindDiff struct {
	Kind fleet.Kind `json:"kind"`
	Only string     `json:"only,omitempty"` // the recording that alone has it, a or b
	Same int        `json:"same"`           // events that were the same, with the same answers
	// World is the first event that is not the same, while all commands before it
	// are: the worlds differ.
	World *Parting `json:"world,omitempty"`
	// Core is the first answer that is not the same, to the same event after the
	// same events: the cores, or their settings, differ.
	Core *Parting `json:"core,omitempty"`
	A, B Figures
}

// Parting is where two recordings part. A side that has ended is empty.
type Parting struct {
	Event int    `json:"event"` // the how-manieth of the kind, from 1
	A     *Side  `json:"a"`
	B     *Side  `json:"b"`
	What  string `json:"what"`
}

// Side is one recording's part of a Parting.
type Side struct {
	File     string        `json:"file"`
	Entry    int           `json:"entry"`
	At       time.Duration `json:"at"`
	Event    string        `json:"event"`
	Commands []string      `json:"commands"`
}

// Compare compares two recordings.
func Compare(a, b *Recording) (*Diff, error) {
	d := &Diff{Settings: settings(a, b)}
	kinds := a.Kinds()
	for _, k := range b.Kinds() {
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	for _, kind := range kinds {
		k := KindDiff{Kind: kind}
		var err error
		if k.A, err = a.Figures(kind); err != nil {
			return nil, err
		}
		if k.B, err = b.Figures(kind); err != nil {
			return nil, err
		}
		switch {
		case !slices.Contains(b.Kinds(), kind):
			k.Only = "a"
		case !slices.Contains(a.Kinds(), kind):
			k.Only = "b"
		default:
			if err := k.compare(a, b); err != nil {
				return nil, err
			}
		}
		d.Kinds = append(d.Kinds, k)
	}
	return d, nil
}

// exchange is an event and what was answered.
type exchange struct {
	placed
	commands []reconcile.Command
}

func (x *exchange) side() *Side {
	if x == nil {
		return nil
	}
	return &Side{File: x.file, Entry: x.entry, At: x.at(), Event: reconcile.Describe(x.Event), Commands: inWords(x.commands)}
}

// exchanges tells a kind's events with their answers.
func (rec *Recording) exchanges(kind fleet.Kind) iter.Seq2[*exchange, error] {
	return func(yield func(*exchange, error) bool) {
		var last *exchange
		for e, err := range rec.each(kind) {
			switch {
			case err != nil:
				yield(nil, err)
				return
			case e.Event != nil:
				if last != nil && !yield(last, nil) {
					return
				}
				last = &exchange{placed: e}
			case e.Commands != nil && last != nil:
				last.commands = e.Commands
			}
		}
		if last != nil {
			yield(last, nil)
		}
	}
}

// compare finds where a kind's recordings part.
func (k *KindDiff) compare(a, b *Recording) error {
	nextA, stopA := iter.Pull2(a.exchanges(k.Kind))
	defer stopA()
	nextB, stopB := iter.Pull2(b.exchanges(k.Kind))
	defer stopB()
	for {
		x, errA, isA := nextA()
		y, errB, isB := nextB()
		switch {
		case errA != nil:
			return errA
		case errB != nil:
			return errB
		case !isA && !isB:
			return nil
		case !isA || !isB:
			which := map[bool]string{true: "a", false: "b"}[isB]
			k.World = &Parting{Event: k.Same + 1, A: x.side(), B: y.side(), What: "the recording " + which + " ends here"}
			return nil
		}
		if what := worlds(x, y); what != "" {
			k.World = &Parting{Event: k.Same + 1, A: x.side(), B: y.side(), What: what}
			return nil
		}
		if !(len(x.commands) == 0 && len(y.commands) == 0) && !reflect.DeepEqual(x.commands, y.commands) {
			k.Core = &Parting{Event: k.Same + 1, A: x.side(), B: y.side(), What: parting("command", x.commands, y.commands)}
			return nil
		}
		k.Same++
	}
}

// worlds says how two events differ; "" when they do not.
func worlds(x, y *exchange) string {
	switch {
	case x.at() != y.at():
		return fmt.Sprintf("the time: %v, %v", x.at(), y.at())
	case x.Process != y.Process:
		return fmt.Sprintf("the process: %d, %d", x.Process, y.Process)
	case reflect.DeepEqual(x.Event, y.Event):
		return ""
	}
	return parting("event", x.Event, y.Event)
}

// settings are those of two recordings' first rows, and each kind's, that differ.
func settings(a, b *Recording) []Setting {
	var out []Setting
	differ := func(name, a, b string, matters bool) {
		if a != b {
			out = append(out, Setting{name, a, b, matters})
		}
	}
	ha, hb := a.Rows[0].Header, b.Rows[0].Header
	differ("program", ha.Program, hb.Program, false)
	differ("began", ha.Began.Format(time.RFC3339), hb.Began.Format(time.RFC3339), false)
	differ("seed", fmt.Sprint(ha.Seed), fmt.Sprint(hb.Seed), true)
	x, y := parted(seedless(ha.Scenario), seedless(hb.Scenario))
	differ("scenario", x, y, true)
	for _, kind := range a.Kinds() {
		x, y := a.config(kind), b.config(kind)
		if x == nil || y == nil {
			continue
		}
		configs(string(kind), reflect.ValueOf(*x), reflect.ValueOf(*y), differ)
	}
	return out
}

// parted are the first lines that two texts do not share.
func parted(a, b string) (string, string) {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := 0; i < max(len(x), len(y)); i++ {
		if i >= len(x) || i >= len(y) || x[i] != y[i] {
			return line(x, i), line(y, i)
		}
	}
	return "", ""
}

// seedless is a scenario's text without its seed, which the header has too.
func seedless(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "seed:") }), "\n")
}

func line(lines []string, i int) string {
	if i >= len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[i])
}

// config is the first row's that has the kind.
func (rec *Recording) config(kind fleet.Kind) *reconcile.Config {
	for _, row := range rec.Rows {
		if i := slices.IndexFunc(row.Header.Kinds, func(k recording.Kind) bool { return k.Config.Kind == kind }); i >= 0 {
			return &row.Header.Kinds[i].Config
		}
	}
	return nil
}

func configs(name string, a, b reflect.Value, differ func(name, a, b string, matters bool)) {
	if a.Kind() != reflect.Struct {
		differ(name, fmt.Sprint(a.Interface()), fmt.Sprint(b.Interface()), true)
		return
	}
	for i := range a.NumField() {
		field := a.Type().Field(i).Name
		configs(name+"."+strings.ToLower(field[:1])+field[1:], a.Field(i), b.Field(i), differ)
	}
}

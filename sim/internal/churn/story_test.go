package churn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"dacorch/orchestrator/fleet"
)

// The stories read trace files and run them. The commands take a format's fields
// as arguments and the file as input, in which \r and \t stand for what an editor
// would not keep.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			input := strings.NewReplacer(`\r`, "\r", `\t`, "\t").Replace(d.Input)
			switch d.Cmd {
			case "trace":
				return tellTrace(t, input, d)
			case "nodes":
				return tellNodes(t, input, d)
			case "scale":
				var out strings.Builder
				for line := range strings.SplitSeq(d.Input, "\n") {
					if s, err := ParseScale(line); err != nil {
						fmt.Fprintln(&out, err)
					} else {
						fmt.Fprintf(&out, "%s: %v becomes %v\n", line, s.Trace, s.Scenario)
					}
				}
				return out.String()
			}
			d.Fatalf(t, "no such command: %s", d.Cmd)
			return ""
		})
	})
}

func tellTrace(t *testing.T, input string, d *datadriven.TestData) string {
	f := Format{File: "rows.csv", ID: []string{"id"}, Created: "from", Deleted: "to", Time: "s"}
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "id":
			f.ID = arg.Vals
		case "created":
			f.Created = value
		case "deleted":
			f.Deleted = value
		case "group":
			f.Group = value
		case "time":
			f.Time = value
		case "origin":
			f.Origin = value
		case "limit":
			d.ScanArgs(t, "limit", &f.Limit)
		case "where":
			f.Where = map[string]string{}
			for i := 0; i+1 < len(arg.Vals); i += 2 {
				f.Where[arg.Vals[i]] = arg.Vals[i+1]
			}
		case "comma":
			f.Comma = map[string]rune{"semicolon": ';', "tab": '\t', "euro": '€', "quote": '"'}[value]
		case "no-header":
			f.NoHeader = true
		case "scale":
			var err error
			if f.Scale, err = ParseScale(strings.ReplaceAll(value, "->", "=")); err != nil {
				return err.Error()
			}
		default:
			d.Fatalf(t, "no such argument: %s", arg.Key)
		}
	}
	trace, stats, err := ReadTrace(strings.NewReader(input), f)
	out := tellStats(t, stats)
	if err != nil {
		return out + "error: " + err.Error()
	}
	p, err := NewPopulation("Thing", nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGenerator(p, 1, trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range p.Rows() {
		out += "start: " + tellRow(row) + "\n"
	}
	for op, ok := g.Next(); ok; op, ok = g.Next() {
		out += fmt.Sprintf("%v: %v %s\n", op.At, op.Verb, tellRow(op.Resources[0]))
	}
	if g.Counts().OutOfPlace > 0 {
		t.Errorf("a trace alone is never out of place: %+v", g.Counts())
	}
	return out
}

func tellNodes(t *testing.T, input string, d *datadriven.TestData) string {
	f := NodeFormat{File: "nodes.csv", NoHeader: true, At: "1", Verb: "2", Node: "3", Time: "ms"}
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "at":
			f.At = value
		case "verb":
			f.Verb = value
		case "node":
			f.Node = value
		case "words":
			f.Add, f.Remove = arg.Vals[0], arg.Vals[1]
		case "origin":
			f.Origin = value
		case "time":
			f.Time = value
		case "header":
			f.NoHeader = false
		case "limit":
			d.ScanArgs(t, "limit", &f.Limit)
		default:
			d.Fatalf(t, "no such argument: %s", arg.Key)
		}
	}
	events, stats, err := ReadNodes(strings.NewReader(input), f)
	out := tellStats(t, stats)
	if err != nil {
		return out + "error: " + err.Error()
	}
	for _, e := range events {
		verb := "removes"
		if e.Add {
			verb = "adds"
		}
		out += fmt.Sprintf("%v: %s %s\n", e.At, verb, e.Node)
	}
	return out
}

func tellStats(t *testing.T, s Stats) string {
	if s.Rows == 0 {
		return ""
	}
	out := fmt.Sprintf("%d read: %d used (%d at the start), %d filtered, %d skipped; from %q to %q\n",
		s.Rows, s.Used, s.Initial, s.Filtered, s.SkippedRows(), s.First, s.Last)
	if s.More {
		out += "the file goes on\n"
	}
	for _, skip := range s.Skipped {
		out += "skipped: " + skip.String() + "\n"
	}
	return out
}

func tellRow(r fleet.Resource) string {
	if r.Group == "" {
		return fmt.Sprintf("%q", r.ID)
	}
	return fmt.Sprintf("%q (%s)", r.ID, r.Group)
}

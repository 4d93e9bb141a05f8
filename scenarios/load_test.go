package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/datadriven"
)

// TestStories loads what stands in testdata and compares what comes out: the
// scenario as it was understood, or its mistakes. "load" takes a whole file;
// "with" takes lines that replace or join a minimal one. set=(k=v, …) are settings.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			text := d.Input
			if d.Cmd == "with" {
				text = minimalWith(d.Input)
			}
			var settings []Setting
			for _, arg := range d.CmdArgs {
				for _, v := range arg.Vals {
					s, err := ParseSetting(v)
					if err != nil {
						return err.Error() + "\n"
					}
					settings = append(settings, s)
				}
			}
			s, err := Load("story.yaml", strings.NewReader(text), settings...)
			if err != nil {
				return err.Error() + "\n"
			}
			return describe(s)
		})
	})
}

// TestHostile: what would cost the parser its stack, its memory or hours is
// refused before it gets there.
func TestHostile(t *testing.T) {
	const size = MaxFileBytes / 4
	for _, c := range []struct{ name, text, problem string }{
		{"too large", strings.Repeat("#", MaxFileBytes+1), "more than 1048576 bytes"},
		{"not UTF-8", "name: \xff", "not UTF-8"},
		{"brackets", strings.Repeat("[", 50_000), "nested too deep"},
		{"braces", strings.Repeat("{a: ", 20_000), "nested too deep"},
		{"hyphens", strings.Repeat("- ", 40_000), "nested too deep"},
		{"question marks", strings.Repeat("? ", 40_000), "nested too deep"},
		{"colons", strings.Repeat("a: ", 30_000), "nested too deep"},
		{"many keys", "a: {" + strings.Repeat("a,", size/2), "more than 100000 words and signs"},
		{"alias bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors, aliases and merge keys are not understood"},
		{"merge", "a: {<<: {b: c}}\n", "anchors, aliases and merge keys are not understood"},
		{"NUL", "name: a\x00b", "text (lower case letters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load("hostile.yaml", strings.NewReader(c.text))
			var mistakes Errors
			if !errors.As(err, &mistakes) || !strings.Contains(err.Error(), c.problem) {
				t.Fatalf("%.300v: want %q", err, c.problem)
			}
		})
	}
}

// TestManyMistakes: the list of mistakes is bounded, in the order of the file,
// without repetition.
func TestManyMistakes(t *testing.T) {
	var b strings.Builder
	b.WriteString("expect:\n")
	for range 900 {
		b.WriteString("  - nonsense\n")
	}
	_, err := Parse("many.yaml", []byte(b.String()))
	var mistakes Errors
	if !errors.As(err, &mistakes) || len(mistakes) != MaxErrors {
		t.Fatalf("%d mistakes: want %d", len(mistakes), MaxErrors)
	}
	for i, m := range mistakes[1:] {
		if before := mistakes[i]; m.Line < before.Line || *m == *before {
			t.Fatalf("%v stands after %v", m, before)
		}
	}
}

func TestUnreadable(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := Load("x.yaml", iotest.ErrReader(broken)); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "x.yaml: ") {
		t.Errorf("%v: want the reader's error after the file's name", err)
	}
}

func TestTracePaths(t *testing.T) {
	const text = "churn: [{kind: Thing, trace: {file: %s, source: ours, id: a, created: b, time: s}}]"
	set := Setting{"churn.0.trace.file", "../elsewhere/rows.csv"}
	for _, c := range []struct {
		scenario, file string
		settings       []Setting
		want           string
	}{
		{"scenarios/a.yaml", "../../shared/rows.csv", nil, "../shared/rows.csv"},
		{"a.yaml", "rows.csv", nil, "rows.csv"},
		{"/etc/a.yaml", "rows.csv", nil, "/etc/rows.csv"},
		{"scenarios/a.yaml", "/data/rows.csv", nil, "/data/rows.csv"},
		{"scenarios/a.yaml", "rows.csv", []Setting{set}, "../elsewhere/rows.csv"},
	} {
		s, err := Parse(c.scenario, []byte(minimalWith(fmt.Sprintf(text, c.file))), c.settings...)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := s.Churn[0].Trace.Path; got != c.want {
			t.Errorf("%s in %s with %v is %s: want %s", c.file, c.scenario, c.settings, got, c.want)
		}
	}
}

// TestParsePure: the same bytes give the same scenario, and Parse keeps none of them.
func TestParsePure(t *testing.T) {
	data, err := shipped.ReadFile("providers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, err := Parse("p.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	before := describe(first)
	clear(data)
	if after := describe(first); after != before {
		t.Errorf("the scenario changed with the bytes it came from:\n%s", after)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		data, err := shipped.ReadFile(name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "kinds.0.resources", "1000")
	}
	f.Add([]byte(bare), "churn.0.create", "5/s")
	f.Add([]byte("a: &x [*x]\n<<: *x"), "a.b.c", "{")
	f.Add([]byte("? [a]: b\n- !!t |\n x"), "..", "[[")
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		s, err := Parse("fuzz.yaml", data, Setting{key, value})
		if err != nil {
			checkMistakes(t, err)
			return
		}
		checkScenario(t, s)
	})
}

func checkMistakes(t *testing.T, err error) {
	var mistakes Errors
	if !errors.As(err, &mistakes) || len(mistakes) == 0 {
		t.Fatalf("%v is a %T: want mistakes", err, err)
	}
	for _, m := range mistakes {
		if m.Problem == "" || m.Want == "" || m.File == "" && m.Set == "" {
			t.Fatalf("%+v lacks where it is, what is wrong, or what would be right", *m)
		}
	}
}

// checkScenario holds what every loaded scenario promises.
func checkScenario(t *testing.T, s *Scenario) {
	if s.Name == "" || s.Duration <= 0 || s.Heal <= 0 || s.Heal > s.Duration || len(s.Kinds) == 0 || len(s.Expect) == 0 {
		t.Fatalf("%+v is not complete", s)
	}
	for _, c := range s.Churn {
		forms := 0
		for _, set := range []bool{c.Rates != nil, c.Burst != nil, c.Day != nil, c.Trace != nil} {
			if set {
				forms++
			}
		}
		if forms != 1 || s.KindNamed(c.Kind) == nil || c.From > c.Until || c.Until > s.Duration {
			t.Fatalf("churn %+v breaks its promise", c)
		}
	}
	for _, f := range s.Faults {
		if f.What == "" || f.At+f.For > s.Heal || f.Every > f.For {
			t.Fatalf("fault %+v breaks its promise", f)
		}
	}
	for _, o := range s.Orders {
		if o.What == "" || o.At >= s.Duration || s.KindNamed(o.Kind) == nil {
			t.Fatalf("order %+v breaks its promise", o)
		}
	}
	for _, l := range s.Load {
		if (l.Users == nil) != (l.Notifications > 0) || s.KindNamed(l.Kind) == nil || l.From >= l.Until || l.Until > s.Duration {
			t.Fatalf("load %+v breaks its promise", l)
		}
		if u := l.Users; u != nil && (u.Count < 1 || u.WaitMin < 0 || u.WaitMin > u.WaitMax || len(u.Calls) == 0) {
			t.Fatalf("users %+v break their promise", *u)
		}
	}
	for _, e := range s.Expect {
		if _, err := ParseExpectation(e.Text); err != nil {
			t.Fatal(err)
		}
	}
}

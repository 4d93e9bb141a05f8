package scenarios

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// readBack holds Format to its promise: what it writes reads back as the same
// scenario, and is written again as it was. Lines of expectations are of the
// file, and paths of traces are from where it lies.
func readBack(t interface{ Fatalf(string, ...any) }, s *Scenario) {
	text := Format(s)
	again, err := Parse(s.File, text)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if a, b := comparable(s), comparable(again); !reflect.DeepEqual(a, b) {
		t.Fatalf("it reads back otherwise:\n%s\n%s\n%s", text, describe(a), describe(b))
	}
	if twice := Format(again); string(twice) != string(text) {
		t.Fatalf("it is written in two ways:\n%s\n%s", text, twice)
	}
}

func comparable(s *Scenario) *Scenario {
	c := *s
	c.Expect = append([]Expectation(nil), s.Expect...)
	for i := range c.Expect {
		c.Expect[i].Line = 0
	}
	c.Churn = append([]Churn(nil), s.Churn...)
	for i := range c.Churn {
		if c.Churn[i].Trace != nil {
			trace := *c.Churn[i].Trace
			trace.Path = ""
			c.Churn[i].Trace = &trace
		}
	}
	if s.Nodes != nil {
		nodes := *s.Nodes
		nodes.Path = ""
		c.Nodes = &nodes
	}
	return &c
}

func TestFormatShipped(t *testing.T) {
	for _, s := range loadShipped(t) {
		readBack(t, s)
	}
	for _, text := range []string{bare, strings.Replace(bare, tracedNodes, countedNodes, 1)} {
		s, err := Parse("bare.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		readBack(t, s)
	}
}

// TestFormatShort: one kind, one churn, one fault, one order and one expectation
// are ten lines, each as a person would write it.
func TestFormatShort(t *testing.T) {
	const want = `name: pod-replaced-twice
about: "A pod that crashes twice is replaced once: nobody knows why."
seed: 7
duration: 30m
heal: 15m
kinds: [{kind: Thing, resources: 100, resourcePerInstance: 50}]
churn: [{kind: Thing, create: 5/s, delete: 4/s, until: 10m}]
faults: [{at: 5m, for: 5m, every: 1m, pod: crash, kind: Thing, share: 12.5%, where: [load > 90%, age < 1m], chance: 50%, stable: 10s}]
orders: [{at: 5m, kind: Thing, orchestrate: {resourcePerInstance: 40}}]
expect: [violations == 0, unsettled_end == 0]
`
	s, err := Parse("x.yaml", []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(Format(s)); got != want {
		t.Errorf("it is written\n%s\nwant\n%s", got, want)
	}
}

func TestFaultLabels(t *testing.T) {
	for entry, want := range map[string]string{
		"{at: 5m, for: 10m, kafka: down}":                                                   "kafka-down",
		"{at: 5m, pod: crash, kind: Thing, share: 20%}":                                     "pod-crash Thing 20%",
		"{at: 5m, pod: zombie, kind: Thing, instance: 0}":                                   "pod-zombie Thing 0",
		"{at: 5m, for: 1m, node: flap, count: 2}":                                           "node-flap ×2",
		"{at: 5m, for: 1m, mqtt: lose, chance: 30%, stable: 5s}":                            "mqtt-lose (30%)",
		"{at: 5m, for: 1m, zookeeper: cut, of: dacs, kind: Thing, where: [load > 90%]}":     "zookeeper-cut of dacs Thing where load > 90%",
		"{at: 5m, for: 1m, orchestrator: crash, command: create-pod, by: 2s, chance: 0.5%}": "orchestrator-crash at create-pod (0.5%)",
	} {
		s, err := Parse("x.yaml", []byte(minimalWith("nodes: {count: 5}\nfaults: ["+entry+"]")))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := s.Faults[0].Label(); got != want {
			t.Errorf("%s is called %q: want %q", entry, got, want)
		}
		if got := FormatFault(s.Faults[0]); got != entry {
			t.Errorf("%s is written %s", entry, got)
		}
	}
}

// TestEveryFault: every word reads with no more than it needs, has the defaults
// that NewFault says, and is written as it was.
func TestEveryFault(t *testing.T) {
	for _, w := range FaultWords {
		entry := "{at: 5m, "
		if f := NewFault(w.What); !f.Once() {
			entry += "for: 10m, "
		}
		entry += w.What.Subject() + ": " + w.What.Word()
		if w.What.Subject() == "pod" {
			entry += ", kind: Thing"
		}
		if len(w.Needs) > 0 {
			entry += ", share: 50%"
		}
		entry += "}"
		s, err := Parse("x.yaml", []byte(minimalWith("nodes: {count: 5}\nfaults: ["+entry+"]")))
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			continue
		}
		f, usual := s.Faults[0], NewFault(w.What)
		if f.What != w.What || f.By != usual.By || f.Of != usual.Of || f.Rate != usual.Rate || f.Stable != usual.Stable || f.Chance != 1 {
			t.Errorf("%s is %+v: want %+v", entry, f, usual)
		}
		if got := FormatFault(f); got != entry {
			t.Errorf("%s is written %s", entry, got)
		}
		if w.About == "" || w.Case == "" {
			t.Errorf("%s is not described", w.What)
		}
	}
	if what := FaultKind("kafka-up"); NewFault(what).What != what {
		t.Error("an unknown kind has no fault")
	}
}

// TestFormatRandom: whatever Parse accepts reads back.
func TestFormatRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScenario(t)
		readBack(t, s)
	})
}

// TestTexts: any text reads back, in brackets and outside of them.
func TestTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune(" :#,[]{}'\"&*!|>%@`-?~\\\n\t=<0123456789.eExonfnull_+/µ"))),
			rapid.SampledFrom([]string{"null", "Null", "~", "true", "on", "1e3", "0x10", ".inf", ".nan", "1_000", "- a", "a: b", "a #b", "2006-01-02", "1:20", "<<", "---", "..."})).Draw(t, "text")
		if s == "" {
			return
		}
		for _, inside := range []bool{false, true} {
			doc := "a: " + text(s, inside)
			if inside {
				doc = "a: [{" + text(s, true) + ": " + text(s, true) + "}, " + text(s, true) + "]"
			}
			root, err := parseText("x.yaml", doc+"\n")
			if err != nil {
				t.Fatalf("%q: %s: %v", s, doc, err)
			}
			v := root.get("a")
			if inside {
				if v = root.get("a").items[1]; root.get("a").items[0].entries[0].key != s || root.get("a").items[0].entries[0].value.text != s {
					t.Fatalf("%q reads back otherwise from %s", s, doc)
				}
			}
			if v.shape != scalar || v.text != s {
				t.Fatalf("%q reads back as %q from %s", s, v.text, doc)
			}
		}
	})
}

func TestSharesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(1e-300, 1).Draw(t, "share")
		if got, err := ParseShare(FormatShare(share)); err != nil || got != share {
			t.Fatalf("%v is written %s, which reads as %v: %v", share, FormatShare(share), got, err)
		}
		r := Rate(rapid.Float64Range(1e-9, float64(maxRate)).Draw(t, "rate"))
		if got, err := ParseRate(formatRate(r)); err != nil || got != r {
			t.Fatalf("%v is written %s, which reads as %v: %v", float64(r), formatRate(r), float64(got), err)
		}
	})
}

func FuzzFormat(f *testing.F) {
	for _, name := range Names() {
		data, err := shipped.ReadFile(name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(bare))
	for _, w := range FaultWords {
		f.Add([]byte(minimalWith(fmt.Sprintf("nodes: {count: 9}\nfaults: [{at: 1m, for: 9m, %s: %s, kind: Thing, count: 3, chance: 7%%}]", w.What.Subject(), w.What.Word()))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := Parse("fuzz.yaml", data); err == nil {
			readBack(t, s)
		}
	})
}

// TestRegressions: each loads, is named as its file, says which bug it was, and
// is written in the shortest way.
func TestRegressions(t *testing.T) {
	if _, err := Regression("no-such-bug"); err == nil {
		t.Error("a regression that does not exist loads")
	}
	for _, name := range Regressions() {
		s, err := Regression(name)
		if err != nil {
			t.Error(err)
			continue
		}
		checkScenario(t, s)
		if s.Name != name || !strings.Contains(strings.ToLower(s.About), "mended in") {
			t.Errorf("%s: named %s, about %q: want its own name, and in which commit it was mended", name, s.Name, s.About)
		}
		data, err := regressions.ReadFile("regressions/" + name + ".yaml")
		if err != nil || string(data) != string(Format(s)) {
			t.Errorf("%s: want it as Format writes it:\n%s", name, Format(s))
		}
	}
}

package scenarios

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// injectable has two kinds and nodes.
func injectable(t testing.TB) *Scenario {
	t.Helper()
	s, err := Parse("x.yaml", []byte(`
name: x
about: For faults that are given while it runs.
duration: 30m
kinds:
  - {kind: Thing, resources: 100}
  - {kind: Rule, resources: 10}
nodes: {count: 4, podsPerNode: 10}
expect: [resources_unplaced_max < 100]
`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseFault(t *testing.T) {
	s := injectable(t)
	for text, want := range map[string]string{
		`{"pod":"crash","kind":"Thing","instance":3}`:                           "{at: 5m, pod: crash, kind: Thing, instance: 3}",
		"{\n\t\"kafka\": \"down\",\n\t\"for\": \"2h\"\n}\n":                     "{at: 5m, for: 2h, kafka: down}",
		`{"mqtt":"lose","for":"1m","chance":"30%","stable":"10s"}`:              "{at: 5m, for: 1m, mqtt: lose, chance: 30%, stable: 10s}",
		`{"node":"lose","for":"1m","count":1}`:                                  "{at: 5m, for: 1m, node: lose, count: 1}",
		`{"node":"partition","for":"1m","name":"node-3"}`:                       "{at: 5m, for: 1m, node: partition, name: node-3}",
		`{"pod":"hang","kind":"Thing","where":["load > 90%"],"share":"50%"}`:    "{at: 5m, pod: hang, kind: Thing, share: 50%, where: [load > 90%]}",
		`{"zookeeper":"cut","for":"1m","of":"dacs","kind":"Rule"}`:              "{at: 5m, for: 1m, zookeeper: cut, of: dacs, kind: Rule}",
		`{"orchestrator":"crash","for":"1m","command":"commit","chance":"50%"}`: "{at: 5m, for: 1m, orchestrator: crash, command: commit, chance: 50%}",
		`{pod: crash, kind: Thing, instance: 3}`:                                "{at: 5m, pod: crash, kind: Thing, instance: 3}",
		"pod: hang\nkind: Thing\nwhere: [load > 90%]\nshare: 50%":               "{at: 5m, pod: hang, kind: Thing, share: 50%, where: [load > 90%]}",
	} {
		f, err := s.ParseFault([]byte(text), 5*time.Minute)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := FormatFault(f); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestParseFaultMistakes(t *testing.T) {
	s := injectable(t)
	for _, c := range []struct{ text, key, says string }{
		{`{"pod":"crash","kind":"Thing"}`, "", "pod fault that hits no pod: want one of instance, count, share, where"},
		{`{"pod":"crush","kind":"Thing","instance":3}`, "pod", "did you mean crash?"},
		{`{"pod":"crash","kind":"Think","instance":3}`, "kind", `no kind "Think": did you mean Thing?`},
		{`{"pod":"crash","kind":"Thing","instance":3,"at":"1m"}`, "at", "at has no meaning here"},
		{`{"pod":"crash","kind":"Thing","instance":3,"for":"1m"}`, "for", "for has no meaning beside pod: crash"},
		{`{"pod":"crash","kind":"Thing","instance":100}`, "instance", "0 to the kind's maxInstances - 1"},
		{`{"pod":"crash","kind":"Thing","instance":"3"}`, "instance", `"3" is not valid`},
		{`{"pod":"crash","kind":"Thing","instanze":3}`, "instanze", "did you mean instance?"},
		{`{"pod":"hang","kind":"Thing","where":["lode > 1"]}`, "where", "where: "},
		{`{"node":"lose","for":"1m"}`, "", "node fault that hits no node: want one of name, count, share"},
		{`{"node":"lose","for":"1m","name":"node-4"}`, "name", `no node "node-4": want one of node-0 to node-3`},
		{`{"node":"lose","for":"1m","name":"node-03"}`, "name", `no node "node-03"`},
		{`{"node":"lose","for":"1m","name":"node-1","count":1}`, "count", "name and count exclude each other"},
		{`{"pod":"crash","kind":"Thing","name":"node-1"}`, "name", "name has no meaning beside pod: crash: want it beside node: lose"},
		{`{"kafka":"down"}`, "", "fault without for: want for: 10m"},
		{`{"kafka":"down","for":60}`, "for", "want "},
		{`{"kafka":"down","mqtt":"down","for":"1m"}`, "mqtt", "exclude each other"},
		{"kafka: down\nfor: 1m\nby: 3s", "by", "by has no meaning beside kafka: down"},
		{"kafka: down\n\tfor: 1m", "", "not YAML"},
		{"kafka", "", "keys and values"},
		{`{}`, "", "fault with nothing to do"},
		{``, "", "no fault in it"},
		{`[1]`, "", "keys and values"},
		{`{"kafka":`, "", "not JSON: it ends too early"},
		{`{"kafka" "down"}`, "", "not JSON: "},
		{`{"kafka":"down","for":"1m"} {}`, "", "not JSON: more than one value"},
		{`{"kafka":{"a":[[[1]]]}}`, "", "nested too deep"},
		{`{"kafka":null,"for":"1m"}`, "kafka", "kafka has no value"},
		{`{"kafka":"down","for":"1m","where":{"a":1}}`, "where", "where"},
		{`{"pod":"crash","kind":"Thing","where":["load > 1",2]}`, "where", "where"},
		{`{"kafka":"down","kafka":"down","for":"1m"}`, "", "given twice"},
	} {
		_, err := s.ParseFault([]byte(c.text), 0)
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Errorf("%s: %v, want Errors", c.text, err)
			continue
		}
		if e := errs[0]; e.Key != c.key || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%s: key %q, %q; want key %q and %q", c.text, e.Key, e, c.key, c.says)
		}
	}
	s.Nodes = nil
	if _, err := s.ParseFault([]byte(`{"node":"lose","count":1,"for":"1m"}`), 0); err == nil || !strings.Contains(err.Error(), "there are no nodes") {
		t.Errorf("a node of none: %v", err)
	}
}

// FuzzParseFault: any text is a fault, or a mistake that says so; a fault that is
// written down is the same fault.
func FuzzParseFault(f *testing.F) {
	s := injectable(f)
	f.Add(`{"pod":"crash","kind":"Thing","instance":3}`)
	f.Add(`{"kafka":"down","for":"1m","chance":"1%"}`)
	f.Add("{\"node\":\t\"lose\",\"share\":0.5,\"for\":\"1m\"}")
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := s.ParseFault([]byte(text), time.Minute)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("a mistake without words")
			}
			return
		}
		if w := fault.What.vocabulary(); w == nil || fault.At != time.Minute {
			t.Fatalf("%q is the fault %+v", text, fault)
		}
		if json.Valid([]byte(FormatFault(fault))) {
			t.Fatalf("%s is no entry of a scenario", FormatFault(fault))
		}
	})
}

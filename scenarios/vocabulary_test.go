package scenarios

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// bare holds every kind of entry with no more than it needs, so that any key can
// be set on one of them.
const bare = `
name: bare
about: Every kind of entry.
duration: 10h
kinds:
  - {kind: Thing}
  - {kind: Rule}
churn:
  - {kind: Thing, create: 1/s, delete: 1/s, update: 1/s}
  - {kind: Thing, at: 1m, burst: 10}
  - {kind: Thing, at: 1m, burst: 10, verb: delete, bulk: 5}
  - {kind: Thing, day: {create: {peak: 20/s}, delete: {peak: 20/s}}}
  - {kind: Thing, trace: {file: a.csv, source: ours, id: 1, created: 2, time: "20060102"}}
faults:
  - {at: 1m, for: 1m, kafka: down}
  - {at: 1m, for: 1m, mqtt: down}
  - {at: 1m, for: 1m, orchestrator: crash}
  - {at: 1m, pod: crash, kind: Thing, instance: 0}
  - {at: 1m, pod: crash, kind: Thing, count: 1}
  - {at: 1m, pod: crash, kind: Thing, share: 1%}
  - {at: 1m, pod: crash, kind: Thing, count: 1, for: 2m, every: 1m}
  - {at: 1m, for: 1m, node: lose, count: 1}
  - {at: 1m, for: 1m, heartbeats: delay}
  - {at: 1m, for: 1m, zookeeper: slow, of: dacs}
  - {at: 1m, zookeeper: expire}
  - {at: 1m, for: 1m, kubernetes: error, chance: 10%}
  - {at: 1m, for: 1m, database: slow}
  - {at: 1m, for: 1m, mqtt: garbage}
  - {at: 1m, for: 1m, node: lose, name: node-1}
orders:
  - {at: 1m, kind: Thing, orchestrate: {}}
  - {at: 1m, kind: Thing, drain: 1}
  - {at: 1m, kind: Thing, undrain: 1}
  - {at: 1m, kind: Thing, replace: 1}
  - {at: 1m, kind: Thing, maintenance: "on"}
on: wire
load:
  - {kind: Thing, users: 10}
  - {kind: Thing, notifications: 1/s}
nodes:
` + tracedNodes + `
world: {}
expect: [violations == 0]
`

// The two forms of nodes, of which bare holds the first.
const (
	tracedNodes  = "  trace: {file: a.csv, source: ours, time: ms, at: 1, action: 2, node: 3}"
	countedNodes = "  count: 3"
)

// places answers where in bare a section's mappings stand.
func places(name string) []string {
	numbered := func(list string, n int, after string) (paths []string) {
		for i := range n {
			paths = append(paths, fmt.Sprintf("%s.%d%s", list, i, after))
		}
		return paths
	}
	switch name {
	case "scenario":
		return []string{""}
	case "kind":
		return []string{"kinds.0."}
	case "churn":
		return numbered("churn", 5, ".")
	case "day":
		return []string{"churn.3.day."}
	case "swing":
		return []string{"churn.3.day.create."}
	case "trace":
		return []string{"churn.4.trace."}
	case "fault":
		return numbered("faults", 15, ".")
	case "order":
		return numbered("orders", 5, ".")
	case "load":
		return numbered("load", 2, ".")
	case "orchestrate":
		return []string{"orders.0.orchestrate."}
	case "nodes":
		return []string{"nodes."}
	case "node trace":
		return []string{"nodes.trace."}
	case "latency":
		return []string{"world.database.query."}
	}
	return []string{name + "."} // world and its subsystems
}

func forEachKey(t *testing.T, f func(t *testing.T, place string, k Key, try func(value string) (*Scenario, error))) {
	for _, s := range Vocabulary {
		for _, k := range s.Keys {
			t.Run(s.Name+"/"+k.Name, func(t *testing.T) {
				var last error
				text := bare
				if s.Name == "nodes" && k.Name == "count" {
					text = strings.Replace(bare, tracedNodes, countedNodes, 1)
				}
				for _, place := range places(s.Name) {
					try := func(value string) (*Scenario, error) {
						return Parse("bare.yaml", []byte(text), Setting{place + k.Name, value})
					}
					if _, last = try(k.Example); last == nil {
						f(t, place, k, try)
						return
					}
				}
				t.Fatalf("no entry takes the example %q: %v", k.Example, last)
			})
		}
	}
}

// TestExamples: the example of every key is valid where the key may stand.
func TestExamples(t *testing.T) {
	forEachKey(t, func(*testing.T, string, Key, func(string) (*Scenario, error)) {})
}

// inWords are the defaults that the tables describe rather than give.
var inWords = []string{
	"scenario/heal", "scenario/churn", "scenario/faults", "scenario/orders", "scenario/load", "scenario/nodes", "scenario/world",
	"kind/instanceName", "kind/initInstances", "kind/silence", "kind/heartbeat", "kind/groups", "churn/bulk", "churn/until", "load/until",
	"trace/origin", "trace/where", "trace/limit", "trace/deleted", "trace/group", "fault/for", "fault/every", "fault/kind", "fault/where",
	"fault/of", "fault/command", "fault/by", "fault/stable",
	"orchestrate/maxInstances", "orchestrate/resourcePerInstance", "node trace/origin", "node trace/limit",
	"world/database", "world/mqtt", "world/kafka", "world/zookeeper", "world/kubernetes", "world/dac",
	"latency/min", "latency/mean", "latency/max", "day/create", "day/delete", "day/update",
}

// TestDefaults: a key that is given its default means what its absence means,
// and one that is required is missed.
func TestDefaults(t *testing.T) {
	forEachKey(t, func(t *testing.T, place string, k Key, try func(string) (*Scenario, error)) {
		name := strings.TrimPrefix(t.Name(), "TestDefaults/")
		without := parseTree(t, bare)
		drop(without, place+k.Name)
		d := &decoder{file: "bare.yaml"}
		absent := d.scenario(without)
		switch {
		case k.Default == required:
			if len(d.errs) == 0 {
				t.Errorf("it is required, and not missed")
			}
		case k.Default == "" || slices.Contains(inWords, strings.ReplaceAll(name, "_", " ")):
		default:
			given, err := try(k.Default)
			if err != nil {
				t.Fatalf("its default %q: %v", k.Default, err)
			}
			if len(d.errs) > 0 {
				t.Fatalf("without it: %v", d.sorted())
			}
			if a, b := describe(given), describe(absent); a != b {
				t.Errorf("with its default %q it is not what it is without:\n%s\n%s", k.Default, a, b)
			}
		}
	})
}

func parseTree(t *testing.T, text string) *value {
	root, err := parseYAML("bare.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// drop removes the key at the path.
func drop(v *value, path string) {
	step, rest, deeper := strings.Cut(path, ".")
	if n, err := strconv.Atoi(step); err == nil && v.shape == list {
		drop(v.items[n], rest)
		return
	}
	for i, e := range v.entries {
		if e.key == step && deeper {
			drop(e.value, rest)
		} else if e.key == step {
			v.entries = slices.Delete(v.entries, i, i+1)
			return
		}
	}
}

var twoNumbers = regexp.MustCompile(`^(above )?([0-9]+[a-z]*)(?: to |, up to )([0-9]+[a-z]*)`)

// TestRanges: the ends of a range in numbers or durations are valid, and what
// lies beyond is not.
func TestRanges(t *testing.T) {
	tested := 0
	forEachKey(t, func(t *testing.T, _ string, k Key, try func(string) (*Scenario, error)) {
		m := twoNumbers.FindStringSubmatch(k.Range)
		if m == nil || k.Type != "number" && k.Type != "duration" {
			return
		}
		tested++
		refused := func(value string) bool {
			_, err := try(value)
			if err == nil {
				return false
			}
			return strings.Contains(err.Error(), "--set") && (strings.Contains(err.Error(), " is not valid") || strings.Contains(err.Error(), "is out of range"))
		}
		valid, beyond := []string{m[2], m[3]}, []string{"-1", m[3] + "0"}
		if m[1] != "" {
			valid, beyond = valid[1:], append(beyond, m[2])
		}
		if k.Type == "duration" {
			beyond = beyond[1:]
		}
		for _, v := range valid {
			if refused(v) {
				t.Errorf("%s lies in its range %q and is refused", v, k.Range)
			}
		}
		for _, v := range beyond {
			if k.Type == "duration" {
				v = strings.ReplaceAll(v, "d0", "0d")
			}
			if !refused(v) {
				t.Errorf("%s lies outside its range %q and is taken", v, k.Range)
			}
		}
	})
	if tested < 20 {
		t.Errorf("only %d ranges were found", tested)
	}
}

// TestVocabulary: names are unique, and everything is told.
func TestVocabulary(t *testing.T) {
	metrics := map[string]bool{}
	for _, m := range Metrics {
		if metrics[m.Name] || m.About == "" || m.Unit == "" {
			t.Errorf("metric %s: given twice, or not described", m.Name)
		}
		metrics[m.Name] = true
	}
	sections := map[string]bool{}
	for _, s := range Vocabulary {
		if sections[s.Name] {
			t.Errorf("a second section %s", s.Name)
		}
		sections[s.Name] = true
		keys := map[string]bool{}
		for _, k := range s.Keys {
			if keys[k.Name] || k.Type == "" || k.Example == "" || k.About == "" {
				t.Errorf("%s.%s: given twice, or not described", s.Name, k.Name)
			}
			keys[k.Name] = true
			for _, w := range k.With {
				if s.key(w) == nil {
					t.Errorf("%s.%s goes with %s, which does not exist", s.Name, k.Name, w)
				}
			}
		}
	}
	for _, l := range LatencyDefaults {
		if l.Min < 0 || l.Min > l.Mean || l.Mean > l.Max || (World{Latencies: []Latency{l.Latency}}).Latency(l.Name) != l.Latency {
			t.Errorf("latency %s: %v is not in order", l.Name, l.Latency)
		}
	}
}

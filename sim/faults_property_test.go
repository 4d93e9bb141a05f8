package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/scenarios"

	"pgregory.net/rapid"
)

// faultyWorld is where random faults strike: two kinds, both handoffs, pods on
// machines, rows that come and go.
const faultyWorld = `
name: faulty
about: Everything breaks.
seed: %d
duration: 27m
heal: 12m
kinds:
  - {kind: Thing, resources: 300, resourcePerInstance: 100, initInstances: 6, maxInstances: 20, policy: balance}
  - {kind: Rule, resources: 60, resourcePerInstance: 30, initInstances: 4, maxInstances: 10, heartbeat: true, handoff: strict}
nodes: {count: 6, podsPerNode: 8}
churn:
  - {kind: Thing, create: 1/s, delete: 1/s, update: 10/m}
  - {kind: Rule, create: 10/m, delete: 10/m}
orders:
  - {at: 7m, kind: Thing, orchestrate: {resourcePerInstance: 60}}
faults:
%s
expect: [violations == 0, unsettled_end == 0]
`

func faulty(t fataler, seed uint64, faults []scenarios.Fault) *scenarios.Scenario {
	var lines []string
	for _, f := range faults {
		lines = append(lines, "  - "+scenarios.FormatFault(f))
	}
	text := fmt.Sprintf(faultyWorld, seed, strings.Join(lines, "\n"))
	if len(faults) == 0 {
		text = strings.Replace(text, "faults:\n", "", 1)
	}
	sc, err := scenarios.Parse("faulty.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return sc
}

type fataler interface{ Fatalf(string, ...any) }

// randomFault draws a fault of this sort that the vocabulary allows.
func randomFault(t *rapid.T, w scenarios.FaultWord) scenarios.Fault {
	const heal = 12 * time.Minute
	seconds := func(label string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * time.Second
	}
	has := func(keys []string, key string) bool {
		return strings.Contains(" "+strings.Join(keys, " ")+" ", " "+key+" ")
	}
	f := scenarios.NewFault(w.What)
	f.At = seconds("at", 60, 540)
	if f.Once() {
		if rapid.Bool().Draw(t, "again") {
			f.For = seconds("for", 20, 120)
			f.Every = max(seconds("every", 10, 60), f.For/4)
			f.Every = min(f.Every, f.For)
		}
	} else {
		f.For = min(seconds("for", 5, 200), heal-f.At)
	}
	if has(w.Keys, "by") && !has(w.Keys, "command") && rapid.Bool().Draw(t, "with by") {
		f.By = seconds("by", 1, 60)
	}
	if has(w.Keys, "of") {
		f.Of = rapid.SampledFrom([]string{scenarios.OfOrchestrator, scenarios.OfDACs, scenarios.OfAll}).Draw(t, "of")
	}
	if has(w.Keys, "command") && rapid.Bool().Draw(t, "with command") {
		f.Command = rapid.SampledFrom(scenarios.Commands).Draw(t, "command")
		f.By = seconds("back", 1, 30)
	}
	if has(w.Keys, "kind") && (f.Of == "" || f.Of == scenarios.OfDACs) || has(w.Needs, "kind") {
		target(t, w, &f, has(w.Needs, "count") || has(w.Needs, "share"))
	} else if has(w.Keys, "count") && f.Of == "" {
		if f.Count = rapid.IntRange(0, 3).Draw(t, "nodes"); f.Count == 0 {
			f.Node = scenarios.NodeName(rapid.IntRange(0, 2).Draw(t, "node"))
		}
	}
	if rapid.Bool().Draw(t, "with chance") && (f.What != scenarios.OrchestratorCrash || f.Command != "") {
		f.Chance = float64(rapid.IntRange(1, 99).Draw(t, "chance")) / 100
		f.Stable = max(f.Stable, seconds("stable", 0, 30))
	}
	return f
}

// target draws whom a fault of instances hits.
func target(t *rapid.T, w scenarios.FaultWord, f *scenarios.Fault, must bool) {
	f.Kind = rapid.SampledFrom([]string{"Thing", "Rule"}).Draw(t, "kind")
	least := 0
	if must {
		least = 1
	}
	switch rapid.IntRange(least, 3).Draw(t, "by") {
	case 1:
		f.One, f.Instance = true, rapid.IntRange(0, 3).Draw(t, "instance")
	case 2:
		f.Count = rapid.IntRange(1, 3).Draw(t, "count")
	case 3:
		f.Share = float64(rapid.IntRange(1, 10).Draw(t, "tenths")) / 10
	}
}

// mustSettle runs a scenario: nothing that must hold breaks, and all settles.
func mustSettle(t fataler, sc *scenarios.Scenario) *Report {
	res, err := Run(sc, Options{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if rep := res.Report; !rep.OK() || len(rep.Pending) > 0 {
		var b bytes.Buffer
		_ = rep.Table(&b, TableOptions{Width: 140})
		t.Fatalf("%s\n%+v\n%s", scenarios.Format(sc), rep.Pending, b.String())
	}
	return res.Report
}

// TestFaultsSettle lets random faults of all sorts strike at once.
func TestFaultsSettle(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine, and it takes long")
	}
	rapid.Check(t, func(t *rapid.T) {
		var faults []scenarios.Fault
		hung := false
		for range rapid.IntRange(1, 4).Draw(t, "faults") {
			w := rapid.SampledFrom(scenarios.FaultWords).Draw(t, "fault")
			if f := randomFault(t, w); f.What != scenarios.PodHang && f.What != scenarios.PodZombie {
				faults = append(faults, f)
			} else if !hung { // when many fall silent, nobody is replaced: that is for people
				hung = true
				f.One, f.Share, f.Count, f.For, f.Every = false, 0, 1, 0, 0
				faults = append(faults, f)
			}
		}
		if slices.ContainsFunc(faults, func(f scenarios.Fault) bool { return f.What == scenarios.PodZombie }) {
			// A zombie that has lost its session as well, or never had one, is not
			// found yet.
			faults = slices.DeleteFunc(faults, func(f scenarios.Fault) bool {
				return f.What.Subject() == "node" || f.What.Subject() == "zookeeper" || f.What.Subject() == "pod" && f.What != scenarios.PodZombie
			})
		}
		mustSettle(t, faulty(t, rapid.Uint64Range(0, 1<<32).Draw(t, "seed"), faults))
	})
}

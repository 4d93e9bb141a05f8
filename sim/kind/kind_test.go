package kind

import (
	"errors"
	"strings"
	"testing"

	"dacorch/deploy"
	"dacorch/e2e/rig"
	"dacorch/scenarios"
)

// TestFaults: every fault that there is is played or refused for a reason, and of
// the shipped scenarios some can be played.
func TestFaults(t *testing.T) {
	var g *ground
	playable := 0
	for _, name := range scenarios.Names() {
		sc, err := scenarios.Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		why := refuse(sc)
		for i := range sc.Faults {
			f := &sc.Faults[i]
			if no := g.Cannot(f); no != "" {
				why = errors.Join(why, errors.New(no))
			}
		}
		if why == nil {
			playable++
		}
	}
	if playable < 12 {
		t.Errorf("only %d shipped scenarios can be played on kind", playable)
	}
	for text, want := range map[string]string{
		"kafka: down": "", "zookeeper: down": "", "zookeeper: down, of: dacs": "for everybody", "mqtt: lose, chance: 10%": "",
		"pod: hang, kind: Thing, count: 1": "", "pod: zombie, kind: Thing, count: 1": "on wire",
		"database: slow, by: 1s": "virtual time", "orchestrator: crash": "", "orchestrator: crash, command: commit": "on wire", "orchestrator: pause": "",
		"kubernetes: error, chance: 10%": "on wire",
	} {
		at := "{at: 1m, for: 1m, " + text + "}"
		if strings.HasPrefix(text, "pod:") {
			at = "{at: 1m, " + text + "}"
		}
		sc, err := scenarios.Load("test.yaml", strings.NewReader("name: test\nabout: A test.\nduration: 1h\nkinds:\n  - {kind: Thing}\nfaults:\n  - "+at+"\nexpect:\n  - violations == 0\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Cannot(&sc.Faults[0]); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestRefuse: what no rig has is refused before anything is done.
func TestRefuse(t *testing.T) {
	for _, name := range []string{"spot-preemptions", "rest-load"} {
		sc, err := scenarios.Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), sc, Options{}); err == nil || !strings.Contains(err.Error(), "--on wire") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoRig: without a rig the error says so, and that is all that happens.
func TestNoRig(t *testing.T) {
	t.Setenv("DACORCH_CACHE", t.TempDir())
	sc, err := scenarios.Shipped("first-light")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), sc, Options{Rig: "none"}); !errors.Is(err, rig.ErrNotUp) {
		t.Errorf("without a rig: %v", err)
	}
	if _, err := Run(t.Context(), sc, Options{Rig: "none", Orchestrators: mostOrchestrators + 1}); err == nil || !strings.Contains(err.Error(), "want 1 to 9") {
		t.Errorf("with ten orchestrators: %v", err)
	}
}

// TestFailing: pods of a run fail when their program ends, in whatever words the
// shipped template says otherwise.
func TestFailing(t *testing.T) {
	shipped, err := deploy.PodTemplate("iota-dac")
	if err != nil {
		t.Fatal(err)
	}
	if got := failing(string(shipped)); strings.Count(got, "restartPolicy: Never") != 1 || strings.Contains(got, "Always") {
		t.Errorf("the template of a run: %s", got)
	}
}

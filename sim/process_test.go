package sim

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"dacorch/sim/internal/history"
)

// TestPauseStories says what a process finds that was stopped for so long.
func TestPauseStories(t *testing.T) {
	for _, c := range []struct {
		pause string
		lines []string
		never string
	}{
		// Shorter than its lease: it goes on where it was.
		{"{at: 3m, for: 2s, orchestrator: pause}", []string{`3m2s +Thing → `}, `deposed`},
		// The lease is over, the session lives: it stands again with the same one.
		{"{at: 3m, for: 8s, orchestrator: pause}", []string{`3m8s +Thing → deposed: the leadership could not be proved`, `3m9.* led epoch=2`}, `expired`},
		// The ensemble has ended its session.
		{"{at: 3m, for: 12s, orchestrator: pause}", []string{`3m12s +Thing → deposed: the ZooKeeper session has expired`, `led epoch=2`}, ``},
		// The broker and the group have given it up as well.
		{"{at: 3m, for: 3m, orchestrator: pause}", []string{`6m0s +Thing → deposed`, `6m0s +Thing → notification-channel down`, `→ led epoch=2`, `→ notification-channel up`}, ``},
	} {
		rep, log := told(t, "["+c.pause+"]")
		from := strings.Index(log, "\n2m5")
		if !rep.OK() || len(rep.Pending) > 0 || rep.Totals[history.InstancesReplaced] != 0 {
			t.Errorf("%s: violations %+v, pending %+v, replaced %v", c.pause, rep.Violations, rep.Pending, rep.Totals[history.InstancesReplaced])
		}
		follows(t, log[from:], c.lines)
		if c.never != "" && strings.Contains(log[from:], c.never) {
			t.Errorf("%s: the log says %q", c.pause, c.never)
		}
		silent := regexp.MustCompile(`(?m)^3m([01]\.|0\.|1\.).*Thing [→←]`)
		if m := silent.FindString(log[from:]); m != "" {
			t.Errorf("%s: while it is stopped the log says %q", c.pause, m)
		}
	}
}

// TestSplitStories has two processes that both believe to lead: the old one lays
// its leadership down by its own timer, within its lease, and is refused by its
// epoch before; one of them is there in the end.
func TestSplitStories(t *testing.T) {
	laid, refused, acted := 0, 0, 0
	for seed := range 12 {
		rep, log := told(t, fmt.Sprintf("[{at: 3m0.0%ds, for: 1m, orchestrator: split}, {at: 2m59.9s, pod: crash, kind: Thing, count: 2}, {at: 3m0.5s, pod: crash, kind: Thing, count: 2}]", 10+seed),
			"world: {kubernetes: {kubelet: {mean: 0s, max: 0s}}}") // what the watch tells of crosses the split
		if !rep.OK() || len(rep.Pending) > 0 || rep.Totals[history.LeaderChanges] != 1 {
			t.Fatalf("violations %+v, pending %+v, leader changes %v", rep.Violations, rep.Pending, rep.Totals[history.LeaderChanges])
		}
		split := log[strings.Index(log, "\n2m5"):]
		follows(t, split, []string{`Thing \(process 2\) → led epoch=2`, `Thing \(process 2\) ← commit`})
		old := regexp.MustCompile(`(?m)^(\S+) +Thing → deposed: the leadership could not be proved in time$`).FindStringSubmatch(split)
		switch {
		case strings.Contains(split, " Thing → committed deposed"):
			refused++
		case old == nil:
			t.Error("the old leader never lays its leadership down")
		case old[1] < "3m4" || old[1] > "3m6.5":
			t.Errorf("the old leader lays its leadership down at %s, want 4 to 6.5 s after the split", old[1])
		default:
			laid++
		}
		if regexp.MustCompile(`(?m)^3m[0-6](\.\d+)?s +Thing ← (delete|create)-pod`).MatchString(split) {
			acted++
		}
		if end := strings.Index(split, "\n4m0"); regexp.MustCompile(`(?m)^\S+ +Thing → tick`).MatchString(split[end+100:]) {
			t.Error("the old process goes on after the split")
		}
	}
	t.Logf("of 12 splits %d ended by the lease, %d by the epoch; in %d the old leader gave orders to Kubernetes", laid, refused, acted)
	if laid == 0 || refused == 0 || acted == 0 {
		t.Errorf("of 12 splits %d ended by the lease, %d by the epoch; in %d the old leader gave orders to Kubernetes: want some of each", laid, refused, acted)
	}
}

// TestCrashAtCommand strikes the process down at each sort of command, before it
// is executed or after it was handed out, and finds that a restart goes on.
func TestCrashAtCommand(t *testing.T) {
	for command, chance := range map[string]string{"any": "3%", "read-tree": "90%", "list-rows": "90%", "list-pods": "50%", "commit": "10%", "create-pod": "50%", "delete-pod": "50%", "ack": "5%"} {
		rep, log := told(t, "[{at: 3m, for: 3m, orchestrator: crash, command: "+command+", by: 4s, chance: "+chance+"}, {at: 3m, for: 3m, every: 30s, pod: crash, kind: Thing, count: 1}]")
		if !rep.OK() || len(rep.Pending) > 0 {
			t.Errorf("%s: violations %+v, pending %+v", command, rep.Violations, rep.Pending)
		}
		last := len(regexp.MustCompile(`led epoch=\d+`).FindAllString(log, -1))
		if (command == "read-tree") != (last == 1) && last < 2 { // none is read while all goes well
			t.Errorf("%s: led %d times", command, last)
		}
	}
	rep, log := told(t, "[{at: 3m, for: 10s, orchestrator: crash, command: commit, by: 3s}]")
	if !rep.OK() {
		t.Errorf("violations %+v", rep.Violations)
	}
	follows(t, log[strings.Index(log, "\n2m5"):], []string{`3m0.*Thing ← commit`, `3m1\d.*Thing → led epoch=2`})
}

// TestClockJumps lets the clock jump by less than what is left of the lease, and
// by more.
func TestClockJumps(t *testing.T) {
	rep, log := told(t, "[{at: 3m, orchestrator: clock, by: 3s}]")
	if !rep.OK() || strings.Contains(log, "deposed") {
		t.Errorf("a small jump: %+v", rep.Violations)
	}
	rep, log = told(t, "[{at: 3m, orchestrator: clock, by: 10m}]")
	if !rep.OK() || rep.Totals[history.InstancesReplaced] != 0 {
		t.Errorf("a large jump: %+v, replaced %v", rep.Violations, rep.Totals[history.InstancesReplaced])
	}
	follows(t, log, []string{`3m0s +Thing → deposed: the leadership could not be proved`, `3m1.* led epoch=2`})
}

// TestAfterASplitOneRemains crashes and splits at once.
func TestAfterASplitOneRemains(t *testing.T) {
	for _, faults := range []string{
		"[{at: 3m, for: 1m, orchestrator: split}, {at: 3m30s, for: 1m, orchestrator: crash}]",
		"[{at: 3m, for: 1m, orchestrator: crash}, {at: 3m30s, for: 1m, orchestrator: split}]",
		"[{at: 3m, for: 2m, orchestrator: split}, {at: 3m30s, for: 1m, orchestrator: split}]",
		"[{at: 3m, for: 2m, orchestrator: split}, {at: 3m30s, for: 3m, orchestrator: pause}]",
		"[{at: 3m, for: 3m, orchestrator: pause}, {at: 3m30s, for: 1m, orchestrator: split}]",
		"[{at: 3m, for: 3m, orchestrator: pause}, {at: 3m30s, for: 1m, orchestrator: crash}]",
		"[{at: 3m, for: 1m, orchestrator: pause}, {at: 3m30s, for: 1m, orchestrator: pause}, {at: 3m40s, for: 4m, orchestrator: pause}]",
		"[{at: 3m, for: 2m, orchestrator: split}, {at: 3m1s, for: 2m, orchestrator: crash, command: any, by: 1s}]",
	} {
		l, err := Begin(parse(t, `
duration: 25m
heal: 12m
kinds: [{kind: Thing, resources: 100}]
churn: [{kind: Thing, create: 1/s, delete: 1/s}]
faults: `+faults), Options{})
		if err != nil {
			t.Fatal(err)
		}
		l.Advance(25*time.Minute, math.MaxInt)
		r := l.run
		if len(r.procs) != 1 || r.procs[0].stopped != nil || r.procs[0].deaf {
			t.Errorf("%s: %d processes remain", faults, len(r.procs))
		}
		res, err := l.Close()
		if err != nil {
			t.Fatal(err)
		}
		if rep := res.Report; !rep.OK() || len(rep.Pending) > 0 {
			t.Errorf("%s: %+v, pending %+v", faults, rep.Violations, rep.Pending)
		}
	}
}

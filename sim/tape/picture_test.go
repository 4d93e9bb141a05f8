package tape_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/tape"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// drawn is what a tape shows besides its machines, in words.
func drawn(tp *tape.Tape) string {
	var b strings.Builder
	marks, all := tp.Marks(200)
	fmt.Fprintf(&b, "marks, all %v\n", all)
	for _, m := range marks {
		span := fmt.Sprintf("%v to %v", m.At.Round(time.Millisecond), m.Until.Round(time.Millisecond))
		switch {
		case m.Once:
			span = fmt.Sprint(m.At.Round(time.Millisecond))
		case m.Open:
			span += ", lasts"
		}
		fmt.Fprintf(&b, "  %-9s %-26s %-6s %-5v %s\n", m.Class, span, m.Kind, m.Instance, m.Text)
	}
	from, width, list := tp.Series(16)
	fmt.Fprintf(&b, "series from %v, each %v\n", from, width)
	for _, s := range list {
		fmt.Fprintf(&b, "  %s\n    resources %v\n    unplaced  %v\n    instances %v\n    up        %v\n    moves     %v\n    commits   %v\n    age      ",
			s.Kind, s.Resources, s.Unplaced, s.Instances, s.Up, s.Moves, s.Commits)
		for _, age := range s.HeartbeatAge {
			fmt.Fprintf(&b, " %.1f", age.Seconds())
		}
		b.WriteString("\n")
	}
	end := tp.Live()
	for _, kind := range tp.Kinds() {
		for _, r := range end.Reorchestrations(kind, 10) {
			fmt.Fprintf(&b, "run of %s: %v to %v, %s, %d moves, %d created, %d released %s\n", kind, r.Began, r.Ended, r.Outcome, r.Moves, r.Create, r.Release, r.Text)
		}
		for id := range fleet.InstanceID(3) {
			p := end.Pod(kind, id)
			for _, in := range append([]tape.Incarnation{p.Incarnation}, p.Past...) {
				fmt.Fprintf(&b, "pod %s %v: %s on %q, created %v, %v %q, running %v since %v, restarts %d %v, deleted %q, gone %v %v\n", kind, id, in.UID, in.Node,
					in.Created, in.Phase, in.Reason, in.Running, in.Ran, in.Restarts, in.Told, in.DeletedWhy, in.Gone, in.GoneAt)
			}
		}
	}
	list2, _ := end.Log(1<<20, func(e *tape.Entry) bool {
		return e.Type != tape.EntryMove && e.Type != tape.EntryCommit && e.Type != tape.EntryNote && e.Type != tape.EntryPod
	})
	for i := len(list2) - 1; i >= max(len(list2)-60, 0); i-- {
		e := list2[i]
		fmt.Fprintf(&b, "%10v %6d %-5s %d %-10s %-4v %s %s\n", e.At.Round(time.Millisecond), e.Event, e.Kind, e.Process, e.Type, e.Instance, e.Code, e.Text)
	}
	return b.String()
}

// TestPictures holds what tapes of whole runs show to golden text.
func TestPictures(t *testing.T) {
	for _, name := range []string{"crashes", "drain-and-maintenance", "split-brain", "kafka-blip"} {
		t.Run(name, func(t *testing.T) {
			sc := parsed(t, crashes)
			if name != "crashes" {
				sc = shipped(t, name)
			}
			tp, _ := ran(t, sc, tape.Config{})
			golden := filepath.Join("testdata", name+".txt")
			got := drawn(tp)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it shows\n%s\nwant %s", got, golden)
			}
		})
	}
}

package sweep

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"time"

	"dacorch/scenarios"
	"dacorch/sim/internal/history"
)

// Settled is the invariant that after heal everything settles.
const Settled = history.SettledName

// What a run can fail for besides the invariants, whose names stand in the same
// place.
const (
	Expectation = "expectation" // one that was not met
	Unsettled   = "unsettled"   // something had not settled at the end
	Panic       = "panic"
	NoEnd       = "no-end"  // the run did not end
	Refused     = "refused" // the scenario cannot be played
)

// Failure is a cause for which a run has failed.
type Failure struct {
	// Group names the cause: eight hexadecimal digits that the invariant and the
	// kind of reason determine, the same in every run.
	Group     string        `json:"group"`
	Invariant string        `json:"invariant"`
	Kind      string        `json:"kind,omitempty"` // of resources
	Cause     string        `json:"cause"`          // the reason without its numbers and names
	Reason    string        `json:"reason"`         // as the run gave it, the first of its cause
	At        time.Duration `json:"at_ns"`
}

func failure(invariant, kind, reason string, at time.Duration) Failure {
	f := Failure{Invariant: invariant, Kind: kind, Reason: reason, At: at, Cause: reason}
	if invariant == Expectation { // but for the value, it is the cause
		f.Cause, _, _ = strings.Cut(reason, " ")
	} else {
		f.Cause = causeOf(reason, kind)
	}
	h := fnv.New32a()
	h.Write([]byte(invariant))
	h.Write([]byte{0})
	h.Write([]byte(f.Cause))
	f.Group = fmt.Sprintf("%08x", h.Sum32())
	return f
}

// has says whether one of the failures is of the group.
func has(fs []Failure, group string) (Failure, bool) {
	for _, f := range fs {
		if f.Group == group {
			return f, true
		}
	}
	return Failure{}, false
}

var (
	quoted  = regexp.MustCompile(`"[^"]*"`)
	numbers = regexp.MustCompile(`\b[0-9][0-9a-zµ.:+]*(-[0-9][0-9a-zµ.:]*)*`)
	listed  = regexp.MustCompile(`\b(instance)s? N((, N)* and N)?`)
	series  = regexp.MustCompile(`N([ ,]+N)+`)
)

// causeOf is a reason without what differs from run to run: names, numbers and
// times, how many instances there are, and what the kind is called.
func causeOf(reason, kind string) string {
	s := quoted.ReplaceAllString(reason, `"…"`)
	if kind != "" {
		s = strings.ReplaceAll(s, kind, "K")
	}
	s = numbers.ReplaceAllString(s, "N")
	s = listed.ReplaceAllString(s, "$1 N")
	return series.ReplaceAllString(s, "N")
}

// panicked is the failure of a run that panicked: its cause is the message and
// the function of ours that the stack names first.
func panicked(sc *scenarios.Scenario, v any, stack string) Failure {
	message := fmt.Sprint(v)
	for i := range sc.Kinds {
		message = strings.ReplaceAll(message, sc.Kinds[i].Kind, "K")
	}
	where := "unknown"
	lines := strings.Split(stack, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "panic(") {
			continue
		}
		for _, frame := range lines[i+1:] {
			if name, ok := strings.CutPrefix(frame, "dacorch/"); ok {
				where, _, _ = strings.Cut(name, "(0x")
				where = strings.TrimSuffix(where, "(...)")
				break
			}
		}
		break
	}
	f := failure(Panic, "", message+" in "+where, 0)
	f.Reason = fmt.Sprint(v) + "\n" + stack
	return f
}

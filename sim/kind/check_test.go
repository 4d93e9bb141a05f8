package kind

import (
	"testing"

	"dacorch/scenarios"
)

// TestFaultWords holds what the vocabulary says of a fault on kind to what a run does.
func TestFaultWords(t *testing.T) {
	var g *ground
	for _, w := range scenarios.FaultWords {
		no := g.Cannot(&scenarios.Fault{What: w.What, Of: w.Of})
		if (no == "") != (w.Kind != "") {
			t.Errorf("%s: the vocabulary says %q, a run refuses it with %q", w.What, w.Kind, no)
		}
	}
}

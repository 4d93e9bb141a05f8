package sim

import (
	"testing"

	"dacorch/scenarios"
)

// TestRegressions plays the scenarios that once showed a bug.
func TestRegressions(t *testing.T) {
	for _, name := range scenarios.Regressions() {
		t.Run(name, func(t *testing.T) {
			sc, err := scenarios.Regression(name)
			if err != nil {
				t.Fatal(err)
			}
			if sc.On == scenarios.OnWire {
				t.Skip("it needs the wire")
			}
			mustSettle(t, sc)
		})
	}
}

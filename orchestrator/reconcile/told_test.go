package reconcile_test

import (
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// TestTold: every order and every purpose has its words, which the event stream
// tells people.
func TestTold(t *testing.T) {
	for _, test := range []struct {
		order reconcile.Order
		name  string
		about fleet.InstanceID
	}{
		{reconcile.Orchestrate{}, "orchestrate", fleet.NoInstance},
		{reconcile.Drain{Instance: 3}, "drain", 3},
		{reconcile.Undrain{Instance: 0}, "undrain", 0},
		{reconcile.Replace{Instance: 7}, "replace", 7},
		{reconcile.Maintenance{On: true}, "maintenance on", fleet.NoInstance},
		{reconcile.Maintenance{}, "maintenance off", fleet.NoInstance},
	} {
		if name, about := reconcile.Told(test.order); name != test.name || about != test.about {
			t.Errorf("%+v is told as %q about %v", test.order, name, about)
		}
	}
	for p, want := range map[reconcile.Purpose]string{reconcile.PurposeReplace: "replace", reconcile.PurposeOrdered: "ordered",
		reconcile.PurposeRelease: "release", 9: "Purpose(9)"} {
		if p.String() != want {
			t.Errorf("purpose %d is %q, want %q", uint8(p), p, want)
		}
	}
}

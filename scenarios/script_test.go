package scenarios

import "testing"

// TestSameSubject: the later of two orders about the same takes the earlier back.
func TestSameSubject(t *testing.T) {
	order := func(what OrderKind, kind string, instance int) *Order {
		return &Order{What: what, Kind: kind, Instance: instance}
	}
	for _, s := range []struct {
		a, b *Order
		want bool
	}{
		{order(Drain, "Thing", 3), order(Undrain, "Thing", 3), true},
		{order(Drain, "Thing", 3), order(Drain, "Thing", 4), false},
		{order(Drain, "Thing", 3), order(Replace, "Thing", 3), false},
		{order(Orchestrate, "Thing", 0), order(Orchestrate, "Thing", 0), true},
		{order(Orchestrate, "Thing", 0), order(Orchestrate, "Rule", 0), false},
		{order(Maintenance, "Thing", 0), order(Maintenance, "Thing", 0), true},
	} {
		if got := s.a.Subject() == s.b.Subject(); got != s.want {
			t.Errorf("%+v and %+v: %v, want %v", s.a, s.b, got, s.want)
		}
	}
}

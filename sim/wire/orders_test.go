package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/scenarios"
)

// TestTakenLater: who is told that nobody can take an order now gives it again; who
// is refused does not. Where there was no answer, or none in time, it may be under
// way.
func TestTakenLater(t *testing.T) {
	transport := func(op string) error {
		return fmt.Errorf("api: %w", &url.Error{Op: "Post", URL: "http://localhost", Err: &net.OpError{Op: op, Net: "tcp", Err: errors.New("refused")}})
	}
	for _, s := range []struct {
		err          error
		later, begun bool
	}{
		{nil, false, false},
		{transport("dial"), true, false},
		{transport("read"), true, true},
		{fmt.Errorf("api: %w", io.ErrUnexpectedEOF), true, true},
		{api.Errorf(api.CodeNotLeader, "no"), true, false},
		{api.Errorf(api.CodeNoLeader, "no"), true, false},
		{api.Errorf(api.CodeUnavailable, "no"), true, false},
		{api.Errorf(api.CodeBusy, "no"), true, false},
		{api.Errorf(api.CodeUpstream, "no"), true, true},
		{api.Errorf(api.CodeTimeout, "no"), true, true},
		{api.Errorf(api.CodeRefused, "no"), false, false},
		{api.Errorf(api.CodeConflict, "no"), false, false},
		{api.Errorf(api.CodeUnauthorized, "no"), false, false},
		{fmt.Errorf("api: %w", api.Errorf(api.CodeOutOfRange, "no")), false, false},
	} {
		if later, begun := takenLater(s.err); later != s.later || begun != s.begun {
			t.Errorf("%v: later %v, begun %v, want %v and %v", s.err, later, begun, s.later, s.begun)
		}
	}
}

// TestSameSubject: the later of two orders about the same takes the earlier back.
func TestSameSubject(t *testing.T) {
	order := func(what scenarios.OrderKind, kind string, instance int) *scenarios.Order {
		return &scenarios.Order{What: what, Kind: kind, Instance: instance}
	}
	for _, s := range []struct {
		a, b *scenarios.Order
		want bool
	}{
		{order(scenarios.Drain, "Thing", 3), order(scenarios.Undrain, "Thing", 3), true},
		{order(scenarios.Drain, "Thing", 3), order(scenarios.Drain, "Thing", 4), false},
		{order(scenarios.Drain, "Thing", 3), order(scenarios.Replace, "Thing", 3), false},
		{order(scenarios.Orchestrate, "Thing", 0), order(scenarios.Orchestrate, "Thing", 0), true},
		{order(scenarios.Orchestrate, "Thing", 0), order(scenarios.Orchestrate, "Rule", 0), false},
		{order(scenarios.Maintenance, "Thing", 0), order(scenarios.Maintenance, "Thing", 0), true},
	} {
		if got := sameSubject(s.a, s.b); got != s.want {
			t.Errorf("%+v and %+v: %v, want %v", s.a, s.b, got, s.want)
		}
	}
}

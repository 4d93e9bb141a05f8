package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"dacorch/orchestrator/api"
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

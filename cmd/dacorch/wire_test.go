package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestBesides: of an interrupted run it is told what else went wrong, wherever it
// stands among what says only that it was interrupted.
func TestBesides(t *testing.T) {
	left, kept := errors.New("a namespace is left"), errors.New("kafka was not started again")
	stopped := fmt.Errorf("the rows of the start: %w", context.Canceled)
	for _, s := range []struct {
		err  error
		want string
	}{
		{context.Canceled, ""},
		{errors.Join(context.Canceled, nil), ""},
		{errors.Join(stopped, errors.Join(context.Canceled)), ""},
		{errors.Join(context.Canceled, left), "a namespace is left"},
		{errors.Join(errors.Join(stopped, errors.Join(left)), kept), "a namespace is left\nkafka was not started again"},
		{left, "a namespace is left"},
	} {
		got := besides(s.err, context.Canceled)
		if got == nil && s.want != "" || got != nil && got.Error() != s.want {
			t.Errorf("besides of %q: %v, want %q", s.err, got, s.want)
		}
	}
}

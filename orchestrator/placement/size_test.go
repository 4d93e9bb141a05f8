package placement

import (
	"errors"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

func TestSize(t *testing.T) {
	n := func(v int) *int { return &v }
	for _, tc := range []struct {
		name   string
		limits Limits
		count  int
		req    Request
		want   Size
		err    string
	}{
		{name: "nothing: the init rule", want: Size{10, 1, 5000, 100}},
		{name: "few: the init rule", count: 12, want: Size{10, 2, 5000, 100}},
		{name: "multiple of init", count: 20, want: Size{10, 3, 5000, 100}},
		{name: "just below ten instances", count: 44_999, want: Size{10, 4500, 5000, 100}},
		{name: "ten instances", count: 45_000, want: Size{10, 5000, 5000, 100}},
		{name: "a multiple of R has one instance more", count: 50_000, want: Size{11, 5000, 5000, 100}},
		{name: "the most", count: 499_999, want: Size{100, 5000, 5000, 100}},
		{name: "one too many", count: 500_000, err: "require instances more than the max: 101/100"},
		{name: "request", count: 1000, req: Request{n(50), n(30)}, want: Size{21, 50, 50, 30}},
		{name: "request too small", count: 1000, req: Request{n(50), n(20)}, err: "require instances more than the max: 21/20"},
		{name: "init overrules a smaller max", count: 5, req: Request{nil, n(3)}, want: Size{10, 1, 5000, 3}},
		{name: "R 0", req: Request{ResourcePerInstance: n(0)}, err: "resourcePerInstance: 0 is not valid: want 1 to 4999"},
		{name: "R at the ceiling", req: Request{ResourcePerInstance: n(5000)}, err: "resourcePerInstance: 5000 is not valid: want 1 to 4999"},
		{name: "max 2", req: Request{MaxInstances: n(2)}, err: "maxInstances: 2 is not valid: want 3 to 99"},
		{name: "max at the ceiling", req: Request{MaxInstances: n(100)}, err: "maxInstances: 100 is not valid: want 3 to 99"},
		{name: "count below 0", count: -1, err: "count: -1 is not valid: want 0 or more"},
		{name: "ceilings far beyond", limits: Limits{ResourcePerInstance: 10_000, MaxInstances: 20_000}, count: 1_000_000,
			req: Request{n(101), n(10_000)}, want: Size{9901, 101, 101, 10_000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.limits.Size(tc.count, tc.req)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Fatalf("%+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestTooManyIsTyped(t *testing.T) {
	_, err := Limits{}.Size(500_000, Request{})
	var many *TooManyError
	if !errors.As(err, &many) || *many != (TooManyError{101, 100}) {
		t.Fatalf("%#v", err)
	}
}

func TestLimitsValidate(t *testing.T) {
	for field, l := range map[string]Limits{
		"":                    {},
		"resourcePerInstance": {ResourcePerInstance: 1},
		"maxInstances":        {MaxInstances: 3},
		"initInstances":       {InitInstances: 101},
	} {
		err := l.Validate()
		var bad *fleet.FieldError
		if field == "" && err != nil || field != "" && (!errors.As(err, &bad) || bad.Field != field) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if err := (Limits{ResourcePerInstance: -4}).Validate(); err == nil || !strings.Contains(err.Error(), "want 2 to") {
		t.Error(err)
	}
}

package zookeeper

import (
	"fmt"
	"slices"
	"testing"
)

func TestObserve(t *testing.T) {
	s := start(t, Config{})
	r := mustDialRaw(t, s.Addr())
	var told []string // f is called one at a time, before the answer that is waited for
	s.Observe(func(session int64, changes []Change) {
		for _, c := range changes {
			told = append(told, fmt.Sprintf("%v %s %s %q v%d c%d", session == r.session, c.Op, c.Path, c.Data, c.Version, c.Czxid))
		}
	})
	for _, e := range []entry{
		{opCreate, createBody("/a", []byte("1"), openACL, flagEphemeral)},
		{opCreate, createBody("/a", nil, openACL, 0)}, // refused
		{opMulti, multiBody([]entry{
			{opSetData, setBody("/a", []byte("2"), -1)},
			{opCheck, versionBody("/a", 1)},
			{opCreate, createBody("/s", nil, openACL, flagSequential)},
		})},
		{opCloseSession, nil},
	} {
		if a, err := r.do(e.op, e.body); err != nil || a.closed {
			t.Fatal(a, err)
		}
	}
	s.Observe(nil)
	want := []string{`true create /a "1" v0 c2`, `true setData /a "2" v1 c2`, `true create /s0000000001 "" v0 c4`, `true delete /a "" v0 c0`}
	if !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
}

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestChecks: what the suite judges by finds what is wrong. It needs no rig.
func TestChecks(t *testing.T) {
	on := func(ids ...string) node { return node{used: len(ids), count: 2, ids: ids, session: true} }
	good := tree{0: on("a", "b"), 1: on("c")}
	if err := good.wrong(); err != nil {
		t.Error(err)
	}
	if err := good.complete(set([]string{"a", "b", "c"})); err != nil {
		t.Error(err)
	}
	refused := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answers %v: want %q", err, want)
		}
	}
	refused(tree{0: on("a", "b"), 1: on("b")}.wrong(), "resource b stands on instances [0 1]")
	refused(tree{0: on("a", "a")}.wrong(), "resource a stands on instances [0 0]")
	refused(tree{0: {used: 2, count: 2, ids: []string{"a"}}}.wrong(), "instance 0: used is 2, with a list of 1")
	refused(good.complete(set([]string{"a", "b", "c", "d"})), "1 rows stand nowhere (d), 0 resources")
	refused(good.complete(set([]string{"a", "b"})), "0 rows stand nowhere (), 1 resources are no rows (c)")
	refused(tree{0: on("a", "b", "c")}.complete(set([]string{"a", "b", "c"})), "instance 0 holds 3 of at most 2")
	k := newKind("Any", nil)
	refused(node{applied: 1, times: 1}.confirmed(k, 4), "any-4 has no tmp/status")
	refused(node{session: true, applied: 1, times: 2}.confirmed(k, 4), "any-4 confirms 1, and _reload says 2")
}

// TestLeaksAreSeen: a secret in a log is found, whichever line of it stands there.
func TestLeaksAreSeen(t *testing.T) {
	secrets := map[string][]byte{"kafka": []byte("wrong-abc"), "ca.crt": []byte("open"), "tokens": []byte("a write t1\nb read t2\n"),
		"api.key": []byte("-----BEGIN KEY-----\nMIIE\nQQ==\n-----END KEY-----\n"), "empty": nil}
	for logged, want := range map[string]string{
		"user \"dacorch\" is refused, open, -----BEGIN KEY-----": "[]",
		"password=wrong-abc":      "[kafka]",
		"a write t1, then QQ== b": "[api.key tokens]",
	} {
		if got := fmt.Sprint(leaks(secrets, logged)); got != want {
			t.Errorf("%q leaks %s: want %s", logged, got, want)
		}
	}
}

// TestWatchSees: the watch tells, once, what must not be seen, and counts moves.
func TestWatchSees(t *testing.T) {
	k := newKind("Any", nil)
	var told []string
	o := newWatch(k, func(text string) { told = append(told, text) })
	begin := time.Now()
	look := func(after time.Duration, now tree) { o.look(now, begin.Add(after)) }
	on := func(ids ...string) node { return node{used: len(ids), ids: ids} }

	look(1*time.Second, tree{0: on("a", "b"), 1: on()})
	look(2*time.Second, tree{0: on("a"), 1: on("b", "c")})
	k.release("a")
	look(3*time.Second, tree{0: on(), 1: on("b", "c")})
	if len(told) != 0 || o.moves != 1 || o.blind != time.Second {
		t.Errorf("told %q, %d moves, blind for %v: want nothing, 1, 1s", told, o.moves, o.blind)
	}
	lives := map[string]life{"a": {came: begin}, "c": {came: begin}, "brief": {came: begin, went: begin.Add(time.Second)}}
	if got, want := o.waited(lives), (waits{worst: 2 * time.Second, id: "c", never: 1}); got != want {
		t.Errorf("rows waited %+v: want %+v", got, want)
	}
	lives["nowhere"] = life{came: begin.Add(-10 * time.Second)}
	if got, want := o.waited(lives), (waits{worst: 13 * time.Second, id: "nowhere", late: 1, never: 2}); got != want {
		t.Errorf("rows waited %+v: want %+v", got, want)
	}
	look(4*time.Second, tree{0: on("b"), 1: on("b")})
	look(5*time.Second, tree{0: on("b"), 1: on("b")})
	want := "resource b stands on instances [0 1]\nresource c stood on instance 1 and stands nowhere, and its row is there"
	if got := strings.Join(told, "\n"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

func set(ids []string) map[string]bool {
	out := map[string]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out
}

package zookeeper

import (
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/porttest/real"
)

// word sends a four-letter word.
func word(t testing.TB, addr, word string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWords(t *testing.T) {
	s := start(t, Config{})
	r := mustDialRaw(t, s.Addr())
	if a, err := r.do(opCreate, createBody("/a", nil, openACL, flagEphemeral)); err != nil || a.err != 0 {
		t.Fatal(a, err)
	}
	if got := word(t, s.Addr(), "ruok"); got != "imok" {
		t.Errorf("ruok: %q", got)
	}
	if ok := zk.FLWRuok([]string{s.Addr()}, patience); !ok[0] {
		t.Error("the client library does not take it for healthy")
	}
	stats, fine := zk.FLWSrvr([]string{s.Addr()}, patience)
	if !fine || stats[0].NodeCount != 6 || stats[0].Counter != 2 || stats[0].Mode != zk.ModeStandalone {
		t.Errorf("srvr: %+v, %v", stats[0], stats[0].Error)
	}
	for _, want := range []string{"zk_ephemerals_count\t1\n", "zk_znode_count\t6\n", "zk_server_state\tstandalone\n"} {
		if got := word(t, s.Addr(), "mntr"); !strings.Contains(got, want) {
			t.Errorf("mntr without %q:\n%s", want, got)
		}
	}
}

// TestWordsSameAsReal compares the lines' names, and the values that do not
// depend on the machine, after the same requests.
func TestWordsSameAsReal(t *testing.T) {
	s := start(t, Config{})
	addrs := []string{s.Addr(), real.ZooKeeper(t).Addr}
	told := map[string][]map[string]string{}
	for _, addr := range addrs {
		r := mustDialRaw(t, addr)
		for _, e := range []entry{
			{opCreate, createBody("/a", []byte("12345"), openACL, 0)},
			{opCreate, createBody("/a/e", nil, openACL, flagEphemeral)},
			{opGetData, watchBody("/a", true)},
			{opExists, watchBody("/b", true)},
			{opGetChildren, watchBody("/a", true)},
		} {
			if _, err := r.do(e.op, e.body); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range []string{"srvr", "stat", "mntr", "ruok"} {
			told[w] = append(told[w], fields(word(t, addr, w)))
		}
	}
	for w, sides := range told {
		for name, value := range sides[0] {
			if volatile.MatchString(name) {
				value = sides[1][name]
			}
			if got, there := sides[1][name]; !there || got != value {
				t.Errorf("%s: %q is %q, real %q (%v)", w, name, value, got, there)
			}
		}
		if w == "mntr" {
			continue // the real one tells hundreds of lines more
		}
		for name := range sides[1] {
			if _, there := sides[0][name]; !there {
				t.Errorf("%s: no %q", w, name)
			}
		}
	}
	if names := slices.Collect(maps.Keys(told["srvr"][0])); len(names) < 9 {
		t.Errorf("srvr tells only %q", names)
	}
}

var volatile = regexp.MustCompile(`version|Latency|Received|Sent|packets|^Connections|connections| /`)

// fields splits the answer to a word into names and values.
func fields(answer string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		name, value, cut := strings.Cut(line, "\t")
		if !cut {
			name, value, _ = strings.Cut(line, ": ")
		}
		if name != "" && !strings.HasPrefix(name, "/") { // a client's address
			out[name] = value
		}
	}
	return out
}

package wire

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestReservedPort: a kept port is free for a server that names it, again and
// again, and for nobody who takes any.
func TestReservedPort(t *testing.T) {
	addr, port, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("the port is not free for its server: %v", err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("somebody answers where nobody listens")
	}
	for range 300 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().String() == addr {
			t.Fatal("the port was given away")
		}
	}
	if err := port.Close(); err != nil {
		t.Error(err)
	}
}

// shell makes a process of a line of sh.
func shell(t *testing.T, line string) *process {
	_, port, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	return &process{name: "o1", url: "http://127.0.0.1:1", ctx: t.Context(), log: testLog{t}, port: port,
		serve: func(ctx context.Context, _ string) *exec.Cmd { return exec.CommandContext(ctx, "sh", "-c", line) }}
}

// TestProcessDies: a process that ends by itself is told of with its last words;
// one that was killed or asked to end is not.
func TestProcessDies(t *testing.T) {
	p := shell(t, "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; echo the database is on fire >&2; exit 3")
	died := make(chan error, 1)
	p.died = func(why error) { died <- why }
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	select {
	case why := <-died:
		for _, want := range []string{"o1 ended by itself", "exit status 3", "the database is on fire", "line 9"} {
			if !strings.Contains(why.Error(), want) {
				t.Errorf("told of it as %q, want %q in it", why, want)
			}
		}
		if strings.Contains(why.Error(), "line 1\n") {
			t.Errorf("all of what it said is shown: %q", why)
		}
	case <-time.After(patience):
		t.Fatal("nobody was told")
	}
	if err := p.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "on fire") {
		t.Errorf("ready answers %v", err)
	}
	if err := p.stop(); err != nil {
		t.Errorf("stop of what has ended: %v", err)
	}
	for name, end := range map[string]func(p *process) error{
		"killed":       func(p *process) error { p.kill(); return p.stop() },
		"asked to end": (*process).stop,
	} {
		p := shell(t, "exec sleep 1000")
		p.died = func(why error) { t.Errorf("%s, it is told of: %v", name, why) }
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		if err := end(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTail: no more than a bound is kept, whatever is written.
func TestTail(t *testing.T) {
	said := &tail{}
	if got := said.String(); got != ", and said nothing" {
		t.Errorf("nothing was said: %q", got)
	}
	for i := range 1000 {
		fmt.Fprintf(said, "%d %s\n", i, strings.Repeat("x", i*20))
		if len(said.kept) > tailBytes {
			t.Fatalf("%d bytes kept", len(said.kept))
		}
	}
	fmt.Fprintln(said, "the end")
	if got := said.String(); !strings.HasSuffix(got, "\n  the end") {
		t.Errorf("%q does not end with the last line", got)
	}
}

// TestStartsOnItsPort: the orchestrator listens where it was told to, and does so
// again after it was killed.
func TestStartsOnItsPort(t *testing.T) {
	x := startPlatform(t, Config{}, 1, 2*time.Second)
	p := x.procs[0]
	p.kill()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.ready(ctx); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(p.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

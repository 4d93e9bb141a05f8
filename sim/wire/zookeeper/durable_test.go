package zookeeper

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// state is what must survive: nodes, sessions, and the count of changes.
func (s *Server) state() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zxid %d\n", s.Zxid())
	for _, n := range s.Dump() {
		fmt.Fprintf(&b, "%s %q %v %v %+v\n", n.Path, n.Data, n.Data == nil, n.ACL, n.Stat)
	}
	for _, ses := range s.Sessions() {
		fmt.Fprintf(&b, "session %x %v %q\n", ses.ID, ses.Timeout, ses.Ephemerals)
	}
	return b.String()
}

// recovered reads a data directory without serving clients.
func recovered(dir string) (*Server, error) {
	config, err := Config{DataDir: dir}.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, started: time.Now(), tree: newTree(), sessions: map[int64]*session{}}
	if err := s.recover(); err != nil {
		return nil, err
	}
	return s, s.log.close()
}

// history makes some changes of every sort, and answers the state after each
// with the log, byte for byte.
func history(t testing.TB, dir string) (states []string, log []byte) {
	s := start(t, Config{DataDir: dir})
	states = append(states, s.state())
	a := mustDialRaw(t, s.Addr())
	note := func(r reply, err error) {
		t.Helper()
		if err != nil || r.closed {
			t.Fatal(r, err)
		}
		states = append(states, s.state())
	}
	note(a.do(opSync, pathBody("/"))) // the opening of a's session
	note(a.do(opCreate, createBody("/a", []byte("one"), openACL, 0)))
	note(a.do(opCreate, createBody("/a/e", nil, openACL, flagEphemeral)))
	note(a.do(opSetData, setBody("/a", []byte("two"), 0)))
	note(a.do(opSetData, setBody("/a", []byte("refused"), 0)))
	note(a.do(opMulti, multiBody([]entry{
		{opCreate, createBody("/a/s", []byte{}, openACL, flagSequential)},
		{opSetData, setBody("/a", bytes.Repeat([]byte("x"), 50), 1)},
		{opDelete, versionBody("/a/e", 0)},
		{opCheck, versionBody("/a", 2)},
	})))
	note(a.do(opSetACL, putInt(putACL(putString(nil, "/a"), []ACL{{permRead, "world", "anyone"}}), 0)))
	b := mustDialRaw(t, s.Addr())
	note(b.do(opSync, pathBody("/")))
	note(b.do(opCreate, createBody("/e", []byte("b's"), openACL, flagEphemeral)))
	note(b.do(opCloseSession, nil))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(logName(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	return states, log
}

func TestCrashAtEveryByteOfTheLog(t *testing.T) {
	t.Parallel()
	states, log := history(t, t.TempDir())
	if strings.HasPrefix(states[1], "zxid 0") || len(states) != 11 {
		t.Fatalf("%d states, the second %s", len(states), states[1])
	}
	dir := t.TempDir()
	ends := []int{0}
	for at := 0; at < len(log); {
		body, ok := recordAt(log[at:])
		if !ok {
			t.Fatalf("no record at byte %d", at)
		}
		at += recordHead + len(body)
		ends = append(ends, at)
	}
	if len(ends) != len(states) {
		t.Fatalf("%d transactions in the log, want %d", len(ends)-1, len(states)-1)
	}
	for n := range len(log) + 1 {
		for _, rest := range []int{0, 100} { // bytes of space that was never written
			left := append(slices.Clone(log[:n]), make([]byte, rest)...)
			whole := 0
			for whole+1 < len(ends) && len(left) >= ends[whole+1] && bytes.Equal(left[:ends[whole+1]], log[:ends[whole+1]]) {
				whole++
			}
			if err := os.WriteFile(logName(dir, 1), left, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := recovered(dir)
			if err != nil {
				t.Fatalf("cut at byte %d of %d: %v", n, len(log), err)
			}
			if got := s.state(); got != states[whole] {
				t.Fatalf("cut at byte %d of %d:\n%s\nwant\n%s", n, len(log), got, states[whole])
			}
			if info, err := os.Stat(logName(dir, 1)); err != nil || info.Size() != int64(ends[whole]) {
				t.Fatalf("the torn end was not cut off: %v, %v", info, err)
			}
		}
	}
}

// TestDamagedLogIsRefused flips bits before the last transaction: nothing that
// was answered may go missing unseen. (Only a length may lie so that the rest
// looks like a torn end.)
func TestDamagedLogIsRefused(t *testing.T) {
	t.Parallel()
	_, log := history(t, t.TempDir())
	dir := t.TempDir()
	for at := 0; ; {
		body, _ := recordAt(log[at:])
		next := at + recordHead + len(body)
		if next == len(log) {
			return
		}
		for i := at + 4; i < next; i++ {
			damaged := slices.Clone(log)
			damaged[i] ^= 1
			if err := os.WriteFile(logName(dir, 1), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := recovered(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("damaged at byte %d", at)) {
				t.Fatalf("damage at byte %d: %v", i, err)
			}
		}
		at = next
	}
}

func TestRestartResumesSessions(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{false, true} {
		dir := t.TempDir()
		config := Config{DataDir: dir, Sync: sync, TickTime: 50 * time.Millisecond, MaxSessionTimeout: time.Minute}
		s := start(t, config)
		config.Addr = s.Addr()
		c := connect(t, s.Addr(), 20*time.Second)
		id := c.SessionID()
		must[string](t)(c.Create("/mine", []byte("x"), zk.FlagEphemeral, open))
		_, _, changed, err := c.GetW("/mine")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		want := s.state()
		s = start(t, config)
		if got := s.state(); got != want {
			t.Errorf("after the restart:\n%s\nwant\n%s", got, want)
		}
		c.await(t, zk.StateDisconnected)
		c.await(t, zk.StateHasSession)
		if c.SessionID() != id {
			t.Errorf("session %x, was %x", c.SessionID(), id)
		}
		// Another client makes the change: this one would race with itself while
		// it sets its watches again.
		if r, err := mustDialRaw(t, s.Addr()).do(opSetData, setBody("/mine", []byte("y"), -1)); err != nil || r.err != 0 {
			t.Fatal(r, err)
		}
		if e := heard(t, changed); e.Type != zk.EventNodeDataChanged {
			t.Errorf("event %+v", e)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestartInMemoryForgets(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	addr := s.Addr()
	c := connect(t, addr, 20*time.Second)
	id := c.SessionID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Addr: addr})
	c.await(t, zk.StateExpired)
	c.await(t, zk.StateHasSession)
	if c.SessionID() == id {
		t.Error("a session of the former server was resumed")
	}
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := Config{DataDir: dir, TickTime: 50 * time.Millisecond, MaxSessionTimeout: time.Minute, SnapshotEvery: 2000}
	s := start(t, config)
	c := mustDialRaw(t, s.Addr())
	for i := range 300 {
		flags := int32(i % 3 % 2) // some of them ephemeral
		if r, err := c.do(opCreate, createBody(fmt.Sprintf("/n%d", i), []byte("data"), openACL, flags)); err != nil || r.err != 0 {
			t.Fatal(r, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := s.state()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 {
		t.Errorf("files %q, want one snapshot and one log", files)
	}
	for range 3 { // each start reads what the one before left
		s = start(t, config)
		if got := s.state(); got != want {
			t.Fatalf("after the restart:\n%s\nwant\n%s", got, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrashDuringSnapshot leaves behind what a crash between any two of a
// snapshot's steps does.
func TestCrashDuringSnapshot(t *testing.T) {
	t.Parallel()
	states, log := history(t, t.TempDir())
	want := states[len(states)-1]
	whole := t.TempDir()
	if err := os.WriteFile(logName(whole, 1), log, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := recovered(whole)
	if err != nil {
		t.Fatal(err)
	}
	zxid := s.Zxid()
	for _, step := range []string{"begun", "renamed", "new log", "done"} {
		dir := t.TempDir()
		write := func(name string, b []byte) {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if step == "begun" {
			write(snapshotName(dir, zxid)+".tmp", []byte("half of"))
		} else if err := writeSnapshot(dir, zxid, s.image()); err != nil {
			t.Fatal(err)
		}
		if step != "done" {
			write(logName(dir, 1), log)
		}
		if step == "new log" || step == "done" {
			write(logName(dir, zxid+1), nil)
		}
		for range 2 {
			again, err := recovered(dir)
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			if got := again.state(); got != want {
				t.Errorf("%s:\n%s\nwant\n%s", step, got, want)
			}
		}
	}
	damaged := t.TempDir()
	image := s.image()
	image[len(image)/2] ^= 1
	if err := os.WriteFile(snapshotName(damaged, zxid), image, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := recovered(damaged); err == nil || !strings.Contains(err.Error(), "snapshot") {
		t.Errorf("a damaged snapshot: %v", err)
	}
}

func TestSessionNotResumedExpires(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir(), TickTime: 20 * time.Millisecond, MaxSessionTimeout: 10 * time.Second}
	s := start(t, config)
	r, err := dialRaw(s.Addr(), 500, 0, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.nc.Close()
	if a, err := r.do(opCreate, createBody("/mine", nil, openACL, flagEphemeral)); err != nil || a.err != 0 {
		t.Fatal(a, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, config)
	eventually(t, "the session ends", func() bool { return len(s.Sessions()) == 0 })
	if _, _, there := s.Get("/mine"); there {
		t.Error("its ephemeral node is still there")
	}
}

// TestLogThatCannotBeWritten must lose nothing that was answered: from then on
// nothing is.
func TestLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, Config{DataDir: dir})
	r := mustDialRaw(t, s.Addr())
	if a, err := r.do(opCreate, createBody("/kept", nil, openACL, 0)); err != nil || a.err != 0 || a.closed {
		t.Fatal(a, err)
	}
	if err := s.log.file.Close(); err != nil {
		t.Fatal(err)
	}
	if a, err := r.do(opCreate, createBody("/lost", nil, openACL, 0)); err != nil || !a.closed {
		t.Errorf("answered without a log: %+v, %v", a, err)
	}
	if other, err := dialRaw(s.Addr(), 1000, 0, nil, 0); err == nil {
		t.Errorf("a session without a log: %+v", other)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "log") {
		t.Errorf("close: %v", err)
	}
	again, err := recovered(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, there := again.Get("/kept"); !there {
		t.Error("what was answered is lost")
	}
}

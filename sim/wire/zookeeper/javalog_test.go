package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/porttest/real"
)

// told is what somebody was told of a transaction.
func told(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		if c.Op == "delete" {
			c.Data, c.Version = nil, 0 // the stand-in tells what the node held
		}
		fmt.Fprintf(&b, "%s %s %q v%d; ", c.Op, c.Path, c.Data, c.Version)
	}
	return b.String()
}

// TestLogOfRealZooKeeper: what a real ZooKeeper has written to its transaction log
// is what the stand-in's observer is told of the same requests; over rotations of
// the log, over a kill and over a stop of the server.
func TestLogOfRealZooKeeper(t *testing.T) {
	t.Parallel()
	server := real.ZooKeeper(t, real.Setting("snapCount", "60"))
	standIn := start(t, Config{})
	writes(t, connect(t, server.Addr, 10*time.Second), rand.New(rand.NewPCG(1, 2)), "/before", 50)

	dir := filepath.Join(server.Dir, "data", "version-2")
	l, err := FollowLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex // guards want
	var got, want []string
	standIn.Observe(func(_ int64, changes []Change) {
		mu.Lock()
		defer mu.Unlock()
		want = append(want, told(changes))
	})
	catchUp := func(root string) {
		t.Helper()
		mark := "delete " + root + "/last " // the end of the writer's session, which it does not wait for
		ended := func(told []string) bool { return len(told) > 0 && strings.Contains(told[len(told)-1], mark) }
		tick := time.NewTicker(20 * time.Millisecond) // the server needs the processor, too
		defer tick.Stop()
		for deadline := time.Now().Add(patience); ; <-tick.C {
			if err := l.Read(func(_ int64, at time.Time, changes []Change) {
				if since := time.Since(at); since < -time.Hour || since > time.Hour {
					t.Errorf("a transaction of %v", at)
				}
				got = append(got, told(changes))
			}); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			both := ended(got) && ended(want)
			mu.Unlock()
			if both || time.Now().After(deadline) {
				break
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("transaction %d: the log has\n%s\nthe stand-in tells\n%s", i, got[i], want[i])
			}
		}
		if len(got) != len(want) || !ended(got) {
			t.Fatalf("the log has %d transactions, the stand-in tells %d; the writer's end is among the log's: %v", len(got), len(want), ended(got))
		}
	}
	for round, again := range []func(){func() { server.Kill(); server.Start() }, func() { server.Stop(); server.Start() }, func() {}} {
		root := fmt.Sprintf("/round%d", round)
		for _, addr := range []string{server.Addr, standIn.Addr()} {
			writes(t, connect(t, addr, 10*time.Second), rand.New(rand.NewPCG(3, uint64(round))), root, 200)
		}
		catchUp(root)
		again()
	}
	if files, err := filepath.Glob(filepath.Join(dir, "log.*")); err != nil || len(files) < 4 {
		t.Errorf("the log has %d files (%v): the rotation was not tried", len(files), err)
	}
	if len(got) < 300 {
		t.Errorf("only %d transactions were compared", len(got))
	}
}

// writes has a client write below root, in a way that the random numbers decide,
// and then ends its session, with which root/last goes.
func writes(t *testing.T, c *client, rnd *rand.Rand, root string, steps int) {
	t.Helper()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Create(root, []byte("root"), 0, open))
	must(c.Create(root+"/large", []byte(strings.Repeat("x", 300_000)), 0, open))
	must(c.Create(root+"/last", nil, zk.FlagEphemeral, open))
	path := func() string { return fmt.Sprintf("%s/%d", root, rnd.IntN(8)) }
	for i := range steps {
		data := []byte(strings.Repeat("d", rnd.IntN(40)))
		switch at := path(); rnd.IntN(6) {
		case 0:
			_, _ = c.Create(at, data, int32(rnd.IntN(2)), open) // that some fail belongs to it
		case 1:
			_, _ = c.Set(at, data, -1)
		case 2:
			_ = c.Delete(at, -1)
		case 3:
			_, _ = c.Multi(&zk.SetDataRequest{Path: root, Data: data, Version: -1}, &zk.CreateRequest{Path: at, Data: data, Acl: open, Flags: zk.FlagEphemeral})
		case 4:
			_, _ = c.Multi(&zk.DeleteRequest{Path: at, Version: -1}, &zk.CreateRequest{Path: at, Data: data, Acl: open}, &zk.SetDataRequest{Path: root, Data: data, Version: -1})
		case 5:
			must(c.Create(fmt.Sprintf("%s/large/n", root), []byte(fmt.Sprint(i)), zk.FlagSequence, open))
		}
	}
	c.Close()
}

// inLog is a record as it stands in a log.
func inLog(record []byte) []byte {
	b := putLong(nil, int64(adler32.Checksum(record)))
	return append(append(putInt(b, int32(len(record))), record...), recordEnd)
}

func setRecord(zxid int64, path string) []byte {
	b := putInt(putLong(putLong(putInt(putLong(nil, 7), 1), zxid), 1_000), int32(opSetData))
	return putInt(putBuffer(putString(b, path), []byte("data")), 3)
}

// TestLogGrows: records that are written in parts are told once, when they are
// whole; a torn end of a file that another one follows is passed over, and one that
// stays is an error that names file and offset.
func TestLogGrows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "version-2")
	l, err := FollowLog(dir) // which is not there yet
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var paths []string
	read := func() error {
		return l.Read(func(session int64, _ time.Time, changes []Change) {
			if session != 7 || len(changes) != 1 || changes[0].Version != 3 {
				t.Errorf("session %d, %+v", session, changes)
			}
			paths = append(paths, changes[0].Path)
		})
	}
	if err := errors.Join(read(), os.MkdirAll(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	header := putLong(append([]byte(logMagic), 0, 0, 0, 2), 0)
	whole := slices.Concat(header, inLog(setRecord(16, "/a")), inLog(setRecord(17, "/b")), make([]byte, 100))
	for n := range len(whole) {
		if err := os.WriteFile(filepath.Join(dir, "log.10"), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(); err != nil {
			t.Fatalf("with %d bytes: %v", n, err)
		}
	}
	if want := []string{"/a", "/b"}; !slices.Equal(paths, want) {
		t.Errorf("told of %q, want %q", paths, want)
	}
	torn := slices.Clone(inLog(setRecord(18, "/torn")))
	torn[20] ^= 1
	if err := os.WriteFile(filepath.Join(dir, "log.12"), slices.Concat(header, torn), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	l.torn = l.torn.Add(-2 * tornPatience)
	if err := read(); !errors.Is(err, errTorn) || !strings.Contains(err.Error(), "log.12") || !strings.Contains(err.Error(), "offset 16") {
		t.Errorf("a torn end that stays: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log.13"), slices.Concat(header, inLog(setRecord(19, "/c"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil || !slices.Equal(paths, []string{"/a", "/b", "/c"}) {
		t.Errorf("after a torn end: %v, %q", err, paths)
	}
	if err := os.WriteFile(filepath.Join(dir, "log.20"), []byte("something else, no log at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), logMagic) {
		t.Errorf("a file that is no log: %v", err)
	}
}

// FuzzTransactionLog: nothing that stands in a log makes the reader panic, take a record that
// is none, or go back.
func FuzzTransactionLog(f *testing.F) {
	multi := putInt(putLong(putLong(putInt(putLong(nil, 7), 1), 9), 1), int32(opMulti))
	multi = putBuffer(putInt(putInt(multi, 1), int32(opDelete)), putString(nil, "/x"))
	f.Add(inLog(setRecord(1, "/a")))
	f.Add(slices.Concat(inLog(setRecord(1, "/a")), inLog(multi), make([]byte, 20)))
	f.Add(inLog(putInt(putLong(putLong(putInt(putLong(nil, 7), 1), 9), 1), int32(opCloseSession))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			record, size, need, err := nextRecord(b)
			if record == nil {
				if size > len(b)+maxRecord || need > 0 && need <= len(b) || err != nil && need > 0 {
					t.Fatalf("size %d, need %d, %v", size, need, err)
				}
				return
			}
			if size != len(record)+recordFrame+1 || binary.BigEndian.Uint64(b) != uint64(adler32.Checksum(record)) {
				t.Fatalf("a record of %d bytes takes %d", len(record), size)
			}
			x, err := parseLogged(record)
			if err != nil && !reflect.DeepEqual(x, logged{}) {
				t.Fatalf("%v, and still %+v", err, x)
			}
			b = b[size:]
		}
	})
}

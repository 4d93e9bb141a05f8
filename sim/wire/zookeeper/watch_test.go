package zookeeper

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestWatchesFireOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a, b := connect(t, s.Addr(), 20*time.Second), connect(t, s.Addr(), 20*time.Second)
	_, _, created, err := a.ExistsW("/n")
	if err != nil {
		t.Fatal(err)
	}
	_, _, children, err := a.ChildrenW("/")
	if err != nil {
		t.Fatal(err)
	}
	must[string](t)(b.Create("/n", nil, 0, open))
	if e := heard(t, created); e.Type != zk.EventNodeCreated || e.Path != "/n" {
		t.Errorf("created: %+v", e)
	}
	if e := heard(t, children); e.Type != zk.EventNodeChildrenChanged || e.Path != "/" {
		t.Errorf("children: %+v", e)
	}
	_, _, data, err := a.GetW("/n")
	if err != nil {
		t.Fatal(err)
	}
	_, _, below, err := a.ChildrenW("/n")
	if err != nil {
		t.Fatal(err)
	}
	must[*zk.Stat](t)(b.Set("/n", []byte("x"), -1))
	must[*zk.Stat](t)(b.Set("/n", []byte("y"), -1))
	if e := heard(t, data); e.Type != zk.EventNodeDataChanged {
		t.Errorf("data: %+v", e)
	}
	if err := b.Delete("/n", -1); err != nil {
		t.Fatal(err)
	}
	if e := heard(t, below); e.Type != zk.EventNodeDeleted || e.Path != "/n" {
		t.Errorf("deleted: %+v", e)
	}
	s.mu.Lock()
	left := s.dataWatches.count() + s.childWatches.count()
	s.mu.Unlock()
	if left != 0 {
		t.Errorf("%d watches are left", left)
	}
}

// TestEventBeforeAnswer has one client write while another reads and watches:
// whoever reads a new version must have heard the event of the old one before.
func TestEventBeforeAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	reader, writer := mustDialRaw(t, s.Addr()), mustDialRaw(t, s.Addr())
	if r, err := writer.do(opCreate, createBody("/n", nil, openACL, 0)); err != nil || r.err != 0 {
		t.Fatal(r, err)
	}
	const writes = 2000
	failed := make(chan error, 1)
	go func() {
		for range writes {
			if r, err := writer.do(opSetData, setBody("/n", nil, -1)); err != nil || r.err != 0 {
				failed <- fmt.Errorf("%+v, %w", r, err)
				return
			}
		}
		failed <- nil
	}()
	seen := int32(-1)
	for seen < writes {
		r, err := reader.do(opGetData, watchBody("/n", true))
		if err != nil || r.err != 0 {
			t.Fatal(r, err)
		}
		d := decoder{b: r.body}
		d.data()
		d.take(4 * 8) // zxids and times
		version := d.int()
		if version > seen && seen >= 0 && len(reader.events) != 1 {
			t.Fatalf("version %d after %d, with the events %q", version, seen, reader.events)
		}
		if version == seen && len(reader.events) != 0 {
			t.Fatalf("version %d again, with the events %q", version, reader.events)
		}
		seen, reader.events = version, nil
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func TestWatchesSurviveReconnect(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := connect(t, s.Addr(), 20*time.Second)
	b := mustDialRaw(t, s.Addr())
	do := func(op opCode, body []byte) {
		t.Helper()
		if r, err := b.do(op, body); err != nil || r.err != 0 {
			t.Fatal(r, err)
		}
	}
	var watches []<-chan zk.Event
	for _, path := range []string{"/missed", "/later", "/gone"} {
		do(opCreate, createBody(path, nil, openACL, 0))
		_, _, ch, err := a.GetW(path)
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, ch)
	}
	id := a.SessionID()
	s.Refuse(true, only(id))
	s.Cut(only(id))
	a.await(t, zk.StateDisconnected)
	do(opSetData, setBody("/missed", nil, -1))
	do(opDelete, versionBody("/gone", -1))
	s.Refuse(false, nil)
	if e := heard(t, watches[0]); e.Type != zk.EventNodeDataChanged {
		t.Errorf("missed: %+v", e)
	}
	if e := heard(t, watches[2]); e.Type != zk.EventNodeDeleted {
		t.Errorf("gone: %+v", e)
	}
	do(opSetData, setBody("/later", nil, -1))
	if e := heard(t, watches[1]); e.Type != zk.EventNodeDataChanged {
		t.Errorf("later: %+v", e)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	ann, other := connect(t, s.Addr(), 20*time.Second), connect(t, s.Addr(), 20*time.Second)
	if err := ann.AddAuth("digest", []byte("ann:secret")); err != nil {
		t.Fatal(err)
	}
	must[string](t)(ann.Create("/hers", []byte("x"), 0, zk.DigestACL(zk.PermAll, "ann", "secret")))
	if _, _, err := other.Get("/hers"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("read by another: %v", err)
	}
	if _, err := other.Set("/hers", nil, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("written by another: %v", err)
	}
	if _, err := other.Create("/hers/x", nil, 0, open); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("created by another: %v", err)
	}
	if err := other.AddAuth("digest", []byte("ann:wrong")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Get("/hers"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("read with the wrong password: %v", err)
	}
	// The client shows again who it is when it comes back.
	id := ann.SessionID()
	s.Cut(only(id))
	ann.await(t, zk.StateDisconnected)
	ann.await(t, zk.StateHasSession)
	if data, _, err := ann.Get("/hers"); err != nil || string(data) != "x" {
		t.Errorf("read by its owner: %q, %v", data, err)
	}
	acl, _, err := ann.GetACL("/hers")
	if err != nil || !slices.Equal(acl, zk.DigestACL(zk.PermAll, "ann", "secret")) {
		t.Errorf("acl %+v, %v", acl, err)
	}
}

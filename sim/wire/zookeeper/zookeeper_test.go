package zookeeper

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestRealClient(t *testing.T) {
	s := start(t, Config{})
	c := connect(t, s.Addr(), 10*time.Second)

	if got, err := c.Create("/a", []byte("one"), 0, open); err != nil || got != "/a" {
		t.Fatalf("create: %q, %v", got, err)
	}
	if _, err := c.Create("/a", nil, 0, open); !errors.Is(err, zk.ErrNodeExists) {
		t.Errorf("create again: %v", err)
	}
	if _, err := c.Create("/b/c", nil, 0, open); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("create without a parent: %v", err)
	}
	data, stat, err := c.Get("/a")
	if err != nil || string(data) != "one" || stat.Version != 0 || stat.DataLength != 3 || stat.Czxid != stat.Mzxid {
		t.Errorf("get: %q, %+v, %v", data, stat, err)
	}
	if stat, err = c.Set("/a", []byte("two"), 0); err != nil || stat.Version != 1 || stat.Mzxid != stat.Czxid+4-1 {
		t.Errorf("set: %+v, %v (refused writes count too)", stat, err)
	}
	if _, err = c.Set("/a", nil, 0); !errors.Is(err, zk.ErrBadVersion) {
		t.Errorf("set of an old version: %v", err)
	}
	for _, want := range []string{"/a/s0000000000", "/a/s0000000001"} {
		if got, err := c.Create("/a/s", nil, zk.FlagSequence, open); err != nil || got != want {
			t.Errorf("sequential: %q, %v, want %q", got, err, want)
		}
	}
	names, stat, err := c.Children("/a")
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"s0000000000", "s0000000001"}) || stat.NumChildren != 2 || stat.Cversion != 2 {
		t.Errorf("children: %q, %+v, %v", names, stat, err)
	}
	if err := c.Delete("/a", -1); !errors.Is(err, zk.ErrNotEmpty) {
		t.Errorf("delete with children: %v", err)
	}
	if err := c.Delete("/a/s0000000000", -1); err != nil {
		t.Error(err)
	}
	if there, _, err := c.Exists("/a/s0000000000"); there || err != nil {
		t.Errorf("exists after delete: %v, %v", there, err)
	}
	if got, err := c.Sync("/a"); err != nil || got != "/a" {
		t.Errorf("sync: %q, %v", got, err)
	}
}

func TestMulti(t *testing.T) {
	s := start(t, Config{})
	c := connect(t, s.Addr(), 10*time.Second)
	res, err := c.Multi(
		&zk.CreateRequest{Path: "/a", Data: []byte("1"), Acl: open},
		&zk.CreateRequest{Path: "/a/b", Acl: open, Flags: zk.FlagSequence},
		&zk.SetDataRequest{Path: "/a", Data: []byte("2"), Version: 0},
		&zk.CheckVersionRequest{Path: "/a", Version: 1},
		&zk.DeleteRequest{Path: "/a/b0000000000", Version: -1},
	)
	if err != nil || res[1].String != "/a/b0000000000" || res[2].Stat.Version != 1 || res[2].Stat.NumChildren != 1 {
		t.Fatalf("multi: %+v, %v", res, err)
	}
	before := s.Dump()
	res, err = c.Multi(
		&zk.DeleteRequest{Path: "/a", Version: -1},
		&zk.CreateRequest{Path: "/a", Data: []byte("new"), Acl: open, Flags: zk.FlagEphemeral},
		&zk.CreateRequest{Path: "/b", Acl: open},
		&zk.SetDataRequest{Path: "/b", Data: []byte("x"), Version: -1},
		&zk.CheckVersionRequest{Path: "/a", Version: 7},
		&zk.DeleteRequest{Path: "/", Version: -1},
	)
	if !errors.Is(err, zk.ErrBadVersion) || len(res) != 6 || !errors.Is(res[4].Error, zk.ErrBadVersion) || res[0].Error != nil || res[5].Error == nil {
		t.Fatalf("failing multi: %+v, %v", res, err)
	}
	after := s.Dump()
	if !slices.EqualFunc(before, after, func(a, b Node) bool { return a.Path == b.Path && a.Stat == b.Stat && string(a.Data) == string(b.Data) }) {
		t.Errorf("a failed multi left something:\n%+v\n%+v", before, after)
	}
	if owned := s.Sessions()[0].Ephemerals; len(owned) > 0 {
		t.Errorf("a failed multi left ephemerals %q", owned)
	}
}

package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/api"

	"github.com/go-zookeeper/zk"
)

// TestRunRefused runs with a password that ZooKeeper takes for another user's:
// nobody is elected, and whoever asks is told why. Once the nodes are open it leads.
func TestRunRefused(t *testing.T) {
	dir := t.TempDir()
	trusts := secrets(t, dir)
	p := startPlatform(t, 10)
	open := closeTree(t, p.ZooKeeperAddr())
	cfg := configure(t, p, "barred", dir)
	cfg.ZooKeeper.User, cfg.ZooKeeper.PasswordFile = "dacorch", filepath.Join(dir, "password")
	if err := os.WriteFile(cfg.ZooKeeper.PasswordFile, []byte("not-the-right-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, cfg)
	c := client(t, r, reader, trusts)
	wants := []string{"Thing, and this process cannot", "/iota/orchestrator", `as user "dacorch"`}
	eventually(t, func(ctx context.Context) error {
		_, err := c.Status(ctx, "Thing")
		if !errors.Is(err, &api.Error{Code: api.CodeNoLeader}) || !holds(err.Error(), wants) || strings.Contains(err.Error(), "not-the-right-one") {
			return fmt.Errorf("status answers %w, want no_leader with %q", err, wants)
		}
		return nil
	})
	h, err := c.Health(t.Context())
	if err != nil || !holds(fmt.Sprint(h), wants[1:]) {
		t.Errorf("%+v, %v", h, err)
	}
	if text := scrape(t, r, trusts); !strings.Contains(text, "dacorch_zookeeper_refused 1") {
		t.Error("not in /metrics")
	}
	open()
	eventually(t, func(ctx context.Context) error {
		st, err := c.Status(ctx, "Thing")
		if err == nil && (st.Stage != "active" || !st.Leader.Self) {
			err = fmt.Errorf("%+v", st)
		}
		return err
	})
	if text := scrape(t, r, trusts); !strings.Contains(text, "dacorch_zookeeper_refused 0") {
		t.Error("still in /metrics")
	}
	r.end(t)
}

func holds(text string, all []string) bool {
	for _, s := range all {
		if !strings.Contains(text, s) {
			return false
		}
	}
	return true
}

// closeTree lets others than its user only read the orchestrators' nodes, until
// open is called.
func closeTree(t *testing.T, addr string) (open func()) {
	t.Helper()
	conn, events, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events { // until it has ended
		}
	})
	if err := conn.AddAuth("digest", []byte("owner:secret")); err != nil {
		t.Fatal(err)
	}
	const own = "/iota/orchestrator"
	for _, path := range []string{"/iota", own} {
		if _, err := conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			t.Fatal(err)
		}
	}
	set := func(acl []zk.ACL) {
		if _, err := conn.SetACL(own, acl, -1); err != nil {
			t.Fatal(err)
		}
	}
	set(append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...))
	return func() { set(zk.WorldACL(zk.PermAll)) }
}

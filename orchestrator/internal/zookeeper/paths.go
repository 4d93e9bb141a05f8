package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// The roots of the contract's tree and of the orchestrators' own.
const (
	contractRoot = "/iota/orchestration"
	ownRoot      = "/iota/orchestrator"
)

// paths are where a kind's nodes stand.
type paths struct {
	root       string // …/orchestration/<Kind>
	own        string // …/orchestrator/<Kind>
	epoch      string
	control    string
	candidates string
}

// pathsOf answers an error for a kind that is no name of a node.
func pathsOf(kind fleet.Kind) (paths, error) {
	name := string(kind)
	if name == "" || name == "." || name == ".." || len(name) > 200 || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool {
			return r == '/' || r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 && r <= 0xffff
		}) {
		return paths{}, fmt.Errorf("zookeeper: kind %q cannot name a node: want 1 to 200 bytes of UTF-8 without slash or control characters", name)
	}
	own := ownRoot + "/" + name
	return paths{root: contractRoot + "/" + name, own: own,
		epoch: own + "/epoch", control: own + "/control", candidates: own + "/candidates"}, nil
}

// instancePaths are the nodes of an instance.
type instancePaths struct{ node, resources, reload, tmp, status string }

func (p *paths) instance(id fleet.InstanceID) instancePaths {
	node := p.root + "/" + strconv.Itoa(int(id))
	return instancePaths{node: node, resources: node + "/resources", reload: node + "/_reload",
		tmp: node + "/tmp", status: node + "/tmp/status"}
}

// instanceID reads a node's name; false unless it is a number as instancePaths
// writes it.
func instanceID(name string) (fleet.InstanceID, bool) {
	n, err := strconv.ParseInt(name, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != name {
		return 0, false
	}
	return fleet.InstanceID(n), true
}

// permissions reads letters as ZooKeeper's tools write them.
func permissions(letters string) (int32, error) {
	var p int32
	for _, r := range letters {
		switch r {
		case 'r':
			p |= zk.PermRead
		case 'w':
			p |= zk.PermWrite
		case 'c':
			p |= zk.PermCreate
		case 'd':
			p |= zk.PermDelete
		case 'a':
			p |= zk.PermAdmin
		default:
			return 0, fmt.Errorf("zookeeper: permissions: %q is not valid, want letters of crwda", letters)
		}
	}
	return p, nil
}

// acl is what created nodes get; open adds to what others may do.
func (c *Client) acl(open int32) []zk.ACL {
	if c.cfg.User == "" {
		return zk.WorldACL(zk.PermAll)
	}
	acl := zk.AuthACL(zk.PermAll)
	others, _ := permissions(c.cfg.OthersMay) // checked by New
	if others|open != 0 {
		acl = append(acl, zk.ACL{Perms: others | open, Scheme: "world", ID: "anyone"})
	}
	return acl
}

// ensure creates what is missing of a kind's nodes that always stand.
func (c *Client) ensure(ctx context.Context, p *paths) error {
	for _, path := range []string{"/iota", contractRoot, ownRoot, p.root, p.own, p.epoch, p.candidates} {
		var open int32
		if path == "/iota" { // others have their own trees there
			open = zk.PermRead | zk.PermCreate
		}
		if _, found, err := c.exists(ctx, path, false); err != nil {
			return err
		} else if found {
			continue
		}
		_, err := ask(ctx, c, func(conn *zk.Conn) (string, error) {
			return conn.Create(path, nil, 0, c.acl(open))
		})
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("zookeeper: create %s: %w", path, err)
		}
	}
	return nil
}

// found is a node that was read.
type found struct {
	data []byte
	stat zk.Stat
}

// get reads a node, and watches it if it is there and watch says so. The error
// names the path; errors.Is finds zk.ErrNoNode in it.
func (c *Client) get(ctx context.Context, path string, watch bool) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	f, err := ask(ctx, c, func(conn *zk.Conn) (f found, err error) {
		var stat *zk.Stat
		if watch {
			f.data, stat, _, err = conn.GetW(path)
		} else {
			f.data, stat, err = conn.Get(path)
		}
		if err == nil {
			f.stat = *stat
		}
		return f, err
	})
	if err != nil {
		return found{}, fmt.Errorf("zookeeper: read %s: %w", path, err)
	}
	return f, nil
}

// exists looks for a node, and with watch hears of its coming too.
func (c *Client) exists(ctx context.Context, path string, watch bool) (zk.Stat, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	type seen struct {
		stat zk.Stat
		here bool
	}
	s, err := ask(ctx, c, func(conn *zk.Conn) (s seen, err error) {
		var stat *zk.Stat
		if watch {
			s.here, stat, _, err = conn.ExistsW(path)
		} else {
			s.here, stat, err = conn.Exists(path)
		}
		if err == nil && stat != nil {
			s.stat = *stat
		}
		return s, err
	})
	if err != nil {
		return zk.Stat{}, false, fmt.Errorf("zookeeper: look for %s: %w", path, err)
	}
	return s.stat, s.here, nil
}

// children lists the names below a node.
func (c *Client) children(ctx context.Context, path string, watch bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	names, err := ask(ctx, c, func(conn *zk.Conn) (names []string, err error) {
		if watch {
			names, _, _, err = conn.ChildrenW(path)
		} else {
			names, _, err = conn.Children(path)
		}
		return names, err
	})
	if err != nil {
		return nil, fmt.Errorf("zookeeper: list %s: %w", path, err)
	}
	return names, nil
}

// sync makes the connected server catch up with all that was committed before.
func (c *Client) sync(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	_, err := ask(ctx, c, func(conn *zk.Conn) (string, error) { return conn.Sync(path) })
	if err != nil {
		return fmt.Errorf("zookeeper: sync %s: %w", path, err)
	}
	return nil
}

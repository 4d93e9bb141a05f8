package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"
)

const snapshotMagic = "dacorch zookeeper snapshot 1\n"

// image is the whole state: what a snapshot holds before its checksum.
func (s *Server) image() []byte {
	b := append(make([]byte, 0, 1<<20), snapshotMagic...)
	b = putLong(putLong(b, s.zxid), s.nextSession)
	b = putInt(b, int32(len(s.sessions)))
	for _, ses := range s.sessions {
		b = putInt(putLong(b, ses.id), int32(ses.timeout.Milliseconds()))
	}
	b = putInt(b, int32(len(s.tree.nodes)-1))
	for path, n := range s.tree.nodes {
		if path == "" {
			continue // the root's other name
		}
		b = putACL(putBuffer(putString(b, path), n.data), n.acl)
		b = putLong(putLong(putLong(putLong(b, n.czxid), n.mzxid), n.ctime), n.mtime)
		b = putLong(putLong(b, n.pzxid), n.owner)
		b = putInt(putInt(putInt(b, n.version), n.aversion), n.childrenMade)
	}
	return b
}

// writeSnapshot puts an image where recover finds it, whole or not at all.
func writeSnapshot(dir string, zxid int64, image []byte) error {
	name := snapshotName(dir, zxid)
	image = binary.BigEndian.AppendUint32(image, crc32.Checksum(image, castagnoli))
	f, err := os.OpenFile(name+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("zookeeper: %w", err)
	}
	_, err = f.Write(image)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(name+".tmp", name)
	}
	if err != nil {
		return fmt.Errorf("zookeeper: the snapshot cannot be written: %w", err)
	}
	return nil
}

// load reads a snapshot.
func (s *Server) load(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("zookeeper: %w", err)
	}
	n := len(b) - 4
	if n < len(snapshotMagic) || string(b[:len(snapshotMagic)]) != snapshotMagic ||
		crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return fmt.Errorf("zookeeper: %s: no snapshot, or a damaged one", name)
	}
	d := &decoder{b: b[len(snapshotMagic):n]}
	s.zxid, s.nextSession = d.long(), max(s.nextSession, d.long())
	for n := d.int(); n > 0 && d.err == nil; n-- {
		ses := &session{id: d.long(), timeout: time.Duration(d.int()) * time.Millisecond}
		s.sessions[ses.id] = ses
	}
	t := &tree{nodes: map[string]*node{}, ephemerals: map[int64]map[string]struct{}{}}
	for n := d.int(); n > 0 && d.err == nil; n-- {
		t.insert(d.string(), d.node())
	}
	if d.err != nil || !t.link() {
		return fmt.Errorf("zookeeper: %s: not a tree", name)
	}
	s.tree = t
	return nil
}

func (d *decoder) node() *node {
	return &node{data: d.data(), acl: d.acl(), czxid: d.long(), mzxid: d.long(), ctime: d.long(), mtime: d.long(),
		pzxid: d.long(), owner: d.long(), version: d.int(), aversion: d.int(), childrenMade: d.int()}
}

// link finds every node's parent, and says whether each has one.
func (t *tree) link() bool {
	root := t.nodes[rootPath]
	if root == nil {
		return false
	}
	t.nodes[""] = root
	for path := range t.nodes {
		if path == "" || path == rootPath {
			continue
		}
		if !validPath(path) {
			return false
		}
		parent, name := split(path)
		if t.nodes[parent] == nil {
			return false
		}
		t.nodes[parent].addChild(name)
	}
	return true
}

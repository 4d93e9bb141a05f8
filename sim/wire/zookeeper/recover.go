package zookeeper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// recover reads what an earlier server left in the data directory: the snapshot,
// then the logs. A log may end in the middle of a transaction, whose answer then
// nobody has seen; that rest is cut off. Any other damage is an error.
func (s *Server) recover() error {
	dir := s.config.DataDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("zookeeper: data directory: %w", err)
	}
	begun, err := filepath.Glob(filepath.Join(dir, "snapshot.*.tmp"))
	for _, name := range begun {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("zookeeper: data directory: %w", err)
	}
	snapshots, err := numbered(dir, "snapshot.")
	if err != nil {
		return err
	}
	if n := len(snapshots); n > 0 {
		if err := s.load(snapshotName(dir, snapshots[n-1])); err != nil {
			return err
		}
	}
	logs, err := numbered(dir, "log.")
	if err != nil {
		return err
	}
	name, size := logName(dir, s.zxid+1), int64(0)
	for i, first := range logs {
		name = logName(dir, first)
		if i+1 < len(logs) && logs[i+1] <= s.zxid+1 {
			continue // the snapshot holds it
		}
		if size, err = s.replay(name, i == len(logs)-1); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("zookeeper: %w", err)
	}
	if err = file.Truncate(size); err == nil {
		_, err = file.Seek(size, 0)
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("zookeeper: %w", err)
	}
	for _, ses := range s.sessions {
		s.touch(ses, time.Now())
	}
	s.log = newJournal(dir, s.config.Sync, file, size)
	return nil
}

// numbered answers the numbers of the files whose names begin so, ascending.
func numbered(dir, prefix string) ([]int64, error) {
	entries, err := os.ReadDir(dir) // sorted, and the numbers have one width
	if err != nil {
		return nil, fmt.Errorf("zookeeper: data directory: %w", err)
	}
	var out []int64
	for _, e := range entries {
		digits, found := strings.CutPrefix(e.Name(), prefix)
		if n, err := strconv.ParseInt(digits, 16, 64); found && err == nil && len(digits) == 16 {
			out = append(out, n)
		}
	}
	return out, nil
}

// removeBefore removes the files that a snapshot has made needless.
func removeBefore(dir string, zxid int64) error {
	var errs []error
	for prefix, limit := range map[string]int64{"snapshot.": zxid, "log.": zxid + 1} {
		old, err := numbered(dir, prefix)
		errs = append(errs, err)
		for _, n := range old {
			if n < limit {
				errs = append(errs, os.Remove(filepath.Join(dir, fmt.Sprintf("%s%016x", prefix, n))))
			}
		}
	}
	return errors.Join(errs...)
}

// replay carries out a log and answers how many of its bytes are good.
func (s *Server) replay(name string, newest bool) (int64, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("zookeeper: %w", err)
	}
	at := 0
	for at < len(b) {
		body, whole := recordAt(b[at:])
		if body == nil {
			if newest && (!whole || torn(b[at:])) {
				break
			}
			return 0, fmt.Errorf("zookeeper: %s: damaged at byte %d, before its end", name, at)
		}
		d := decoder{b: body}
		r := d.record()
		if d.err != nil {
			return 0, fmt.Errorf("zookeeper: %s: no transaction at byte %d", name, at)
		}
		if r.zxid > s.zxid {
			if err := s.redo(r); err != nil {
				return 0, fmt.Errorf("zookeeper: %s: byte %d: %w", name, at, err)
			}
		}
		at += recordHead + len(body)
	}
	return int64(at), nil
}

// recordAt answers the record at the start of b, nil when it is damaged; whole
// says that b has all the bytes that it should.
func recordAt(b []byte) (body []byte, whole bool) {
	if len(b) < recordHead {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-recordHead) {
		return nil, false
	}
	body = b[recordHead : recordHead+int(n)]
	if n == 0 || crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, true
	}
	return body, true
}

// torn says whether a damaged record is what a crash leaves: nothing follows it,
// but perhaps space that was never written.
func torn(b []byte) bool {
	end := recordHead + int(binary.BigEndian.Uint32(b))
	return len(bytes.Trim(b[end:], "\x00")) == 0
}

// redo carries out a transaction from the log.
func (s *Server) redo(r record) error {
	if r.zxid != s.zxid+1 {
		return fmt.Errorf("change %d follows %d", r.zxid, s.zxid)
	}
	s.zxid = r.zxid
	for _, c := range r.changes {
		switch c.kind {
		case opOpenSession:
			s.sessions[r.session] = &session{id: r.session, timeout: time.Duration(c.n) * time.Millisecond}
			s.nextSession = max(s.nextSession, r.session)
		case opCloseSession:
			delete(s.sessions, r.session)
		default:
			if !s.tree.fits(c) {
				return fmt.Errorf("%v of %q does not fit what came before", c.kind, c.path)
			}
			s.tree.apply(c, r.zxid, r.ms)
		}
	}
	return nil
}

// fits says whether a change from outside can be applied.
func (t *tree) fits(c *change) bool {
	if !validPath(c.path) {
		return false
	}
	n := t.nodes[c.path]
	switch c.kind {
	case opCreate:
		parent, _ := split(c.path)
		return n == nil && t.nodes[parent] != nil
	case opDelete:
		return n != nil && len(n.children) == 0 && !isSpecial(c.path)
	case opSetData, opSetACL:
		return n != nil
	}
	return false
}

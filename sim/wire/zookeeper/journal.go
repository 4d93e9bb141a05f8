package zookeeper

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
)

// journal is the write-ahead log. Transactions are appended under the server's
// lock, in memory; one goroutine writes out what has gathered since its last
// write, and answers wait until it has: so many share one write, and one sync.
//
// A nil journal belongs to a server in memory: it is always up to date.
type journal struct {
	dir  string
	sync bool
	wake chan struct{} // holds one token when there is something to write

	mu      sync.Mutex
	moved   sync.Cond
	pending []byte
	spare   []byte // what was pending before, to be filled again
	seq     uint64 // transactions appended
	done    uint64 // transactions written
	err     error  // the first failure; nothing is written after it
	ended   bool

	// Used by the writing goroutine alone.
	file *os.File
	size int64
}

// maxPending is how many bytes may wait for the disk before requests wait too.
const maxPending = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newJournal(dir string, syncs bool, file *os.File, size int64) *journal {
	j := &journal{dir: dir, sync: syncs, wake: make(chan struct{}, 1), file: file, size: size}
	j.moved.L = &j.mu
	return j
}

// append adds a transaction behind its length and checksum.
func (j *journal) append(x *txn) {
	j.mu.Lock()
	at := len(j.pending)
	b := putTxn(append(j.pending, make([]byte, recordHead)...), x)
	body := b[at+recordHead:]
	binary.BigEndian.PutUint32(b[at:], uint32(len(body)))
	binary.BigEndian.PutUint32(b[at+4:], crc32.Checksum(body, castagnoli))
	j.pending = b
	j.seq++
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

const recordHead = 8

func putTxn(b []byte, x *txn) []byte {
	b = putLong(putLong(putLong(b, x.zxid), x.ms), x.session)
	b = putInt(b, int32(len(x.changes)))
	for _, c := range x.changes {
		b = putBuffer(putString(putInt(b, int32(c.kind)), c.path), c.data)
		b = putInt(putLong(putACL(b, c.acl), c.owner), c.n)
	}
	return b
}

// record is a transaction as the log tells it.
type record struct {
	zxid, ms, session int64
	changes           []*change
}

func (d *decoder) record() record {
	r := record{zxid: d.long(), ms: d.long(), session: d.long()}
	for n := d.int(); n > 0 && d.err == nil; n-- {
		r.changes = append(r.changes, &change{kind: opCode(d.int()), path: d.string(), data: d.data(),
			acl: d.acl(), owner: d.long(), n: d.int()})
	}
	return r
}

func (j *journal) latest() uint64 {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// reached waits until the log holds seq transactions. It says false when it
// never will.
func (j *journal) reached(seq uint64) bool {
	if j == nil {
		return true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.done < seq && j.err == nil && !j.ended {
		j.moved.Wait()
	}
	return j.done >= seq
}

// wait blocks while too much waits for the disk.
func (j *journal) wait() {
	if j == nil {
		return
	}
	j.mu.Lock()
	for len(j.pending) > maxPending && j.err == nil && !j.ended {
		j.moved.Wait()
	}
	j.mu.Unlock()
}

// take answers what is to be written, up to which transaction.
func (j *journal) take() ([]byte, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.pending
	j.pending, j.spare = j.spare, nil
	return b, j.seq
}

// write puts b at the end of the log, which then holds seq transactions.
func (j *journal) write(b []byte, seq uint64) {
	err := j.failure()
	if err == nil && len(b) > 0 {
		if _, err = j.file.Write(b); err == nil && j.sync {
			err = j.file.Sync()
		}
		j.size += int64(len(b))
	}
	j.mu.Lock()
	if cap(b) <= 1<<20 {
		j.spare = b[:0]
	}
	if err == nil {
		j.done = seq
	} else if j.err == nil {
		j.err = fmt.Errorf("zookeeper: the log cannot be written: %w", err)
	}
	j.moved.Broadcast()
	j.mu.Unlock()
}

func (j *journal) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	if j.err == nil {
		j.err = err
	}
	j.moved.Broadcast()
	j.mu.Unlock()
}

// close answers the first failure of the journal's life.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	err := j.file.Close()
	if first := j.failure(); first != nil {
		return first
	}
	return err
}

// keepLog writes until the server is closed. A log that cannot be written ends
// every connection: nothing may be answered that would be lost.
func (s *Server) keepLog() {
	defer s.running.Done()
	j := s.log
	for open := true; open; {
		select {
		case <-j.wake:
		case <-s.done:
			open = false
		}
		b, seq := j.take()
		j.write(b, seq)
		if j.size >= s.config.SnapshotEvery && j.failure() == nil {
			if err := s.snapshot(); err != nil {
				j.fail(err)
			}
		}
	}
	j.mu.Lock()
	j.ended = true
	j.moved.Broadcast()
	j.mu.Unlock()
}

// snapshot writes the whole state to a file, and starts a new log.
func (s *Server) snapshot() error {
	j := s.log
	s.mu.Lock()
	image, zxid := s.image(), s.zxid
	b, seq := j.take()
	s.mu.Unlock()
	j.write(b, seq) // the old log stays whole until the snapshot is
	if err := j.failure(); err != nil {
		return err
	}
	if err := writeSnapshot(j.dir, zxid, image); err != nil {
		return err
	}
	file, err := os.OpenFile(logName(j.dir, zxid+1), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("zookeeper: %w", err)
	}
	if err := j.file.Close(); err != nil {
		file.Close()
		return fmt.Errorf("zookeeper: %w", err)
	}
	j.file, j.size = file, 0
	return removeBefore(j.dir, zxid)
}

func logName(dir string, zxid int64) string {
	return filepath.Join(dir, fmt.Sprintf("log.%016x", zxid))
}

func snapshotName(dir string, zxid int64) string {
	return filepath.Join(dir, fmt.Sprintf("snapshot.%016x", zxid))
}

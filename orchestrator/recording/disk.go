package recording

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dacorch/orchestrator/fleet"
)

// disk packs and writes what the streams hand over, in one goroutine.
type disk struct {
	dir  *Dir
	log  *slog.Logger
	done chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	queue  []item
	waits  int64    // bytes in queue
	large  int64    // of the largest item there was: a state, or a listing of everything
	spare  [][]byte // buffers that were written
	ending bool
	wake   chan struct{} // has room for one

	// The goroutine's own.
	files []file // in the directory, the oldest first
	total int64  // bytes in them
	pack  packer

	bytes, opened, failures atomic.Uint64
}

// item is something to be done for a kind's segments.
type item struct {
	to   *segments
	open *Header
	raw  []byte
	shut bool
}

// segments are a kind's files. The atomic values, and those under mu, are for
// others than the disk's goroutine too.
type segments struct {
	disk    *disk
	kind    fleet.Kind
	number  atomic.Int64 // of the segment that is open
	written atomic.Int64 // bytes in it
	broken  atomic.Int64 // the number of the segment that could not be written on; -1 for none

	mu    sync.Mutex
	retry time.Time // when to try again
	wait  time.Duration

	out  *os.File // nil while none is open
	path string
}

// file is a segment in the directory.
type file struct {
	path  string
	bytes int64
	at    time.Time // of the last writing, as it was found
}

// spares bounds the buffers that are kept.
const spares = 4

func newDisk(d *Dir) *disk {
	return &disk{dir: d, log: d.cfg.Log, done: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// start begins to write, and answers whether the directory can be used at all. A
// disk that does not answer is not waited for.
func (k *disk) start() error {
	made := make(chan error, 1)
	go func() {
		made <- os.MkdirAll(k.dir.cfg.Path, 0o700)
		k.run()
	}()
	late := time.NewTimer(openPatience)
	defer late.Stop()
	select {
	case err := <-made:
		return err
	case <-late.C:
		return errors.New("the disk does not answer")
	}
}

// openPatience bounds the wait for the disk at the beginning.
const openPatience = 5 * time.Second

// ownName is what segments are called: nothing else is counted, or deleted.
var ownName = regexp.MustCompile(`^.+-\d{8}T\d{6}\.\d{3}Z-\d{4,}\.dacrec$`)

// look finds the segments that are there, also those of earlier processes and of
// others.
func (k *disk) look() error {
	entries, err := os.ReadDir(k.dir.cfg.Path)
	if err != nil {
		return err
	}
	k.files, k.total = k.files[:0], 0
	for _, e := range entries {
		if !ownName.MatchString(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			k.files = append(k.files, file{filepath.Join(k.dir.cfg.Path, e.Name()), info.Size(), info.ModTime()})
			k.total += info.Size()
		}
	}
	slices.SortFunc(k.files, func(a, b file) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.path, b.path)) })
	return nil
}

func (k *disk) segments(kind fleet.Kind) *segments {
	s := &segments{disk: k, kind: kind}
	s.number.Store(-1)
	s.broken.Store(-1)
	return s
}

// waiting answers how much waits, and how much may: some of the largest items that
// there are, at least, or a large state would be a gap of its own each time.
func (k *disk) waiting() (bytes, most int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.waits, max(k.dir.cfg.Queue, largeOnes*k.large)
}

const largeOnes = 4

func (k *disk) full() bool {
	bytes, most := k.waiting()
	return bytes > most
}

func (k *disk) halfFull() bool {
	bytes, most := k.waiting()
	return bytes > most/2
}

// push hands over something to be done, and answers an empty buffer in place of
// the one that goes with it.
func (k *disk) push(i item) []byte {
	k.mu.Lock()
	k.queue = append(k.queue, i)
	k.waits += int64(len(i.raw))
	k.large = max(k.large, int64(len(i.raw)))
	var spare []byte
	if n := len(k.spare); n > 0 && i.raw != nil {
		spare, k.spare = k.spare[n-1], k.spare[:n-1]
	}
	k.mu.Unlock()
	if i.raw != nil && len(i.raw) < sealBytes {
		return spare // written with the next flush
	}
	k.nudge()
	return spare
}

func (k *disk) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// end has the goroutine end once all is written.
func (k *disk) end() {
	k.mu.Lock()
	k.ending = true
	k.mu.Unlock()
	k.nudge()
}

func (k *disk) run() {
	defer close(k.done)
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for {
		select {
		case <-k.wake:
		case <-flush.C:
			for _, s := range k.dir.streams {
				s.flush()
				if s.out.deleted() {
					k.failed(s.out, fmt.Errorf("%s is gone", s.out.path))
				}
			}
		}
		if k.work() {
			return
		}
	}
}

// work does all that waits, and answers whether that was the end.
func (k *disk) work() bool {
	for {
		k.mu.Lock()
		queue, ending := k.queue, k.ending
		k.queue = nil
		k.mu.Unlock()
		if len(queue) == 0 {
			return ending
		}
		for _, i := range queue {
			k.do(i)
			k.mu.Lock()
			k.waits -= int64(len(i.raw))
			if i.raw != nil && len(k.spare) < spares && cap(i.raw) <= 4*sealBytes {
				k.spare = append(k.spare, i.raw[:0])
			}
			k.mu.Unlock()
		}
	}
}

func (k *disk) do(i item) {
	s := i.to
	var err error
	switch {
	case i.open != nil:
		err = s.begin(*i.open)
	case i.shut:
		err = s.close()
	default:
		err = s.write(i.raw)
	}
	if err != nil {
		k.failed(s, err)
	}
}

func (k *disk) failed(s *segments, err error) {
	k.failures.Add(1)
	wait := s.fail()
	k.log.Error("the recording stops, and is tried again later", "kind", string(s.kind), "error", err, "wait", wait.Round(time.Second).String())
}

// fail gives the open segment up and says how long to wait before the next.
func (s *segments) fail() time.Duration {
	_ = s.close() // something else is wrong already
	s.mu.Lock()
	s.wait = min(max(2*s.wait, retryFirst), retryLast)
	wait := s.wait + rand.N(s.wait/4)
	s.retry = time.Now().Add(wait)
	s.mu.Unlock()
	s.broken.Store(s.number.Load())
	return wait
}

// due says that the wait is over.
func (s *segments) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !time.Now().Before(s.retry)
}

// close closes the file. Some file systems tell only now that it is not written.
func (s *segments) close() error {
	if s.out == nil {
		return nil
	}
	out := s.out
	s.out = nil
	return out.Close()
}

// deleted says that the open file is no longer there: what is written into it is
// lost, and still takes room.
func (s *segments) deleted() bool {
	if s.out == nil {
		return false
	}
	_, err := os.Stat(s.path)
	return errors.Is(err, fs.ErrNotExist)
}

// begin makes a segment's file, and the directory when somebody has deleted it.
func (s *segments) begin(h Header) error {
	s.written.Store(0)
	s.number.Store(int64(h.Segment))
	if err := os.MkdirAll(s.disk.dir.cfg.Path, 0o700); err != nil {
		return err
	}
	if err := s.disk.look(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%04d%s", url.PathEscape(string(s.kind)), h.Began.UTC().Format("20060102T150405.000Z"), h.Segment, Suffix)
	s.path = filepath.Join(s.disk.dir.cfg.Path, name)
	opening, err := s.disk.pack.opening(h)
	if err != nil {
		return err
	}
	if s.out, err = os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	if err := lock(s.out); err != nil {
		s.disk.log.Warn("the recording cannot be locked: another process in the same directory could delete it", "error", err)
	}
	s.disk.files = append(s.disk.files, file{path: s.path})
	s.disk.opened.Add(1)
	return s.put(opening)
}

// write packs what was recorded and writes it. What comes for a segment that was
// given up is dropped.
func (s *segments) write(raw []byte) error {
	for s.out != nil && len(raw) > 0 {
		n := min(len(raw), blockBytes)
		if err := s.put(s.disk.pack.block(raw[:n])); err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}

func (s *segments) put(b []byte) error {
	if err := s.disk.makeRoom(int64(len(b))); err != nil {
		return err
	}
	n, err := s.out.Write(b)
	s.written.Add(int64(n))
	s.disk.grow(s.path, int64(n))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.wait = 0
	s.mu.Unlock()
	return nil
}

func (k *disk) grow(path string, n int64) {
	k.bytes.Add(uint64(n))
	k.total += n
	for i := len(k.files) - 1; i >= 0; i-- {
		if k.files[i].path == path {
			k.files[i].bytes += n
			return
		}
	}
}

// makeRoom deletes the oldest segments until there is room for so many bytes.
// Those that are being written, by this process or another, stay.
func (k *disk) makeRoom(need int64) error {
	if k.total+need <= k.dir.cfg.Total {
		return nil
	}
	if err := k.look(); err != nil { // others may have made room, or taken some
		return err
	}
	open := map[string]bool{}
	for _, s := range k.dir.streams {
		if s.out.out != nil {
			open[s.out.path] = true
		}
	}
	k.files = slices.DeleteFunc(k.files, func(f file) bool {
		if k.total+need <= k.dir.cfg.Total || open[f.path] || locked(f.path) {
			return false
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.log.Warn("an old recording cannot be deleted", "error", err)
			return false
		}
		k.total -= f.bytes
		return true
	})
	if k.total+need > k.dir.cfg.Total {
		return fmt.Errorf("record.total (%d bytes) has no room for %d more: files that are being written, or cannot be deleted, take %d", k.dir.cfg.Total, need, k.total)
	}
	return nil
}

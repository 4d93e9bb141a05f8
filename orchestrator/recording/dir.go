package recording

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Suffix is what the files of a Dir end with.
const Suffix = ".dacrec"

// The bounds of a Dir, where nothing else is said.
const (
	DefaultSegment = 64 << 20
	DefaultTotal   = 1 << 30
)

// DirConfig is what a Dir is told.
type DirConfig struct {
	Path    string    // made with mode 0700 when it is not there
	Segment int64     // bytes from which on a segment is followed by the next; 0: DefaultSegment
	Total   int64     // bytes of all segments in the directory, also those of earlier processes; 0: DefaultTotal
	Program string    // for the header
	Began   time.Time // the wall clock at time 0
	Kinds   []reconcile.Config
	Log     *slog.Logger // nil: discards

	// Queue bounds the bytes that wait to be written; 0: 64 MiB, but at least four
	// times the largest that came at once. What happens while it is full is not
	// recorded.
	Queue int64
}

// Dir keeps the recordings of a process in files, one row of segments for each
// kind: kinds step concurrently, and need not wait for each other. Whoever steps
// a machine only encodes; one goroutine packs and writes. It never disturbs whom
// it records: what cannot be written is not recorded, and a new segment, which
// begins with the machine's state, is tried later.
type Dir struct {
	cfg     DirConfig
	streams map[fleet.Kind]*stream
	disk    *disk

	events atomic.Uint64
	lost   atomic.Uint64
}

// DirStats counts what a Dir has done.
type DirStats struct {
	Events   uint64 // recorded
	Lost     uint64 // not recorded
	Bytes    uint64 // written
	Segments uint64 // begun
	Failures uint64 // errors of writing
}

// stream is the recording of one kind. What stands below mu belongs to whoever
// holds it: the kind's driver, and once a second the disk's goroutine.
type stream struct {
	dir    *Dir
	kind   fleet.Kind
	config reconcile.Config
	out    *segments

	mu      sync.Mutex
	enc     encoder
	on      bool
	segment int // the number of the next
	state   int // bytes of the snapshot that the segment began with
	room    int // that the next one is expected to take
}

// retryFirst and retryLast bound the wait before writing is tried again.
const (
	retryFirst = 5 * time.Second
	retryLast  = 5 * time.Minute
)

// flushEvery is how long something may stay unwritten.
const flushEvery = time.Second

// OpenDir begins to record. The error says what is wrong with the configuration. A
// directory that cannot be made or written now is logged, and tried again later.
func OpenDir(cfg DirConfig) (*Dir, error) {
	cfg.Segment = cmp.Or(cfg.Segment, DefaultSegment)
	cfg.Total = cmp.Or(cfg.Total, DefaultTotal)
	cfg.Queue = cmp.Or(cfg.Queue, 64<<20)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if least := int64(len(cfg.Kinds)+1) * cfg.Segment; cfg.Total < least {
		return nil, &fleet.FieldError{Field: "record.total", Value: fmt.Sprint(cfg.Total),
			Want: fmt.Sprintf("at least %d: a segment for each of %d kinds and one that is over", least, len(cfg.Kinds))}
	}
	d := &Dir{cfg: cfg, streams: map[fleet.Kind]*stream{}}
	d.disk = newDisk(d)
	for _, k := range cfg.Kinds {
		s := &stream{dir: d, kind: k.Kind, config: k, out: d.disk.segments(k.Kind), segment: -1}
		d.streams[k.Kind] = s
		s.begin(0, nil) // the machine is new: it has no state yet
	}
	switch err := d.disk.start(); {
	case errors.Is(err, syscall.ENOTDIR): // it never can be
		d.disk.end()
		return nil, fmt.Errorf("record.dir: %w", err)
	case err != nil:
		cfg.Log.Error("nothing can be recorded now", "dir", cfg.Path, "error", err)
	}
	return d, nil
}

// Told records an event; it must be called before the machine hears of it.
func (d *Dir) Told(kind fleet.Kind, now time.Duration, ev reconcile.Event) {
	s := d.streams[kind]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on && s.out.broken.Load() == int64(s.segment) {
		s.on = false
	}
	if s.on && d.disk.full() {
		d.cfg.Log.Warn("the recording has a gap: what is to be written waits for the disk", "kind", string(kind))
		s.end(Closing{Lost: "what was to be written had to wait too long for the disk"})
	}
	if !s.on {
		d.lost.Add(1)
		return
	}
	d.events.Add(1)
	s.enc.recordEvent(now, 0, ev)
}

// Answered records what the machine answered to the event before.
func (d *Dir) Answered(kind fleet.Kind, now time.Duration, commands []reconcile.Command, m *reconcile.Machine) {
	s := d.streams[kind]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on && len(commands) > 0 {
		s.enc.recordCommands(now, 0, commands)
	}
	switch {
	case s.on && s.grown():
		s.end(Closing{Continued: true})
		s.begin(now, m)
	case s.on && len(s.enc.buf) >= sealBytes:
		s.seal()
	case !s.on && s.out.due() && !d.disk.halfFull():
		s.begin(now, m)
	}
}

// begin opens the next segment.
func (s *stream) begin(now time.Duration, m *reconcile.Machine) {
	s.segment++
	h := Header{Program: s.dir.cfg.Program, Began: s.dir.cfg.Began, Segment: s.segment, Kinds: []Kind{{s.config}}}
	s.room = max(s.room, s.enc.stateRoom())
	s.enc.restart(1)
	s.on, s.state = true, 0
	s.dir.disk.push(item{to: s.out, open: &h})
	if m == nil {
		return
	}
	// The driver waits: the state is written once, where there is room for all of
	// it, and handed over without being copied.
	state := m.Snapshot(make([]byte, 0, s.room))
	s.state, s.room = len(state), len(state)+len(state)/8
	s.enc.recordSnapshot(now, 0, len(state))
	s.seal()
	s.dir.disk.push(item{to: s.out, raw: state})
}

// grown says that the segment has its size. A state that is large by itself has
// at least as much after it.
func (s *stream) grown() bool {
	return s.out.number.Load() == int64(s.segment) && s.out.written.Load() >= max(s.dir.cfg.Segment, 2*int64(s.state))
}

func (s *stream) end(c Closing) {
	s.enc.recordClosing(c)
	s.seal()
	s.dir.disk.push(item{to: s.out, shut: true})
	s.on = false
}

// seal hands what was recorded to the disk.
func (s *stream) seal() {
	if len(s.enc.buf) > 0 {
		s.enc.buf = s.dir.disk.push(item{to: s.out, raw: s.enc.buf})
	}
}

// flush seals what has been recorded since.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on {
		s.seal()
	}
}

// Stats answers what has been done.
func (d *Dir) Stats() DirStats {
	return DirStats{Events: d.events.Load(), Lost: d.lost.Load(), Bytes: d.disk.bytes.Load(),
		Segments: d.disk.opened.Load(), Failures: d.disk.failures.Load()}
}

// closePatience bounds the wait for the disk at the end.
const closePatience = 10 * time.Second

// Close ends the segments in order. Nothing may be told any more.
func (d *Dir) Close() error {
	for _, s := range d.streams {
		s.mu.Lock()
		if s.on {
			s.end(Closing{})
		}
		s.mu.Unlock()
	}
	d.disk.end()
	late := time.NewTimer(closePatience)
	defer late.Stop()
	select {
	case <-d.disk.done:
		return nil
	case <-late.C:
		return errors.New("the recording's end could not be written in time")
	}
}

package recording

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"dacorch/orchestrator/reconcile"
)

// Writer writes one segment. An error of what it writes to stays, and is
// answered by Err, Flush and Close; from then on nothing is written. Its methods
// must not be called concurrently, and keep nothing of what they are given but
// strings. Each block is packed and written beside its caller: that is over after
// Flush and Close.
type Writer struct {
	enc  encoder
	w    io.Writer
	pack packer
	err  error
	shut bool

	limit, written int64 // 0: no limit
	full           bool  // the limit has ended it

	packing chan sealed // what is being packed and written; nil: nothing
	spare   []byte      // a buffer that is not in use
}

// sealed is what has become of a buffer.
type sealed struct {
	raw   []byte
	bytes int64
	err   error
}

// NewWriter begins a segment. The header's kinds are those that later calls name
// by their place.
func NewWriter(w io.Writer, h Header) *Writer {
	wr := &Writer{enc: newEncoder(len(h.Kinds)), w: w}
	opening, err := wr.pack.opening(h)
	if wr.err = err; err == nil {
		_, wr.err = w.Write(opening)
	}
	return wr
}

// Limit has the recording end, and say why, before the first event that would
// follow so many bytes. What is told of it after that is left out, and Close
// answers no error.
func (w *Writer) Limit(bytes int64) { w.limit = bytes }

// ends closes a recording that has reached its limit.
func (w *Writer) ends() {
	if w.limit > 0 && w.written >= w.limit && !w.shut {
		w.full = true
		_ = w.end(Closing{Lost: fmt.Sprintf("it had reached its limit of %d MiB", w.limit>>20)}) // stays in err
	}
}

// Process says whose machines the calls that follow are about, where several
// processes run at once or their clocks go astray: its number, 0 or more, and how
// far its clock is ahead.
func (w *Writer) Process(number int, skew time.Duration) { w.enc.from = process{number, skew} }

// Event records what a kind's machine is told. It must be called before the
// machine hears of it: some events are the machine's to change.
func (w *Writer) Event(at time.Duration, kind int, ev reconcile.Event) {
	if w.ends(); !w.full {
		w.enc.recordEvent(at, kind, ev)
		w.sealFull()
	}
}

// Commands records all that the machine answered to the event before; nothing
// when that is none.
func (w *Writer) Commands(at time.Duration, kind int, commands []reconcile.Command) {
	if len(commands) > 0 && !w.full {
		w.enc.recordCommands(at, kind, commands)
		w.sealFull()
	}
}

// Restarted records that the kind's machine was made anew.
func (w *Writer) Restarted(at time.Duration, kind int) {
	if !w.full {
		w.enc.begin(at, kind, codeRestarted)
		w.sealFull()
	}
}

// Snapshot records the state of a kind's machine, as Machine.Snapshot writes it.
func (w *Writer) Snapshot(at time.Duration, kind int, state []byte) {
	w.enc.recordSnapshot(at, kind, len(state))
	w.enc.buf = append(w.enc.buf, state...)
	w.sealFull()
}

// Mark records something that happened around the core.
func (w *Writer) Mark(at time.Duration, kind int, m Mark) {
	if !w.full {
		w.enc.recordMark(at, kind, m)
		w.sealFull()
	}
}

// Flush hands on all that was recorded so far, so that a reader finds it.
func (w *Writer) Flush() error {
	w.seal()
	w.wait()
	return w.err
}

// Close ends the segment. What it was written to is the caller's to close.
func (w *Writer) Close(c Closing) error {
	switch {
	case w.full:
		return w.err
	case w.shut:
		return errors.New("recording: closed twice")
	}
	return w.end(c)
}

func (w *Writer) end(c Closing) error {
	w.shut = true
	w.enc.recordClosing(c)
	return w.Flush()
}

// Err is the first error of what is written to.
func (w *Writer) Err() error { return w.err }

func (w *Writer) sealFull() {
	if len(w.enc.buf) >= sealBytes {
		w.seal()
	}
}

// seal has what was recorded packed and written, once the same of what came
// before is over.
func (w *Writer) seal() {
	w.wait()
	raw := w.enc.buf
	if len(raw) == 0 || w.err != nil {
		w.enc.emptied()
		return
	}
	w.enc.buf, w.spare = w.spare, nil
	w.enc.emptied()
	done := make(chan sealed, 1) // not waited for where the run is given up
	w.packing = done
	go func() { done <- w.write(raw) }()
}

func (w *Writer) write(raw []byte) sealed {
	out := sealed{raw: raw}
	for len(raw) > 0 && out.err == nil {
		n := min(len(raw), blockBytes)
		block := w.pack.block(raw[:n])
		_, out.err = w.w.Write(block)
		out.bytes += int64(len(block))
		raw = raw[n:]
	}
	return out
}

// wait is over when nothing is being packed or written.
func (w *Writer) wait() {
	if w.packing == nil {
		return
	}
	out := <-w.packing
	w.packing, w.spare, w.err = nil, out.raw, out.err
	w.written += out.bytes
}

// emptied begins a new buffer where what was in it has been taken; one that a
// single large record has blown up is given back.
func (e *encoder) emptied() {
	if cap(e.buf) > 4*sealBytes {
		e.buf = nil
	}
	e.buf = e.buf[:0]
}

func (e *encoder) recordEvent(at time.Duration, kind int, ev reconcile.Event) {
	e.begin(at, kind, codeEvent)
	e.event(ev)
}

func (e *encoder) recordCommands(at time.Duration, kind int, commands []reconcile.Command) {
	e.begin(at, kind, codeCommands)
	e.count(len(commands))
	for _, c := range commands {
		e.command(c)
	}
}

// recordSnapshot is followed by the state itself.
func (e *encoder) recordSnapshot(at time.Duration, kind int, bytes int) {
	e.begin(at, kind, codeSnapshot)
	e.count(bytes)
}

func (e *encoder) recordMark(at time.Duration, kind int, m Mark) {
	e.begin(at, kind, codeMark)
	e.byte(byte(m.What))
	e.instance(m.Instance)
	e.string(m.Resource)
	e.int(int64(m.For))
	e.string(m.Text)
}

func (e *encoder) recordClosing(c Closing) {
	e.code(codeClosing)
	e.count(len(c.Report))
	e.buf = append(e.buf, c.Report...)
	e.bool(c.Continued)
	e.count(len(c.Lost))
	e.buf = append(e.buf, c.Lost...)
}

// packer makes blocks.
type packer struct {
	zstd *zstd.Encoder
	out  []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// opening is what a segment begins with: magic, version and header.
func (p *packer) opening(h Header) ([]byte, error) {
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("recording: header: %w", err)
	}
	if len(data) > headerBytes {
		return nil, fmt.Errorf("recording: a header of %d bytes: want at most %d", len(data), headerBytes)
	}
	out := binary.AppendUvarint([]byte(magic), Version)
	return append(out, p.block(data)...), nil
}

// block packs bytes. What it answers is good until the next call.
func (p *packer) block(raw []byte) []byte {
	if p.zstd == nil {
		// One goroutine, the caller's; the options are valid, so there is no error.
		p.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(blockBytes), zstd.WithLowerEncoderMem(true))
	}
	p.out = append(p.out[:0], make([]byte, frameBytes)...)
	p.out = p.zstd.EncodeAll(raw, p.out)
	packed := p.out[frameBytes:]
	binary.LittleEndian.PutUint32(p.out[0:], uint32(len(packed)))
	binary.LittleEndian.PutUint32(p.out[4:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(p.out[8:], crc32.Checksum(packed, castagnoli))
	return p.out
}

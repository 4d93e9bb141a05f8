package recording

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"dacorch/orchestrator/reconcile"
)

// Reader reads one segment.
type Reader struct {
	in      *bufio.Reader
	zstd    *zstd.Decoder
	header  Header
	unknown string
	dec     decoder
	packed  []byte
	offset  int64 // of the next block
	entries int
	closed  bool
	err     error
}

// ErrNoRecording says that what is read is no recording at all.
var ErrNoRecording = errors.New("not a recording")

// VersionError says that a recording is of a newer format than this program reads.
type VersionError struct{ Version uint64 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the recording is of version %d of the format, and this program reads up to %d: use a newer dacorch", e.Version, Version)
}

// EndError says that a recording ends before its end, or is damaged, and where.
// Everything up to there has been read.
type EndError struct {
	Cut     bool          // the end is missing: a crash, a full disk; else it is damaged
	Offset  int64         // bytes that are good
	Entries int           // that were read
	At      time.Duration // the last one's time
	Err     error         // what is wrong; nil where it merely stops between two records
}

func (e *EndError) Error() string {
	what := "damaged"
	if e.Cut {
		what = "cut off"
	}
	text := fmt.Sprintf("the recording is %s at byte %d, after %d entries, the last at %v", what, e.Offset, e.Entries, e.At)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is what is wrong.
func (e *EndError) Unwrap() error { return e.Err }

// NewReader reads the header. The error is ErrNoRecording, *VersionError or
// *EndError, or the reader's own.
func NewReader(r io.Reader) (*Reader, error) {
	rd := &Reader{in: bufio.NewReaderSize(r, 64<<10)}
	var err error
	// One goroutine, the caller's; never more than there is room for.
	rd.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(headerBytes),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(rd.in, start); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if string(start) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrNoRecording, magic)
	}
	version, err := binary.ReadUvarint(rd.in)
	switch {
	case err != nil:
		return nil, rd.end(io.ErrUnexpectedEOF)
	case version > Version:
		return nil, &VersionError{version}
	case version == 0:
		return nil, fmt.Errorf("%w: there is no version 0", ErrNoRecording)
	}
	rd.offset = int64(len(binary.AppendUvarint(start, version)))
	data, err := rd.block(headerBytes)
	if err != nil {
		return nil, rd.end(unexpected(err))
	}
	if err := rd.readHeader(data); err != nil {
		return nil, rd.end(fmt.Errorf("header: %w", err))
	}
	rd.dec = decoder{more: func() ([]byte, error) { return rd.block(blockBytes) }, lists: make([]listing, len(rd.header.Kinds)), most: entryMost, version: version}
	return rd, nil
}

// readHeader reads the JSON. A field that is not known is one of a newer program,
// with a format that has otherwise stayed the same.
func (r *Reader) readHeader(data []byte) error {
	h, err := headerOf(data, true)
	if err != nil {
		unknown := err
		if h, err = headerOf(data, false); err != nil {
			return err
		}
		r.unknown = strings.TrimPrefix(unknown.Error(), "json: unknown field ")
	}
	r.header = h
	return nil
}

func headerOf(data []byte, strict bool) (Header, error) {
	type fields Header
	h := struct {
		*fields
		Kinds json.RawMessage `json:"kinds"`
	}{fields: &fields{}}
	err := decoderOf(data, strict).Decode(&h)
	if err == nil {
		h.fields.Kinds, err = kindsOf(h.Kinds, strict)
	}
	return Header(*h.fields), err
}

// kindsOf reads kinds one by one: three bytes of JSON make one that takes hundreds.
func kindsOf(data []byte, strict bool) (list []Kind, err error) {
	in := decoderOf(data, strict)
	if start, err := in.Token(); err != nil || start != json.Delim('[') {
		return nil, nil // null, or not there: none
	}
	for in.More() {
		if len(list) == kindsMost {
			return nil, fmt.Errorf("more than %d kinds", kindsMost)
		}
		var k Kind
		if err := in.Decode(&k); err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

func decoderOf(data []byte, strict bool) *json.Decoder {
	in := json.NewDecoder(bytes.NewReader(data))
	if strict {
		in.DisallowUnknownFields()
	}
	return in
}

// Unknown is a field of the header that this program does not know, quoted; empty
// when it knows all. What it says about the machines is missing in Header.
func (r *Reader) Unknown() string { return r.unknown }

// Header is what the segment begins with.
func (r *Reader) Header() Header { return r.header }

// Next answers the next entry; io.EOF after the Closing, and *EndError, or the
// reader's own error, where the segment ends before it. What is answered stays
// good.
func (r *Reader) Next() (Entry, error) {
	if r.err != nil {
		return Entry{}, r.err
	}
	e, err := r.next()
	if err != nil {
		r.err = err
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			r.err = r.end(err)
		}
		return Entry{}, r.err
	}
	r.entries++
	return e, nil
}

// end makes an EndError of what is wrong; what the reader itself answered is
// handed on.
func (r *Reader) end(err error) error {
	var own *readError
	if errors.As(err, &own) {
		return own.error
	}
	e := &EndError{Offset: r.offset, Entries: r.entries, At: r.dec.at, Err: err, Cut: errors.Is(err, io.ErrUnexpectedEOF)}
	if e.Cut {
		e.Err = nil
	}
	return e
}

// readError is an error of what is read from, and none of the recording.
type readError struct{ error }

func (r *Reader) next() (Entry, error) {
	d := &r.dec
	for {
		if len(d.buf) == 0 && d.err == nil {
			switch block, err := d.more(); {
			case r.closed && errors.Is(err, io.EOF):
				return Entry{}, io.EOF
			case err != nil:
				return Entry{}, unexpected(err)
			default:
				d.buf = block
			}
			continue // a block may be empty
		}
		if r.closed {
			return Entry{}, errors.New("something follows after its end")
		}
		e, is := r.record()
		if d.err != nil {
			return Entry{}, d.err
		}
		if is {
			return e, nil
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// record reads one record; not each is an entry.
func (r *Reader) record() (e Entry, is bool) {
	d := &r.dec
	d.spent = 0
	c := code(d.byte())
	switch c {
	case codeKind:
		n := d.uint()
		if n >= uint64(len(d.lists)) {
			d.fail(fmt.Errorf("kind %d is none of the header's %d", n, len(d.lists)))
			return e, false
		}
		d.kind = int(n)
		return e, false
	case codeProcess:
		n := d.uint()
		if n > processesMost {
			d.fail(fmt.Errorf("process %d is more than there can be", n))
		}
		d.from = process{int(n), time.Duration(d.int())}
		return e, false
	case codeClosing:
		r.closed = true
		return Entry{At: d.at, Closing: d.closing()}, true
	case codeEvent, codeCommands, codeRestarted, codeSnapshot, codeMark:
	default:
		d.fail(fmt.Errorf("%v is no record", c))
		return e, false
	}
	if len(d.lists) == 0 {
		d.fail(errors.New("the header names no kind"))
		return e, false
	}
	e = Entry{At: d.time(), Kind: d.kind, Process: d.from.number, Skew: d.from.skew}
	switch c {
	case codeEvent:
		e.Event = d.event()
	case codeCommands:
		e.Commands = d.commands()
	case codeRestarted:
		e.Restarted = true
	case codeSnapshot:
		if e.Snapshot = d.take(d.length()); len(e.Snapshot) <= blockBytes { // longer, it is its own
			e.Snapshot = append([]byte{}, e.Snapshot...)
		}
	case codeMark:
		e.Mark = d.mark()
	}
	return e, true
}

// block reads and unpacks the next block; io.EOF when there is none.
func (r *Reader) block(most int) ([]byte, error) {
	var frame [frameBytes]byte
	if _, err := io.ReadFull(r.in, frame[:]); err != nil {
		return nil, ours(err)
	}
	packed, raw := binary.LittleEndian.Uint32(frame[0:]), binary.LittleEndian.Uint32(frame[4:])
	if raw > uint32(most) || packed > uint32(most)+1<<12 {
		return nil, fmt.Errorf("a block of %d bytes, %d unpacked, is larger than any", packed, raw)
	}
	// In parts: what the frame promises need not be there.
	r.packed = r.packed[:0]
	for left := int(packed); left > 0; {
		part := min(left, 64<<10)
		r.packed = append(r.packed, make([]byte, part)...)
		if _, err := io.ReadFull(r.in, r.packed[len(r.packed)-part:]); err != nil {
			return nil, ours(unexpected(err))
		}
		left -= part
	}
	if sum := crc32.Checksum(r.packed, castagnoli); sum != binary.LittleEndian.Uint32(frame[8:]) {
		return nil, errors.New("a block's checksum is wrong")
	}
	out, err := r.zstd.DecodeAll(r.packed, make([]byte, 0, raw))
	if err != nil {
		return nil, fmt.Errorf("a block cannot be unpacked: %w", err)
	}
	if len(out) != int(raw) {
		return nil, fmt.Errorf("a block has %d bytes unpacked, and not the %d that it promises", len(out), raw)
	}
	r.offset += frameBytes + int64(packed)
	return out, nil
}

// ours tells the end of the file from errors of the reader.
func ours(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return &readError{err}
}

func (d *decoder) commands() []reconcile.Command {
	n := d.length()
	list := make([]reconcile.Command, 0, min(n, 1024))
	for range n {
		d.spend(commandBytes)
		c := d.command()
		if d.err != nil {
			return nil
		}
		list = append(list, c)
	}
	return list
}

func (d *decoder) mark() *Mark {
	return &Mark{What: MarkKind(d.below(marksOf(d.version), "mark")), Instance: d.instance(), Resource: d.string(),
		For: time.Duration(d.int()), Text: d.string()}
}

// marksOf is how many sorts of marks a version has.
func marksOf(version uint64) byte {
	if version < 2 {
		return byte(PodBound)
	}
	return byte(ProcessDied) + 1
}

func (d *decoder) closing() *Closing {
	c := &Closing{}
	if report := d.take(d.length()); len(report) > 0 {
		c.Report = append(json.RawMessage{}, report...)
	}
	c.Continued, c.Lost = d.bool(), string(d.take(d.length()))
	return c
}

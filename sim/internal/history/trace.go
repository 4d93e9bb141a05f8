// Package history keeps what happened in a run: the trace and its hash,
// histograms of durations, bounded time series with their ASCII timeline, and
// the report with its renderers. Everything is bounded in memory, deterministic
// to the byte, and pure.
package history

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"time"
)

// flushBytes is how much of the trace is gathered before it is hashed.
const flushBytes = 32 << 10

// The tags that begin a field of a record, and the one that ends the record.
const (
	tagEnd    = 0x00
	tagInt    = 'i'
	tagString = 's'
	tagTrue   = 'T'
	tagFalse  = 'F'
)

// Trace hashes the records of a run as they come, without holding them.
//
// The canonical binary form of a record, integers big-endian, is
//
//	now     int64, nanoseconds
//	what    1 byte, the caller's code for the kind of record
//	fields  any number of: 'i' int64 | 's' uint32 length, bytes | 'T' | 'F'
//	end     1 byte, zero
//
// Each field says where it ends, so two different sequences of records never
// have the same binary form. Records are written as Begin, fields, End.
type Trace struct {
	buf     []byte // gathered, not yet hashed; never grows past flushBytes
	hash    hash.Hash
	records uint64
	open    bool

	text  io.Writer
	names *[256]string
	line  []byte
	err   error
}

// NewTrace begins an empty trace.
func NewTrace() *Trace {
	return &Trace{buf: make([]byte, 0, flushBytes), hash: sha256.New()}
}

// Text has every later record written to w too, one line each: the time, the
// record's name, its fields. names gives the name of each code; one that is
// empty is written as "what=<code>". The text does not enter the hash.
func (t *Trace) Text(w io.Writer, names *[256]string) {
	t.text, t.names = w, names
}

// Begin starts a record. A record still open is ended first.
func (t *Trace) Begin(now time.Duration, what byte) {
	if t.open {
		t.End()
	}
	t.open = true
	t.room(9)
	t.buf = binary.BigEndian.AppendUint64(t.buf, uint64(now))
	t.buf = append(t.buf, what)
	if t.text != nil {
		t.line = append(t.line[:0], now.String()...)
		t.line = append(t.line, ' ')
		if t.names != nil && t.names[what] != "" {
			t.line = append(t.line, t.names[what]...)
		} else {
			t.line = strconv.AppendUint(append(t.line, "what="...), uint64(what), 10)
		}
	}
}

// Int adds an integer to the record.
func (t *Trace) Int(v int64) {
	t.room(9)
	t.buf = append(t.buf, tagInt)
	t.buf = binary.BigEndian.AppendUint64(t.buf, uint64(v))
	if t.text != nil {
		t.line = strconv.AppendInt(append(t.line, ' '), v, 10)
	}
}

// Bool adds a truth value to the record.
func (t *Trace) Bool(v bool) {
	t.room(1)
	if v {
		t.buf = append(t.buf, tagTrue)
	} else {
		t.buf = append(t.buf, tagFalse)
	}
	if t.text != nil {
		t.line = strconv.AppendBool(append(t.line, ' '), v)
	}
}

// String adds a string of any length to the record; one line of text shows it
// quoted when it holds anything but plain characters.
func (t *Trace) String(s string) {
	t.room(5)
	t.buf = append(t.buf, tagString)
	t.buf = binary.BigEndian.AppendUint32(t.buf, uint32(len(s)))
	if t.text != nil {
		t.line = append(t.line, ' ')
		if plain(s) {
			t.line = append(t.line, s...)
		} else {
			t.line = strconv.AppendQuote(t.line, s)
		}
	}
	for len(s) > cap(t.buf)-len(t.buf) {
		n := cap(t.buf) - len(t.buf)
		t.buf = append(t.buf, s[:n]...)
		s = s[n:]
		t.flush()
	}
	t.buf = append(t.buf, s...)
}

// End closes the record.
func (t *Trace) End() {
	if !t.open {
		return
	}
	t.open = false
	t.records++
	t.room(1)
	t.buf = append(t.buf, tagEnd)
	if t.text != nil && t.err == nil {
		t.line = append(t.line, '\n')
		_, t.err = t.text.Write(t.line)
	}
}

// Records is the number of records ended so far.
func (t *Trace) Records() uint64 { return t.records }

// Err is the first error of the text's writer, after which no more text is
// written; the hash goes on regardless.
func (t *Trace) Err() error { return t.err }

// Sum is "sha256:" and the hash, in hexadecimal, of everything so far. More
// records may follow.
func (t *Trace) Sum() string {
	if t.open {
		t.End()
	}
	t.flush()
	return "sha256:" + hex.EncodeToString(t.hash.Sum(nil))
}

// room makes sure that n more bytes fit the buffer.
func (t *Trace) room(n int) {
	if len(t.buf)+n > cap(t.buf) {
		t.flush()
	}
}

func (t *Trace) flush() {
	t.hash.Write(t.buf) // a hash never answers an error
	t.buf = t.buf[:0]
}

// plain says whether s can stand in a line of text unquoted.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

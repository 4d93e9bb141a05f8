package churn

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxRowBytes = 1 << 20 // a longer row ends the reading: this is no CSV, or its quotes are broken
	firstBuffer = 64 << 10
	maxListed   = 40 // columns listed in an error
)

// table reads a CSV, plain or gzip, row by row, in memory bounded by maxRowBytes.
//
// It reads what encoding/csv reads, but does not let a stray quote swallow the
// rows after it: a quoted field may span lines (RFC 4180) only if it is properly
// closed and its row then has as many columns as the others. Otherwise its first
// line alone is a broken row, and the next line is read afresh. A quote inside
// an unquoted field stands for itself.
type table struct {
	file    string // for messages
	columns int    // of every row: as many as the first has; 0 until that is read
	names   []string
	line    int // where the row read last begins, from 1

	src        io.Reader
	comma      byte
	buf        []byte
	start, end int // of what is in buf and not yet read
	ended      bool
	nextLine   int
	size       int // of the row read last

	spans    []span
	fields   [][]byte
	unquoted []byte // the content of fields that stand in buf otherwise than they read
}

// span is where a field's content lies.
type span struct {
	from, to int
	unquoted bool // in table.unquoted; else from table.start in table.buf
}

// openTable tells gzip by its first bytes and reads the header, unless there is none.
func openTable(src io.Reader, file string, comma rune, noHeader bool) (*table, error) {
	if comma == 0 {
		comma = ','
	}
	t := &table{file: file, src: src, comma: byte(comma), nextLine: 1, line: 1}
	peek := bufio.NewReader(src)
	magic, _ := peek.Peek(2) // an error comes again with the first read
	t.src = peek
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(peek)
		if err != nil {
			return nil, t.failed(err)
		}
		t.src = unzipped
	}
	if err := t.fill(); err != nil {
		return nil, err
	}
	head := t.buf[t.start:t.end]
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s:1: the file is UTF-16: want UTF-8", file)
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		t.start += 3 // a byte-order mark is no part of the first column's name
	}
	fields, problem, err := t.next()
	switch {
	case err == io.EOF:
		return nil, fmt.Errorf("%s: the file is empty: want a CSV", file)
	case err != nil:
		return nil, err
	case problem != "":
		return nil, fmt.Errorf("%s:%d: the first row tells the columns, but is not a CSV row: %s", file, t.line, problem)
	}
	t.columns = len(fields)
	if noHeader {
		t.start, t.nextLine = t.start-t.size, t.line // to be read again, as data
		return t, nil
	}
	for _, f := range fields {
		t.names = append(t.names, strings.TrimSpace(string(f)))
	}
	return t, nil
}

// column is the position of a column by its name or, without a header, its
// number from 1. The error names the field that asks for it.
func (t *table) column(field, name string) (int, error) {
	if t.names == nil {
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > t.columns {
			return 0, fmt.Errorf("%s:1: %s: %q is no column: want a number from 1 to %d, since there is no header", t.file, field, name, t.columns)
		}
		return n - 1, nil
	}
	found := -1
	for i, n := range t.names {
		if n != name {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("%s:1: %s: columns %d and %d are both called %q: want a name that is there once", t.file, field, found+1, i+1, name)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("%s:1: %s: no column is called %q: want one of %s", t.file, field, name, t.listed())
	}
	return found, nil
}

func (t *table) listed() string {
	var out strings.Builder
	for i, n := range t.names[:min(len(t.names), maxListed)] {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(shorten(n))
	}
	switch {
	case len(t.names) > maxListed:
		fmt.Fprintf(&out, " and %d more", len(t.names)-maxListed)
	case len(t.names) == 1:
		fmt.Fprintf(&out, " (one column: are its columns separated by %q?)", t.comma)
	}
	return out.String()
}

// next is the next row that is not blank; its fields are good until the call
// after. A problem says why the line at t.line is not a CSV row; reading goes on
// after it. The error is io.EOF at the end.
func (t *table) next() (fields [][]byte, problem string, err error) {
	for {
		size, problem, more := t.parse()
		if more {
			if t.end-t.start > maxRowBytes {
				return nil, "", t.tooLong()
			}
			if err := t.fill(); err != nil {
				return nil, "", err
			}
			continue
		}
		if size == 0 {
			return nil, "", io.EOF
		}
		if size > maxRowBytes {
			return nil, "", t.tooLong()
		}
		row := t.buf[t.start : t.start+size]
		t.line = t.nextLine
		t.nextLine += bytes.Count(row, []byte{'\n'})
		t.start += size
		t.size = size
		if problem != "" {
			return nil, problem, nil
		}
		if s := string(row); s == "\n" || s == "\r\n" || s == "\r" {
			continue // blank
		}
		t.fields = t.fields[:0]
		for _, s := range t.spans {
			if s.unquoted {
				t.fields = append(t.fields, t.unquoted[s.from:s.to])
			} else {
				t.fields = append(t.fields, row[s.from:s.to])
			}
		}
		return t.fields, "", nil
	}
}

// parse finds the fields of the row at the start of what is buffered, and its
// size; more says that the buffer must be filled to tell.
func (t *table) parse() (size int, problem string, more bool) {
	data := t.buf[t.start:t.end]
	first := bytes.IndexByte(data, '\n') + 1 // the size of the first line
	if first == 0 {
		if !t.ended {
			return 0, "", true
		}
		first = len(data)
	}
	broken := func(why string) (int, string, bool) {
		return first, fmt.Sprintf("column %d: %s", len(t.spans)+1, why), false
	}
	t.spans, t.unquoted = t.spans[:0], t.unquoted[:0]
	for at := 0; ; at++ { // past the comma
		var s span
		state := fieldWhole
		if at < len(data) && data[at] == '"' {
			s, at, state = t.quoted(data, at)
		} else {
			s, at, state = t.bare(data, at)
		}
		switch {
		case state == fieldOpen && len(data) <= maxRowBytes:
			return 0, "", true
		case state == fieldOpen || state == fieldBroken && at >= first:
			return broken("a quoted field that is not closed")
		case state == fieldBroken:
			return broken("text after a closing quote")
		}
		t.spans = append(t.spans, s)
		if at < len(data) && data[at] == t.comma {
			continue
		}
		size := min(at+1, len(data)) // past the line feed
		if at < len(data) && data[at] == '\r' {
			size = min(at+2, len(data))
		}
		if size > first && (t.columns > 0 && len(t.spans) != t.columns || size > maxRowBytes) {
			return broken("a quoted field that is not closed")
		}
		return size, "", false
	}
}

// fieldState is what is known of a field.
type fieldState uint8

const (
	fieldWhole  fieldState = iota
	fieldOpen              // it may go on beyond what is buffered
	fieldBroken            // its quote closes amid text, or never
)

// bare finds the end of an unquoted field: a comma, a line end (at its carriage
// return, if it has one) or the file's.
func (t *table) bare(data []byte, from int) (s span, at int, state fieldState) {
	at = from
	for at < len(data) && data[at] != t.comma && data[at] != '\n' {
		at++
	}
	if at == len(data) && !t.ended {
		return s, at, fieldOpen
	}
	if at > from && data[at-1] == '\r' && (at == len(data) || data[at] == '\n') {
		at--
	}
	return span{from: from, to: at}, at, fieldWhole
}

// quoted finds the end of the quoted field that opens at from. When it is
// broken, at is where.
func (t *table) quoted(data []byte, from int) (s span, at int, state fieldState) {
	from++
	plain := true
	for at = from; ; at += 2 { // past a doubled quote
		quote := bytes.IndexByte(data[at:], '"')
		if quote < 0 && t.ended {
			return s, len(data), fieldBroken
		}
		if quote < 0 || at+quote+1 == len(data) && !t.ended {
			return s, at, fieldOpen
		}
		at += quote
		if at+1 == len(data) || data[at+1] != '"' {
			break
		}
		plain = false
	}
	content := data[from:at]
	at++
	switch rest := data[at:]; {
	case len(rest) == 0 || rest[0] == t.comma || rest[0] == '\n':
	case rest[0] != '\r' || len(rest) > 1 && rest[1] != '\n':
		return s, at, fieldBroken
	case len(rest) == 1 && !t.ended:
		return s, at, fieldOpen
	}
	if plain && !bytes.Contains(content, []byte("\r\n")) {
		return span{from: from, to: from + len(content)}, at, fieldWhole
	}
	s = span{from: len(t.unquoted), unquoted: true}
	for i := 0; i < len(content); i++ {
		switch c := content[i]; {
		case c == '"':
			i++ // the second of two
		case c == '\r' && i+1 < len(content) && content[i+1] == '\n':
			continue
		}
		t.unquoted = append(t.unquoted, content[i])
	}
	s.to = len(t.unquoted)
	return s, at, fieldWhole
}

// fill reads on: it moves what is buffered to the front, and doubles the buffer
// when that is full.
func (t *table) fill() error {
	n := copy(t.buf, t.buf[t.start:t.end])
	t.start, t.end = 0, n
	if n == len(t.buf) {
		t.buf = append(t.buf, make([]byte, max(n, firstBuffer))...)
	}
	for idle := 0; t.end < len(t.buf); idle++ {
		n, err := t.src.Read(t.buf[t.end:])
		t.end += n
		switch {
		case err == io.EOF:
			t.ended = true
			return nil
		case err != nil:
			return t.failed(err)
		case n > 0:
			idle = 0
		case idle == 100:
			return t.failed(io.ErrNoProgress)
		}
	}
	return nil
}

// failed says where reading failed.
func (t *table) failed(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s:%d: the gzip stream ends too early: is the file whole? (%w)", t.file, t.nextLine, err)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return fmt.Errorf("%s:%d: the gzip stream is damaged: %w", t.file, t.nextLine, err)
	}
	return fmt.Errorf("%s:%d: %w", t.file, t.nextLine, err)
}

func (t *table) tooLong() error {
	return fmt.Errorf("%s:%d: the row is longer than %d bytes: is this a CSV?", t.file, t.nextLine, maxRowBytes)
}

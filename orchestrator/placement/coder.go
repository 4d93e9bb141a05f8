package placement

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
)

// Coder writes the binary form of a state, or reads it: each of its methods
// does either, so that one walk over the state serves both and what is written
// and what is read cannot differ.
//
// Numbers are variable-length (encoding/binary), signed ones zigzag; a truth
// value is a byte; a string and a list begin with their length. The last four
// bytes are a CRC-32C of all before them.
//
// Reading is proof against any input: nothing is allocated that the bytes left
// could not fill, nor more than allocMost bytes, and the first thing that is wrong
// ends it: from then on every value is zero and every list empty, and Done tells
// what and where.
type Coder struct {
	buf     []byte // written, or to be read
	text    string // reading: the same bytes; strings are cut from it
	at      int    // reading: the next byte
	start   int    // writing: where our part of buf begins
	reading bool
	section string
	err     error
	words   map[string]uint64
	spelt   []*string
	alloc   int // reading: bytes that may still be taken, beside data itself
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumBytes = 4

// allocMost is the most memory that is taken for what is read: more than twice what a
// million resources take of which none has its place. An element of a list may be a
// single byte, so that without it a small file, unpacked, would fill any memory.
const allocMost = 1 << 30

// NewWriter makes a Coder that appends to dst.
func NewWriter(dst []byte) *Coder { return &Coder{buf: dst, start: len(dst)} }

// NewReader makes a Coder that reads data, all of which must be one state. The
// strings that it reads keep a copy of data alive.
func NewReader(data []byte) *Coder {
	c := &Coder{reading: true, alloc: allocMost}
	n := len(data) - sumBytes
	if n < 0 {
		c.Fail("%d bytes are no snapshot: it is cut off", len(data))
		return c
	}
	if want, got := binary.LittleEndian.Uint32(data[n:]), crc32.Checksum(data[:n], castagnoli); want != got {
		c.Fail("the checksum of %d bytes is %08x, not %08x: it is damaged or cut off", n, got, want)
		return c
	}
	c.buf, c.text = data[:n:n], string(data[:n])
	return c
}

// Reading says that values are read, not written.
func (c *Coder) Reading() bool { return c.reading }

// Section names what follows, for errors.
func (c *Coder) Section(name string) { c.section = name }

// Fail ends the reading. The first call counts.
func (c *Coder) Fail(format string, args ...any) {
	if c.err != nil {
		return
	}
	where := fmt.Sprintf("byte %d", c.at)
	if c.section != "" {
		where += ", in " + c.section
	}
	c.err = fmt.Errorf("snapshot: %s: %s", where, fmt.Sprintf(format, args...))
	c.at = len(c.buf)
}

// Failed says that reading has come to its end too early.
func (c *Coder) Failed() bool { return c.err != nil }

// Done ends the walk. It answers what has been written, dst before it; reading,
// the first thing that was wrong, and a state that is followed by more is.
func (c *Coder) Done() ([]byte, error) {
	if !c.reading {
		return binary.LittleEndian.AppendUint32(c.buf, crc32.Checksum(c.buf[c.start:], castagnoli)), nil
	}
	if c.err == nil && c.at < len(c.buf) {
		c.Fail("%d bytes follow the end of the state", len(c.buf)-c.at)
	}
	return nil, c.err
}

// Uint codes a number that is mostly small.
func (c *Coder) Uint(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	*v = 0
	if c.err != nil {
		return
	}
	n, size := binary.Uvarint(c.buf[c.at:])
	if size <= 0 {
		c.Fail("no number stands here")
		return
	}
	*v = n
	c.at += size
}

// Int codes a signed number of any width.
func Int[T ~int | ~int64 | ~int32 | ~uint8](c *Coder, v *T) {
	u := uint64(int64(*v))<<1 ^ uint64(int64(*v)>>63)
	c.Uint(&u)
	if !c.reading {
		return
	}
	n := int64(u>>1) ^ -int64(u&1)
	if *v = T(n); int64(*v) != n {
		c.Fail("%d is out of range", n)
		*v = 0
	}
}

// Enum codes a number from 0 to most.
func Enum[T ~uint8](c *Coder, v *T, most T) {
	if Int(c, v); *v > most {
		c.Fail("%d is out of range: 0 to %d", *v, most)
		*v = 0
	}
}

// Bool codes a truth value.
func (c *Coder) Bool(v *bool) {
	var n uint8
	if *v {
		n = 1
	}
	if !c.reading {
		c.buf = append(c.buf, n)
		return
	}
	if *v = false; c.err != nil {
		return
	}
	if c.at == len(c.buf) || c.buf[c.at] > 1 {
		c.Fail("no truth value (0 or 1) stands here")
		return
	}
	*v = c.buf[c.at] == 1
	c.at++
}

// String codes a text.
func (c *Coder) String(v *string) {
	n := c.Len(len(*v))
	if !c.reading {
		c.buf = append(c.buf, *v...)
		return
	}
	*v = c.text[c.at : c.at+n]
	c.at += n
}

// Word codes a text that occurs again and again, or nil: in full where it comes
// first, by its number from then on.
func (c *Coder) Word(v **string) {
	if c.reading {
		c.readWord(v)
		return
	}
	var n uint64 // 0: nil, 1: a new one
	if *v != nil {
		if n = c.words[**v]; n == 0 {
			n = 1
			if c.words == nil {
				c.words = map[string]uint64{}
			}
			c.words[**v] = uint64(len(c.words) + 2)
		}
	}
	c.Uint(&n)
	if n == 1 {
		c.String(*v)
	}
}

func (c *Coder) readWord(v **string) {
	var n uint64
	c.Uint(&n)
	switch {
	case n == 0:
		*v = nil
	case n == 1:
		*v = new(string)
		c.Alloc(24)
		c.String(*v)
		c.spelt = append(c.spelt, *v)
	case n-2 < uint64(len(c.spelt)):
		*v = c.spelt[n-2]
	default:
		c.Fail("word %d of %d", n-2, len(c.spelt))
	}
}

// Alloc counts bytes of memory that reading takes, where List does not: what a
// pointer points to, a map's entries.
func (c *Coder) Alloc(bytes int) {
	if !c.reading {
		return
	}
	if c.alloc -= bytes; c.alloc < 0 {
		c.Fail("what is read takes more than %d MiB of memory", allocMost>>20)
	}
}

// Left is how many bytes are still to be read.
func (c *Coder) Left() int { return len(c.buf) - c.at }

// Len codes the length of a list: it takes that of the one to write and answers
// that of the one at hand. Each of its elements takes a byte at least.
func (c *Coder) Len(n int) int {
	u := uint64(n)
	c.Uint(&u)
	if !c.reading {
		return n
	}
	if left := c.Left(); u > uint64(left) {
		c.Fail("a length of %d where %d bytes are left", u, left)
		return 0
	}
	return int(u)
}

// List codes a list, each element by code. An empty one is read as nil.
func List[T any](c *Coder, list *[]T, code func(*T)) {
	n := c.Len(len(*list))
	if !c.reading {
		for i := range *list {
			code(&(*list)[i])
		}
		return
	}
	*list = nil
	size := int(reflect.TypeFor[T]().Size())
	for i := 0; i < n && c.err == nil; i++ {
		c.Alloc(size)
		var none T
		*list = append(*list, none)
		code(&(*list)[i])
	}
}

package mqtt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

const (
	kindConnack = 2
	kindPublish = 3
	kindSuback  = 9

	// maxPublish is a PUBLISH with a payload that is one byte too long for Parse,
	// under the longest topic.
	maxPublish = MaxPayload + 1 + 65535 + 4
)

// frames reads a broker's packets, and keeps from the codec behind it what that
// cannot bear: a message that is too large loses its end, since refusing it would
// bring it again with every connection; a SUBACK for more than was asked is an
// error. It reads ahead, so that the codec's reading byte by byte costs nothing.
type frames struct {
	r    *bufio.Reader
	head []byte // of the packet under way, to be handed out first
	body int    // bytes of it to be handed out then
	skip int    // bytes of it to be left out
}

func newFrames(r io.Reader) *frames { return &frames{r: bufio.NewReaderSize(r, 16<<10)} }

func (f *frames) Read(p []byte) (int, error) {
	if len(f.head) == 0 && f.body == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	n, err := f.r.Read(p[:min(len(p), f.body)])
	f.body -= n
	return n, err
}

// next begins with the packet that follows.
func (f *frames) next() error {
	if _, err := f.r.Discard(f.skip); err != nil {
		return err
	}
	f.skip = 0
	kind, length, err := f.header()
	if err != nil {
		return err
	}
	switch {
	case kind == kindPublish:
		f.body = min(length, maxPublish)
		f.skip = length - f.body
	case kind == kindSuback && length != 3, kind == kindConnack && length != 2:
		return fmt.Errorf("the broker broke the protocol: packet type %d of %d bytes", kind, length)
	case length > 4:
		return fmt.Errorf("the broker broke the protocol: packet type %d of %d bytes: want at most 4", kind, length)
	default:
		f.body = length
	}
	for rest := f.body; ; {
		b := byte(rest & 0x7f)
		if rest >>= 7; rest == 0 {
			f.head = append(f.head, b)
			return nil
		}
		f.head = append(f.head, b|0x80)
	}
}

// header reads a packet's first byte, which becomes the start of head, and its
// length.
func (f *frames) header() (kind byte, length int, err error) {
	first, err := f.r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	f.head = append(f.head[:0], first)
	for i := range 4 {
		b, err := f.r.ReadByte()
		if err != nil {
			return 0, 0, io.ErrUnexpectedEOF
		}
		length |= int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return first >> 4, length, nil
		}
	}
	return 0, 0, errors.New("the broker broke the protocol: a packet whose length has more than four bytes")
}

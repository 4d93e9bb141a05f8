package zookeeper

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"
)

// Jute is ZooKeeper's serialisation: big-endian integers, and strings, buffers
// and vectors behind their 32-bit length, where -1 stands for null.

// errShort is what every malformed record comes to. Clients see it as
// MarshallingError, so there is nothing finer to say.
var errShort = errors.New("zookeeper: the record ends early or holds a length out of range")

// decoder reads one record. After the first mistake every read answers zero, and
// err says so: callers check once, at the end.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.err, d.b = errShort, nil
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) long() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) bool() bool {
	b := d.take(1)
	return b != nil && b[0] != 0
}

// buffer answers a slice of the record itself, nil for null.
func (d *decoder) buffer() []byte {
	n := d.int()
	if n == -1 || d.err != nil {
		return nil
	}
	if b := d.take(int(n)); b != nil {
		return b
	}
	return nil
}

// data answers a copy, for what outlives the record; nil for null.
func (d *decoder) data() []byte {
	b := d.buffer()
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// string reads null as the empty string. As in Java, bytes that are no UTF-8
// become U+FFFD.
func (d *decoder) string() string {
	b := d.buffer()
	if !utf8.Valid(b) {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(b)
}

// path is a string that may not be null.
func (d *decoder) path() string {
	if len(d.b) >= 4 && binary.BigEndian.Uint32(d.b) == 0xffffffff {
		d.err = errShort
	}
	return d.string()
}

// strings reads a vector. It grows with what the record really holds, never with
// what its length promises.
func (d *decoder) strings() []string {
	var v []string
	for n := d.int(); n > 0 && d.err == nil; n-- {
		v = append(v, d.string())
	}
	return v
}

func (d *decoder) acl() []ACL {
	var v []ACL
	for n := d.int(); n > 0 && d.err == nil; n-- {
		v = append(v, ACL{Perms: d.int(), Scheme: d.string(), ID: d.string()})
	}
	if isOpen(v) {
		return openACL // shared: nearly every node has it
	}
	return v
}

func putInt(b []byte, v int32) []byte  { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func putLong(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putString(b []byte, v string) []byte {
	return append(putInt(b, int32(len(v))), v...)
}

// putBuffer writes nil as null.
func putBuffer(b, v []byte) []byte {
	if v == nil {
		return putInt(b, -1)
	}
	return append(putInt(b, int32(len(v))), v...)
}

func putStrings(b []byte, v []string) []byte {
	b = putInt(b, int32(len(v)))
	for _, s := range v {
		b = putString(b, s)
	}
	return b
}

func putACL(b []byte, v []ACL) []byte {
	b = putInt(b, int32(len(v)))
	for _, a := range v {
		b = putString(putString(putInt(b, a.Perms), a.Scheme), a.ID)
	}
	return b
}

func putStat(b []byte, s Stat) []byte {
	b = putLong(putLong(b, s.Czxid), s.Mzxid)
	b = putLong(putLong(b, s.Ctime), s.Mtime)
	b = putInt(putInt(putInt(b, s.Version), s.Cversion), s.Aversion)
	b = putLong(b, s.EphemeralOwner)
	b = putInt(putInt(b, s.DataLength), s.NumChildren)
	return putLong(b, s.Pzxid)
}

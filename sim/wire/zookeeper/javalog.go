package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"time"
)

// The transaction log of the real ZooKeeper holds every transaction in the order in
// which it was carried out, and none is answered before it stands there. A file of
// it is a header and records; after the last one come zeros that were laid out
// beforehand. A record is a checksum, a length, that many bytes, and the letter B;
// the bytes are a header, the transaction, and in newer versions a digest
// (FileTxnLog.java, zookeeper.jute).

const (
	logMagic    = "ZKLG"
	logHeader   = 16 // magic, version, database
	recordFrame = 12 // checksum and length
	recordEnd   = 'B'
	// maxRecord bounds a record. Transactions are of requests, which are at most
	// jute.maxbuffer: 1 MiB, unless somebody has raised it.
	maxRecord = 64 << 20
)

// errTorn says that what stands in the log is no record: or not yet, since whoever
// writes one does not do so at one moment.
var errTorn = errors.New("the transaction log holds no whole record here")

// opDeleteContainer is a transaction that no client asks for.
const opDeleteContainer opCode = 20

// logged is a transaction of the log.
type logged struct {
	session int64 // whose request it was
	zxid    int64
	at      time.Time // by the server's clock
	ops     []loggedOp
	ends    bool // the session has ended, and its ephemeral nodes with it
}

// loggedOp is what a transaction does to one node.
type loggedOp struct {
	Change
	ephemeral bool
}

// checkLogHeader says what is wrong with the beginning of a file.
func checkLogHeader(b []byte) error {
	if len(b) < logHeader || string(b[:4]) == "\x00\x00\x00\x00" {
		return errTorn
	}
	if version := binary.BigEndian.Uint32(b[4:]); string(b[:4]) != logMagic || version != 2 {
		return fmt.Errorf("it begins with %q, version %d: want a transaction log of ZooKeeper, %q, version 2", b[:4], version, logMagic)
	}
	return nil
}

// nextRecord reads the record that b begins with, and how long it is. Where no
// record has been written yet it is nil. need, unless 0, is how many bytes b must
// hold to know more.
func nextRecord(b []byte) (record []byte, size, need int, err error) {
	if len(b) < recordFrame {
		return nil, 0, recordFrame, nil
	}
	sum, length := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	switch {
	case length == 0 && sum == 0:
		return nil, 0, 0, nil
	case length == 0 || length > maxRecord:
		return nil, 0, 0, errTorn
	}
	size = recordFrame + int(length) + 1
	if len(b) < size {
		return nil, 0, size, nil
	}
	record = b[recordFrame : size-1]
	if b[size-1] != recordEnd || uint64(adler32.Checksum(record)) != sum {
		return nil, 0, 0, errTorn
	}
	return record, size, 0, nil
}

// parseLogged reads a record. What it does not know changes no node.
func parseLogged(record []byte) (logged, error) {
	d := decoder{b: record}
	t := logged{session: d.long()}
	d.int() // the client's number of the request
	t.zxid = d.long()
	t.at = time.UnixMilli(d.long())
	code := opCode(d.int())
	switch code {
	case opCloseSession:
		t.ends = true
	case opMulti:
		t.ops = d.loggedMulti()
	default:
		if o, changes := d.loggedOp(code); changes {
			t.ops = []loggedOp{o}
		}
	}
	if d.err != nil {
		return logged{}, fmt.Errorf("transaction 0x%x of type %d: %w", t.zxid, code, d.err)
	}
	for i := range t.ops {
		if t.ops[i].Op == observed[opCreate] {
			t.ops[i].Czxid = t.zxid
		}
	}
	return t, nil
}

// loggedOp reads what a transaction of one operation does; false when it changes no
// node's existence or data.
func (d *decoder) loggedOp(code opCode) (o loggedOp, changes bool) {
	switch code {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		o.Op, o.Path, o.Data = observed[opCreate], d.string(), d.data()
		d.acl()
		if code == opCreate || code == opCreate2 {
			o.ephemeral = d.bool()
		}
	case opDelete, opDeleteContainer:
		o.Op, o.Path = observed[opDelete], d.string()
	case opSetData:
		o.Op, o.Path, o.Data, o.Version = observed[opSetData], d.string(), d.data(), d.int()
	default:
		return o, false
	}
	return o, true
}

// loggedMulti reads a transaction of several operations. One that was refused has
// only errors.
func (d *decoder) loggedMulti() (ops []loggedOp) {
	for n := d.int(); n > 0 && d.err == nil; n-- {
		code := opCode(d.int())
		part := decoder{b: d.buffer()}
		if code == opError {
			return nil // nothing of it was done
		}
		o, changes := part.loggedOp(code)
		if part.err != nil {
			d.err = part.err
		}
		if changes {
			ops = append(ops, o)
		}
	}
	return ops
}

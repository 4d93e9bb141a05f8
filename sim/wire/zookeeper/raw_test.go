package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// raw is a client that hides nothing: it sends what it is told, fit or unfit,
// and shows every packet that comes back.
type raw struct {
	nc       net.Conn
	xid      int32
	session  int64
	password []byte
	timeout  int32
	seen     int64 // the last zxid of an answer
	events   []string
}

// reply is one answer. Closed says that the connection ended instead.
type reply struct {
	closed bool
	zxid   int64
	err    code
	body   []byte
}

// dialRaw connects and opens a session, or resumes one. A refused one has id 0.
func dialRaw(addr string, timeout int32, session int64, password []byte, seen int64) (*raw, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	r := &raw{nc: nc, seen: seen}
	b := putBuffer(putLong(putInt(putLong(putInt(nil, 0), seen), timeout), session), password)
	r.write(putBool(b, false))
	frame, err := r.frame()
	if err != nil {
		nc.Close()
		return nil, err
	}
	d := decoder{b: frame}
	d.int()
	r.timeout, r.session, r.password = d.int(), d.long(), d.data()
	if d.bool(); d.err != nil || len(d.b) > 0 {
		nc.Close()
		return nil, fmt.Errorf("answer to the handshake: %x", frame)
	}
	return r, nil
}

func mustDialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	r, err := dialRaw(addr, 60000, 0, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.nc.Close() })
	return r
}

// write sends a frame. An error shows in what is read next.
func (r *raw) write(body []byte) {
	_ = r.nc.SetDeadline(time.Now().Add(patience))
	_, _ = r.nc.Write(append(putInt(nil, int32(len(body))), body...))
}

func (r *raw) frame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.nc, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r.nc, b)
	return b, err
}

// do sends a request and waits for its answer; events that come first are kept.
func (r *raw) do(op opCode, body []byte) (reply, error) {
	xid := r.xid + 1
	r.xid++
	if op == opPing {
		xid = xidPing
	}
	r.write(append(putInt(putInt(nil, xid), int32(op)), body...))
	return r.answer(xid)
}

func (r *raw) answer(xid int32) (reply, error) {
	for {
		frame, err := r.frame()
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			return reply{}, err
		}
		if err != nil {
			return reply{closed: true}, nil
		}
		d := decoder{b: frame}
		got, a := d.int(), reply{zxid: d.long(), err: code(d.int())}
		a.body = d.b
		switch {
		case got == xidNotification:
			kind, state, path := d.int(), d.int(), d.string()
			if d.err != nil || len(d.b) > 0 {
				return reply{}, fmt.Errorf("event %x", frame)
			}
			r.events = append(r.events, fmt.Sprintf("event %d state %d %q zxid %d", kind, state, path, a.zxid))
		case got != xid:
			return reply{}, fmt.Errorf("answer to request %d, want %d", got, xid)
		default:
			if a.zxid > 0 {
				r.seen = a.zxid
			}
			return a, nil
		}
	}
}

// The bodies of requests.

func pathBody(path string) []byte              { return putString(nil, path) }
func watchBody(path string, watch bool) []byte { return putBool(putString(nil, path), watch) }
func versionBody(path string, v int32) []byte  { return putInt(putString(nil, path), v) }

func createBody(path string, data []byte, acl []ACL, flags int32) []byte {
	return putInt(putACL(putBuffer(putString(nil, path), data), acl), flags)
}

func setBody(path string, data []byte, version int32) []byte {
	return putInt(putBuffer(putString(nil, path), data), version)
}

func authBody(scheme string, auth []byte) []byte {
	return putBuffer(putString(putInt(nil, 0), scheme), auth)
}

// entry is one step of a multi.
type entry struct {
	op   opCode
	body []byte
}

func multiBody(entries []entry) []byte {
	var b []byte
	for _, e := range entries {
		b = append(putMultiHeader(b, e.op, false, -1), e.body...)
	}
	return putMultiHeader(b, opError, true, -1)
}

package zookeeper

import (
	"strings"
	"time"
)

// request is one parsed packet. It is reused: nothing keeps it beyond its answer.
type request struct {
	xid       int32
	op        opCode
	bad       bool   // it could not be read: MarshallingError
	misplaced bool   // a multi of reads, or a multiRead of writes
	path      string // of a read
	watch     bool
	steps     []step // of a write or a multi
	since     int64  // of setWatches
	watchs    [3][]string
	kind      int32 // of watches to check or remove
	scheme    string
	auth      []byte
}

// parse reads a packet behind its length. What outlives the packet is copied.
func (r *request) parse(frame []byte) error {
	d := decoder{b: frame}
	*r = request{xid: d.int(), op: opCode(d.int()), steps: r.steps[:0]}
	if d.err != nil {
		return d.err
	}
	switch r.op {
	case opCreate, opCreate2, opDelete, opSetData, opSetACL:
		r.steps = append(r.steps, d.step(r.op))
	case opMulti, opMultiRead:
		d.multi(r)
	case opExists, opGetData, opGetChildren, opGetChildren2:
		r.path, r.watch = d.path(), d.bool()
	case opGetACL, opSync, opGetEphemerals, opGetAllChildren:
		r.path = d.path()
	case opSetWatches, opSetWatches2:
		r.since = d.long()
		for i := range r.watchs {
			r.watchs[i] = d.strings()
		}
		if r.op == opSetWatches2 && len(d.strings())+len(d.strings()) > 0 {
			r.op = opAddWatch // persistent watches: not there
		}
	case opCheckWatches, opRemoveWatches:
		r.path, r.kind = d.path(), d.int()
	case opAuth:
		d.int() // type, unused
		r.scheme, r.auth = d.string(), d.buffer()
	}
	r.bad = d.err != nil
	return nil
}

// step reads one write.
func (d *decoder) step(op opCode) step {
	s := step{kind: op, path: d.path(), version: -1}
	switch op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		s.data, s.acl, s.flags = d.data(), d.acl(), d.int()
		if op == opCreateTTL {
			d.long()
		}
	case opDelete, opCheck:
		s.version = d.int()
	case opSetData:
		s.data, s.version = d.data(), d.int()
	case opSetACL:
		s.acl, s.version = d.acl(), d.int()
	}
	return s
}

// multi reads the entries of a transaction, or of a multiple read.
func (d *decoder) multi(r *request) {
	reads := false
	for d.err == nil {
		op, done := opCode(d.int()), d.bool()
		d.int() // an error, in answers
		if done {
			r.misplaced = len(r.steps) > 0 && reads != (r.op == opMultiRead)
			return
		}
		read := op == opGetData || op == opGetChildren
		if len(r.steps) > 0 && read != reads {
			d.err = errShort // the two do not mix
			return
		}
		reads = read
		switch op {
		case opGetData, opGetChildren:
			r.steps = append(r.steps, step{kind: op, path: d.path()})
			d.bool()
		case opCreate2:
			// As in ZooKeeper, which answers it like create.
			r.steps = append(r.steps, d.step(opCreate))
		case opCreate, opDelete, opSetData, opCheck, opCreateContainer, opCreateTTL:
			r.steps = append(r.steps, d.step(op))
		default:
			d.err = errShort
		}
	}
}

// paths is what a hook is told.
func (r *request) paths() []string {
	if r.path != "" {
		return []string{r.path}
	}
	var out []string
	for i := range r.steps {
		out = append(out, r.steps[i].path)
	}
	return out
}

// handle carries out one packet, and says whether there may be another.
func (c *conn) handle(frame []byte) bool {
	r := &c.request
	if r.parse(frame) != nil {
		return false
	}
	c.s.received.Add(1)
	fault := Pass
	if hook := c.s.faults.hook.Load(); hook != nil {
		c.s.mu.Lock()
		view := c.view()
		c.s.mu.Unlock()
		fault = (*hook)(Op{Session: view, Name: r.op.String(), Paths: r.paths()})
	}
	if fault.cut == cutBefore {
		return false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.closed || c.session == nil {
		return false
	}
	if fault.cut == cutAfter {
		c.out.kill()
	}
	c.s.touch(c.session, time.Now())
	a := answer{c: c, xid: r.xid, late: fault.late}
	if fault.err != ok {
		a.send(fault.err, nil)
		return true
	}
	return a.to(r) && fault.cut != cutAfter
}

// answer is the answer to one request in the making.
type answer struct {
	c    *conn
	xid  int32
	late time.Duration
}

// send queues the answer: a header, and what body appends when there is no error.
func (a answer) send(err code, body func([]byte) []byte) {
	if err != ok {
		body = nil
	}
	a.sendAt(a.c.s.zxid, err, body)
}

func (a answer) sendAt(zxid int64, err code, body func([]byte) []byte) {
	a.c.send(a.late, func(b []byte) []byte {
		b = putInt(putLong(putInt(b, a.xid), zxid), int32(err))
		if body != nil {
			b = body(b)
		}
		return b
	})
}

// last queues the answer and ends the connection behind it.
func (a answer) last(zxid int64, err code) bool {
	a.sendAt(zxid, err, nil)
	a.c.out.end()
	return false
}

// to says whether the connection goes on.
func (a answer) to(r *request) bool {
	switch r.op {
	case opPing:
		a.xid = xidPing
		a.send(ok, nil)
	case opCreate, opCreate2, opDelete, opSetData, opSetACL, opMulti:
		a.write(r)
	case opCloseSession:
		a.c.s.endSession(a.c.session)
		a.c.session = nil
		return a.last(a.c.s.zxid, ok)
	case opAuth:
		return a.authenticate(r)
	case opCreateContainer, opCreateTTL, opReconfig:
		a.c.s.commit(a.c.s.begin(a.c.session.id, nil)) // a failed write uses up a zxid
		a.send(unimplemented, nil)
	case opCheck, opAddWatch, opWhoAmI:
		a.send(unimplemented, nil)
	default:
		if _, known := opNames[r.op]; !known {
			return a.last(-1, unimplemented) // so ZooKeeper
		}
		if r.bad || r.misplaced {
			a.malformed(r)
			break
		}
		a.read(r)
	}
	return true
}

// malformed answers a read that could not be understood. ZooKeeper has begun its
// answer when it finds writes in a multiRead, and sends that beginning.
func (a answer) malformed(r *request) {
	var body func([]byte) []byte
	if r.misplaced {
		body = func(b []byte) []byte { return putMulti(b, nil) }
	}
	a.sendAt(a.c.s.zxid, marshallingError, body)
}

// authenticate adds an identity. Its answers carry no zxid.
func (a answer) authenticate(r *request) bool {
	c := a.c
	switch {
	case r.bad || r.scheme == "digest" && r.auth == nil:
	case r.scheme == "digest":
		c.identify(identity{"digest", digest(strings.ToValidUTF8(string(r.auth), "\uFFFD"))})
		a.sendAt(0, ok, nil)
		return true
	case r.scheme == "ip":
		a.sendAt(0, ok, nil) // it is one already
		return true
	}
	return a.last(0, authFailed)
}

func (c *conn) identify(who identity) {
	for _, known := range c.ids {
		if known == who {
			return
		}
	}
	c.ids = append(c.ids[:len(c.ids):len(c.ids)], who)
}

// write carries out a transaction and answers it.
func (a answer) write(r *request) {
	s := a.c.s
	x := s.begin(a.c.session.id, a.c.ids)
	if r.bad || r.misplaced {
		s.commit(x)
		a.send(marshallingError, nil)
		return
	}
	outs := x.run(r.steps)
	s.commit(x)
	if r.op == opMulti {
		a.send(ok, func(b []byte) []byte { return putMulti(b, outs) })
		return
	}
	out := &outs[0]
	a.send(out.err, func(b []byte) []byte { return out.put(b, r.op) })
}

// put appends what a successful step answers.
func (o *outcome) put(b []byte, op opCode) []byte {
	switch op {
	case opCreate:
		return putString(b, o.path)
	case opCreate2:
		return putStat(putString(b, o.path), o.stat)
	case opSetData, opSetACL:
		return putStat(b, o.stat)
	case opError:
		return putInt(b, int32(o.err))
	}
	return b
}

func putMultiHeader(b []byte, op opCode, done bool, err int32) []byte {
	return putInt(putBool(putInt(b, int32(op)), done), err)
}

func putMulti(b []byte, outs []outcome) []byte {
	for i := range outs {
		b = putMultiHeader(b, outs[i].kind, false, int32(outs[i].err))
		b = outs[i].put(b, outs[i].kind)
	}
	return putMultiHeader(b, opError, true, -1)
}

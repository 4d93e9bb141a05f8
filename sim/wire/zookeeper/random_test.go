package zookeeper

import (
	"bytes"
	"fmt"
	"strings"
)

// random does one random thing on both servers.
func (p *pair) random() {
	i := p.rng.IntN(pairClients)
	switch n := p.rng.IntN(1000); {
	case n < 180:
		p.do(i, pick(p, opCreate, opCreate, opCreate2), p.create(true))
	case n < 270:
		p.do(i, opDelete, versionBody(p.path(), p.version()))
	case n < 400:
		p.do(i, opSetData, setBody(p.path(), p.data(), p.version()))
	case n < 660:
		p.do(i, pick(p, opExists, opGetData, opGetChildren, opGetChildren2), watchBody(p.path(), p.rng.IntN(2) == 0))
	case n < 690:
		p.do(i, opGetACL, pathBody(p.path()))
	case n < 720:
		p.do(i, opSetACL, putInt(putACL(putString(nil, p.path()), p.acl()), p.version()))
	case n < 880:
		p.do(i, opMulti, multiBody(p.entries()))
	case n < 900:
		p.do(i, opMultiRead, multiBody(p.reads()))
	case n < 910:
		p.do(i, pick(p, opSync, opGetEphemerals, opGetAllChildren), pathBody(p.path()))
	case n < 930:
		p.setWatches(i)
	case n < 950:
		p.do(i, pick(p, opCheckWatches, opRemoveWatches), versionBody(p.path(), int32(p.rng.IntN(5))))
	case n < 960:
		p.do(i, opAuth, authBody(pick(p, "digest", "digest", "digest", "ip", "nobody"),
			[]byte(pick(p, "ann:secret", "bob:x", "bob:y", "nocolon", ""))))
	case n < 970:
		p.do(i, opCloseSession, nil)
	case n < 973:
		p.intrude(i)
	case n < 980:
		p.resume(i)
		p.setWatches(i)
	default:
		p.unfit(i)
	}
}

// intrude shakes hands in a way that must not give it client i's session.
func (p *pair) intrude(i int) {
	p.what = "a handshake"
	kind := p.rng.IntN(3)
	var told [2]string
	for side, r := range p.clients[i] {
		id, password, seen := r.session, r.password, r.seen
		switch kind {
		case 0:
			password = make([]byte, 16)
		case 1:
			id ^= 1 << 50 // nobody's
		default:
			seen += 1000 // it has seen what has not happened
		}
		other, err := dialRaw(p.addrs[side], 5000, id, password, seen)
		if err != nil {
			told[side] = "no answer"
			continue
		}
		_, err = other.frame()
		told[side] = fmt.Sprintf("session %d timeout %d password %x then %v", other.session, other.timeout, other.password, err)
		other.nc.Close()
	}
	if told[0] != told[1] {
		p.errorf("kind %d: stand-in: %s, real: %s", kind, told[0], told[1])
	}
	p.resume(i) // a wrong password has cost it its connection
}

func pick[T any](p *pair, from ...T) T { return from[p.rng.IntN(len(from))] }

// path is one of few, so that clients meet; now and then an unfit one.
func (p *pair) path() string {
	if p.rng.IntN(40) == 0 {
		return pick(p, "", "/", "//", "a", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", p.root+"/", p.root+"//a",
			p.root+"/.", p.root+"/..", p.root+"/./a", p.root+"/.a", p.root+"/a\x00", p.root+"/\x01", p.root+"/\u0080",
			p.root+"/\ud7ff\ue000", p.root+"/\xff", p.root+"/\ufeff", p.root+"/é")
	}
	path := p.root
	for range pick(p, 1, 1, 1, 2, 2, 3) {
		path += pick(p, "/a", "/b", "/c")
	}
	return path
}

func (p *pair) version() int32 { return pick[int32](p, -1, -1, -1, -1, 0, 1, 2, -2) }

func (p *pair) data() []byte {
	switch n := p.rng.IntN(300); {
	case n == 0:
		return bytes.Repeat([]byte("x"), 0xfffff-200)
	case n < 20:
		return nil
	case n < 40:
		return []byte{}
	}
	return []byte(strings.Repeat("d", p.rng.IntN(60)))
}

func (p *pair) create(alone bool) []byte {
	flags := pick[int32](p, 0, 0, 0, flagEphemeral, flagSequential, flagEphemeral|flagSequential)
	if p.rng.IntN(50) == 0 {
		flags = pick[int32](p, 7, -1, 100)
		if alone { // in a multi ZooKeeper stumbles over these
			flags = pick[int32](p, flagTTL, flagTTLAndSeq, 7)
		}
	}
	path := p.path()
	if p.rng.IntN(200) == 0 {
		path = p.root + "/\U0001F600" // not in other requests: ZooKeeper would echo it in no UTF-8
	}
	if flags&flagSequential != 0 && p.rng.IntN(3) == 0 {
		path += "/"
	}
	return createBody(path, p.data(), p.acl(), flags)
}

func (p *pair) acl() []ACL {
	if p.rng.IntN(5) > 0 {
		return openACL
	}
	ann, bob := digest("ann:secret"), digest("bob:x")
	return pick(p,
		[]ACL{{permRead, "world", "anyone"}},
		[]ACL{{permRead | permWrite | permCreate, "world", "anyone"}},
		[]ACL{{permWrite, "world", "anyone"}, {permRead, "digest", ann}},
		[]ACL{{31, "digest", ann}},
		[]ACL{{31, "digest", ann}, {permRead, "world", "anyone"}},
		[]ACL{{31, "digest", bob}, {31, "digest", bob}, {permAdmin, "world", "anyone"}},
		[]ACL{{permRead | permDelete, "auth", ""}, {permRead, "auth", "whoever"}},
		[]ACL{{31, "ip", "127.0.0.1"}},
		[]ACL{{31, "ip", "127.0.0.0/8"}, {31, "ip", "10.0.0.0/8"}},
		[]ACL{{31, "ip", "10.0.0.1"}, {permAdmin, "ip", "127.1.2.3/32"}},
		[]ACL{{31, "ip", "10.0.0.1/33"}},
		[]ACL{{0, "world", "anyone"}},
		[]ACL{{31, "world", "noone"}},
		[]ACL{{31, "digest", "nocolon"}},
		[]ACL{{31, "digest", "ann:"}},
		[]ACL{{31, "digest", "ann:b:"}},
		[]ACL{{31, "digest", "ann:b:c"}},
		[]ACL{{31, "nothing", "x"}},
		[]ACL{},
	)
}

func (p *pair) entries() []entry {
	if p.rng.IntN(2) == 0 {
		return p.soundEntries()
	}
	var out []entry
	for range p.rng.IntN(5) {
		switch p.rng.IntN(8) {
		case 0, 1, 2:
			out = append(out, entry{pick(p, opCreate, opCreate, opCreate2), p.create(false)})
		case 3, 4:
			out = append(out, entry{opDelete, versionBody(p.path(), p.version())})
		case 5, 6:
			out = append(out, entry{opSetData, setBody(p.path(), []byte("multi"), p.version())})
		default:
			out = append(out, entry{opCheck, versionBody(p.path(), p.version())})
		}
	}
	if p.rng.IntN(60) == 0 {
		out = append(out, pick(p, entry{opGetData, watchBody(p.root, false)}, entry{opSync, pathBody(p.root)}))
	}
	return out
}

// soundEntries build on each other and mostly succeed, but for one that may not
// fit.
func (p *pair) soundEntries() []entry {
	var out []entry
	made := ""
	for k := range 1 + p.rng.IntN(8) {
		name := fmt.Sprintf("%s/m%d-%d", p.root, p.step, k)
		switch n := p.rng.IntN(8); {
		case made == "" || n == 0:
			out = append(out, entry{pick(p, opCreate, opCreate2), createBody(name, p.data(), openACL, int32(p.rng.IntN(2)))})
			made = name
		case n == 1:
			out = append(out, entry{opCreate, createBody(p.root+"/s", nil, openACL, pick[int32](p, 2, 3))})
		case n == 2:
			out = append(out, entry{opSetData, setBody(p.root, []byte(name), -1)})
		case n < 5:
			out = append(out, entry{opSetData, setBody(made, []byte(name), -1)})
		case n == 5:
			out = append(out, entry{opCheck, versionBody(made, -1)})
		case n == 6:
			out = append(out, entry{opDelete, versionBody(made, -1)})
			made = ""
		default:
			out = append(out, entry{opCreate, createBody(made+"/below", nil, openACL, 0)}) // not below an ephemeral one
		}
	}
	if p.rng.IntN(3) == 0 {
		out[p.rng.IntN(len(out))] = entry{opDelete, versionBody(p.path(), p.version())}
	}
	return out
}

func (p *pair) reads() []entry {
	var out []entry
	for range p.rng.IntN(4) {
		out = append(out, entry{pick(p, opGetData, opGetChildren), watchBody(p.path(), false)})
	}
	return out
}

// setWatches names paths as a client does that comes back, with a zxid of a
// while ago.
func (p *pair) setWatches(i int) {
	b := putLong(nil, max(0, p.clients[i][0].seen-int64(p.rng.IntN(50))))
	for range 3 {
		var paths []string
		for range p.rng.IntN(4) {
			paths = append(paths, p.path())
		}
		b = putStrings(b, paths)
	}
	op := opSetWatches
	if p.rng.IntN(2) == 0 {
		op = opSetWatches2
		b = putStrings(putStrings(b, nil), nil)
	}
	p.do(i, op, b)
}

// unfit sends what no client library would.
func (p *pair) unfit(i int) {
	whole := pick(p, createBody(p.root+"/a", []byte("data"), openACL, 0), setBody(p.root+"/a", []byte("data"), -1),
		versionBody(p.root+"/a", 0), watchBody(p.root+"/a", true), multiBody(p.entries()))
	op := pick(p, opCreate, opCreate2, opDelete, opExists, opGetData, opSetData, opGetACL, opSetACL, opGetChildren,
		opGetChildren2, opMulti, opMultiRead, opSetWatches)
	switch p.rng.IntN(6) {
	case 0:
		p.do(i, op, whole[:p.rng.IntN(len(whole))])
	case 1:
		p.do(i, op, putInt(nil, pick[int32](p, -1, -2, 1<<30)))
	case 2:
		p.do(i, opCode(pick[int32](p, 0, 10, 99, 200, -7)), whole)
	case 3:
		p.do(i, opSetData, setBody(p.root+"/a", bytes.Repeat([]byte("y"), 0xfffff-8-4-len(p.root+"/a")-4-4+pick(p, 0, 1)), -1))
	case 4:
		p.do(i, op, append(whole, "more than there should be"...))
	default:
		p.do(i, opMulti, append(putMultiHeader(nil, opSetACL, false, -1), whole...))
	}
}

package zookeeper

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/porttest/real"
)

// TestSameAsRealZooKeeper sends the same random requests, fit and unfit, to the
// stand-in and to a real ZooKeeper, and compares every answer, every zxid, every
// watch event and its place in the stream. Nothing may differ but session ids,
// times, and the order of what ZooKeeper keeps in hash tables.
func TestSameAsRealZooKeeper(t *testing.T) {
	t.Parallel()
	// One that is up already, in a container say, must be fresh and nobody else's,
	// since transactions are counted, let everybody in without TLS, and see its
	// clients as 127.0.0.1 (docker run --network host), whom access lists name.
	addr, elsewhere := os.LookupEnv("DACORCH_FRESH_ZOOKEEPER")
	if !elsewhere {
		addr = real.ZooKeeper(t).Addr
	}
	steps := 20_000
	if testing.Short() {
		steps = 2_000
	}
	s := start(t, Config{})
	p := &pair{t: t, rng: rand.New(rand.NewPCG(7, 11)), addrs: [2]string{s.Addr(), addr}, otherwise: elsewhere}
	p.open()
	began := time.Now()
	for p.step = 0; p.step < steps && !t.Failed(); p.step++ {
		if p.step%400 == 0 {
			p.epoch()
		}
		p.random()
	}
	p.hangUp()
	if p.events < steps/20 || p.multis[1] < steps/10 {
		t.Errorf("%d events, %d entries of multis carried out: the comparison shows little", p.events, p.multis[1])
	}
	t.Logf("%d steps in %v, %d events; answers: %v; entries of multis failed and carried out: %v",
		p.step, time.Since(began).Round(time.Millisecond), p.events, p.tally, p.multis)
}

// TestSameAsRealZooKeeperOverRestarts stops and starts both in between: what was
// there, sessions and zxids included, must be there again.
func TestSameAsRealZooKeeperOverRestarts(t *testing.T) {
	t.Parallel()
	server := real.ZooKeeper(t)
	config := Config{DataDir: t.TempDir(), TickTime: 50 * time.Millisecond, MaxSessionTimeout: time.Minute, SnapshotEvery: 20_000}
	s := start(t, config)
	config.Addr = s.Addr()
	p := &pair{t: t, rng: rand.New(rand.NewPCG(3, 5)), addrs: [2]string{s.Addr(), server.Addr}}
	p.open()
	for p.step = 0; p.step < 2000 && !t.Failed(); p.step++ {
		if p.step%400 == 0 {
			p.epoch()
		}
		if p.step%500 == 250 {
			p.hangUp()
			server.Stop()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = start(t, config)
			server.Start()
			for i := range p.clients {
				p.resume(i)
			}
			for i := range p.clients {
				p.setWatches(i)
			}
		}
		p.random()
	}
	p.hangUp()
}

// TestExpirySameAsReal has a client fall silent, and compares what the end of its
// session does: to its nodes, to watches, to the count of changes.
func TestExpirySameAsReal(t *testing.T) {
	t.Parallel()
	server := real.ZooKeeper(t)
	s := start(t, Config{TickTime: 200 * time.Millisecond, MaxSessionTimeout: time.Minute})
	p := &pair{t: t, rng: rand.New(rand.NewPCG(1, 1)), addrs: [2]string{s.Addr(), server.Addr}}
	p.open()
	const silent = 3
	for side, addr := range p.addrs {
		old := p.clients[silent][side]
		old.nc.Close()
		r, err := dialRaw(addr, 1000, old.session, old.password, 0)
		if err != nil || r.timeout != 1000 {
			t.Fatal(r, err)
		}
		p.clients[silent][side] = r
	}
	p.do(0, opCreate, createBody("/a", nil, openACL, 0))
	for _, path := range []string{"/e", "/a/e", "/a/f"} {
		p.do(silent, opCreate, createBody(path, nil, openACL, flagEphemeral))
		p.do(1, opExists, watchBody(path, true))
		p.do(2, opGetChildren, watchBody(path, true))
	}
	p.do(0, opGetChildren, watchBody("/a", true))
	p.do(1, opGetChildren, watchBody("/", true))
	want := [pairClients]int{1, 4, 3, 0}
	deadline := time.After(patience)
	for i := range silent { // nobody is heard of but these
		for side, r := range p.clients[i] {
			for len(r.events) < want[i] {
				for j := range silent {
					if a, err := p.clients[j][side].do(opPing, nil); err != nil || a.closed {
						t.Fatal(a, err)
					}
				}
				select {
				case <-time.After(5 * time.Millisecond):
				case <-deadline:
					t.Fatalf("side %d, client %d heard %q within %v, want %d events", side, i, r.events, patience, want[i])
				}
			}
		}
	}
	for side := range p.addrs {
		if a, err := p.clients[silent][side].answer(0); err != nil || !a.closed {
			t.Errorf("side %d: the silent client's connection: %+v, %v", side, a, err)
		}
		again, err := dialRaw(p.addrs[side], 1000, p.clients[silent][side].session, p.clients[silent][side].password, 0)
		if err != nil || again.session != 0 {
			t.Errorf("side %d: resumed after the end: %+v, %v", side, again, err)
		}
	}
	p.reopen(silent)
	p.compareEvents(true)
	p.do(0, opGetChildren2, watchBody("/a", false))
	p.do(0, opGetChildren2, watchBody("/", false))
	p.hangUp()
}

func (p *pair) hangUp() {
	for i := range p.clients {
		p.clients[i][0].nc.Close()
		p.clients[i][1].nc.Close()
	}
}

const pairClients = 4

// pair is several clients of two servers, each doing the same on both.
type pair struct {
	t       *testing.T
	rng     *rand.Rand
	addrs   [2]string
	clients [pairClients][2]*raw
	owners  [2]map[int64]string // session ids to names that both servers share
	opened  int
	step    int
	root    string
	what    string // the request in hand
	events  int
	tally   map[code]int
	multis  [2]int // entries failed, carried out
	// otherwise: the real one's sessions may have other limits.
	otherwise bool
}

func (p *pair) open() {
	p.owners = [2]map[int64]string{{0: "none"}, {0: "none"}}
	p.tally = map[code]int{}
	for i := range p.clients {
		p.reopen(i)
	}
}

func (p *pair) errorf(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("step %d, %s: %s", p.step, p.what, fmt.Sprintf(format, args...))
}

// reopen gives client i a new session.
func (p *pair) reopen(i int) {
	p.opened++
	timeout := int32(20000 + p.opened%3*50000) // beyond the largest allowed, at times
	for side, addr := range p.addrs {
		r, err := dialRaw(addr, timeout, 0, nil, 0)
		if err != nil {
			p.t.Fatalf("step %d: open a session: %v", p.step, err)
		}
		p.clients[i][side] = r
		p.owners[side][r.session] = fmt.Sprintf("session %d", p.opened)
	}
	if a, b := p.clients[i][0].timeout, p.clients[i][1].timeout; a != b && !p.otherwise {
		p.errorf("negotiated %d, real %d", a, b)
	}
}

// epoch moves on to an empty tree, so that what was locked or filled is left.
func (p *pair) epoch() {
	p.root = fmt.Sprintf("/e%d", p.step/400)
	p.do(0, opCreate, createBody(p.root, []byte("root"), openACL, 0))
	p.do(1, opAuth, authBody("digest", []byte("ann:secret")))
}

// do sends a request by client i to both servers and compares.
func (p *pair) do(i int, op opCode, body []byte) {
	p.t.Helper()
	p.what = fmt.Sprintf("client %d %v %q", i, op, clip(body))
	var told [2]string
	for side, r := range p.clients[i] {
		a, err := r.do(op, body)
		if err != nil {
			p.t.Fatalf("step %d, %s, side %d: %v", p.step, p.what, side, err)
		}
		told[side] = p.tell(side, op, a)
		if side == 0 {
			p.tally[a.err]++
		}
	}
	if told[0] != told[1] {
		p.errorf("answers differ\nstand-in: %s\nreal:     %s", told[0], told[1])
	}
	if p.over(i, op, told) {
		p.again(i, op == opCloseSession)
	}
	p.compareEvents(op == opCloseSession)
}

// over says whether the request has cost client i its connections, and sees that
// they are closed then.
func (p *pair) over(i int, op opCode, told [2]string) bool {
	_, known := opNames[op]
	if strings.HasPrefix(told[0], "closed") {
		return true
	}
	if known && op != opCloseSession && !(op == opAuth && strings.Contains(told[0], fmt.Sprintf("err %d", authFailed))) {
		return false
	}
	for side, r := range p.clients[i] {
		if a, err := r.answer(0); err != nil || !a.closed {
			p.errorf("side %d: the connection is not closed: %+v, %v", side, a, err)
		}
	}
	return true
}

// again gives client i a connection after it lost its own.
func (p *pair) again(i int, ended bool) {
	if ended {
		for side := range p.addrs {
			p.clients[i][side].nc.Close()
		}
		p.reopen(i)
		return
	}
	p.resume(i)
}

// resume takes client i's session over to new connections.
func (p *pair) resume(i int) {
	var got [2]bool
	for side, addr := range p.addrs {
		old := p.clients[i][side]
		old.nc.Close()
		r, err := dialRaw(addr, 30000, old.session, old.password, old.seen)
		if err != nil {
			p.t.Fatalf("step %d, resume: %v", p.step, err)
		}
		r.events = old.events
		got[side] = r.session == old.session && r.timeout == 30000
		p.clients[i][side] = r
	}
	if !got[0] || !got[1] {
		p.errorf("resumed on the stand-in: %v, on the real one: %v", got[0], got[1])
	}
}

// compareEvents collects what came to all clients. Every event of a change is
// queued before the change is answered, so a ping behind it fetches them all.
func (p *pair) compareEvents(unordered bool) {
	for _, sides := range p.clients {
		for _, r := range sides {
			r.write(putInt(putInt(nil, xidPing), int32(opPing)))
		}
	}
	for i := range p.clients {
		var told [2][]string
		for side, r := range p.clients[i] {
			if a, err := r.answer(xidPing); err != nil || a.closed {
				p.t.Fatalf("step %d, %s: ping on side %d: %+v, %v", p.step, p.what, side, a, err)
			}
			told[side], r.events = r.events, nil
			if unordered {
				slices.Sort(told[side])
			}
		}
		p.events += len(told[0])
		if !slices.Equal(told[0], told[1]) {
			p.errorf("client %d: events differ\nstand-in: %q\nreal:     %q", i, told[0], told[1])
		}
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 300)] }

// tell writes an answer so that both servers' can be compared.
func (p *pair) tell(side int, op opCode, a reply) string {
	if a.closed {
		return "closed"
	}
	head := fmt.Sprintf("zxid %d err %d", a.zxid, a.err)
	if a.err != ok {
		return fmt.Sprintf("%s %x", head, a.body)
	}
	d := &decoder{b: a.body}
	text := p.body(side, op, d)
	if d.err != nil || len(d.b) > 0 {
		return fmt.Sprintf("%s unreadable %x", head, a.body)
	}
	return head + " " + text
}

func (p *pair) body(side int, op opCode, d *decoder) string {
	switch op {
	case opCreate, opSync:
		return d.string()
	case opCreate2:
		return d.string() + p.stat(side, d)
	case opSetData, opSetACL, opExists:
		return p.stat(side, d)
	case opGetData:
		b := d.data()
		return fmt.Sprintf("%v %q %d", b == nil, clip(b), len(b)) + p.stat(side, d)
	case opGetChildren, opGetEphemerals:
		names := d.strings()
		slices.Sort(names)
		return fmt.Sprintf("%q", names)
	case opGetChildren2:
		names := d.strings()
		slices.Sort(names)
		return fmt.Sprintf("%q", names) + p.stat(side, d)
	case opGetACL:
		return fmt.Sprintf("%+v", d.acl()) + p.stat(side, d)
	case opGetAllChildren:
		return fmt.Sprint(d.int())
	case opMulti, opMultiRead:
		return p.multi(side, d)
	}
	return ""
}

func (p *pair) multi(side int, d *decoder) string {
	var b strings.Builder
	for d.err == nil {
		op, done, err := opCode(d.int()), d.bool(), d.int()
		fmt.Fprintf(&b, "[%v %v %d ", op, done, err)
		if done {
			break
		}
		if op == opError {
			p.multis[0]++
			fmt.Fprint(&b, d.int())
		} else {
			p.multis[1]++
			b.WriteString(p.body(side, op, d))
		}
		b.WriteString("]")
	}
	return b.String()
}

func (p *pair) stat(side int, d *decoder) string {
	s := Stat{Czxid: d.long(), Mzxid: d.long(), Ctime: d.long(), Mtime: d.long(), Version: d.int(), Cversion: d.int(),
		Aversion: d.int(), EphemeralOwner: d.long(), DataLength: d.int(), NumChildren: d.int(), Pzxid: d.long()}
	owner, known := p.owners[side][s.EphemeralOwner]
	if !known {
		owner = fmt.Sprintf("unknown %x", s.EphemeralOwner)
	}
	for _, ms := range []int64{s.Ctime, s.Mtime} {
		// The nodes that ZooKeeper makes for itself are of 1970.
		if age := time.Since(time.UnixMilli(ms)); ms != 0 && (age < -time.Second || age > time.Hour) {
			p.errorf("side %d: a time of %v", side, time.UnixMilli(ms))
		}
	}
	if s.Mtime < s.Ctime || (s.Ctime == 0) != (s.Czxid == 0) {
		p.errorf("side %d: times %d, %d", side, s.Ctime, s.Mtime)
	}
	s.Ctime, s.Mtime, s.EphemeralOwner = 0, 0, 0
	return fmt.Sprintf(" %+v owner %s", s, owner)
}

package world

import (
	"errors"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// ErrDisconnected answers a read whose session has no connection, or lost it
// before the answer came.
var ErrDisconnected = errors.New("zookeeper: connection lost")

// ZooKeeper is the ensemble, seen through the contract's tree: sessions, the
// lists of instances, their status, the orchestrator's control node, and the
// election of leaders. What it holds stands in a Znodes tree; here are latency,
// connections and the typed values.
type ZooKeeper struct {
	tl    *timeline.Timeline
	cfg   ZooKeeperConfig
	nodes *Znodes

	request, answer, watch, readTree, again delay

	sessions, connections int64

	kinds   map[fleet.Kind]*kindTree
	stats   ZooKeeperStats
	submits []*submit // free
	checked uint64    // submissions that have been looked at

	open       []*Session // whose clients have not heard that they have ended, oldest first
	down, full bool
	slow       [AllClients]time.Duration // by client
	minorities [AllClients]*minority     // by client; nil: they speak to the majority

	// OnCommit, unless nil, hears of every transaction at the moment it commits,
	// when the tree has changed and nobody else has heard. It must not change the
	// world. The epoch is in the transaction.
	OnCommit func(now time.Duration, kind fleet.Kind, txn *fleet.Txn)

	// OnSubmit, unless nil, decides what befalls a transaction on its way. It is
	// asked when the transaction reaches the ensemble. The connection that
	// SubmitLost or AnswerLost breaks comes back after away.
	OnSubmit func(now time.Duration, kind fleet.Kind, txn *fleet.Txn) (fault SubmitFault, away time.Duration)
	// OnStatus, unless nil, decides the same of a DAC's write of its tmp/status.
	OnStatus func(now time.Duration, kind fleet.Kind, id fleet.InstanceID) (fault SubmitFault, away time.Duration)
}

// ZooKeeperStats counts since the start.
type ZooKeeperStats struct {
	Committed uint64 // transactions
	Conflicts uint64 // transactions refused for a version or a node that was not as expected
	Deposed   uint64 // transactions refused for their epoch
	TooLarge  uint64 // transactions refused for their size
	BadDelta  uint64 // transactions refused because a list's difference did not fit the list
	Bytes     uint64 // written by committed transactions, whole lists as they stand on the wire
	MaxBytes  int    // of the largest committed transaction
	Expired   uint64 // sessions
	Full      uint64 // transactions refused for want of room
}

// SessionState is what a session's client hears about its connection.
type SessionState uint8

// The states of a session, as its client sees them.
const (
	SessionConnected SessionState = iota
	SessionDisconnected
	SessionExpired
)

var sessionStateNames = [...]string{"connected", "disconnected", "expired"}

// String is the state's name in traces.
func (s SessionState) String() string { return sessionStateNames[s] }

// Session is a client's session. It starts connected.
type Session struct {
	zk        *ZooKeeper
	of        Clients
	id        int64
	onState   func(now time.Duration, state SessionState)
	connected bool
	expired   bool  // at the ensemble
	dead      bool  // the process is gone: its callbacks hear no more
	told      bool  // that it has expired
	cut       bool  // by Cut, until Restore
	barred    bool  // the client's node reaches nobody
	known     bool  // the ensemble has had it
	unheard   bool  // it has expired, and its client waits for answers
	gen       int64 // of the connection
	lingers   int64 // the connection whose requests arrive though the client has died; 0 for none
	up, down  pipe
	statuses  []*statusWatch
	votes     []*candidate
	submits   []*submit   // unheard
	reads     []*treeRead // unheard
}

// NewZooKeeper is an ensemble that holds the contract's root and nothing below.
// The configuration must be valid.
func NewZooKeeper(tl *timeline.Timeline, seed timeline.Seed, cfg ZooKeeperConfig) *ZooKeeper {
	stream := func(name string) *timeline.Stream { return seed.Stream("world", "zookeeper", name) }
	z := &ZooKeeper{
		tl: tl, cfg: cfg, nodes: NewZnodes(cfg.MaxRequest), kinds: map[fleet.Kind]*kindTree{},
		request:  delay{cfg.Request, stream("request")},
		answer:   delay{cfg.Answer, stream("answer")},
		watch:    delay{cfg.Watch, stream("watch")},
		readTree: delay{cfg.ReadTree, stream("readTree")},
		again:    delay{cfg.Reconnect, stream("reconnect")},
	}
	for _, path := range []string{"/iota", "/iota/orchestration", "/iota/orchestrator"} {
		z.mustCreate(path, nil, 0)
	}
	return z
}

const (
	opExpire uint32 = iota
	opState
	opCommit
	opSubmitted
	opReadTree
	opTreeRead
	opStatusSeen
	opStand
	opElected
	opGained
	opResign
	opReconnect
	opMinorityExpire
)

// Handle is ZooKeeper's part of the timeline.
func (z *ZooKeeper) Handle(now time.Duration, op uint32, arg int64, data any) {
	switch op {
	case opExpire:
		if s := data.(*Session); arg == s.gen {
			s.Expire()
		}
	case opReconnect:
		if s := data.(*Session); arg == s.gen {
			s.reconnect()
		}
	case opMinorityExpire:
		data.(*Session).outvoted(arg)
	case opState:
		data.(*Session).hear(now, SessionState(arg))
	case opCommit:
		z.commit(now, data.(*submit))
	case opSubmitted:
		z.submitted(now, data.(*submit))
	case opReadTree:
		z.treeAtServer(now, data.(*treeRead))
	case opTreeRead:
		data.(*treeRead).finish(now)
	case opStatusSeen:
		data.(*statusWatch).deliver(now, arg)
	case opStand:
		if c := data.(*candidate); c.session.writes(arg) {
			c.stand()
		}
	case opElected:
		if c := data.(*candidate); c.session.writes(arg) {
			c.elected(now)
		}
	case opResign:
		if c := data.(*candidate); c.session.writes(arg) {
			c.resign()
		}
	case opGained:
		data.(*candidate).gained(now, arg)
	}
}

// Stats is what has been counted so far.
func (z *ZooKeeper) Stats() ZooKeeperStats { return z.stats }

// Nodes is the tree itself, to be read: paths, versions, sizes and owners are
// ZooKeeper's, the data are this package's own values.
func (z *ZooKeeper) Nodes() *Znodes { return z.nodes }

// Open starts an orchestrator's session. onState, unless nil, hears of every
// change after that. The session is connected at once, unless the ensemble takes
// none now: then it is as one that is cut off, and comes to be when it can.
func (z *ZooKeeper) Open(onState func(now time.Duration, state SessionState)) *Session {
	return z.start(Orchestrators, false, onState)
}

func (z *ZooKeeper) start(of Clients, barred bool, onState func(now time.Duration, state SessionState)) *Session {
	z.sessions++
	s := &Session{zk: z, of: of, id: z.sessions, gen: z.connection(), onState: onState, barred: barred}
	s.connected = !barred && !z.down && z.minorities[of] == nil
	s.known = s.connected
	z.open = append(z.open, s)
	return s
}

// forget is the end of a session that nothing happens to any more.
func (z *ZooKeeper) forget(s *Session) {
	z.open = slices.DeleteFunc(z.open, func(x *Session) bool { return x == s })
}

// connection numbers the connections of all sessions, from 1.
func (z *ZooKeeper) connection() int64 {
	z.connections++
	return z.connections
}

// Connected says whether requests can reach the ensemble.
func (s *Session) Connected() bool { return s.connected }

// Expired says whether the ensemble has ended the session. Its client may not
// know yet.
func (s *Session) Expired() bool { return s.expired }

// Close ends the session in order: its ephemerals go at once, its callbacks hear
// no more.
func (s *Session) Close() {
	if s.barred || s.zk.down || s.minority() != nil { // it cannot say so
		s.Kill()
		return
	}
	s.dead = true
	s.disconnect()
	s.end()
	s.zk.forget(s)
}

// Kill is the death, or the hanging for ever, of the client's process: its
// callbacks hear no more, and the session expires after its timeout. Requests
// that it has sent still arrive.
func (s *Session) Kill() {
	if !s.dead {
		s.dead = true
		s.lingers = s.gen
		s.Cut()
		if !s.known || s.expired {
			s.zk.forget(s)
		}
	}
}

// Cut breaks the connection. Answers on their way are lost; the client hears at
// once. Unless Restore comes before its timeout, the session expires.
func (s *Session) Cut() {
	s.cut = true
	s.drop()
}

// drop breaks the connection, whoever did it.
func (s *Session) drop() {
	if !s.connected {
		return
	}
	s.disconnect()
	s.zk.tl.After(0, s.zk, opState, int64(SessionDisconnected), s)
	s.zk.tl.After(s.zk.cfg.SessionTimeout, s.zk, opExpire, s.gen, s)
}

// Restore connects again. The client hears SessionConnected, or SessionExpired
// when it came too late.
func (s *Session) Restore() {
	s.cut = false
	s.reconnect()
}

// reconnect connects again, unless something forbids it.
func (s *Session) reconnect() {
	if s.connected || s.dead || s.told || s.unheard || s.cut || s.barred || s.zk.down {
		return
	}
	if s.minority() != nil && (s.expired || !s.known) {
		return // it knows neither old sessions' ends nor new sessions
	}
	state := SessionExpired
	if s.told = s.expired; !s.expired {
		s.connected, s.known, state = true, true, SessionConnected
		s.gen = s.zk.connection()
		s.join()
	}
	s.zk.tl.At(s.down.arrival(s.zk.tl.Now()+s.zk.answer.draw()), s.zk, opState, int64(state), s)
	if s.connected {
		for _, c := range s.votes {
			c.campaign()
		}
		for _, w := range s.statuses {
			w.catchUp(s.zk.tl.Now())
		}
	}
}

// Expire makes the ensemble end the session now. A connected client hears
// SessionExpired after the watch latency, one that is cut off at Restore.
func (s *Session) Expire() {
	if s.expired || !s.known {
		return
	}
	s.zk.stats.Expired++
	if s.minority() == nil {
		if s.connected {
			s.told = true
			s.zk.tl.At(s.down.arrival(s.zk.tl.Now()+s.zk.watch.draw()), s.zk, opState, int64(SessionExpired), s)
			s.disconnect() // one that is cut off comes back when it would have
		}
	}
	s.end()
}

// hear is what the client hears about its connection.
func (s *Session) hear(now time.Duration, state SessionState) {
	if state == SessionExpired {
		s.zk.forget(s)
	}
	if !s.dead && s.onState != nil {
		s.onState(now, state)
	}
}

func (s *Session) disconnect() {
	s.connected = false
	s.gen = s.zk.connection()
	s.up = pipe{}
}

// end removes what the session held.
func (s *Session) end() {
	if s.expired {
		return
	}
	s.expired = true
	if s.dead {
		s.zk.forget(s)
	}
	for _, w := range s.statuses {
		w.close()
	}
	owned := slices.Clone(s.zk.nodes.ephemerals[s.id])
	s.zk.nodes.CloseSession(s.id)
	for _, n := range owned {
		switch owner := n.Data.(type) {
		case *instanceNodes:
			owner.status = nil
			owner.statusChanged(s.zk.tl.Now())
		case *candidate:
			owner.gone()
		}
	}
}

// reaches says whether a request sent on connection gen arrives.
func (s *Session) reaches(gen int64) bool {
	return !s.expired && (gen == s.gen || gen == s.lingers)
}

// writes says whether a write sent on connection gen arrives where it can be written.
func (s *Session) writes(gen int64) bool { return s.reaches(gen) && s.minority() == nil }

// sent is when a request made now reaches the ensemble.
func (s *Session) sent(now time.Duration) time.Duration {
	return s.up.arrival(now + s.zk.request.draw() + s.zk.slow[s.of])
}

// answered is when an answer given now reaches the client.
func (s *Session) answered(now time.Duration) time.Duration {
	return s.down.arrival(now + s.zk.answer.draw())
}

// noticed is when a watch that fires now reaches the client.
func (s *Session) noticed(now time.Duration) time.Duration {
	return s.down.arrival(now + s.zk.watch.draw())
}

func (z *ZooKeeper) mustCreate(path string, data any, size int) *Znode {
	if err := z.nodes.Create(path, data, size, 0); err != nil {
		panic("world: " + path + ": " + err.Error()) // the paths are this package's own
	}
	return z.nodes.nodes[path]
}

// digits is the length of n in decimal.
func digits(n int64) int {
	count := 1
	if n < 0 {
		count++
	}
	for ; n > 9 || n < -9; n /= 10 {
		count++
	}
	return count
}

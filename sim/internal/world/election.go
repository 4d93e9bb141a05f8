package world

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
)

// candidate is one session's wish to lead a kind. It stands as an ephemeral
// below /iota/orchestrator/<Kind>/candidates; the oldest leads.
type candidate struct {
	session *Session
	kind    *kindTree
	onGain  func(now time.Duration, epoch int64)
	path    string // of its node

	standing  bool // its node is there
	leads     bool // it has written its epoch
	told      bool // it knows
	resigned  bool // it wants its node gone
	withdrawn bool // it is, for good
}

// Elect makes the session a candidate for the leadership of a kind, until the
// session ends or resigns. gained is called when it is its turn and the new epoch
// has been written: epochs rise by one from leader to leader. Who loses the
// leadership hears it by its session's state, or by OutcomeDeposed. A session
// that stands already resigns first, and queues at the end.
func (s *Session) Elect(kind fleet.Kind, gained func(now time.Duration, epoch int64)) {
	if s.expired {
		return
	}
	s.Resign(kind)
	c := &candidate{session: s, kind: s.zk.tree(kind), onGain: gained}
	s.votes = append(s.votes, c)
	c.campaign()
}

// Resign gives up the session's candidacy for a kind, and its leadership with it:
// the next candidate's turn has come when the request arrives.
func (s *Session) Resign(kind fleet.Kind) {
	for _, c := range s.votes {
		if c.kind.kind == kind && !c.resigned {
			c.resigned = true
			c.campaign()
		}
	}
}

// campaign sends what is missing to become leader, or to be rid of it. Requests that a broken
// connection has swallowed are repeated by Restore.
func (c *candidate) campaign() {
	z := c.session.zk
	switch {
	case !c.session.connected:
	case c.resigned:
		z.tl.At(c.session.sent(z.tl.Now()), z, opResign, c.session.gen, c)
	case c.told:
	case c.leads:
		z.tl.At(c.session.answered(z.tl.Now()), z, opGained, int64(c.kind.epoch.Version), c)
	case !c.standing:
		z.tl.At(c.session.sent(z.tl.Now()), z, opStand, c.session.gen, c)
	case c.kind.candidates[0] == c:
		z.tl.At(c.session.sent(z.tl.Now()), z, opElected, c.session.gen, c)
	}
}

// stand creates the candidate's node.
func (c *candidate) stand() {
	if c.standing || c.withdrawn {
		return
	}
	z := c.session.zk
	if z.full {
		z.tl.After(retryRefused, z, opStand, c.session.gen, c)
		return
	}
	c.path = fmt.Sprintf("%s/candidates/%010d", c.kind.own.Path, z.nodes.Zxid()+1)
	if err := z.nodes.Create(c.path, c, 0, c.session.id); err != nil {
		panic("world: " + c.path + ": " + err.Error()) // zxids are unique and the parent stays
	}
	c.standing = true
	c.kind.candidates = append(c.kind.candidates, c)
	if c.kind.candidates[0] == c {
		c.lead()
	}
}

// lead is the way to the new epoch: the candidate hears that it is the oldest,
// and writes the epoch.
func (c *candidate) lead() {
	s := c.session
	if s.hears() {
		now := s.zk.tl.Now()
		s.zk.tl.At(s.up.arrival(s.noticed(now)+s.zk.request.draw()+s.zk.slow[s.of]), s.zk, opElected, s.gen, c)
	}
}

// elected writes the epoch, in one multi with a check that the candidate stands.
func (c *candidate) elected(now time.Duration) {
	if !c.standing || c.leads || c.kind.candidates[0] != c {
		return
	}
	z := c.session.zk
	z.nodes.begin()
	z.nodes.set(c.kind.epoch, nil, 0)
	z.nodes.commit()
	c.leads = true
	z.tl.At(c.session.answered(now), z, opGained, int64(c.kind.epoch.Version), c)
}

func (c *candidate) gained(now time.Duration, epoch int64) {
	if c.session.connected && c.leads && !c.told && !c.resigned {
		c.told = true
		c.onGain(now, epoch)
	}
}

// resign removes the candidate's node.
func (c *candidate) resign() {
	s := c.session
	c.withdrawn = true // a request to stand that was refused is not made again
	s.votes = slices.DeleteFunc(s.votes, func(x *candidate) bool { return x == c })
	if !c.standing {
		return
	}
	if err := s.zk.nodes.Delete(c.path, AnyVersion); err != nil {
		panic("world: " + c.path + ": " + err.Error()) // it stands, and has no children
	}
	c.gone()
}

// gone follows the end of the candidate's node.
func (c *candidate) gone() {
	first := c.kind.candidates[0] == c
	c.kind.candidates = slices.DeleteFunc(c.kind.candidates, func(x *candidate) bool { return x == c })
	c.standing, c.leads = false, false
	if first && len(c.kind.candidates) > 0 {
		c.kind.candidates[0].lead()
	}
}

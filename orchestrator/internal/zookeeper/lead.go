package zookeeper

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// The causes for which a leadership ends, besides its own end.
var (
	// ErrUnproved: no answer of the ensemble proves that the session still lives.
	ErrUnproved = errors.New("zookeeper: no answer proves the session alive: it may have expired")
	// ErrExpired: the session has expired, and the candidacy with it.
	ErrExpired = errors.New("zookeeper: the session has expired")
	// ErrGone: somebody has deleted the candidacy.
	ErrGone = errors.New("zookeeper: the candidacy is gone")
	// ErrDeposed: another leader's epoch was written.
	ErrDeposed = errors.New("zookeeper: another epoch was written")
)

// seat is one candidacy: an ephemeral node of a session, in a queue.
type seat struct {
	paths   paths
	name    string // of the node
	path    string
	session int64
	seen    *notices
}

// Lead stands for election and leads; see loop.Election. The queue is that of the
// candidates' sequence numbers: the lowest leads, and each of the others watches
// only the one before it.
func (c *Client) Lead(ctx context.Context, kind fleet.Kind, who fleet.Candidate, lead func(ctx context.Context, epoch int64, held func() bool)) error {
	p, err := pathsOf(kind)
	if err != nil {
		return err
	}
	data, err := json.Marshal(who)
	if err != nil {
		return fmt.Errorf("zookeeper: candidate: %w", err)
	}
	for wait := newBackoff(); ; {
		led, err := c.campaign(ctx, kind, &p, data, lead)
		if led {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrClosed) {
			return err
		}
		c.cfg.Log.Debug("zookeeper: standing again", "kind", kind, "error", err)
		c.refuse(kind, err)
		if wait.sleep(ctx) != nil {
			return ctx.Err()
		}
	}
}

// campaign is one candidacy from its beginning to its end. led says that lead has
// returned.
func (c *Client) campaign(ctx context.Context, kind fleet.Kind, p *paths, data []byte, lead func(context.Context, int64, func() bool)) (led bool, err error) {
	if err := c.awaitConnection(ctx); err != nil {
		return false, err
	}
	if err := c.ensure(ctx, p); err != nil {
		return false, err
	}
	c.kind(kind).setRooted(true)
	s, err := c.stand(ctx, p, data)
	if err != nil {
		return false, err
	}
	defer c.leave(s)
	s.seen = c.listen(p.own)
	defer c.unlisten(s.seen)
	if err := c.await(ctx, kind, s); err != nil {
		return false, err
	}
	epoch, at, err := c.begin(ctx, s)
	if err != nil {
		return false, err
	}
	c.kind(kind).allowed(true)
	c.count.elected.Add(1)
	return true, c.rule(ctx, s, epoch, at, lead)
}

// stand creates the candidate's node. Its name holds a word that is its own, by
// which it is found again when the answer is lost.
func (c *Client) stand(ctx context.Context, p *paths, data []byte) (*seat, error) {
	word := "candidate-" + strings.ToLower(rand.Text()) + "-"
	answers := make(chan answer[string], 1)
	if !c.background(func() { // to its end, even when ctx ends: no node may stay behind
		name, err := c.conn.Create(p.candidates+"/"+word, data, zk.FlagEphemeral|zk.FlagSequence, c.acl(0))
		answers <- answer[string]{strings.TrimPrefix(name, p.candidates+"/"), err}
	}) {
		return nil, ErrClosed
	}
	var made answer[string]
	select {
	case made = <-answers:
	case <-ctx.Done():
		c.background(func() {
			<-answers
			c.sweep(p, word)
		})
		return nil, ctx.Err()
	}
	if made.err == nil {
		return c.seatOf(ctx, p, made.value)
	}
	if !answered(made.err) { // it may stand
		swept := make(chan struct{})
		if c.background(func() { c.sweep(p, word); close(swept) }) {
			select {
			case <-swept:
			case <-ctx.Done():
			}
		}
	}
	return nil, fmt.Errorf("zookeeper: create %s/candidate-…: %w", p.candidates, made.err)
}

// sweep removes the candidacy of that word, should there be one, for as long as it
// takes: it would keep the others waiting.
func (c *Client) sweep(p *paths, word string) {
	wait := newBackoff()
	for c.awaitConnection(c.running) == nil {
		names, err := c.candidates(c.running, p, true)
		if err == nil {
			for _, n := range names {
				if strings.HasPrefix(n.name, word) {
					err = c.remove(c.running, p.candidates+"/"+n.name)
				}
			}
		}
		if err == nil || wait.sleep(c.running) != nil {
			return
		}
	}
}

// seatOf learns whose session the node belongs to.
func (c *Client) seatOf(ctx context.Context, p *paths, name string) (*seat, error) {
	s := &seat{paths: *p, name: name, path: p.candidates + "/" + name}
	stat, here, err := c.exists(ctx, s.path, false)
	if err == nil && !here {
		return nil, ErrGone
	}
	if err != nil {
		c.leave(s)
		return nil, err
	}
	s.session = stat.EphemeralOwner
	return s, nil
}

// leave removes the candidate's node, so that the next need not wait for the
// session's end. It returns when that is done, or after RequestTimeout; what is
// not done then goes on.
func (c *Client) leave(s *seat) {
	done := make(chan struct{})
	if !c.background(func() {
		defer close(done)
		wait := newBackoff()
		for c.awaitConnection(c.running) == nil {
			if s.session != 0 && c.conn.SessionID() != s.session {
				return // it ended with its session
			}
			if c.remove(c.running, s.path) == nil || wait.sleep(c.running) != nil {
				return
			}
		}
	}) {
		return // the session ends with the client
	}
	t := time.NewTimer(c.cfg.RequestTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// remove deletes a node that need not be there.
func (c *Client) remove(ctx context.Context, path string) error {
	_, err := ask(ctx, c, func(conn *zk.Conn) (struct{}, error) { return struct{}{}, conn.Delete(path, -1) })
	if err == nil || errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return fmt.Errorf("zookeeper: delete %s: %w", path, err)
}

// place is a candidate's place in the queue.
type place struct {
	name  string
	order int64
}

// candidates lists who stands, in no order. Other names than a candidate's are
// left out.
func (c *Client) candidates(ctx context.Context, p *paths, fresh bool) ([]place, error) {
	if fresh {
		if err := c.sync(ctx, p.candidates); err != nil {
			return nil, err
		}
	}
	names, err := c.children(ctx, p.candidates, false)
	return places(names), err
}

func places(names []string) []place {
	all := make([]place, 0, len(names))
	for _, name := range names {
		dash := strings.LastIndexByte(name, '-')
		order, err := strconv.ParseInt(name[dash+1:], 10, 64)
		if err == nil && len(name)-dash-1 == 10 && strings.HasPrefix(name, "candidate-") {
			all = append(all, place{name, order})
		}
	}
	return all
}

// await waits until no other candidate stands before this one.
func (c *Client) await(ctx context.Context, kind fleet.Kind, s *seat) error {
	wait := newBackoff()
	for ctx.Err() == nil {
		before, err := c.before(ctx, s)
		switch {
		case errors.Is(err, ErrGone):
			return err
		case err == nil && before == "":
			return nil
		case err == nil:
			_, here, err := c.exists(ctx, before, true)
			if err == nil && here {
				err = c.reconsider(ctx, kind, s)
			}
			if err == nil && here {
				wait.reset()
				err = s.seen.await(ctx)
			}
			if err == nil {
				continue
			}
		}
		if err := wait.sleep(ctx); err != nil {
			return err
		}
		if err := c.awaitConnection(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// before is the path of the candidate before this one; "" when it is the first.
func (c *Client) before(ctx context.Context, s *seat) (string, error) {
	all, err := c.candidates(ctx, &s.paths, false)
	if err != nil {
		return "", err
	}
	mine := places([]string{s.name})
	var last place
	stands := false
	for _, one := range all {
		if one.name == s.name {
			stands = true
		} else if one.order < mine[0].order && (last.name == "" || one.order > last.order) {
			last = one
		}
	}
	switch {
	case !stands:
		return "", ErrGone
	case last.name == "":
		return "", nil
	}
	return s.paths.candidates + "/" + last.name, nil
}

// begin writes the epoch node, provided that the candidacy stands. The node's new
// version is the epoch. Its data names the candidacy: by it the writing is
// recognised when the answer is lost. at is when the proof was asked for that the
// session lives.
func (c *Client) begin(ctx context.Context, s *seat) (epoch int64, at time.Time, err error) {
	data := []byte(strconv.Quote(s.name))
	at = time.Now()
	results, err := ask(ctx, c, func(conn *zk.Conn) ([]zk.MultiResponse, error) {
		return conn.Multi(&zk.CheckVersionRequest{Path: s.path, Version: -1},
			&zk.SetDataRequest{Path: s.paths.epoch, Data: data, Version: -1})
	})
	if err == nil && len(results) == 2 && results[1].Stat != nil {
		return int64(results[1].Stat.Version), at, nil
	}
	if answered(err) {
		return 0, at, fmt.Errorf("zookeeper: write %s: %w", s.paths.epoch, err)
	}
	if err := c.awaitConnection(ctx); err != nil {
		return 0, at, err
	}
	if err := c.sync(ctx, s.paths.epoch); err != nil {
		return 0, at, err
	}
	f, err := c.get(ctx, s.paths.epoch, false)
	if err != nil {
		return 0, at, err
	}
	if string(f.data) != string(data) {
		return 0, at, fmt.Errorf("zookeeper: %s was not written", s.paths.epoch)
	}
	at = time.Now()
	return int64(f.stat.Version), at, c.stands(ctx, s, int64(f.stat.Version), false)
}

// rule calls lead, and ends its context when the leadership is over.
func (c *Client) rule(ctx context.Context, s *seat, epoch int64, at time.Time, lead func(context.Context, int64, func() bool)) error {
	leading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := newLease(at, c.sessionTimeout(), cancel)
	defer l.finish(nil)
	defer context.AfterFunc(c.running, func() { l.finish(ErrClosed) })()
	proving, stop := context.WithCancel(c.running) // lead may finish its work after ctx has ended
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.prove(proving, s, epoch, l)
	}()
	defer func() { stop(); <-done }()
	lead(leading, epoch, func() bool { return c.running.Err() == nil && l.held() })
	return nil
}

// prove asks the ensemble, four times within a session timeout and at every hint
// of a change, whether the leadership stands, until ctx or the lease ends.
func (c *Client) prove(ctx context.Context, s *seat, epoch int64, l *lease) {
	watch := true
	for wait := newBackoff(); ; {
		timeout := c.sessionTimeout()
		at := time.Now()
		checking, cancel := context.WithTimeout(ctx, timeout/4)
		err := c.stands(checking, s, epoch, watch)
		cancel()
		switch {
		case err == nil:
			watch = false
			wait.reset()
			l.prove(at, min(timeout, c.sessionTimeout())) // another server may grant another
		case errors.Is(err, ErrGone) || errors.Is(err, ErrExpired) || errors.Is(err, ErrDeposed):
			l.finish(err)
			return
		default:
			if wait.sleep(ctx) != nil || c.awaitConnection(ctx) != nil {
				return
			}
			continue
		}
		pause := time.NewTimer(timeout / 4)
		select {
		case <-s.seen.wake:
			changed := s.seen.take()
			watch = changed[s.path] || changed[s.paths.epoch]
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		pause.Stop()
	}
}

// stands asks whether the candidacy and the epoch are still this leader's. It asks
// by a transaction that writes nothing: a majority has to agree to it, so that its
// answer proves more than what one server says, even the ensemble's leader, who
// may have been left by the others and not know it yet.
func (c *Client) stands(ctx context.Context, s *seat, epoch int64, watch bool) error {
	if watch {
		for _, path := range []string{s.path, s.paths.epoch} {
			if _, _, err := c.exists(ctx, path, true); err != nil {
				return err
			}
		}
	}
	results, err := ask(ctx, c, func(conn *zk.Conn) ([]zk.MultiResponse, error) {
		return conn.Multi(&zk.CheckVersionRequest{Path: s.path, Version: -1},
			&zk.CheckVersionRequest{Path: s.paths.epoch, Version: int32(epoch)})
	})
	if err == nil || len(results) != 2 {
		return err
	}
	gone := func(err error) bool { return errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrBadVersion) }
	switch {
	case gone(results[0].Error) && c.conn.SessionID() != s.session:
		return ErrExpired
	case gone(results[0].Error):
		return ErrGone
	case results[0].Error == nil && gone(results[1].Error):
		return ErrDeposed
	}
	return err
}

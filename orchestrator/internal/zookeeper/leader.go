package zookeeper

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// WatchLeader tells who leads the kind; see loop.Election. While the ensemble
// cannot be asked the last answer stands for a session timeout: the leader's own
// session need not have suffered.
func (c *Client) WatchLeader(ctx context.Context, kind fleet.Kind, tell func(fleet.Candidate)) error {
	p, err := pathsOf(kind)
	if err != nil {
		return err
	}
	seen := c.listen(p.candidates)
	defer c.unlisten(seen)
	var told *fleet.Candidate
	say := func(who fleet.Candidate) {
		if told == nil || *told != who {
			told = &who
			tell(who)
		}
	}
	wait := newBackoff()
	known := time.Now()
	for {
		who, err := c.leader(ctx, &p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrClosed):
			return err
		case err == nil:
			wait.reset()
			say(who)
			if err := c.awaitOrLoss(ctx, seen); err != nil {
				return err
			}
			known = time.Now() // the watch would have told
			continue
		case time.Since(known) >= c.sessionTimeout():
			say(fleet.Candidate{})
		}
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// awaitOrLoss waits for a change, or until the connection is lost; ctx's error when
// it ends first.
func (c *Client) awaitOrLoss(ctx context.Context, s *notices) error {
	for {
		c.mu.Lock()
		connected, changed := c.state == zk.StateHasSession, c.changed
		c.mu.Unlock()
		if !connected {
			return ctx.Err()
		}
		select {
		case <-s.wake:
			s.take()
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leader reads the first candidate, and watches who stands.
func (c *Client) leader(ctx context.Context, p *paths) (fleet.Candidate, error) {
	names, err := c.children(ctx, p.candidates, true)
	if errors.Is(err, zk.ErrNoNode) {
		if err := c.ensure(ctx, p); err != nil {
			return fleet.Candidate{}, err
		}
		names, err = c.children(ctx, p.candidates, true)
	}
	if err != nil {
		return fleet.Candidate{}, err
	}
	var first place
	for _, one := range places(names) {
		if first.name == "" || one.order < first.order {
			first = one
		}
	}
	if first.name == "" {
		return fleet.Candidate{}, nil
	}
	f, err := c.get(ctx, p.candidates+"/"+first.name, false)
	if errors.Is(err, zk.ErrNoNode) { // it has gone meanwhile, so the list is another
		return c.leader(ctx, p)
	}
	if err != nil {
		return fleet.Candidate{}, err
	}
	var who fleet.Candidate
	if err := json.Unmarshal(f.data, &who); err != nil {
		c.count.badNodes.Add(1)
		c.cfg.Log.Warn("zookeeper: a candidate that is not JSON", "path", p.candidates+"/"+first.name, "error", err)
		return fleet.Candidate{}, nil
	}
	return who, nil
}

package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// Refused says why this process cannot lead the kind, in words for people: what
// ZooKeeper refused it when it stood for election last, and to whom; "" when
// nothing. To ZooKeeper itself a wrong password is no error, only another user, so
// nothing else tells.
func (c *Client) Refused(kind fleet.Kind) string {
	k := c.kind(kind)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused
}

// anyRefused is one of the kinds' refusals, if any.
func (c *Client) anyRefused() string {
	c.mu.Lock()
	names := slices.Sorted(maps.Keys(c.kinds))
	c.mu.Unlock()
	for _, name := range names {
		if why := c.Refused(fleet.Kind(name)); why != "" {
			return why
		}
	}
	return ""
}

// refuse notes that a candidacy has failed, and warns where no trying again mends
// it: at first, then ever more rarely for as long as it lasts.
func (c *Client) refuse(kind fleet.Kind, err error) {
	if !errors.Is(err, zk.ErrNoAuth) && !errors.Is(err, zk.ErrInvalidACL) && !errors.Is(err, zk.ErrAuthFailed) {
		return // it passes, and what was refused before may still be
	}
	who := "without a user"
	if c.cfg.User != "" {
		who = fmt.Sprintf("as user %q", c.cfg.User)
	}
	k := c.kind(kind)
	k.mu.Lock()
	k.refused = fmt.Sprintf("%v, %s", err, who)
	due := k.reminder.due(time.Now())
	k.mu.Unlock()
	if due {
		c.cfg.Log.Warn("zookeeper: we cannot stand for election: check zookeeper.user and its password, and by getAcl whose the node is, and those above it",
			"kind", kind, "user", c.cfg.User, "error", err)
	}
}

// reconsider takes a refusal back while another leads whom nothing was refused. That
// our node stands says less: where nobody may write the epoch, each candidate waits
// for others that are refused it in their turn. A new epoch is told to s.
func (c *Client) reconsider(ctx context.Context, kind fleet.Kind, s *seat) error {
	if c.Refused(kind) == "" {
		return nil
	}
	epoch, err := c.get(ctx, s.paths.epoch, true)
	if err != nil {
		return err
	}
	all, err := c.candidates(ctx, &s.paths, false)
	if slices.ContainsFunc(all, func(one place) bool { return strconv.Quote(one.name) == string(epoch.data) }) {
		c.kind(kind).allowed(false)
	}
	return err
}

// allowed notes that nothing is refused to this process, as far as can be known, and
// with begun that it has written the epoch, the last that can be refused.
func (k *kindState) allowed(begun bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused = ""
	if begun {
		k.reminder = reminder{}
	}
}

// reminder says when to tell people once more of what lasts.
type reminder struct {
	next  time.Time
	pause time.Duration // before next
}

const firstReminder, rarestReminder = time.Minute, 16 * time.Minute

func (r *reminder) due(now time.Time) bool {
	if now.Before(r.next) {
		return false
	}
	r.pause = min(max(2*r.pause, firstReminder), rarestReminder)
	r.next = now.Add(r.pause)
	return true
}

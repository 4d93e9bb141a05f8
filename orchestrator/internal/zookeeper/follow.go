package zookeeper

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// WatchStatus tells what instances write to tmp/status; see loop.Store.
func (c *Client) WatchStatus(ctx context.Context, kind fleet.Kind, seen func(fleet.InstanceID, fleet.Status)) error {
	f := &following{
		read: c.readStatus,
		tell: func(was, is *snapshot) {
			if had := was != nil && was.instance.Status.Present; had || is.instance.Status.Present {
				seen(is.instance.ID, is.instance.Status)
			}
		},
	}
	return c.follow(ctx, kind, f)
}

// WatchTree tells every instance and what changes; see loop.Store. A node that
// does not parse is logged and counted, and its instance not told until it does.
func (c *Client) WatchTree(ctx context.Context, kind fleet.Kind, seen func(fleet.TreeInstance), gone func(fleet.InstanceID), synced func()) error {
	f := &following{
		every: max(c.cfg.Coalesce, 0),
		read:  c.readInstance,
		tell: func(was, is *snapshot) {
			if is.gone {
				if was != nil {
					gone(is.instance.ID)
				}
				return
			}
			seen(is.instance)
		},
		synced: synced,
	}
	return c.follow(ctx, kind, f)
}

// following is one caller's watching of a kind's instances. One goroutine tells,
// so what it knows needs no lock; while it tells, changes gather in notices, each
// path once.
type following struct {
	every  time.Duration // at least, from one reading to the next
	read   func(ctx context.Context, p *paths, id fleet.InstanceID, watched *[parts]bool) (*snapshot, error)
	tell   func(was, is *snapshot) // was is nil the first time
	synced func()                  // may be nil

	instances map[fleet.InstanceID]*followed
	listed    bool // the list of the instances is watched
}

// followed is an instance that is watched.
type followed struct {
	watched [parts]bool // which of its nodes have a watch
	stale   bool        // it has changed since it was read
	told    *snapshot   // without its list; nil before the first telling
}

// follow runs until ctx ends: it reads what has changed, tells it, and waits.
func (c *Client) follow(ctx context.Context, kind fleet.Kind, f *following) error {
	p, err := pathsOf(kind)
	if err != nil {
		return err
	}
	changes := c.listen(p.root)
	defer c.unlisten(changes)
	f.instances = map[fleet.InstanceID]*followed{}
	wait := newBackoff()
	for {
		began := time.Now()
		f.mark(&p, changes.take())
		err := c.catchUp(ctx, &p, f)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrClosed):
			return err
		case err != nil:
			if wait.sleep(ctx) != nil {
				return ctx.Err()
			}
			continue
		}
		wait.reset()
		if f.synced != nil {
			f.synced()
			f.synced = nil
		}
		select {
		case <-changes.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := pause(ctx, f.every-time.Since(began)); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mark notes which watches have gone off.
func (f *following) mark(p *paths, changed map[string]bool) {
	for path := range changed {
		rest := strings.TrimPrefix(path, p.root)
		if rest == "" {
			f.listed = false
			continue
		}
		name, below, _ := strings.Cut(rest[1:], "/")
		id, _ := instanceID(name)
		in := f.instances[id]
		if in == nil {
			continue // it has gone
		}
		for part, at := range [...]string{"", "resources", "_reload", "tmp/status"} {
			if below == at {
				in.watched[part], in.stale = false, true
			}
		}
	}
}

// catchUp reads what is stale and tells it.
func (c *Client) catchUp(ctx context.Context, p *paths, f *following) error {
	if !f.listed {
		if err := c.list(ctx, p, f); err != nil {
			return err
		}
	}
	var stale []fleet.InstanceID
	for id, in := range f.instances {
		if in.stale {
			stale = append(stale, id)
		}
	}
	for len(stale) > 0 {
		n := min(c.cfg.Reads, len(stale)) // so many lists are held at a time
		err := c.readStale(ctx, p, f, stale[:n])
		if err != nil {
			return err
		}
		stale = stale[n:]
	}
	return nil
}

// list reads and watches which instances there are, and tells of those that went.
func (c *Client) list(ctx context.Context, p *paths, f *following) error {
	ids, err := c.instances(ctx, p, true)
	if errors.Is(err, zk.ErrNoNode) {
		if err := c.ensure(ctx, p); err != nil {
			return err
		}
		ids, err = c.instances(ctx, p, true)
	}
	if err != nil {
		return err
	}
	f.listed = true
	there := make(map[fleet.InstanceID]bool, len(ids))
	for _, id := range ids {
		there[id] = true
		if f.instances[id] == nil {
			f.instances[id] = &followed{stale: true}
		}
	}
	for id, in := range f.instances {
		if !there[id] {
			f.lose(id, in)
		}
	}
	return nil
}

// lose tells that an instance has gone, if it was told.
func (f *following) lose(id fleet.InstanceID, in *followed) {
	delete(f.instances, id)
	f.tell(in.told, &snapshot{gone: true, instance: fleet.TreeInstance{ID: id}})
}

// readStale reads instances at the same time, then tells them one after the other.
func (c *Client) readStale(ctx context.Context, p *paths, f *following, ids []fleet.InstanceID) error {
	read := make([]answer[*snapshot], len(ids))
	var group sync.WaitGroup
	for i, id := range ids {
		in := f.instances[id]
		group.Go(func() {
			s, err := f.read(ctx, p, id, &in.watched)
			read[i] = answer[*snapshot]{s, err}
		})
	}
	group.Wait()
	var failed error
	for i, id := range ids {
		in, s := f.instances[id], read[i].value
		switch err := read[i].err; {
		case errors.Is(err, errBadNode):
			in.stale = false
			c.count.badNodes.Add(1)
			c.cfg.Log.Error("zookeeper: an instance is passed over until it changes", "error", err)
		case err != nil:
			failed = err
		case s.gone:
			f.lose(id, in)
		default:
			in.stale = false
			if in.told == nil || in.told.writes != s.writes {
				was := in.told
				in.told = &snapshot{writes: s.writes, instance: fleet.TreeInstance{ID: id, Status: s.instance.Status}}
				f.tell(was, s)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return failed
}

// readStatus reads only what the instance itself writes.
func (c *Client) readStatus(ctx context.Context, p *paths, id fleet.InstanceID, watched *[parts]bool) (*snapshot, error) {
	f, err := c.getStatus(ctx, p.instance(id).status, watched)
	if err != nil {
		return nil, err
	}
	s := &snapshot{instance: fleet.TreeInstance{ID: id}}
	s.writes[partStatus] = markOf(&f.stat)
	if f.stat.Czxid != 0 {
		s.instance.Status = decodeStatus(f.data)
	}
	return s, nil
}

package zookeeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// The nodes of an instance that are read and watched.
const (
	partNode = iota
	partResources
	partReload
	partStatus
	parts
)

// snapshot is an instance as it was read: its nodes of one version.
type snapshot struct {
	gone     bool // it has no nodes
	instance fleet.TreeInstance
	list     []byte      // canonical
	writes   [parts]mark // by which each node is as it was read
}

// mark is which transactions made a node what it is; zero for none.
type mark struct{ created, written int64 }

func markOf(s *zk.Stat) mark { return mark{s.Czxid, s.Mzxid} }

// errBadNode: what stands in the tree is not what the contract says.
var errBadNode = errors.New("not as the contract says")

// ReadTree reads everything that there is of the kind; see loop.Store. What it
// has read spares Commit the reading, as long as no other leader comes.
func (c *Client) ReadTree(ctx context.Context, kind fleet.Kind) (fleet.Tree, error) {
	p, err := pathsOf(kind)
	if err != nil {
		return fleet.Tree{}, err
	}
	if err := c.sync(ctx, p.root); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return fleet.Tree{}, err
	}
	epoch, _, err := c.exists(ctx, p.epoch, false)
	if err != nil {
		return fleet.Tree{}, err
	}
	tree := fleet.Tree{ControlVersion: -1}
	switch control, err := c.get(ctx, p.control, false); {
	case errors.Is(err, zk.ErrNoNode):
	case err != nil:
		return fleet.Tree{}, err
	default:
		if tree.Control, err = decodeControl(control.data); err != nil {
			return fleet.Tree{}, fmt.Errorf("zookeeper: %s: %w", p.control, err)
		}
		tree.ControlVersion = control.stat.Version
	}
	ids, err := c.instances(ctx, &p, false)
	if err != nil {
		return fleet.Tree{}, err
	}
	state := c.kind(kind)
	lists := make(map[fleet.InstanceID]cachedList, len(ids))
	err = c.readEach(ctx, &p, ids, func(s *snapshot) {
		if !s.gone {
			tree.Instances = append(tree.Instances, s.instance)
			lists[s.instance.ID] = cachedList{s.instance.Versions.Resources, listOf(s.list)}
		}
	})
	if err != nil {
		return fleet.Tree{}, err
	}
	state.adopt(int64(epoch.Version), lists)
	slices.SortFunc(tree.Instances, func(a, b fleet.TreeInstance) int { return cmp.Compare(a.ID, b.ID) })
	return tree, nil
}

// instances lists which instances have nodes. What stands there under another
// name is not the orchestrator's.
func (c *Client) instances(ctx context.Context, p *paths, watch bool) ([]fleet.InstanceID, error) {
	names, err := c.children(ctx, p.root, watch)
	if err != nil {
		if errors.Is(err, zk.ErrNoNode) && !watch {
			return nil, nil
		}
		return nil, err
	}
	ids := make([]fleet.InstanceID, 0, len(names))
	for _, name := range names {
		if id, ok := instanceID(name); ok {
			ids = append(ids, id)
		} else if !watch { // a watch would say it at every change
			c.cfg.Log.Warn("zookeeper: a node that is no instance is left alone", "path", p.root+"/"+name)
		}
	}
	return ids, nil
}

// readEach reads instances, Reads at a time, and hands each over, in any order,
// from one goroutine at a time. It answers the first error.
func (c *Client) readEach(ctx context.Context, p *paths, ids []fleet.InstanceID, each func(*snapshot)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	next := 0
	var group sync.WaitGroup
	for range min(c.cfg.Reads, len(ids)) {
		group.Go(func() {
			for {
				mu.Lock()
				if next == len(ids) || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				id := ids[next]
				next++
				mu.Unlock()
				s, err := c.readInstance(ctx, p, id, nil)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				each(s)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// readInstance reads the nodes of an instance as they were at one moment. With
// watched it sets a watch on each node that has none there, and notes it.
func (c *Client) readInstance(ctx context.Context, p *paths, id fleet.InstanceID, watched *[parts]bool) (*snapshot, error) {
	const attempts = 50 // each fails only when somebody has written meanwhile
	at := p.instance(id)
	for range attempts {
		s, err := c.readOnce(ctx, &at, id, watched)
		if err != nil || s != nil {
			return s, err
		}
	}
	return nil, fmt.Errorf("zookeeper: %s changed %d times while it was read", at.node, attempts)
}

// readOnce is nil when the nodes have changed during the reading. The requests go
// out together, so that little happens between them.
func (c *Client) readOnce(ctx context.Context, at *instancePaths, id fleet.InstanceID, watched *[parts]bool) (*snapshot, error) {
	var nodes [parts]found
	var errs [parts]error
	var group sync.WaitGroup
	for part, path := range at.parts() {
		group.Go(func() { nodes[part], errs[part] = c.getPart(ctx, path, part, watched) })
	}
	group.Go(func() { nodes[partStatus], errs[partStatus] = c.getStatus(ctx, at.status, watched) })
	group.Wait()
	missing := 0
	for _, err := range errs {
		if errors.Is(err, zk.ErrNoNode) {
			missing++
		} else if err != nil {
			return nil, err
		}
	}
	if errs[partNode] != nil {
		return &snapshot{gone: true, instance: fleet.TreeInstance{ID: id}}, nil
	}
	if one, err := c.atOnce(ctx, at, &nodes, missing, watched); err != nil || !one {
		return nil, err
	}
	s := &snapshot{instance: fleet.TreeInstance{ID: id}}
	return s, s.decode(at, &nodes)
}

// parts are the nodes that are written together.
func (at *instancePaths) parts() [3]string { return [...]string{at.node, at.resources, at.reload} }

// atOnce says whether the three nodes stood together at some moment. Those that
// the orchestrator wrote bear one transaction's number; others have to be there
// unchanged after all have been read. _reload need not be there: in a tree that
// others left it may be missing.
func (c *Client) atOnce(ctx context.Context, at *instancePaths, nodes *[parts]found, missing int, watched *[parts]bool) (bool, error) {
	written := nodes[partNode].stat.Mzxid
	if missing == 0 && nodes[partResources].stat.Mzxid == written && nodes[partReload].stat.Mzxid == written {
		return true, nil
	}
	for part, path := range at.parts() {
		had := nodes[part].stat.Czxid != 0
		watch := !had && watched != nil && !watched[part] // for its coming
		stat, here, err := c.exists(ctx, path, watch)
		if err != nil {
			return false, err
		}
		if watch {
			watched[part] = true
		}
		if here != had || here && markOf(&stat) != markOf(&nodes[part].stat) {
			return false, nil
		}
		if !here && part != partReload {
			return false, fmt.Errorf("zookeeper: %s is missing: %w: an instance has its node and resources", path, errBadNode)
		}
	}
	return true, nil
}

func (c *Client) getPart(ctx context.Context, path string, part int, watched *[parts]bool) (found, error) {
	watch := watched != nil && !watched[part]
	f, err := c.get(ctx, path, watch)
	if watch && err == nil {
		watched[part] = true
	}
	return f, err
}

// getStatus reads tmp/status, which need not be there; the zero value then.
func (c *Client) getStatus(ctx context.Context, path string, watched *[parts]bool) (found, error) {
	for {
		f, err := c.getPart(ctx, path, partStatus, watched)
		if !errors.Is(err, zk.ErrNoNode) {
			return f, err
		}
		if watched == nil || watched[partStatus] {
			return found{}, nil
		}
		_, here, err := c.exists(ctx, path, true)
		if err != nil {
			return found{}, err
		}
		watched[partStatus] = true
		if !here {
			return found{}, nil
		}
	}
}

func (s *snapshot) decode(at *instancePaths, nodes *[parts]found) error {
	for part := range nodes {
		s.writes[part] = markOf(&nodes[part].stat)
	}
	in := &s.instance
	bad := func(path string, err error) error {
		return fmt.Errorf("zookeeper: %s: %w: %w", path, errBadNode, err)
	}
	n, err := decodeNumbers(nodes[partNode].data)
	if err != nil {
		return bad(at.node, err)
	}
	in.Used, in.Capacity = n.used, n.count
	if in.IDs, s.list, err = decodeList(nodes[partResources].data); err != nil {
		return bad(at.resources, err)
	}
	in.Born = nodes[partNode].stat.Czxid
	in.Versions = fleet.Versions{Node: nodes[partNode].stat.Version, Resources: nodes[partResources].stat.Version, Reload: -1}
	if reload := &nodes[partReload]; reload.stat.Czxid != 0 {
		if in.Times, _, err = decodeTimes(reload.data); err != nil {
			return bad(at.reload, err)
		}
		in.Versions.Reload = reload.stat.Version
	}
	if nodes[partStatus].stat.Czxid != 0 {
		in.Status = decodeStatus(nodes[partStatus].data)
	}
	return nil
}

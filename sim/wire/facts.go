package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/zookeeper"
)

// The roots of the trees (CONTRACT.md, ZooKeeper).
const (
	orchestrationRoot = "/iota/orchestration/"
	ownRoot           = "/iota/orchestrator/"
)

// queue keeps facts in the order in which they happened, and has one goroutine
// handle them. Whoever tells one must not wait: a server may stand still meanwhile,
// whose answer that goroutine needs. So it holds as many as happen while that
// waits for somebody else: until an orchestrator has answered (Scene.Answers), or
// processes have been killed or stopped, which on a cluster may take a minute.
type queue struct {
	mu    sync.Mutex
	facts []fact
	some  chan struct{} // has a token when there may be facts
}

// fact is something that happened, and when.
type fact struct {
	at time.Time
	do func(at time.Time)
}

func newQueue() *queue { return &queue{some: make(chan struct{}, 1)} }

// add appends a fact. What matters about it must be in do by value.
func (q *queue) add(do func(at time.Time)) {
	q.mu.Lock()
	q.facts = append(q.facts, fact{time.Now(), do})
	q.mu.Unlock()
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take answers what is there and forgets it.
func (q *queue) take() []fact {
	q.mu.Lock()
	defer q.mu.Unlock()
	facts := q.facts
	q.facts = nil
	return facts
}

// A TreeReader makes transactions of what ZooKeeper carries out, from the nodes
// alone: it knows nothing of what the orchestrator meant.
type TreeReader struct {
	kinds map[fleet.Kind]*kindReader
	// Committed is told of each transaction, with the newest epoch. Required.
	Committed func(kind fleet.Kind, epoch int64, txn *fleet.Txn)
	// Began, unless nil, is told of each leadership, with its epoch.
	Began func(kind fleet.Kind, epoch int64)
	// Led, unless nil, is told of each leadership but the first.
	Led func(kind fleet.Kind)
	// Strange, unless nil, is told of what no orchestrator should have written.
	Strange func(kind fleet.Kind, why string)
}

// kindReader is what the reader knows of a kind.
type kindReader struct {
	epoch  int64
	epochs map[int64]int64 // the last epoch that a session has written
	// candidates are those that stand for election, by their node.
	candidates map[string]candidate
	instances  map[fleet.InstanceID]*readInstance
	txns       uint64
	control    fleet.Control
}

// candidate is an orchestrator that stands for election.
type candidate struct {
	name    string
	session int64
}

// readInstance is an instance as its nodes say.
type readInstance struct {
	used, count int
	times       int64
	ids         []string
	versions    fleet.Versions
}

// NewTreeReader makes one that knows of nothing in ZooKeeper.
func NewTreeReader(kinds []Kind) *TreeReader {
	t := &TreeReader{kinds: map[fleet.Kind]*kindReader{}}
	for _, k := range kinds {
		t.kinds[k.Kind] = &kindReader{epochs: map[int64]int64{}, candidates: map[string]candidate{}, instances: map[fleet.InstanceID]*readInstance{}}
	}
	return t
}

// Read takes in what one transaction of ZooKeeper did.
func (t *TreeReader) Read(session int64, changes []zookeeper.Change) {
	touched := map[fleet.Kind]*fleet.Txn{}
	at := func(kind fleet.Kind) *fleet.Txn {
		k := t.kinds[kind]
		if touched[kind] == nil {
			k.txns++
			touched[kind] = &fleet.Txn{ID: k.txns, Epoch: k.epochs[session]}
		}
		return touched[kind]
	}
	for i := range changes {
		c := &changes[i]
		if rest, ok := strings.CutPrefix(c.Path, ownRoot); ok {
			t.own(session, rest, c, at)
		} else if rest, ok := strings.CutPrefix(c.Path, orchestrationRoot); ok {
			t.node(rest, c, at)
		}
	}
	for kind, txn := range touched {
		t.finish(kind, txn)
		t.Committed(kind, t.kinds[kind].epoch, txn)
	}
}

// own reads a change in the orchestrator's own tree.
func (t *TreeReader) own(session int64, rest string, c *zookeeper.Change, at func(fleet.Kind) *fleet.Txn) {
	name, node, _ := strings.Cut(rest, "/")
	k := t.kinds[fleet.Kind(name)]
	if k == nil {
		return
	}
	switch node {
	case "epoch":
		if c.Op == "setData" {
			if len(k.epochs) > 0 && t.Led != nil {
				t.Led(fleet.Kind(name))
			}
			k.epoch = int64(c.Version)
			k.epochs[session] = k.epoch
			if t.Began != nil {
				t.Began(fleet.Kind(name), k.epoch)
			}
		}
	case "control":
		txn := at(fleet.Kind(name))
		txn.Control, txn.ControlVersion = &fleet.Control{}, c.Version-1
		if err := json.Unmarshal(c.Data, txn.Control); err != nil {
			t.strange(fleet.Kind(name), fmt.Sprintf("%s holds %q: %v", c.Path, c.Data, err))
		}
		k.control = *txn.Control
	default:
		k.stands(session, node, c)
	}
}

// stands reads a change below candidates. A name that cannot be read is one that
// nobody has.
func (k *kindReader) stands(session int64, node string, c *zookeeper.Change) {
	if !strings.HasPrefix(node, "candidates/") {
		return
	}
	if c.Op == "delete" {
		delete(k.candidates, node)
		return
	}
	var who fleet.Candidate
	_ = json.Unmarshal(c.Data, &who)
	k.candidates[node] = candidate{who.Name, session}
}

func (t *TreeReader) strange(kind fleet.Kind, why string) {
	if t.Strange != nil {
		t.Strange(kind, why)
	}
}

// node reads a change in the contract's tree.
func (t *TreeReader) node(rest string, c *zookeeper.Change, at func(fleet.Kind) *fleet.Txn) {
	parts := strings.Split(rest, "/")
	kind := fleet.Kind(parts[0])
	k := t.kinds[kind]
	if k == nil || len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && parts[2] == "tmp" {
		return // the roots, tmp, and what instances write below it
	}
	id, ok := instanceNumber(parts[1])
	if !ok {
		t.strange(kind, fmt.Sprintf("%s is no instance", c.Path))
		return
	}
	change := changeOf(at(kind), id)
	in := k.instances[id]
	if in == nil {
		in = &readInstance{}
		k.instances[id] = in
	}
	what := ""
	if len(parts) == 3 {
		what = parts[2]
	}
	if what == "" && c.Op != "setData" {
		change.Kind = fleet.ChangeCreate
		if c.Op == "delete" {
			change.Kind = fleet.ChangeDelete
		}
	}
	if c.Op == "delete" {
		return
	}
	if err := in.take(what, c, change); err != nil {
		t.strange(kind, fmt.Sprintf("%s holds %.100q: %v", c.Path, c.Data, err))
	}
}

// instanceNumber reads an instance's number. It has one way to be written: 03 and
// +3 are not instance 3.
func instanceNumber(s string) (fleet.InstanceID, bool) {
	n, err := strconv.ParseInt(s, 10, 32)
	return fleet.InstanceID(n), err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}

// changeOf is the part of a transaction that is about an instance.
func changeOf(txn *fleet.Txn, id fleet.InstanceID) *fleet.Change {
	for i := range txn.Changes {
		if txn.Changes[i].Instance == id {
			return &txn.Changes[i]
		}
	}
	txn.Changes = append(txn.Changes, fleet.Change{Kind: fleet.ChangeUpdate, Instance: id})
	return &txn.Changes[len(txn.Changes)-1]
}

// take takes in what a node holds now. A version is that before the change. What
// holds nothing useful changes the version alone.
func (in *readInstance) take(what string, c *zookeeper.Change, change *fleet.Change) error {
	switch what {
	case "":
		in.versions.Node, change.Versions.Node = c.Version, c.Version-1
		var v struct{ Used, Count *int }
		if err := json.Unmarshal(c.Data, &v); err != nil {
			return err
		}
		if v.Used == nil || v.Count == nil {
			return fmt.Errorf("want used and count")
		}
		in.used, in.count = *v.Used, *v.Count
	case "resources":
		in.versions.Resources, change.Versions.Resources = c.Version, c.Version-1
		var v struct{ IDs *[]string }
		if err := json.Unmarshal(c.Data, &v); err != nil {
			return err
		}
		if v.IDs == nil {
			return fmt.Errorf("want ids")
		}
		change.Add, change.Remove = difference(in.ids, *v.IDs)
		in.ids = *v.IDs
	case "_reload":
		in.versions.Reload, change.Versions.Reload = c.Version, c.Version-1
		var v struct{ Times *int64 }
		if err := json.Unmarshal(c.Data, &v); err != nil {
			return err
		}
		if v.Times == nil {
			return fmt.Errorf("want times")
		}
		in.times = *v.Times
	default:
		return fmt.Errorf("no such node in the contract")
	}
	return nil
}

// difference answers what joined and what left a list.
func difference(was, is []string) (add, remove []string) {
	same := 0
	for same < len(was) && same < len(is) && was[same] == is[same] {
		same++
	}
	was, is = was[same:], is[same:]
	left := make(map[string]bool, len(was))
	for _, id := range was {
		left[id] = true
	}
	for _, id := range is {
		if left[id] {
			delete(left, id)
		} else {
			add = append(add, id)
		}
	}
	for _, id := range was {
		if left[id] {
			remove = append(remove, id)
		}
	}
	return add, remove
}

// finish fills in what each instance holds after the transaction.
func (t *TreeReader) finish(kind fleet.Kind, txn *fleet.Txn) {
	k := t.kinds[kind]
	for i := range txn.Changes {
		c := &txn.Changes[i]
		if c.Kind == fleet.ChangeDelete {
			*c = fleet.Change{Kind: fleet.ChangeDelete, Instance: c.Instance, Versions: k.instances[c.Instance].versions}
			delete(k.instances, c.Instance)
			continue
		}
		if c.Kind == fleet.ChangeCreate {
			c.Versions = fleet.Versions{} // there were none
		}
		in := k.instances[c.Instance]
		c.Used, c.Capacity, c.Times = in.used, in.count, in.times
	}
}

package zookeeper

import (
	"slices"
	"sync"

	"dacorch/orchestrator/fleet"
)

// kindState is what the client keeps of a kind between two transactions.
type kindState struct {
	turn chan struct{} // holds a value while a transaction is made and executed

	mu     sync.Mutex
	epoch  int64 // under which lists was read or written; no other leader's list is in it
	lists  map[fleet.InstanceID]cachedList
	spare  [][]byte // lists that have been replaced, few: the next are written over them
	rooted bool     // the nodes that always stand have been seen

	refused  string // see Refused
	reminder reminder
}

// cachedList is an instance's list as it stands at a version.
type cachedList struct {
	version int32
	list    list
}

func (c *Client) kind(kind fleet.Kind) *kindState {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kinds[string(kind)]
	if k == nil {
		k = &kindState{epoch: -1, turn: make(chan struct{}, 1)}
		c.kinds[string(kind)] = k
	}
	return k
}

// adopt takes what has been read of the whole tree.
func (k *kindState) adopt(epoch int64, lists map[fleet.InstanceID]cachedList) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch == k.epoch {
		for id, l := range k.lists { // a transaction may have ended after the reading
			if read, ok := lists[id]; ok && read.version < l.version {
				lists[id] = l
			}
		}
	}
	k.epoch, k.lists = epoch, lists
}

// at begins a transaction under an epoch: lists of another are forgotten.
func (k *kindState) at(epoch int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch != epoch || k.lists == nil {
		k.epoch, k.lists = epoch, map[fleet.InstanceID]cachedList{}
	}
}

func (k *kindState) list(id fleet.InstanceID, version int32) (list, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.lists[id]
	return l.list, ok && l.version == version
}

// keep takes a list as it stands under an epoch. Nobody else may hold its bytes.
func (k *kindState) keep(epoch int64, id fleet.InstanceID, l cachedList) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch != k.epoch {
		return
	}
	k.recycle(k.lists[id].list.data)
	k.lists[id] = l
}

func (k *kindState) forget(id fleet.InstanceID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.lists, id)
}

// buffer is room for a list of that size, with some to grow.
func (k *kindState) buffer(size int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, b := range k.spare {
		if cap(b) >= size && cap(b) <= 2*size+1024 {
			k.spare = slices.Delete(k.spare, i, i+1)
			return b[:0]
		}
	}
	return make([]byte, 0, size+size/8)
}

func (k *kindState) reuse(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.recycle(b)
}

// recycle takes bytes that nobody holds any more.
func (k *kindState) recycle(b []byte) {
	const most = 4
	if cap(b) == 0 {
		return
	}
	if len(k.spare) == most {
		k.spare = slices.Delete(k.spare, 0, 1)
	}
	k.spare = append(k.spare, b)
}

func (k *kindState) setRooted(rooted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rooted = rooted
}

package placement

import (
	"hash/maphash"

	"dacorch/orchestrator/fleet"
)

// index finds a resource's handle by its id: open addressing with linear
// probing, at most half full. An entry holds 32 bits of the id's hash, whose
// low bits are the entry's home, and the handle plus one. Compared with a map
// it is presized without rehashing strings, and it stores no copy of the id.
// The hash's seed differs between processes; no result depends on it.
type index struct {
	seed    maphash.Seed
	entries []uint64
	n       int
	touched uint64 // keeps the compiler from dropping the reads of tags
}

func (x *index) tag(id string) uint32 { return uint32(maphash.String(x.seed, id)) }

// tags computes the tags of a block of resources, and reads the entries that
// they lead to: the reads overlap, whereas each lookup would wait for its own.
func (x *index) tags(block []fleet.Resource, tags []uint32) {
	mask := uint32(len(x.entries) - 1)
	var touched uint64
	for i := range block {
		tags[i] = x.tag(block[i].ID)
		touched ^= x.entries[tags[i]&mask]
	}
	x.touched = touched
}

// grow makes room for n more entries.
func (x *index) grow(n int) {
	if 2*(x.n+n) <= len(x.entries) {
		return
	}
	if x.entries == nil {
		x.seed = maphash.MakeSeed()
	}
	size := max(64, len(x.entries))
	for size < 2*(x.n+n) {
		size *= 2
	}
	old := x.entries
	x.entries = make([]uint64, size)
	mask := uint32(size - 1)
	for _, e := range old {
		if e == 0 {
			continue
		}
		i := uint32(e>>32) & mask
		for x.entries[i] != 0 {
			i = (i + 1) & mask
		}
		x.entries[i] = e
	}
}

// find answers the handle of id, and the tag for a put or remove that follows.
func (a *Assignment) find(id string) (h uint32, ok bool) {
	x := &a.index
	if x.n == 0 {
		return 0, false
	}
	h, _, ok = a.lookup(id, x.tag(id))
	return h, ok
}

// lookup answers the handle of id, or the entry where it belongs.
func (a *Assignment) lookup(id string, tag uint32) (h, at uint32, ok bool) {
	x := &a.index
	mask := uint32(len(x.entries) - 1)
	for i := tag & mask; ; i = (i + 1) & mask {
		e := x.entries[i]
		if e == 0 {
			return 0, i, false
		}
		if uint32(e>>32) == tag {
			if h := uint32(e) - 1; a.res[h].id == id {
				return h, i, true
			}
		}
	}
}

// put fills the free entry at, which lookup answered.
func (x *index) put(at, tag, h uint32) {
	x.entries[at] = uint64(tag)<<32 | uint64(h+1)
	x.n++
}

// remove empties the entry at and moves back those that had been displaced by it.
func (x *index) remove(at uint32) {
	mask := uint32(len(x.entries) - 1)
	x.n--
	hole := at
	for i := (at + 1) & mask; ; i = (i + 1) & mask {
		e := x.entries[i]
		if e == 0 {
			break
		}
		home := uint32(e>>32) & mask
		if (i-home)&mask >= (i-hole)&mask {
			x.entries[hole] = e
			hole = i
		}
	}
	x.entries[hole] = 0
}

package placement

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// keyed is 8 bytes of a resource's id, as a number that orders like them, and
// the resource's handle.
type keyed struct {
	key uint64
	h   uint32
}

const smallSort = 64 // fewer ids than this are sorted by comparing them

// sortByID sorts handles by their resources' ids. Ids are distinct.
//
// The ids' common prefix is skipped and the next 8 bytes are sorted as numbers
// by radix, over those bits alone in which any two ids differ; runs of equal
// keys recurse on what follows.
func (a *Assignment) sortByID(hs []uint32) {
	if len(hs) < smallSort {
		a.sortSmall(hs)
		return
	}
	if a.inOrder(hs) {
		return
	}
	buf := make([]keyed, 2*len(hs))
	a.sortFrom(hs, 0, buf[:len(hs)], buf[len(hs):])
}

func (a *Assignment) sortSmall(hs []uint32) {
	slices.SortFunc(hs, func(x, y uint32) int { return strings.Compare(a.res[x].id, a.res[y].id) })
}

func (a *Assignment) inOrder(hs []uint32) bool {
	for i := 1; i < len(hs); i++ {
		if a.res[hs[i-1]].id > a.res[hs[i]].id {
			return false
		}
	}
	return true
}

// sortFrom sorts handles whose ids agree before offset.
func (a *Assignment) sortFrom(hs []uint32, offset int, keys, other []keyed) {
	if len(hs) < smallSort {
		a.sortSmall(hs)
		return
	}
	offset = a.commonPrefix(hs, offset)
	var differ uint64
	ended := false // an id ends inside its key: a zero byte of its own would look the same
	for i, h := range hs {
		key, whole := keyAt(a.res[h].id, offset)
		keys[i] = keyed{key, h}
		differ |= key ^ keys[0].key
		ended = ended || !whole
	}
	keys, other = radix(keys[:len(hs)], other[:len(hs)], differ)
	for i, k := range keys {
		hs[i] = k.h
	}
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to].key == keys[from].key {
			to++
		}
		switch run := hs[from:to]; {
		case len(run) == 1:
		case ended: // keys of ids that end are not followed by more of them
			a.sortSmall(run)
		default:
			// The run's keys are read no more: the recursion may overwrite them.
			a.sortFrom(run, offset+8, keys[from:to], other[from:to])
		}
		from = to
	}
}

// commonPrefix is the length of the prefix that all ids share, given that they
// share offset bytes.
func (a *Assignment) commonPrefix(hs []uint32, offset int) int {
	first := a.res[hs[0]].id
	common := len(first)
	for _, h := range hs[1:] {
		id := a.res[h].id
		common = min(common, len(id))
		i := offset
		for i < common && id[i] == first[i] {
			i++
		}
		common = i
		if common == offset {
			break
		}
	}
	return common
}

// keyAt is the 8 bytes of id from offset, padded with zero bytes, and whether
// id has all of them.
func keyAt(id string, offset int) (uint64, bool) {
	rest := id[min(offset, len(id)):]
	if len(rest) >= 8 {
		return binary.BigEndian.Uint64([]byte(rest[:8])), true
	}
	var b [8]byte
	copy(b[:], rest)
	return binary.BigEndian.Uint64(b[:]), false
}

// radix sorts keys, with other as buffer; it answers the sorted slice and the
// other one. Up to three digits of 11 bits, the highest in which keys differ
// (differ), are sorted least significant first. Of 2³³ values few are equal
// unless the ids are made so; keys that agree in them are compared.
func radix(keys, other []keyed, differ uint64) (sorted, buffer []keyed) {
	const width = 11
	compare := func(x, y keyed) int { return cmp.Compare(x.key, y.key) }
	if len(keys) < 1<<width {
		slices.SortFunc(keys, compare)
		return keys, other
	}
	var lows []int // the digits' lowest bits, descending
	rest := differ
	for len(lows) < 3 && rest != 0 {
		low := max(0, bits.Len64(rest)-width)
		lows = append(lows, low)
		rest &= 1<<low - 1
	}
	var counts [1 << width]uint32
	for _, low := range slices.Backward(lows) {
		clear(counts[:])
		for i := range keys {
			counts[keys[i].key>>low%(1<<width)]++
		}
		sum := uint32(0)
		for d := range counts {
			sum, counts[d] = sum+counts[d], sum
		}
		for _, k := range keys {
			d := k.key >> low % (1 << width)
			other[counts[d]] = k
			counts[d]++
		}
		keys, other = other, keys
	}
	if rest == 0 {
		return keys, other
	}
	low := lows[len(lows)-1]
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to].key>>low == keys[from].key>>low {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(keys[from:to], compare)
		}
		from = to
	}
	return keys, other
}

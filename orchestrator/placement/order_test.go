package placement

import (
	"fmt"
	"slices"
	"testing"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

// TestSortByID compares with sorting the strings.
func TestSortByID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.OneOf(
			rapid.StringN(0, 3, -1),
			rapid.SampledFrom([]string{"building-", "aaaaaaaa", "aaaaaaaaa", "\x00", "\x00\x00", "b"}),
			rapid.Map(rapid.IntRange(0, 5000), func(i int) string { return fmt.Sprintf("%04d", i) }),
		)
		id := rapid.Map(rapid.SliceOfN(part, 0, 5), func(parts []string) string { return fmt.Sprint(parts) + join(parts) })
		checkSort(t, rapid.SliceOfNDistinct(rapid.OneOf(id, rapid.Map(part, func(s string) string { return s })), 0, 300, rapid.ID).Draw(t, "ids"))
	})
}

// TestSortManyByID reaches the radix sort, with and without ties.
func TestSortManyByID(t *testing.T) {
	var ids []string
	for i := range 9000 {
		ids = append(ids, fmt.Sprintf("site-%d/floor-%d/sensor-%d", i*7919%13, i%5, i*104729%9000))
	}
	checkSort(t, ids)
	checkSort(t, append(ids, "site-", "s", "", "site-1"))
	for i, r := range benchResources(9000) {
		ids[i] = r.ID
	}
	checkSort(t, ids)
}

func join(parts []string) (s string) {
	for _, p := range parts {
		s += p
	}
	return s
}

func checkSort(t fataler, ids []string) {
	t.Helper()
	a := New(Config{})
	hs := make([]uint32, len(ids))
	for i, id := range ids {
		a.res = append(a.res, resource{id: id})
		hs[i] = uint32(i)
	}
	a.sortByID(hs)
	want := slices.Sorted(slices.Values(ids))
	for i, h := range hs {
		if ids[h] != want[i] {
			t.Fatalf("at %d: %q, want %q", i, ids[h], want[i])
		}
	}
}

// TestIndex compares the index with a map, with tags that collide.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, twin := New(Config{}), map[string]uint32{}
		l := a.labelOf("")
		tag := func(id string) uint32 { return uint32(len(id)) * 31 }
		id := rapid.StringMatching("[ab]{0,7}")
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				id := id.Draw(t, "id")
				a.index.grow(1)
				h, at, ok := a.lookup(id, tag(id))
				want, has := twin[id]
				if ok != has || h != want {
					t.Fatalf("%q: %d %v, want %d %v", id, h, ok, want, has)
				}
				if !ok {
					twin[id] = a.newResource(id, l, at, tag(id))
				}
			},
			"remove": func(t *rapid.T) {
				id := id.Draw(t, "id")
				a.index.grow(1)
				h, at, ok := a.lookup(id, tag(id))
				if want, has := twin[id]; ok != has || h != want {
					t.Fatalf("%q: %d %v, want %d %v", id, h, ok, want, has)
				}
				if ok {
					a.index.remove(at)
					delete(twin, id)
				}
			},
			"": func(t *rapid.T) {
				if a.index.n != len(twin) {
					t.Fatalf("%d entries, want %d", a.index.n, len(twin))
				}
				for id, want := range twin {
					if h, _, ok := a.lookup(id, tag(id)); !ok || h != want {
						t.Fatalf("%q: %d %v, want %d", id, h, ok, want)
					}
				}
			},
		})
	})
}

// TestIndexIsReused: removing and adding for ever does not grow the index.
func TestIndexIsReused(t *testing.T) {
	a, p := New(Config{Policy: fleet.PolicyBalance}), Plan{}
	for i := range 10_000 {
		a.Add(fleet.Resource{ID: fmt.Sprint(i)}, &p)
		a.Remove(fmt.Sprint(i-20), &p)
		p.Reset()
	}
	if a.Len() != 20 || len(a.index.entries) > 64 || len(a.res) > 64 {
		t.Fatalf("%d resources: %d entries, %d handles", a.Len(), len(a.index.entries), len(a.res))
	}
}

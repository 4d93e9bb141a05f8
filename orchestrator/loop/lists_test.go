package loop

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

// TestViewTwice holds a view to a map while resources stand in several lists, as
// in a tree that somebody else wrote, and to a follower while they move.
func TestViewTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := func(label string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), 0, 6, rapid.ID).Draw(t, label)
		}
		v := newView()
		lists := map[fleet.InstanceID][]string{}
		var tree []fleet.TreeInstance
		for id := range fleet.InstanceID(3) {
			lists[id] = ids("read")
			tree = append(tree, fleet.TreeInstance{ID: id, Used: len(lists[id]), IDs: lists[id]})
		}
		v.set(contentOf(tree))
		f := v.follow()
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			id := fleet.InstanceID(rapid.IntRange(0, 3).Draw(t, "instance"))
			_, exists := lists[id]
			switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
			case op == 0 && exists: // a leader removes some of a list
				var gone []string
				for _, r := range lists[id] {
					if rapid.Bool().Draw(t, "gone") {
						gone = append(gone, r)
					}
				}
				lists[id] = slices.DeleteFunc(slices.Clone(lists[id]), func(r string) bool { return slices.Contains(gone, r) })
				v.apply(&fleet.Txn{Changes: []fleet.Change{{Instance: id, Remove: gone, Used: len(lists[id])}}})
			case op == 1:
				delete(lists, id)
				f.gone(id)
			default: // a follower reads one anew
				lists[id] = ids("list")
				f.seen(fleet.TreeInstance{ID: id, Used: len(lists[id]), IDs: slices.Clone(lists[id])})
			}
			checkLists(t, v, lists)
		}
	})
}

func checkLists(t *rapid.T, v *View, lists map[fleet.InstanceID][]string) {
	t.Helper()
	all := v.List(true)
	if len(all) != len(lists) {
		t.Fatalf("%d instances, want %d", len(all), len(lists))
	}
	for _, l := range all {
		want := slices.Sorted(slices.Values(lists[l.ID]))
		if got := slices.Sorted(slices.Values(l.IDs)); !slices.Equal(got, want) || l.Used != len(want) || l.IDs == nil {
			t.Fatalf("instance %v holds %#v, want %v", l.ID, l.IDs, want)
		}
	}
	var found []Found
	for _, r := range []string{"a", "b", "c", "d", "e", "f"} {
		at, ok := v.Where(r)
		stands := false
		for _, ids := range lists {
			stands = stands || slices.Contains(ids, r)
		}
		if ok != stands || ok && !slices.Contains(lists[at], r) {
			t.Fatalf("%s: the view says %v %t, of %v", r, at, ok, lists)
		}
		if ok {
			found = append(found, Found{r, at})
		}
	}
	if got := v.Search("", "", 10); !slices.Equal(got, found) {
		t.Fatalf("search found %v, want %v", got, found)
	}
	if _, n := v.Totals(); n != len(found) {
		t.Fatalf("%d resources, want %d", n, len(found))
	}
}

// fullTree is instances with full lists of ids like UUIDs, sorted.
func fullTree(instances, each int) []fleet.TreeInstance {
	tree := make([]fleet.TreeInstance, instances)
	for i := range tree {
		in := &tree[i]
		in.ID, in.Used, in.Capacity = fleet.InstanceID(i), each, each
		for j := range each {
			in.IDs = append(in.IDs, fmt.Sprintf("%08x-7a6e-4a3e-9d0a-%012d", (i*each+j)*2654435761%(1<<32), j))
		}
		slices.Sort(in.IDs)
	}
	return tree
}

// BenchmarkFollow is what one change of a list of 5,000 costs a follower, and,
// beside it, what searches cost the readers of 500,000 resources.
func BenchmarkFollow(b *testing.B) {
	tree := fullTree(100, 5000)
	v := newView()
	v.set(contentOf(tree))
	f := v.follow()
	b.Run("op=seen", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			in := tree[n%100]
			if n/100%2 == 0 {
				in.IDs = in.IDs[1:]
			}
			f.seen(in)
		}
	})
	b.Run("op=search", func(b *testing.B) {
		for b.Loop() {
			v.Search("0", "", 100)
		}
	})
	for _, searching := range []bool{false, true} {
		b.Run(fmt.Sprintf("op=where/searching=%t", searching), func(b *testing.B) {
			stop := make(chan struct{})
			var others sync.WaitGroup
			if searching {
				others.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
							v.Search("0", "", 100)
							f.seen(tree[n%100])
						}
					}
				})
			}
			for n := 0; b.Loop(); n++ {
				v.Where(tree[n%100].IDs[n%4000])
			}
			close(stop)
			others.Wait()
		})
	}
}

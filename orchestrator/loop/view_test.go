package loop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"

	"pgregory.net/rapid"
)

// TestView holds a leader's and a follower's view to a map.
func TestView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leader, follower := newView(), newView()
		follow := follower.follow()
		lists := map[fleet.InstanceID][]string{} // the dumb twin
		drawn := func(ids []string, label string) (some []string) {
			for _, id := range ids {
				if rapid.Bool().Draw(t, label) {
					some = append(some, id)
				}
			}
			return some
		}
		next := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := fleet.InstanceID(rapid.IntRange(0, 4).Draw(t, "instance"))
			other := fleet.InstanceID(rapid.IntRange(0, 4).Draw(t, "other"))
			txn := &fleet.Txn{}
			change := func(at fleet.InstanceID, add, remove []string) {
				c := fleet.Change{Kind: fleet.ChangeUpdate, Instance: at, Add: add, Remove: remove, Capacity: 9, Times: 1}
				if _, exists := lists[at]; !exists {
					c.Kind = fleet.ChangeCreate
				}
				lists[at] = slices.DeleteFunc(slices.Clone(lists[at]), func(id string) bool { return slices.Contains(remove, id) })
				lists[at] = append(lists[at], add...)
				c.Used = len(lists[at])
				txn.Changes = append(txn.Changes, c)
			}
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0, 1: // places and removals
				var add []string
				for range rapid.IntRange(0, 4).Draw(t, "new") {
					add = append(add, fmt.Sprintf("r%d", next))
					next++
				}
				change(id, add, drawn(lists[id], "gone"))
			case 2: // a move, in either order
				if id != other {
					moved := drawn(lists[id], "moved")
					change(other, moved, nil)
					change(id, nil, moved)
				}
			case 3:
				if _, exists := lists[id]; exists && len(lists[id]) == 0 {
					delete(lists, id)
					txn.Changes = append(txn.Changes, fleet.Change{Kind: fleet.ChangeDelete, Instance: id})
				}
			}
			leader.apply(txn)
			for _, c := range txn.Changes {
				if c.Kind == fleet.ChangeDelete {
					follow.gone(c.Instance)
				} else {
					follow.seen(fleet.TreeInstance{ID: c.Instance, Used: c.Used, Capacity: c.Capacity, Times: c.Times, IDs: slices.Clone(lists[c.Instance])})
				}
			}
			checkView(t, "leader", leader, lists)
			checkView(t, "follower", follower, lists)
		}
		follow.synced()
		checkView(t, "synced", follower, lists)
		if !follower.Ready() {
			t.Fatal("synced and not ready")
		}
	})
}

func checkView(t *rapid.T, who string, v *View, lists map[fleet.InstanceID][]string) {
	t.Helper()
	var all []Found
	for id, ids := range lists {
		for _, r := range ids {
			all = append(all, Found{r, id})
			if at, ok := v.Where(r); !ok || at != id {
				t.Fatalf("%s: %s stands on %v, the view says %v %t", who, r, id, at, ok)
			}
		}
	}
	instances, resources := v.Totals()
	if instances != len(lists) || resources != len(all) {
		t.Fatalf("%s: %d instances and %d resources, want %d and %d", who, instances, resources, len(lists), len(all))
	}
	for _, l := range v.List(true) {
		slices.Sort(l.IDs)
		if !slices.Equal(l.IDs, slices.Sorted(slices.Values(lists[l.ID]))) || l.Used != len(l.IDs) {
			t.Fatalf("%s: instance %v holds %v, want %v", who, l.ID, l.IDs, lists[l.ID])
		}
	}
	slices.SortFunc(all, func(a, b Found) int { return strings.Compare(a.ID, b.ID) })
	prefix, after, limit := "r1", rapid.SampledFrom([]string{"", "r1", "r13"}).Draw(t, "after"), rapid.IntRange(1, 5).Draw(t, "limit")
	want := slices.DeleteFunc(all, func(f Found) bool { return !strings.HasPrefix(f.ID, prefix) || f.ID <= after })
	if got := v.Search(prefix, after, limit); !slices.Equal(got, want[:min(limit, len(want))]) {
		t.Fatalf("%s: search found %v, want the first %d of %v", who, got, limit, want)
	}
}

// TestSynced drops what an earlier watch left and is there no more.
func TestSynced(t *testing.T) {
	v := newView()
	v.set(contentOf([]fleet.TreeInstance{{ID: 0, IDs: []string{"a"}}, {ID: 1, IDs: []string{"b"}}}))
	f := v.follow()
	f.seen(fleet.TreeInstance{ID: 1, IDs: []string{"b", "c"}, Used: 2})
	if _, ok := v.Where("a"); !ok {
		t.Error("what is known goes before the new reading is complete")
	}
	f.synced()
	if _, ok := v.Where("a"); ok {
		t.Error("an instance that is no longer there stays")
	}
	if in, _ := v.Where("c"); in != 1 {
		t.Errorf("c is on %v", in)
	}
}

// TestAcks holds what the broker is told to a dumb twin: everything up to just
// before the first message that is not safe.
func TestAcks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		told := uint64(0)
		a := newAcks(func(token uint64) {
			if token <= told {
				t.Fatalf("told %d after %d", token, told)
			}
			told = token
		})
		kinds := []fleet.Kind{"Thing", "Rule"}
		for _, k := range kinds {
			a.join(k)
		}
		type message struct {
			kind fleet.Kind
			safe bool
		}
		var all []message
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			k := rapid.SampledFrom(kinds).Draw(t, "kind")
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				all = append(all, message{kind: k})
				a.expect(k, uint64(len(all)))
			case 1:
				all = append(all, message{safe: true})
				a.skip(uint64(len(all)))
			case 2:
				upTo := rapid.IntRange(0, len(all)).Draw(t, "up to")
				for i := range all[:upTo] {
					all[i].safe = all[i].safe || all[i].kind == k
				}
				a.safe(k, uint64(upTo))
			}
			want := slices.IndexFunc(all, func(m message) bool { return !m.safe })
			if want < 0 {
				want = len(all)
			}
			// A new message alone tells nothing; the next answer does.
			if told > uint64(want) {
				t.Fatalf("told %d, of %v", told, all)
			}
			a.skip(uint64(len(all) + 1))
			all = append(all, message{safe: true})
			if want = slices.IndexFunc(all, func(m message) bool { return !m.safe }); want < 0 {
				want = len(all)
			}
			if told != uint64(want) {
				t.Fatalf("told %d, want %d", told, want)
			}
		}
	})
}

// TestMoves remembers the latest placements and says from when on.
func TestMoves(t *testing.T) {
	m := newMoves(4)
	m.began = 5 * time.Second
	if since, all := m.since(); since != 5*time.Second || !all {
		t.Errorf("since %v %t", since, all)
	}
	for i := range 6 {
		m.add(time.Duration(10+i)*time.Second, []placement.Move{{Resource: []string{"a", "b"}[i%2], From: fleet.InstanceID(i), To: fleet.InstanceID(i + 1)}})
	}
	var froms []fleet.InstanceID
	for _, mv := range m.of("a", 10) {
		froms = append(froms, mv.From)
	}
	if !slices.Equal(froms, []fleet.InstanceID{4, 2}) {
		t.Errorf("a moved from %v, want the latest first and the oldest forgotten", froms)
	}
	if got := len(m.of("b", 1)); got != 1 {
		t.Errorf("%d, want the limit", got)
	}
	if since, all := m.since(); since != 12*time.Second || all {
		t.Errorf("since %v %t", since, all)
	}
	m.clear()
	if len(m.of("a", 10)) != 0 {
		t.Error("something is left")
	}
}

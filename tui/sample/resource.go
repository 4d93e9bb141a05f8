package sample

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// resources says of a kind which resources there are and where each stands,
// without holding them. The n-th id is the n-th bytewise; its place is drawn by
// stepping through all places with a prime.
type resources struct {
	kind  string
	list  []api.Instance
	upto  []int // places on instances 0 to i
	count int   // with those that stand nowhere
}

const stride = 1_000_003 // a prime: shares no divisor with counts below it

func of(s *data.State, kind string) *resources {
	r := &resources{kind: kind}
	r.list, _ = s.Instances(kind)
	sum := 0
	for i := range r.list {
		sum += r.list[i].Used
		r.upto = append(r.upto, sum)
	}
	r.count = sum + sums(s, kind).Unplaced
	return r
}

// id is the n-th resource's.
func (r *resources) id(n int) string {
	h := mix(uint64(n))
	return fmt.Sprintf("%08x-%04x-4%03x-9%03x-%012x", uint64(n)<<32/uint64(max(r.count, 1)), h&0xffff, h>>16&0xfff, h>>28&0xfff, h>>16)
}

// from is the first resource whose id is not below a text.
func (r *resources) from(text string) int {
	return sort.Search(r.count, func(n int) bool { return r.id(n) >= text })
}

func (r *resources) find(id string) (int, bool) {
	n := r.from(id)
	return n, n < r.count && r.id(n) == id
}

// instance is where the n-th resource stands; nil for nowhere.
func (r *resources) instance(n int) *int {
	if place := n * stride % r.count; len(r.upto) > 0 && place < r.upto[len(r.upto)-1] {
		return new(sort.SearchInts(r.upto, place+1))
	}
	return nil
}

func (r *resources) found(n int) api.Found {
	f := api.Found{ID: r.id(n), Instance: r.instance(n)}
	if f.Instance != nil {
		f.RunIn = podName(r.kind, *f.Instance)
	}
	return f
}

// search pages through the ids with a prefix.
func search(s *data.State, q data.Query) api.Search {
	r := of(s, q.Kind)
	page := api.Search{Resource: q.Kind, Resources: []api.Found{}}
	n := r.from(q.Text)
	if q.After != "" {
		n = max(n, r.from(q.After+"\x00"))
	}
	for ; n < r.count && strings.HasPrefix(r.id(n), q.Text); n++ {
		if len(page.Resources) == max(q.N, 1) {
			page.Next = page.Resources[len(page.Resources)-1].ID
			return page
		}
		page.Resources = append(page.Resources, r.found(n))
	}
	return page
}

// list pages through the resources of an instance.
func list(s *data.State, q data.Query) api.Search {
	r := of(s, q.Kind)
	page := api.Search{Resource: q.Kind, Resources: []api.Found{}}
	if q.Instance < 0 || q.Instance >= len(r.list) {
		return page
	}
	var at []int
	back := inverse(stride%max(r.count, 1), r.count)
	for place := r.upto[q.Instance] - r.list[q.Instance].Used; place < r.upto[q.Instance]; place++ {
		at = append(at, place*back%r.count)
	}
	slices.Sort(at)
	for _, n := range at {
		if id := r.id(n); id <= q.After {
			continue
		}
		if len(page.Resources) == max(q.N, 1) {
			page.Next = page.Resources[len(page.Resources)-1].ID
			break
		}
		page.Resources = append(page.Resources, r.found(n))
	}
	return page
}

// inverse is the number that undoes multiplying by a, modulo m.
func inverse(a, m int) int {
	t, next, r, left := 0, 1, m, a
	for left != 0 {
		q := r / left
		t, next, r, left = next, t-q*next, left, r-q*left
	}
	return (t%max(m, 1) + m) % max(m, 1)
}

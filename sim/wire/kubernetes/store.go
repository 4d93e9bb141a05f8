package kubernetes

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// object is what the store holds: a typed API object, which nobody changes once
// it is stored. A new version may share what it did not change with the old one.
type object interface {
	runtime.Object
	metav1.Object
}

type key struct{ namespace, name string }

func keyOf(o object) key { return key{o.GetNamespace(), o.GetName()} }

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
}

// change is one write. Its version is the store's after it.
type change struct {
	version uint64
	res     *resource
	kind    watch.EventType
	object  object // what stands now; what was removed, with the version of its removal
	old     object // what stood before, nil for what was added
}

// store holds every object under one version counter, and remembers the last
// changes for those who watch. A watcher that falls behind what is remembered is
// told so (410): nobody's queue grows.
type store struct {
	mu        sync.Mutex
	version   uint64
	compacted uint64 // the oldest version from which a watch can still begin
	shelves   map[*resource]*shelf
	history   ring
	changed   chan struct{} // closed at the next change
	onChange  func(change)  // called under mu
	observe   func(change)  // the same, for whoever runs the server; may be nil
}

// shelf holds the objects of one resource, and their keys in order.
type shelf struct {
	objects map[key]object
	order   []key
}

func newStore(history int) *store {
	return &store{
		version:   1,
		compacted: 1,
		shelves:   map[*resource]*shelf{},
		history:   ring{max: history},
		changed:   make(chan struct{}),
		onChange:  func(change) {},
	}
}

func (s *store) shelf(res *resource) *shelf {
	sh := s.shelves[res]
	if sh == nil {
		sh = &shelf{objects: map[key]object{}}
		s.shelves[res] = sh
	}
	return sh
}

func (s *store) get(res *resource, k key) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.shelf(res).objects[k]; o != nil {
		return o, nil
	}
	return nil, apierrors.NewNotFound(res.groupResource(), k.name)
}

// create takes o over and stores it, unless its name is taken.
func (s *store) create(res *resource, o object) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.shelf(res).objects[keyOf(o)]; there != nil {
		return nil, taken(res, there)
	}
	s.commit(res, watch.Added, nil, o)
	return o, nil
}

// update takes o over and puts it in old's place, if old is still what stands
// there.
func (s *store) update(res *resource, old, o object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stands(res, old); err != nil {
		return err
	}
	s.commit(res, watch.Modified, old, o)
	return nil
}

// remove removes old, if it is still what stands there, and answers it with the
// version of its removal.
func (s *store) remove(res *resource, old object) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stands(res, old); err != nil {
		return nil, err
	}
	gone := res.copyOf(old)
	s.commit(res, watch.Deleted, old, gone)
	return gone, nil
}

// expire puts o in old's place, if old is still what stands there, and removes it,
// all in one step.
func (s *store) expire(res *resource, old, o object) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stands(res, old); err != nil {
		return nil, err
	}
	s.commit(res, watch.Modified, old, o)
	gone := res.copyOf(o)
	s.commit(res, watch.Deleted, o, gone)
	return gone, nil
}

func (s *store) stands(res *resource, old object) error {
	switch now := s.shelf(res).objects[keyOf(old)]; {
	case now == nil || now.GetUID() != old.GetUID():
		return apierrors.NewNotFound(res.groupResource(), old.GetName())
	case now != old:
		return modified(res, old.GetName())
	}
	return nil
}

// mutate replaces an object by what f makes of it, all in one step. f answers a
// new object, or nil to leave things as they are. The answer is what f got, nil
// when there is none of that name.
func (s *store) mutate(res *resource, k key, f func(object) object) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.shelf(res).objects[k]
	if old == nil {
		return nil
	}
	if o := f(old); o != nil {
		s.commit(res, watch.Modified, old, o)
	}
	return old
}

// commit writes one change. o is the store's own from here on.
func (s *store) commit(res *resource, kind watch.EventType, old, o object) {
	s.version++
	o.SetResourceVersion(strconv.FormatUint(s.version, 10))
	sh, k := s.shelf(res), keyOf(o)
	switch kind {
	case watch.Added:
		at, _ := slices.BinarySearchFunc(sh.order, k, compareKeys)
		sh.order = slices.Insert(sh.order, at, k)
		sh.objects[k] = o
	case watch.Deleted:
		at, _ := slices.BinarySearchFunc(sh.order, k, compareKeys)
		sh.order = slices.Delete(sh.order, at, at+1)
		delete(sh.objects, k)
	default:
		sh.objects[k] = o
	}
	c := change{s.version, res, kind, o, old}
	if dropped, full := s.history.push(c); full {
		s.compacted = dropped.version
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.onChange(c)
	if s.observe != nil {
		s.observe(c)
	}
}

// now answers every object of a resource in order of its key, and the version.
func (s *store) now(res *resource, namespace string) ([]object, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelf(res)
	return sh.all(namespace), s.version
}

func (sh *shelf) all(namespace string) []object {
	order := sh.order
	if namespace != "" {
		from, _ := slices.BinarySearchFunc(order, key{namespace, ""}, compareKeys)
		to, _ := slices.BinarySearchFunc(order, key{namespace + "\x00", ""}, compareKeys)
		order = order[from:to]
	}
	all := make([]object, len(order))
	for i, k := range order {
		all[i] = sh.objects[k]
	}
	return all
}

// at answers the objects as they were at a version, by undoing what came later.
func (s *store) at(res *resource, namespace string, version uint64) ([]object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.compacted {
		return nil, s.gone(version)
	}
	sh := s.shelf(res)
	undone := map[key]object{}
	for i := s.history.len() - 1; i >= 0; i-- {
		c := s.history.at(i)
		if c.version <= version {
			break
		}
		if c.res == res {
			undone[keyOf(c.object)] = c.old
		}
	}
	if len(undone) == 0 {
		return sh.all(namespace), nil
	}
	then := &shelf{objects: undone}
	for k, o := range sh.objects {
		if _, changed := undone[k]; !changed {
			undone[k] = o
		}
	}
	for k, o := range undone {
		if o != nil {
			then.order = append(then.order, k)
		}
	}
	slices.SortFunc(then.order, compareKeys)
	return then.all(namespace), nil
}

// batch bounds what a watcher takes at once, in changes.
const batch = 256

// since answers changes of a resource after a version, the version up to which
// it looked, and what to wait for when there is nothing more.
func (s *store) since(res *resource, version uint64) (changes []change, upTo uint64, more <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.compacted {
		return nil, 0, nil, s.gone(version)
	}
	for i := s.history.after(version); i < s.history.len(); i++ {
		c := s.history.at(i)
		version = c.version
		if c.res != res {
			continue
		}
		if changes = append(changes, *c); len(changes) == batch {
			break
		}
	}
	return changes, version, s.changed, nil
}

// compact forgets every change: what lists and watches from before are answered
// 410.
func (s *store) compact() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.compacted = s.version
	s.history.clear()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *store) gone(version uint64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", version, s.compacted))
}

// taken refuses a new object the name of one that is there.
func taken(res *resource, there object) error {
	err := apierrors.NewAlreadyExists(res.groupResource(), there.GetName())
	if there.GetDeletionTimestamp() != nil {
		err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
	}
	return err
}

func modified(res *resource, name string) error {
	return apierrors.NewConflict(res.groupResource(), name, fmt.Errorf(
		"the object has been modified; please apply your changes to the latest version and try again"))
}

// ring holds the last max changes, in the order of their versions.
type ring struct {
	max   int
	slots []change
	head  int // the oldest one's place
}

func (r *ring) len() int         { return len(r.slots) }
func (r *ring) at(i int) *change { return &r.slots[(r.head+i)%len(r.slots)] }
func (r *ring) clear()           { r.slots, r.head = nil, 0 }

// push adds a change, and answers the one that it displaced.
func (r *ring) push(c change) (dropped change, full bool) {
	if len(r.slots) < r.max {
		r.slots = append(r.slots, c)
		return change{}, false
	}
	dropped = r.slots[r.head]
	r.slots[r.head] = c
	r.head = (r.head + 1) % len(r.slots)
	return dropped, true
}

// after answers the index of the first change later than a version.
func (r *ring) after(version uint64) int {
	low, high := 0, r.len()
	for low < high {
		mid := (low + high) / 2
		if r.at(mid).version <= version {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

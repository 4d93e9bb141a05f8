package placement

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"dacorch/orchestrator/fleet"

	"pgregory.net/rapid"
)

func written(a *Assignment) []byte {
	c := NewWriter(nil)
	a.Code(c)
	data, _ := c.Done()
	return data
}

func reread(policy fleet.Policy, data []byte) (*Assignment, error) {
	a := New(Config{Policy: policy, Limits: testLimits})
	c := NewReader(data)
	a.Code(c)
	_, err := c.Done()
	return a, err
}

// TestSnapshot draws a history; at every step what was written and read anew is
// the same, byte by byte and field by field, and goes on the same.
func TestSnapshot(t *testing.T) {
	for _, policy := range fleet.Policies {
		t.Run(string(policy), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { snapshotHistory(t, policy) })
		})
	}
}

func snapshotHistory(t *rapid.T, policy fleet.Policy) {
	a := New(Config{Policy: policy, Limits: testLimits})
	twin := New(Config{Policy: policy, Limits: testLimits})
	var p, q Plan
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		do := drawChange(t)
		p.Reset()
		do(a, &p)
		q.Reset()
		do(twin, &q)
		if show(&p) != show(&q) {
			t.Fatalf("the original did\n%s\nits twin\n%s", show(&p), show(&q))
		}
		data := written(a)
		read, err := reread(policy, data)
		if err != nil {
			t.Fatalf("%v\n%v", err, a)
		}
		if again := written(read); !bytes.Equal(data, again) {
			t.Fatalf("written again it differs:\n%x\n%x", data, again)
		}
		if d := differ(reflect.ValueOf(a), reflect.ValueOf(read), map[pair]bool{}); d != "" {
			t.Fatal(d)
		}
		if rapid.Bool().Draw(t, "the twin is replaced") {
			twin = read
		}
	}
}

func drawChange(t *rapid.T) func(*Assignment, *Plan) {
	switch in := fleet.InstanceID(rapid.IntRange(0, 8).Draw(t, "instance")); rapid.IntRange(0, 7).Draw(t, "op") {
	case 0, 1:
		r := drawResource(t)
		return func(x *Assignment, p *Plan) { x.Add(r, p) }
	case 2, 3:
		add := rapid.SliceOfN(rapid.Custom(drawResource), 0, 12).Draw(t, "add")
		remove := rapid.SliceOfN(rapid.Map(rapid.Custom(drawResource), func(r fleet.Resource) string { return r.ID }), 0, 12).Draw(t, "remove")
		return func(x *Assignment, p *Plan) { x.Apply(add, remove, p) }
	case 4:
		id := drawResource(t).ID
		return func(x *Assignment, p *Plan) { x.Remove(id, p) }
	case 5:
		evacuate := rapid.Bool().Draw(t, "evacuate")
		return func(x *Assignment, p *Plan) { x.Close(in, evacuate, p) }
	case 6:
		return func(x *Assignment, p *Plan) { x.Open(in, p); x.Forget(in) }
	}
	n := rapid.IntRange(1, 7).Draw(t, "instances")
	r := rapid.IntRange(1, 6).Draw(t, "capacity")
	return func(x *Assignment, p *Plan) {
		if x.Reorchestrate(Size{Instances: n, ResourcePerInstance: r, Ceiling: 6, MaxInstances: 7}, p) != nil {
			p.Reset()
		}
	}
}

// derived are the fields that are not written, and why they need not be.
var derived = map[string]string{
	"Assignment.policy":  "the configuration's, which whoever reads gives",
	"Assignment.limits":  "the configuration's",
	"Assignment.index":   "found anew from the ids; its seed differs between processes and no result depends on it",
	"Assignment.slotOf":  "the instances by id",
	"Assignment.labels":  "written as their names; the rest follows",
	"Assignment.shared":  "follows from the policy",
	"Assignment.open":    "the instances that are not closed",
	"Assignment.waiting": "the resources that wait",
	"Assignment.spare":   "Restore's alone: empty between calls",
	"Assignment.scratch": "memory that calls share",
	"resource.slot":      "follows from members and waiting",
	"resource.pos":       "follows from members and waiting",
	"label.name":         "written as the labels' keys",
	"label.resources":    "the resources that have it",
	"label.pool":         "the policy's: shared, or its own",
	"pool.label":         "pools are written in the labels' order",
	"pool.count":         "the resources that have its label",
	"pool.load":          "the members of its open instances",
	"pool.capacity":      "the sum of its open instances'",
	"pool.stuck":         "the members of its closed instances that are to leave",
	"slotHeap.which":     "its place in the pool",
	"instance.at":        "its place in pool.open or pool.closed",
	"instance.pos":       "its places in the heaps",
	"instance.pool":      "TestSnapshot compares it; it cannot be changed alone",
	"resource.label":     "TestSnapshot compares it; it cannot be changed alone",
}

// TestSnapshotHoldsEveryField changes each field of each struct that an
// Assignment is made of: what is written must change with it, unless the field
// is on the list of those that follow from others.
func TestSnapshotHoldsEveryField(t *testing.T) {
	for _, policy := range fleet.Policies {
		a, p := New(Config{Policy: policy, Limits: testLimits}), Plan{}
		for i := range 50 {
			a.Add(fleet.Resource{ID: fmt.Sprint(i), Group: "abcdefghij"[i%10 : i%10+1]}, &p)
		}
		a.Remove("3", &p)
		a.Close(1, false, &p)
		seen := map[string]bool{}
		visit(t, reflect.ValueOf(a).Elem(), seen, map[unsafe.Pointer]bool{}, func(field string, change func() (back func())) {
			before := written(a)
			back := change()
			changed := !bytes.Equal(before, written(a))
			back()
			if why, ok := derived[field]; !changed && !ok {
				t.Errorf("%s is neither written nor on the list of derived fields", field)
			} else if changed && ok && !strings.HasPrefix(why, "TestSnapshot") {
				t.Errorf("%s is on the list of derived fields and is written", field)
			}
		})
		for _, field := range []string{"Size.Ceiling", "pool.full", "instance.born", "resource.id", "slotHeap.slots"} {
			if !seen[field] {
				t.Errorf("%v: the test does not reach %s", policy, field)
			}
		}
	}
	var r Reason
	for i := range reflect.TypeFor[Reason]().NumField() {
		r = Reason{kind: placed, group: new(string)}
		before := reasonBytes(&r)
		if f := settable(reflect.ValueOf(&r).Elem().Field(i)); f.Kind() == reflect.Pointer {
			f.SetZero()
		} else {
			perturb(f)()
			perturb(f)
		}
		if bytes.Equal(before, reasonBytes(&r)) {
			t.Errorf("Reason.%s is not written", reflect.TypeFor[Reason]().Field(i).Name)
		}
	}
}

func reasonBytes(r *Reason) []byte {
	c := NewWriter(nil)
	r.Code(c)
	data, _ := c.Done()
	return data
}

// visit tells each field of a struct value, and of what it holds, once a type.
func visit(t *testing.T, v reflect.Value, seen map[string]bool, been map[unsafe.Pointer]bool, tell func(field string, change func() func())) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !been[v.UnsafePointer()] {
			been[v.UnsafePointer()] = true
			visit(t, v.Elem(), seen, been, tell)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			visit(t, v.Index(i), seen, been, tell)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			visit(t, v.MapIndex(key), seen, been, tell)
		}
	case reflect.Struct:
		if p := v.Type().PkgPath(); p != reflect.TypeFor[Assignment]().PkgPath() {
			return
		}
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			if _, skip := derived[name]; skip && v.Type().Field(i).Type.Kind() == reflect.Struct {
				continue
			}
			f := settable(v.Field(i))
			if !seen[name] {
				if f.Kind() == reflect.Interface || f.Kind() == reflect.Pointer || f.Kind() == reflect.Map {
					if derived[name] == "" {
						t.Errorf("%s can be compared by no test: list it", name)
					}
				} else if f.Kind() != reflect.Struct && f.Kind() != reflect.Array && (f.Kind() != reflect.Slice || f.Len() > 0) {
					seen[name] = true
					tell(name, func() func() { return perturb(f) })
				}
			}
			visit(t, f, seen, been, tell)
		}
	}
}

func settable(f reflect.Value) reflect.Value {
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

// perturb changes a value and answers what changes it back.
func perturb(f reflect.Value) func() {
	old := reflect.New(f.Type()).Elem()
	old.Set(f)
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.String:
		f.SetString(f.String() + "!")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.SetInt(f.Int() + 1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.SetUint(f.Uint() + 1)
	case reflect.Slice:
		f.Set(f.Slice(0, f.Len()-1))
	}
	return func() { f.Set(old) }
}

type pair struct{ x, y unsafe.Pointer }

// differ says where two states differ, but for memory, the index and nil for empty.
func differ(x, y reflect.Value, been map[pair]bool) string {
	switch x.Kind() {
	case reflect.Pointer:
		if x.IsNil() || y.IsNil() {
			if x.IsNil() != y.IsNil() {
				return " is nil in one"
			}
			return ""
		}
		at := pair{x.UnsafePointer(), y.UnsafePointer()}
		if been[at] {
			return ""
		}
		been[at] = true
		return differ(x.Elem(), y.Elem(), been)
	case reflect.Struct:
		if x.Type() == reflect.TypeFor[index]() || x.Type() == reflect.TypeFor[scratch]() {
			return ""
		}
		for i := range x.NumField() {
			if d := differ(x.Field(i), y.Field(i), been); d != "" {
				return "." + x.Type().Field(i).Name + d
			}
		}
	case reflect.Slice, reflect.Array:
		if x.Len() != y.Len() {
			return fmt.Sprintf(" has %d and %d elements", x.Len(), y.Len())
		}
		for i := range x.Len() {
			if d := differ(x.Index(i), y.Index(i), been); d != "" {
				return fmt.Sprintf("[%d]%s", i, d)
			}
		}
	case reflect.Map:
		if x.Len() != y.Len() {
			return fmt.Sprintf(" has %d and %d entries", x.Len(), y.Len())
		}
		for _, key := range x.MapKeys() {
			if !y.MapIndex(key).IsValid() {
				return fmt.Sprintf(" has no %v in one", key)
			}
			if d := differ(x.MapIndex(key), y.MapIndex(key), been); d != "" {
				return fmt.Sprintf("[%v]%s", key, d)
			}
		}
	default:
		if !x.Equal(y) {
			return fmt.Sprintf(" is %v and %v", x, y)
		}
	}
	return ""
}

// FuzzSnapshot reads anything, with the right checksum, and must end with an
// error or an Assignment that can be written, read and used.
func FuzzSnapshot(f *testing.F) {
	for _, policy := range fleet.Policies {
		a, p := New(Config{Policy: policy, Limits: testLimits}), Plan{}
		for i := range 30 {
			a.Add(fleet.Resource{ID: fmt.Sprint(i), Group: "abc"[i%3 : i%3+1]}, &p)
		}
		a.Remove("3", &p)
		a.Close(1, true, &p)
		f.Add(uint8(0), written(a))
		f.Add(uint8(1), written(a))
		f.Add(uint8(2), written(a))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		policy := fleet.Policies[int(which)%len(fleet.Policies)]
		if len(data) >= sumBytes {
			data = summed(data[:len(data)-sumBytes])
		}
		a, err := reread(policy, data)
		if err != nil {
			if a.Len() > 0 || !strings.HasPrefix(err.Error(), "snapshot: byte ") {
				t.Fatalf("%v with %d resources", err, a.Len())
			}
			return
		}
		again, err := reread(policy, written(a))
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(reflect.ValueOf(a), reflect.ValueOf(again), map[pair]bool{}); d != "" {
			t.Fatal(d)
		}
		var p Plan
		for i := range 8 {
			a.Add(fleet.Resource{ID: fmt.Sprint("new", i), Group: "b"}, &p)
			a.Remove(fmt.Sprint(i), &p)
		}
	})
}

func summed(data []byte) []byte {
	c := &Coder{buf: data[:len(data):len(data)]}
	data, _ = c.Done()
	return data
}

// TestSnapshotRefuses: what is not a whole, undamaged state of this policy is
// refused with the place.
func TestSnapshotRefuses(t *testing.T) {
	a, p := New(Config{Policy: fleet.PolicyFill, Limits: testLimits}), Plan{}
	for i := range 20 {
		a.Add(fleet.Resource{ID: fmt.Sprint(i), Group: "g"}, &p)
	}
	data := written(a)
	for n := range len(data) {
		if _, err := reread(fleet.PolicyFill, data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a state", n, len(data))
		}
		if n < len(data)-sumBytes { // cut off by somebody who can count
			if _, err := reread(fleet.PolicyFill, summed(data[:n])); err == nil || !strings.Contains(err.Error(), "byte ") {
				t.Errorf("the first %d of %d bytes: %v", n, len(data), err)
			}
		}
		broken := bytes.Clone(data)
		broken[n] ^= 4
		if _, err := reread(fleet.PolicyFill, broken); err == nil {
			t.Errorf("a wrong byte %d is not noticed", n)
		}
	}
	if _, err := reread(fleet.PolicyFill, summed(append(bytes.Clone(data[:len(data)-sumBytes]), 0))); err == nil || !strings.Contains(err.Error(), "1 bytes follow") {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := reread(fleet.PolicyGroup, data); err == nil || !strings.Contains(err.Error(), "in the instances: ") {
		t.Errorf("another policy's state: %v", err)
	}
}

package reconcile

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// both lets the machine step, and the one that it has replaced, and holds the
// two to the same answer.
func (g *rig) both(ev Event) []Command {
	if g.twins != nil && g.twins() {
		g.renew()
	}
	out := g.m.Step(g.now, ev)
	if g.shadow == nil {
		return out
	}
	want := g.shadow.Step(g.now, ev)
	if d := differ(reflect.ValueOf(out), reflect.ValueOf(want), map[pair]bool{}); d != "" || lines(out) != lines(want) {
		g.break_("the restored machine answers %s with\n%s\nthe original with\n%s\n%s", Describe(ev), lines(out), lines(want), d)
	}
	if got, want := g.m.wake, g.shadow.wake; got != want {
		g.break_("the restored machine wakes at %v, the original at %v", got, want)
	}
	return out
}

// renew replaces the machine by its restored twin.
func (g *rig) renew() {
	g.renewed++
	data := g.m.Snapshot([]byte("before"))[len("before"):]
	twin, err := Restore(g.cfg, data)
	if err != nil {
		g.break_("%v", err)
		return
	}
	if again := twin.Snapshot(nil); !bytes.Equal(data, again) {
		g.break_("restored and written again it differs: %d bytes, then %d", len(data), len(again))
	}
	if g.renewed%8 != 1 { // the rest takes long
		g.shadow, g.m = g.m, twin
		return
	}
	if d := differ(reflect.ValueOf(g.m), reflect.ValueOf(twin), map[pair]bool{}); d != "" {
		g.break_("the restored machine differs: %s", d)
	}
	g.shadow, g.m = g.m, twin
}

func lines(cs []Command) string {
	var b strings.Builder
	for _, c := range cs {
		b.WriteString(line("  ", c) + "\n")
	}
	return b.String()
}

// TestStoriesRestored tells every story with the machine replaced by its
// restored twin before each event.
func TestStoriesRestored(t *testing.T) {
	renewed := 0
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{twins: func() bool { return true }}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.tell(t, d)
			if s.g != nil && len(s.g.broken) > 0 {
				t.Fatalf("%s: %v", d.Pos, s.g.broken)
			}
			return out
		})
		renewed += s.g.renewed
	})
	if renewed < 1000 {
		t.Errorf("only %d machines were restored", renewed)
	}
}

// TestRandomEventsRestored is TestRandomEvents with the machine replaced at
// random moments.
func TestRandomEventsRestored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := smallConfig(rapid.SampledFrom(fleet.Policies).Draw(t, "policy"),
			rapid.SampledFrom([]fleet.Handoff{fleet.HandoffFast, fleet.HandoffStrict}).Draw(t, "handoff"))
		every := rapid.IntRange(15, 150).Draw(t, "restored every")
		n := 0
		randomEvents(t, cfg, func() bool { n++; return n%every == 0 })
	})
}

// derived are the fields that are not written, and why they need not be.
var derived = map[string]string{
	"Machine.cfg":       "given to Restore",
	"Machine.out":       "the answer to the last event, good until the next",
	"Machine.plan":      "placement.TestSnapshotHoldsEveryField",
	"Machine.scratch":   "empty between events: absorb and the refusals reset it",
	"Machine.instances": "the same as order, by id",
	"Machine.downs":     "known within one event alone",
	"commits.spare":     "memory for urgent, empty between events",
	"commits.opened":    "memory of the transaction being built",
	"instance.building": "the transaction being built: written to within one event alone",
	"instance.txn":      "points to building; nil between events",
	"change.number":     "Snapshot's own",
}

// TestSnapshotHoldsEveryField changes each field of each struct that a machine
// is made of: what is written must change with it, unless the field is on the
// list of those that need not be. A field that the sample does not reach fails.
func TestSnapshotHoldsEveryField(t *testing.T) {
	m := sample(t)
	reached := map[string]bool{}
	visit(reflect.ValueOf(m).Elem(), map[unsafe.Pointer]bool{}, func(field string, f reflect.Value) {
		if field == "Machine.plan" || field == "Machine.instances" {
			return // told by what they hold
		}
		before := m.Snapshot(nil)
		back := perturb(f)
		reached[field] = !bytes.Equal(before, m.Snapshot(nil)) || reached[field]
		back()
	})
	want := map[string]bool{}
	fieldsOf(reflect.TypeFor[Machine](), map[reflect.Type]bool{}, want)
	for field := range want {
		switch why := derived[field]; {
		case !reached[field] && why == "":
			t.Errorf("%s is neither written nor on the list of derived fields", field)
		case reached[field] && why != "":
			t.Errorf("%s is on the list of derived fields and is written", field)
		}
	}
	for field := range derived {
		if !want[field] {
			t.Errorf("%s is on the list of derived fields and no longer there", field)
		}
	}
	if len(want) < 120 {
		t.Errorf("only %d fields are looked at", len(want))
	}
}

// sample is a machine in which everything there can be is there.
func sample(t testing.TB) *Machine {
	g := newRig(smallConfig(fleet.PolicyGroup, fleet.HandoffStrict))
	for i := range 12 {
		g.rows[fmt.Sprint(i)] = "abc"[i%3 : i%3+1]
	}
	g.lead()
	g.run()
	g.pass(2 * time.Minute)
	m := g.m
	one := 3
	m.orchestration = &orchestration{request: placement.Request{ResourcePerInstance: &one, MaxInstances: &one}, opened: []fleet.InstanceID{1}, closing: []fleet.InstanceID{2}}
	m.control.Closing = []fleet.InstanceID{2}
	m.alarms["a"] = "text"
	m.tree = &fleet.Tree{Instances: []fleet.TreeInstance{{IDs: []string{"0"}}}, Control: fleet.Control{Closing: []fleet.InstanceID{1}}}
	m.rows = []fleet.Resource{{ID: "0", Group: "a"}}
	m.backlog = []*fleet.Notification{{Table: "Thing", Resources: m.rows}}
	m.lookup, m.lookupNext = []string{"0"}, []string{"1"}
	m.fresh, m.lookupFresh = map[string]struct{}{"0": {}}, map[string]struct{}{"1": {}}
	m.unnoted = []uint64{1}
	in := m.order[0]
	in.confirm = []unconfirm{{id: "0"}}
	x, y := &change{id: "8", at: 1}, &change{id: "9", at: inUrgent}
	m.pending = map[string]*change{"8": x, "9": y}
	m.urgent, m.sent, in.incoming = []*change{y}, []*change{y}, []*change{x}
	m.touched = []*instance{in, m.order[1]}
	m.strays = []stray{{instance: 1, id: "0"}, {instance: 1, id: "1"}}
	m.releasing = map[string]fleet.InstanceID{"0": 1}
	m.txn = &fleet.Txn{Changes: []fleet.Change{{Add: []string{"0"}, Remove: []string{"1"}}}, Control: &fleet.Control{Closing: []fleet.InstanceID{1}}}
	if len(g.broken) > 0 {
		t.Fatal(g.broken)
	}
	return m
}

// inside says whether a type's fields are looked at: those of another package
// with a test of its own are not.
func inside(t reflect.Type) bool {
	p := t.PkgPath()
	return p == reflect.TypeFor[Machine]().PkgPath() || p == reflect.TypeFor[fleet.Txn]().PkgPath() || t == reflect.TypeFor[placement.Request]()
}

// fieldsOf lists the fields of every struct that a value of the type may hold.
func fieldsOf(t reflect.Type, been map[reflect.Type]bool, fields map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		fieldsOf(t.Elem(), been, fields)
	case reflect.Map:
		fieldsOf(t.Key(), been, fields)
		fieldsOf(t.Elem(), been, fields)
	case reflect.Struct:
		if been[t] || !inside(t) {
			return
		}
		been[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			name := t.Name() + "." + f.Name
			if !passed(f.Type) || derived[name] != "" {
				fields[name] = true
			}
			if derived[name] == "" {
				fieldsOf(f.Type, been, fields)
			}
		}
	}
}

// passed says that a field is told by the fields of what it is alone.
func passed(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && inside(t) && t != reflect.TypeFor[census]()
}

// visit tells each field of whatever a value holds.
func visit(v reflect.Value, been map[unsafe.Pointer]bool, tell func(field string, f reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !been[v.UnsafePointer()] {
			been[v.UnsafePointer()] = true
			visit(v.Elem(), been, tell)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			visit(v.Index(i), been, tell)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			visit(v.MapIndex(key), been, tell)
		}
	case reflect.Struct:
		if !inside(v.Type()) {
			return
		}
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			f := v.Field(i)
			if !f.CanAddr() {
				continue // what a map holds
			}
			f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
			if !passed(f.Type()) {
				tell(name, f)
			}
			if derived[name] == "" {
				visit(f, been, tell)
			}
		}
	}
}

// perturb gives a field another value and answers what takes that back.
func perturb(f reflect.Value) (back func()) {
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
		if f.Len() > 0 {
			f.Set(f.Slice(0, f.Len()-1))
		}
	case reflect.Map, reflect.Pointer:
		f.SetZero()
	case reflect.Struct:
		if r, ok := f.Addr().Interface().(*placement.Reason); ok {
			*r = someReason()
		}
	}
	return func() { f.Set(old) }
}

// someReason is any reason but none.
func someReason() placement.Reason {
	a, p := placement.New(placement.Config{}), placement.Plan{}
	a.Add(fleet.Resource{ID: "x"}, &p)
	return p.Moves[0].Why
}

type pair struct{ x, y unsafe.Pointer }

// unequal are the fields in which a restored machine may differ.
func unequal(name string) bool {
	return name == "number" || name == "out" || name == "scratch" || name == "spare" || name == "opened" || name == "building" || name == "downs" || name == "index" || name == "touched"
}

// differ says where two states differ, but for nil and empty, and for queues
// that hold what has ended.
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
	case reflect.Interface:
		if x.Elem().Type() != y.Elem().Type() {
			return fmt.Sprintf(" is a %v and a %v", x.Elem().Type(), y.Elem().Type())
		}
		return differ(x.Elem(), y.Elem(), been)
	case reflect.Struct:
		for i := range x.NumField() {
			name := x.Type().Field(i).Name
			if unequal(name) {
				continue
			}
			if d := differ(x.Field(i), y.Field(i), been); d != "" {
				return "." + name + d
			}
		}
	case reflect.Slice, reflect.Array:
		if x.Type() == reflect.TypeFor[[]*change]() {
			x, y = living(x), living(y)
		}
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

// living leaves out changes that have ended: they wait nowhere and go nowhere.
func living(q reflect.Value) reflect.Value {
	all := *(*[]*change)(unsafe.Pointer(q.UnsafeAddr()))
	all = slices.DeleteFunc(slices.Clone(all), func(c *change) bool { return c.at == inNone && !c.inflight })
	return reflect.ValueOf(all)
}

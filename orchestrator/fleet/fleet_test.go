package fleet

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// wantField demands a *FieldError for the field that shows the value.
func wantField(t *testing.T, err error, field, value string) {
	t.Helper()
	var bad *FieldError
	if !errors.As(err, &bad) {
		t.Errorf("%s %s: answers %v, not a FieldError", field, value, err)
		return
	}
	if bad.Field != field || bad.Value != value || bad.Want == "" {
		t.Errorf("%s %s: answers %+v", field, value, *bad)
	}
	if want := field + ": " + value + " is not valid: want " + bad.Want; err.Error() != want {
		t.Errorf("reads %q, want %q", err, want)
	}
}

func TestCheckPolicy(t *testing.T) {
	for _, p := range Policies {
		if err := CheckPolicy("policy", p); err != nil {
			t.Error(err)
		}
	}
	wantField(t, CheckPolicy("policy", "spread"), "policy", `"spread"`)
	wantField(t, CheckPolicy("kinds[0].policy", ""), "kinds[0].policy", `""`)
	wantField(t, CheckPolicy("policy", "Fill"), "policy", `"Fill"`)
}

func TestCheckHandoff(t *testing.T) {
	for _, h := range []Handoff{HandoffFast, HandoffStrict} {
		if err := CheckHandoff("handoff", h); err != nil {
			t.Error(err)
		}
	}
	wantField(t, CheckHandoff("handoff", "slow"), "handoff", `"slow"`)
	wantField(t, CheckHandoff("handoff", ""), "handoff", `""`)
}

func TestCheckResourceID(t *testing.T) {
	for _, id := range []string{"a", "3f1e0c5a-0d8b-4f5e-9a57-0a3c8d0f2a11", "Gerät 7", "名前", "a\"b\\c", " ", strings.Repeat("x", 90)} {
		if err := CheckResourceID(id, 90); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	long := strings.Repeat("x", 91)
	wantField(t, CheckResourceID("", 90), "id", `""`)
	wantField(t, CheckResourceID(long, 90), "id", `"`+long[:60]+`…"`)
	wantField(t, CheckResourceID("a\x00", 90), "id", `"a\x00"`)
	wantField(t, CheckResourceID("a\nb", 90), "id", `"a\nb"`)
	wantField(t, CheckResourceID("a\x7f", 90), "id", `"a\x7f"`)
	wantField(t, CheckResourceID("a\xff", 90), "id", `"a\xff"`)
	wantField(t, CheckResourceID("é", 1), "id", `"é"`)
}

// FuzzCheckResourceID: an id that is taken survives the way through an
// instance's list, and takes no more bytes there than ListBytes says.
func FuzzCheckResourceID(f *testing.F) {
	for _, id := range []string{"a", "", "a\"b\\c", "<&>", "\x7f", "é", "\u2028\u2029", "\xff", strings.Repeat("x", 91)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if CheckResourceID(id, 90) != nil {
			return
		}
		checkList(t, []string{id})
	})
}

// checkList holds ListBytes to what encoding/json writes.
func checkList(t interface{ Fatalf(string, ...any) }, ids []string) {
	data, err := json.Marshal(ids)
	if err != nil {
		t.Fatalf("%q: %v", ids, err)
	}
	bound := len("[]")
	for _, id := range ids {
		bound += ListBytes(id)
	}
	if len(data) > bound {
		t.Fatalf("%q takes %d bytes, ListBytes says %d", ids, len(data), bound)
	}
	var back []string
	if err := json.Unmarshal(data, &back); err != nil || !slices.Equal(back, ids) {
		t.Fatalf("%q comes back as %q (%v)", ids, back, err)
	}
}

// TestListBytes bounds the JSON of every list of valid ids, and is exact but for
// the last comma for those without characters that encoding/json escapes.
func TestListBytes(t *testing.T) {
	plain := rapid.StringMatching(`[A-Za-z0-9_.:/-]{1,40}`)
	anyID := rapid.OneOf(plain, rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune("\"\\<>&é名😀\u00a0\u2028\u2029")), rapid.Rune()), 1, 20, 90)).
		Filter(func(id string) bool { return CheckResourceID(id, 90) == nil })
	rapid.Check(t, func(t *rapid.T) {
		checkList(t, rapid.SliceOfN(anyID, 1, 20).Draw(t, "ids"))
		ids := rapid.SliceOfN(plain, 1, 20).Draw(t, "plain ids")
		data, _ := json.Marshal(ids)
		sum := 0
		for _, id := range ids {
			sum += ListBytes(id)
		}
		if sum+len("[]")-len(",") != len(data) {
			t.Fatalf("%q takes %d bytes, ListBytes says %d", ids, len(data), sum)
		}
	})
}

// someResources draws resources with different ids.
func someResources(t *rapid.T) []Resource {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Resource {
		return Resource{ID: rapid.StringN(1, 4, -1).Draw(t, "id"), Group: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "group")}
	}), 0, 30, func(r Resource) string { return r.ID }).Draw(t, "resources")
}

func digestOf(rs []Resource) (d Digest) {
	for _, r := range rs {
		d.Add(r)
	}
	return d
}

// TestDigestOrder: the order does not matter, nor does what came and went.
func TestDigestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := someResources(t)
		want := digestOf(rs)
		if got := digestOf(rapid.Permutation(rs).Draw(t, "order")); got != want {
			t.Fatalf("%v, in another order %v", want, got)
		}
		got := want
		passing := Resource{ID: "passing through", Group: "a"}
		got.Add(passing)
		if len(rs) > 0 {
			got.Remove(rs[0])
			got.Add(rs[0])
		}
		got.Remove(passing)
		if got != want {
			t.Fatalf("%v, after coming and going %v", want, got)
		}
		for _, r := range rs {
			got.Remove(r)
		}
		if got != (Digest{}) {
			t.Fatalf("the empty set has %v", got)
		}
	})
}

// TestDigestDifference: one resource more, less, renamed or regrouped is seen.
func TestDigestDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := append(someResources(t), Resource{ID: "the one that changes", Group: "a"})
		want := digestOf(rs)
		last := len(rs) - 1
		if d := digestOf(rs[:last]); d.Count == want.Count || d.IDs == want.IDs || d.Groups == want.Groups {
			t.Fatalf("one less: %v and %v", want, d)
		}
		renamed, regrouped := slices.Clone(rs), slices.Clone(rs)
		renamed[last].ID += "!"
		regrouped[last].Group = "b"
		if d := digestOf(renamed); d.Count != want.Count || d.IDs == want.IDs || d.Groups == want.Groups {
			t.Fatalf("one renamed: %v and %v", want, d)
		}
		if d := digestOf(regrouped); d.Count != want.Count || d.IDs != want.IDs || d.Groups == want.Groups {
			t.Fatalf("one regrouped: %v and %v", want, d)
		}
	})
}

// TestDigestSimilar looks for sums of similar ids that cancel out: two sets of
// numbered ids that differ in two members, and a group that swaps places.
func TestDigestSimilar(t *testing.T) {
	seen := map[uint64]string{}
	name := func(n int) string { return "r" + InstanceID(n).String() }
	for x := range 300 {
		for y := range x {
			var d Digest
			d.Add(Resource{ID: name(x)})
			d.Add(Resource{ID: name(y)})
			if other, twice := seen[d.IDs]; twice {
				t.Fatalf("{%d %d} and %s have one digest", x, y, other)
			}
			seen[d.IDs] = "{" + name(x) + " " + name(y) + "}"
		}
	}
	if digestOf([]Resource{{"x", "a"}, {"y", "b"}}).Groups == digestOf([]Resource{{"x", "b"}, {"y", "a"}}).Groups {
		t.Error("two resources that swap their groups are not seen")
	}
	if digestOf([]Resource{{"ab", "c"}}).Groups == digestOf([]Resource{{"a", "bc"}}).Groups {
		t.Error("the bounds between id and group are not seen")
	}
}

func TestCompare(t *testing.T) {
	sorted := []Resource{{"a", ""}, {"a", "x"}, {"ab", ""}, {"b", ""}, {"b", "a"}}
	for i, x := range sorted {
		for j, y := range sorted {
			if got := x.Compare(y); got != cmp.Compare(i, j) {
				t.Errorf("%v against %v: %d", x, y, got)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]interface{ String() string }{
		"none": NoInstance, "0": InstanceID(0), "42": InstanceID(42),
		"Missing": PhaseMissing, "Pending": PhasePending, "Running": PhaseRunning,
		"Succeeded": PhaseSucceeded, "Failed": PhaseFailed, "Unknown": PhaseUnknown, "Phase(9)": Phase(9),
		"other": OpOther, "c": OpCreate, "u": OpUpdate, "d": OpDelete, "bc": OpBulkCreate, "bu": OpBulkUpdate, "bd": OpBulkDelete, "Op(9)": Op(9),
		"update": ChangeUpdate, "create": ChangeCreate, "delete": ChangeDelete,
		"done": OutcomeDone, "conflict": OutcomeConflict, "deposed": OutcomeDeposed, "failed": OutcomeFailed, "unknown": OutcomeUnknown,
	} {
		if got.String() != want {
			t.Errorf("%#v reads %q, want %q", got, got, want)
		}
	}
}

// TestControlJSON holds the names that stand in ZooKeeper: another process, of
// another version, reads them.
func TestControlJSON(t *testing.T) {
	full := Control{ResourcePerInstance: 5000, MaxInstances: 100, Capacity: 400, TargetInstances: 12, Closing: []InstanceID{3, 7}, Maintenance: true}
	const want = `{"resourcePerInstance":5000,"maxInstances":100,"capacity":400,"targetInstances":12,"closing":[3,7],"maintenance":true}`
	if data, err := json.Marshal(full); err != nil || string(data) != want {
		t.Errorf("%s, %v", data, err)
	}
	if data, _ := json.Marshal(Control{}); string(data) != "{}" {
		t.Errorf("nothing yet: %s", data)
	}
}

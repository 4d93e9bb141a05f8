package zookeeper

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
)

func FuzzList(f *testing.F) {
	for _, s := range []string{`{"ids":[]}`, `{"ids":["a","b"]}`, ` {"v":1, "ids" : [ "a" ,"\u0061\\" ] }`, `{"ids":[1,2.5,null]}`,
		`{"ids":null}`, `{"ids":["a"}`, `{"ids":["a",]}`, `{"ids":["]}","\"]}"]}`, `null`, ``, `[]`, "{\"ids\":[\"\xff\"]}", `{"ids":[""]}`, `{"ids":["a"]} `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		ids, canonical, err := decodeList(data)
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if ids != nil || canonical != nil {
				t.Fatal("a result beside an error")
			}
			return
		}
		again, same, err := decodeList(canonical)
		if err != nil || !slices.Equal(ids, again) || !bytes.Equal(canonical, same) {
			t.Fatalf("%q read again: %q, %q, %v; before: %q", canonical, again, same, err, ids)
		}
		var std struct{ IDs []string }
		if err := json.Unmarshal(canonical, &std); err != nil || !slices.Equal(std.IDs, ids) {
			t.Fatalf("%q is %q for encoding/json (%v), want %q", canonical, std.IDs, err, ids)
		}
		for i, id := range ids {
			if slices.Index(ids, id) < i {
				continue
			}
			cut, err := changeList(t, canonical, nil, []string{id})
			if err != nil || !slices.Equal(mustList(t, cut), slices.Delete(slices.Clone(ids), i, i+1)) {
				t.Fatalf("%q without %q: %q, %v", canonical, id, cut, err)
			}
		}
	})
}

// changeList changes a list, both as one that is found to be even and as one that
// is not, and into bytes that hold something else.
func changeList(t interface{ Fatalf(string, ...any) }, data []byte, add, remove []string) ([]byte, error) {
	one, err := listOf(data).change(nil, add, remove)
	two, err2 := list{data: data}.change([]byte(strings.Repeat("#", 100)), add, remove)
	if fmt.Sprint(err) != fmt.Sprint(err2) || !bytes.Equal(one.data, two.data) {
		t.Fatalf("%q, %v of an even list, else %q, %v", one.data, err, two.data, err2)
	}
	if found := listOf(one.data); err == nil && one.width != 0 && one.width != found.width {
		t.Fatalf("the width of %q is said to be %d, want %d", one.data, one.width, found.width)
	}
	return one.data, err
}

func mustList(t interface{ Fatalf(string, ...any) }, data []byte) []string {
	ids, canonical, err := decodeList(data)
	if err != nil || !bytes.Equal(canonical, data) {
		t.Fatalf("%q is not canonical: %v", data, err)
	}
	return ids
}

var hardIDs = []string{"a", "b", "ab", ",", `"`, `\`, `\\`, `","`, `a"`, `"a`, `\"`, `a\`, "ids", "]}", `"]}`, "é", "\x01", "\n", "<", "\u2028", "x,", ",x", "", `\u0061`}

// TestChangeList holds the change of bytes to that of a slice.
func TestChangeList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(n int, name string) []string {
			id := rapid.OneOf(rapid.SampledFrom(hardIDs), rapid.StringN(0, 4, -1).Filter(utf8.ValidString))
			return rapid.SliceOfNDistinct(id, 0, n, rapid.ID[string]).Draw(rt, name)
		}
		if rapid.Bool().Draw(rt, "even") {
			draw = func(n int, name string) []string {
				id := rapid.StringMatching(`[ab,\[\]]{2}é?[0-9a]{7}`)
				return rapid.SliceOfNDistinct(id, 0, n, rapid.ID[string]).Draw(rt, name)
			}
		}
		ids, add, remove := draw(30, "ids"), draw(12, "add"), draw(12, "remove")
		remove = slices.DeleteFunc(remove, func(id string) bool { return slices.Contains(add, id) })
		list := encodeList(ids)
		before := bytes.Clone(list)
		got, err := changeList(rt, list, add, remove)
		if !bytes.Equal(list, before) {
			rt.Fatal("the list itself was changed")
		}
		bad := slices.ContainsFunc(add, func(id string) bool { return slices.Contains(ids, id) }) ||
			slices.ContainsFunc(remove, func(id string) bool { return !slices.Contains(ids, id) })
		if bad != (err != nil) {
			rt.Fatalf("error %v, want one: %v", err, bad)
		}
		if bad {
			return
		}
		want := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(remove, id) })
		if want = append(want, add...); !slices.Equal(mustList(rt, got), want) {
			rt.Fatalf("%q, want %q", got, want)
		}
	})
}

func TestChangeListTwice(t *testing.T) {
	list := encodeList([]string{"a", "b"})
	many := strings.Split("c d e f g h i j k", " ")
	for _, c := range []struct{ add, remove []string }{
		{add: []string{"x", "x"}}, {remove: []string{"a", "a"}}, {add: []string{"\xff"}},
		{add: append(many, "c")}, {add: many, remove: []string{"a", "a"}}, {add: append(many, "a")}, {add: many, remove: []string{"z"}},
	} {
		if got, err := changeList(t, list, c.add, c.remove); err == nil {
			t.Errorf("adding %q, removing %q: %q, want an error", c.add, c.remove, got)
		}
	}
}

// TestListBytes: the vocabulary's bound, by which transactions are kept small
// enough, is one.
func TestListBytes(t *testing.T) {
	for _, id := range append(hardIDs, strings.Repeat("x", 90)) {
		if fleet.CheckResourceID(id, 100) != nil {
			continue
		}
		if n := len(encodeList([]string{"y", id})) - len(encodeList([]string{"y"})); n > fleet.ListBytes(id) {
			t.Errorf("%q takes %d bytes, more than ListBytes says: %d", id, n, fleet.ListBytes(id))
		}
	}
}

func manyIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("3f6c0b0e-2a49-4a52-9d4e-%012d", i)
	}
	return ids
}

func BenchmarkList(b *testing.B) {
	ids := manyIDs(5000)
	list := encodeList(ids)
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(list)))
		b.ReportAllocs()
		for b.Loop() {
			if got, _, err := decodeList(list); err != nil || len(got) != len(ids) {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(list)))
		for b.Loop() {
			encodeList(ids)
		}
	})
	even := listOf(list)
	for _, n := range []int{1, 100} {
		add, remove := manyIDs(5000 + n)[5000:], ids[2500:2500+n]
		b.Run(fmt.Sprintf("change/%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(list)))
			b.ReportAllocs()
			var into []byte
			for b.Loop() {
				after, err := even.change(into, add, remove)
				if err != nil {
					b.Fatal(err)
				}
				into = after.data
			}
		})
	}
}

package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire/zookeeper"

	"pgregory.net/rapid"
)

// writer makes of transactions what ZooKeeper tells of them, as the orchestrator's
// adapter writes them.
type writer struct {
	tree map[fleet.InstanceID]*readInstance
}

func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func (w *writer) write(kind fleet.Kind, txn *fleet.Txn) []zookeeper.Change {
	var out []zookeeper.Change
	for i := range txn.Changes {
		c := &txn.Changes[i]
		node := fmt.Sprintf("%s%s/%d", orchestrationRoot, kind, c.Instance)
		in := w.tree[c.Instance]
		if c.Kind == fleet.ChangeDelete {
			for _, below := range []string{"/tmp/status", "/tmp", "/_reload", "/resources", ""} {
				out = append(out, zookeeper.Change{Op: "delete", Path: node + below})
			}
			delete(w.tree, c.Instance)
			continue
		}
		op := "setData"
		if c.Kind == fleet.ChangeCreate {
			op, in = "create", &readInstance{versions: fleet.Versions{Node: -1, Resources: -1, Reload: -1}}
			w.tree[c.Instance] = in
		}
		in.versions = fleet.Versions{Node: in.versions.Node + 1, Resources: in.versions.Resources + 1, Reload: in.versions.Reload + 1}
		in.ids = slices.Concat(slices.DeleteFunc(slices.Clone(in.ids), func(id string) bool { return slices.Contains(c.Remove, id) }), c.Add)
		slices.Sort(in.ids)
		in.used, in.count, in.times = c.Used, c.Capacity, c.Times
		ids := in.ids
		if ids == nil {
			ids = []string{}
		}
		out = append(out,
			zookeeper.Change{Op: op, Path: node, Data: encoded(map[string]int{"used": c.Used, "count": c.Capacity}), Version: in.versions.Node},
			zookeeper.Change{Op: op, Path: node + "/resources", Data: encoded(map[string][]string{"ids": ids}), Version: in.versions.Resources},
			zookeeper.Change{Op: op, Path: node + "/_reload", Data: encoded(map[string]int64{"times": c.Times}), Version: in.versions.Reload})
		if op == "create" {
			out = append(out, zookeeper.Change{Op: op, Path: node + "/tmp"})
		}
	}
	if txn.Control != nil {
		op := "setData"
		if txn.ControlVersion < 0 {
			op = "create"
		}
		out = append(out, zookeeper.Change{Op: op, Path: ownRoot + string(kind) + "/control", Data: encoded(txn.Control), Version: txn.ControlVersion + 1})
	}
	return out
}

// drawTxn draws a transaction that can be carried out.
func (w *writer) drawTxn(t *rapid.T, n uint64, epoch int64) *fleet.Txn {
	txn := &fleet.Txn{ID: n, Epoch: epoch}
	for _, id := range rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, 5), func(n int) fleet.InstanceID { return fleet.InstanceID(n) }), 1, 4, rapid.ID).Draw(t, "instances") {
		in := w.tree[id]
		c := fleet.Change{Instance: id, Capacity: rapid.IntRange(0, 9).Draw(t, "capacity"), Times: int64(rapid.IntRange(0, 9).Draw(t, "times"))}
		var held []string
		switch {
		case in == nil:
			c.Kind = fleet.ChangeCreate
		case rapid.IntRange(0, 4).Draw(t, "delete") == 0:
			txn.Changes = append(txn.Changes, fleet.Change{Kind: fleet.ChangeDelete, Instance: id, Versions: in.versions})
			continue
		default:
			c.Versions, held = in.versions, in.ids
		}
		for _, r := range []string{"a", "b", "c", "d", "e", `"`, "é"} {
			if !rapid.Bool().Draw(t, r) {
				continue
			}
			if slices.Contains(held, r) {
				c.Remove = append(c.Remove, r)
			} else {
				c.Add = append(c.Add, r)
			}
		}
		c.Used = len(held) + len(c.Add) - len(c.Remove)
		txn.Changes = append(txn.Changes, c)
	}
	if rapid.IntRange(0, 3).Draw(t, "control") == 0 {
		txn.Control, txn.ControlVersion = &fleet.Control{Maintenance: rapid.Bool().Draw(t, "maintenance")}, int32(n)-2
	}
	return txn
}

// normal brings a transaction into one form.
func normal(txn *fleet.Txn) string {
	changes := slices.Clone(txn.Changes)
	slices.SortFunc(changes, func(a, b fleet.Change) int { return int(a.Instance - b.Instance) })
	s := fmt.Sprintf("epoch %d, control %+v at %d", txn.Epoch, txn.Control, txn.ControlVersion)
	for _, c := range changes {
		slices.Sort(c.Add)
		slices.Sort(c.Remove)
		s += fmt.Sprintf("\n%+v", c)
	}
	return s
}

// TestReaderIsTheWritersTwin: whatever transactions are written, the reader makes
// the same ones of the nodes alone, with the epoch of the session that wrote.
func TestReaderIsTheWritersTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{tree: map[fleet.InstanceID]*readInstance{}}
		reader := NewTreeReader([]Kind{{Kind: "Thing"}, {Kind: "Rule"}})
		var got []string
		led := 0
		reader.Led = func(fleet.Kind) { led++ }
		reader.Strange = func(_ fleet.Kind, why string) { t.Fatalf("strange: %s", why) }
		var newest int64
		reader.Committed = func(kind fleet.Kind, epoch int64, txn *fleet.Txn) {
			if kind != "Thing" || epoch != newest {
				t.Fatalf("%s, newest epoch %d, want Thing and %d", kind, epoch, newest)
			}
			got = append(got, normal(txn))
		}
		epochs := map[int64]int64{}
		for n := range uint64(rapid.IntRange(1, 20).Draw(t, "transactions")) {
			session := int64(rapid.IntRange(1, 3).Draw(t, "session"))
			if newest == 0 || rapid.IntRange(0, 3).Draw(t, "lead") == 0 {
				newest++
				epochs[session] = newest
				reader.Read(session, []zookeeper.Change{{Op: "setData", Path: ownRoot + "Thing/epoch", Version: int32(newest)}})
			}
			txn := w.drawTxn(t, n+1, epochs[session])
			want := normal(txn)
			reader.Read(session, w.write("Thing", txn))
			if len(got) != int(n)+1 || got[n] != want {
				t.Fatalf("transaction %d is read as\n%s\nwant\n%s", n+1, got[n:], want)
			}
			// What is not the orchestrator's makes no transaction.
			reader.Read(session+10, []zookeeper.Change{{Op: "create", Path: orchestrationRoot + "Thing/0/tmp/status", Data: []byte("{}")},
				{Op: "setData", Path: orchestrationRoot + "Other/0", Data: []byte("x")}, {Op: "create", Path: "/elsewhere"},
				{Op: "create", Path: orchestrationRoot + "Thing"}, {Op: "create", Path: ownRoot + "Thing/candidates/c1"}})
		}
		if len(got) == 0 || led != int(newest)-1 {
			t.Fatalf("%d transactions, %d leaderships, want %d", len(got), led, newest-1)
		}
		have := reader.kinds["Thing"].instances
		if !maps.EqualFunc(have, w.tree, func(a, b *readInstance) bool {
			return a.versions == b.versions && a.used == b.used && a.count == b.count && a.times == b.times && slices.Equal(a.ids, b.ids)
		}) {
			t.Fatalf("the reader holds %v, want %v", have, w.tree)
		}
	})
}

// TestReaderIsTold: nodes that no orchestrator writes are told of, with what is in
// them, and never more than that.
func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}

func TestReaderIsTold(t *testing.T) {
	at := orchestrationRoot + "Thing"
	for _, s := range []struct {
		change zookeeper.Change
		want   string
	}{
		{zookeeper.Change{Op: "create", Path: at + "/x"}, "/x is no instance"},
		{zookeeper.Change{Op: "create", Path: at + "/03"}, "/03 is no instance"},
		{zookeeper.Change{Op: "create", Path: at + "/+3"}, "/+3 is no instance"},
		{zookeeper.Change{Op: "create", Path: at + "/-3"}, "/-3 is no instance"},
		{zookeeper.Change{Op: "create", Path: at + "/99999999999"}, "is no instance"},
		{zookeeper.Change{Op: "create", Path: at + "/3", Data: []byte("{")}, `/3 holds "{": unexpected end`},
		{zookeeper.Change{Op: "setData", Path: at + "/3", Data: []byte(`{"used":1}`)}, "want used and count"},
		{zookeeper.Change{Op: "setData", Path: at + "/3/resources", Data: []byte(`{}`)}, "want ids"},
		{zookeeper.Change{Op: "setData", Path: at + "/3/resources", Data: []byte(`{"ids":"a"}`)}, "cannot unmarshal"},
		{zookeeper.Change{Op: "setData", Path: at + "/3/_reload"}, "_reload holds"},
		{zookeeper.Change{Op: "setData", Path: at + "/3/_reload", Data: []byte(`{"times":null}`)}, "want times"},
		{zookeeper.Change{Op: "create", Path: at + "/3/extra"}, "no such node in the contract"},
		{zookeeper.Change{Op: "setData", Path: ownRoot + "Thing/control", Data: []byte("?")}, "control holds"},
		{zookeeper.Change{Op: "delete", Path: at + "/3"}, ""},
		{zookeeper.Change{Op: "delete", Path: at + "/3/resources"}, ""},
	} {
		reader := NewTreeReader([]Kind{{Kind: "Thing"}})
		told := ""
		reader.Strange = func(_ fleet.Kind, why string) { told += why }
		reader.Led = func(fleet.Kind) { t.Error("nobody leads") }
		reader.Committed = func(fleet.Kind, int64, *fleet.Txn) {}
		reader.Read(1, []zookeeper.Change{s.change})
		if want := s.want; (want == "") != (told == "") || !containsAll(told, want) {
			t.Errorf("%s %s %q: told %q, want %q", s.change.Op, s.change.Path, s.change.Data, told, want)
		}
	}
}

// TestDifference: what is added to and removed from a list makes the other of it.
func TestDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfDistinct(rapid.StringMatching("[a-f]"), rapid.ID)
		was, is := lists.Draw(t, "was"), lists.Draw(t, "is")
		add, remove := difference(was, is)
		got := slices.Sorted(slices.Values(slices.Concat(slices.DeleteFunc(slices.Clone(was), func(id string) bool { return slices.Contains(remove, id) }), add)))
		if want := slices.Sorted(slices.Values(is)); !slices.Equal(got, want) || len(was)+len(add)-len(remove) != len(is) {
			t.Fatalf("%q to %q: +%q -%q", was, is, add, remove)
		}
	})
}

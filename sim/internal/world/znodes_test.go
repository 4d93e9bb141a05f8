package world

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// dumbTree is a ZooKeeper that copies itself for each transaction.
type dumbTree map[string]dumbNode

type dumbNode struct {
	data           string
	version, child int32
	czxid, mzxid   int64
	session        int64
}

func (d dumbTree) kids(p string) []string {
	var names []string
	for q := range d {
		if q != "/" && path.Dir(q) == p {
			names = append(names, path.Base(q))
		}
	}
	slices.Sort(names)
	return names
}

func (d dumbTree) multi(zxid int64, ops []ZOp) (dumbTree, int, error) {
	size := 0
	for _, op := range ops {
		size += op.Size + len(op.Path) + opOverhead
	}
	if size > 1000 {
		return d, -1, ErrTooLarge
	}
	next := maps.Clone(d)
	for i, op := range ops {
		if err := next.one(zxid, op); err != nil {
			return d, i, err
		}
	}
	return next, -1, nil
}

func (d dumbTree) one(zxid int64, op ZOp) error {
	n, ok := d[op.Path]
	parent, hasParent := d[path.Dir(op.Path)]
	switch {
	case op.Kind == ZCreate && !hasParent:
		return ErrNoNode
	case op.Kind == ZCreate && parent.session != 0:
		return ErrNoChildrenForEphemerals
	case op.Kind == ZCreate && ok:
		return ErrNodeExists
	case op.Kind == ZCreate:
		d[op.Path] = dumbNode{data: op.Data.(string), czxid: zxid, mzxid: zxid, session: op.Session}
	case !ok:
		return ErrNoNode
	case op.Version != AnyVersion && op.Version != n.version:
		return ErrBadVersion
	case op.Kind == ZDelete && len(d.kids(op.Path)) > 0:
		return ErrNotEmpty
	case op.Kind == ZDelete:
		delete(d, op.Path)
	case op.Kind == ZSet:
		n.data, n.mzxid = op.Data.(string), zxid
		n.version++
		d[op.Path] = n
	}
	if op.Kind == ZCreate || op.Kind == ZDelete {
		parent.child++
		d[path.Dir(op.Path)] = parent
	}
	return nil
}

// recorder writes down the watches that fire.
type recorder struct {
	name  string
	fired []string
}

func (r *recorder) Fired(e WatchEvent, path string) {
	r.fired = append(r.fired, fmt.Sprintf("%d %s", e, path))
}

var paths = []string{"/a", "/b", "/a/x", "/a/y", "/a/x/p", "/b/x"}

func drawOp(t *rapid.T) ZOp {
	return ZOp{
		Kind:    ZOpKind(rapid.IntRange(0, 3).Draw(t, "kind")),
		Path:    rapid.SampledFrom(paths).Draw(t, "path"),
		Data:    rapid.SampledFrom([]string{"one", "two"}).Draw(t, "data"),
		Size:    rapid.SampledFrom([]int{3, 3, 3, 400}).Draw(t, "size"),
		Version: rapid.Int32Range(-1, 2).Draw(t, "version"),
		Session: rapid.SampledFrom([]int64{0, 0, 0, 1, 2}).Draw(t, "session"),
	}
}

// A multi happens whole or not at all, with the twin's error at the twin's index;
// versions, zxids and children agree; a watch fires exactly when what it watches
// differs, once.
func TestTreeAgainstDumbTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, twin, zxid := NewZnodes(1000), dumbTree{"/": {}}, int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			watchers := map[string]*recorder{}
			for _, p := range paths {
				w := &recorder{name: p}
				watchers[p] = w
				z.Exists(p, w)
			}
			before := twin
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				session := rapid.Int64Range(1, 2).Draw(t, "close")
				z.CloseSession(session)
				next := maps.Clone(twin)
				for p, n := range twin {
					if n.session == session {
						delete(next, p)
						parent := next[path.Dir(p)]
						parent.child++
						next[path.Dir(p)] = parent
					}
				}
				if len(next) < len(twin) {
					zxid++
				}
				twin = next
			} else {
				ops := rapid.SliceOfN(rapid.Custom(drawOp), 1, 4).Draw(t, "ops")
				next, wantIndex, wantErr := twin.multi(zxid+1, ops)
				index, err := z.Multi(ops)
				if index != wantIndex || !errors.Is(err, wantErr) {
					t.Fatalf("multi %+v: %d %v, want %d %v", ops, index, err, wantIndex, wantErr)
				}
				if err == nil {
					zxid++
				}
				twin = next
			}
			compareTrees(t, z, twin, zxid)
			for _, p := range paths {
				was, had := before[p]
				is, has := twin[p]
				touched := had != has || was.version != is.version || was.czxid != is.czxid
				if fired := len(watchers[p].fired); touched && fired != 1 || !touched && fired > 1 {
					t.Fatalf("watch on %s fired %v; before %v %+v, after %v %+v", p, watchers[p].fired, had, was, has, is)
				}
				z.Unwatch(p, watchers[p])
			}
			if len(z.absent) != 0 {
				t.Fatalf("watches left behind: %v", z.absent)
			}
		}
	})
}

func compareTrees(t *rapid.T, z *Znodes, twin dumbTree, zxid int64) {
	if z.Zxid() != zxid || len(z.nodes) != len(twin) {
		t.Fatalf("zxid %d of %d nodes, want %d of %d", z.Zxid(), len(z.nodes), zxid, len(twin))
	}
	for p, want := range twin {
		n, err := z.Get(p, nil)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		data, _ := n.Data.(string)
		got := dumbNode{data: data, version: n.Version, child: n.Cversion, czxid: n.Czxid, mzxid: n.Mzxid, session: n.Session}
		if got != want {
			t.Fatalf("%s: %+v, want %+v", p, got, want)
		}
		names, err := z.Children(p, nil)
		if err != nil || !slices.Equal(names, twin.kids(p)) {
			t.Fatalf("children of %s: %v %v, want %v", p, names, err, twin.kids(p))
		}
	}
}

func TestTreeRefuses(t *testing.T) {
	z := NewZnodes(1000)
	for _, p := range []string{"", "a", "/", "/a/", "//a", "/.", "/.."} {
		if err := z.Create(p, "", 0, 0); !errors.Is(err, ErrBadPath) {
			t.Errorf("create %q: %v, want %v", p, err, ErrBadPath)
		}
	}
	if err := z.Delete("/", AnyVersion); !errors.Is(err, ErrBadPath) {
		t.Errorf("delete of the root: %v, want %v", err, ErrBadPath)
	}
	if err := z.Set("/none", "", 0, AnyVersion); !errors.Is(err, ErrNoNode) {
		t.Errorf("set of no node: %v, want %v", err, ErrNoNode)
	}
	if _, err := z.Children("/none", nil); !errors.Is(err, ErrNoNode) {
		t.Errorf("children of no node: %v, want %v", err, ErrNoNode)
	}
	if z.Zxid() != 0 {
		t.Errorf("refused operations counted: zxid %d", z.Zxid())
	}
}

func TestWatchesFireOnce(t *testing.T) {
	z := NewZnodes(1000)
	w, kids := &recorder{}, &recorder{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	z.Exists("/a", w)
	z.Exists("/a", w)
	_, err := z.Children("/", kids)
	must(err)
	must(z.Create("/a", "", 0, 0))
	must(z.Set("/a", "", 0, 0))
	_, err = z.Get("/a", w)
	must(err)
	must(z.Set("/a", "", 0, 1))
	must(z.Set("/a", "", 0, 2))
	_, err = z.Children("/a", kids)
	must(err)
	must(z.Delete("/a", 3))
	must(z.Create("/a", "", 0, 0))
	if want := []string{"0 /a", "1 /a"}; !slices.Equal(w.fired, want) {
		t.Errorf("data watch: %v, want %v", w.fired, want)
	}
	if want := []string{"3 /", "2 /a"}; !slices.Equal(kids.fired, want) {
		t.Errorf("child watch: %v, want %v", kids.fired, want)
	}
}

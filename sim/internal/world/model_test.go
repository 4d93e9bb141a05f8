package world

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// The database holds what a map holds; a listing is the rows of the moment it
// names, however many are under way.
func TestDatabaseAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := timeline.New()
		d := NewDatabase(tl, drawSeed(t), DefaultConfig().Database)
		rows := map[string]string{}
		moments := map[time.Duration]map[string]string{} // after the newest change at that time
		ids := []string{"a", "b", "c", "d", "e", "f"}
		asked, answered := 0, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			r := fleet.Resource{ID: rapid.SampledFrom(ids).Draw(t, "id"), Group: rapid.SampledFrom([]string{"", "g"}).Draw(t, "group")}
			_, had := rows[r.ID]
			ok, want := false, had
			switch rapid.IntRange(0, 4).Draw(t, "do") {
			case 0, 1:
				ok, want = d.Insert(thing, r), !had
				if !had {
					rows[r.ID] = r.Group
				}
			case 2:
				ok = d.Delete(thing, r.ID)
				delete(rows, r.ID)
			case 3:
				ok = d.Update(thing, r)
				if had {
					rows[r.ID] = r.Group
				}
			case 4:
				ok = had
				asked++
				some := ids[:rapid.IntRange(0, len(ids)).Draw(t, "some")]
				if len(some) == 0 {
					some = nil
				}
				d.List(thing, some, uint64(asked), func(_ time.Duration, l *Listing) {
					answered++
					got := map[string]string{}
					for _, row := range l.Rows {
						got[row.ID] = row.Group
					}
					want := map[string]string{}
					for id, group := range momentAt(moments, l.At) {
						if l.IDs == nil || slices.Contains(l.IDs, id) {
							want[id] = group
						}
					}
					if digest := digestOf(l.Rows); l.IDs == nil && digest != l.Digest {
						t.Fatalf("digest %+v of rows with %+v", l.Digest, digest)
					}
					if !maps.Equal(got, want) || len(got) != len(l.Rows) || l.Err != nil {
						t.Fatalf("listed %v (%v) as of %v, want %v", l.Rows, l.Err, l.At, want)
					}
				})
			}
			if ok != want {
				t.Fatalf("%+v: %v, want %v", r, ok, want)
			}
			moments[tl.Now()] = maps.Clone(rows)
			if group, has := d.Get(thing, r.ID); has != d.Has(thing, r.ID) || has && group.Group != rows[r.ID] || d.Len(thing) != len(rows) || len(d.Rows(thing)) != len(rows) {
				t.Fatalf("after %+v: %v %v of %d rows, want %v", r, group, has, d.Len(thing), rows)
			}
			runUntil(tl, tl.Now()+time.Millisecond+seconds(t, "wait", 1)/50)
		}
		runUntil(tl, tl.Now()+time.Minute)
		if asked != answered {
			t.Fatalf("%d of %d listings answered", answered, asked)
		}
	})
}

func digestOf(rows []fleet.Resource) (d fleet.Digest) {
	for _, r := range rows {
		d.Add(r)
	}
	return d
}

// momentAt is the state after the newest change before at. What fires at the time
// of a change fires before it.
func momentAt(moments map[time.Duration]map[string]string, at time.Duration) map[string]string {
	newest := time.Duration(-1)
	for m := range moments {
		if m < at && m > newest {
			newest = m
		}
	}
	return moments[newest]
}

// Whatever version a reader holds, the log leads it to the newest list, or says
// that it does not reach back that far; it always reaches back logVersions small
// differences.
func TestListLogLeadsOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l idList
		l.create([]string{"a", "b"})
		versions := [][]string{l.sorted()}
		for range rapid.IntRange(1, 3*logVersions).Draw(t, "changes") {
			var add, remove []string
			for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 3, rapid.ID[string]).Draw(t, "ids") {
				if l.has(id) {
					remove = append(remove, id)
				} else {
					add = append(add, id)
				}
			}
			l.change(add, remove)
			versions = append(versions, l.sorted())
		}
		for u, ids := range versions {
			edits, ok := l.since(int32(u), nil)
			if reaches := len(versions)-1-u <= logVersions; ok != reaches {
				t.Fatalf("version %d of %d: %v, want %v", u, len(versions)-1, ok, reaches)
			}
			if !ok {
				continue
			}
			var s idSet
			for _, id := range ids {
				s.add(id)
			}
			for _, e := range edits {
				if e.add && !s.add(e.id) || !e.add && !s.remove(e.id) {
					t.Fatalf("version %d: edit %+v does not fit %v", u, e, s.sorted())
				}
			}
			if got, want := s.sorted(), l.sorted(); !slices.Equal(got, want) {
				t.Fatalf("version %d led to %v, want %v", u, got, want)
			}
		}
	})
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, breaks := range map[string]func(*Config){
		"mqtt.deliver.mean: 0s is not valid: want at least min, 1ms": func(c *Config) { c.MQTT.Deliver.Mean = 0 },
		"dac.heartbeat: 0s is not valid: want more than 0s":          func(c *Config) { c.DAC.Heartbeat = 0 },
		"kafka.retention: 0 is not valid: want at least 1":           func(c *Config) { c.Kafka.Retention = 0 },
	} {
		c := DefaultConfig()
		breaks(&c)
		if _, err := New(timeline.New(), 1, c); err == nil || err.Error() != want {
			t.Errorf("error %q, want %q", fmt.Sprint(err), want)
		}
	}
}

func TestAddKindRefusesTwins(t *testing.T) {
	w := newWorld(t, 1, DefaultConfig())
	for _, spec := range []KindSpec{{Kind: thing, InstanceName: "other"}, {Kind: "Rule", InstanceName: "iota-dac"}} {
		if err := w.AddKind(spec); err == nil || !strings.Contains(err.Error(), "want a name and a kind that no other uses") {
			t.Errorf("%+v: error %v", spec, err)
		}
	}
	if err := w.AddKind(KindSpec{Kind: "Rule", InstanceName: "iota-rules-engine"}); err != nil {
		t.Error(err)
	}
	if got := w.Kubernetes.PodName("Rule", 3); got != "iota-rules-engine-3" {
		t.Errorf("pod name %q", got)
	}
}

// A kind without heartbeats sends none, one with an interval of its own keeps to
// it, and one that confirms nothing says so.
func TestKindsDiffer(t *testing.T) {
	w := newWorld(t, 1, DefaultConfig())
	const rule, topic fleet.Kind = "Rule", "Topic"
	for _, spec := range []KindSpec{
		{Kind: rule, InstanceName: "iota-rules-engine"},
		{Kind: topic, InstanceName: "collector", Heartbeat: true, HeartbeatInterval: 10 * time.Second, Confirms: true},
	} {
		if err := w.AddKind(spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AddKind(KindSpec{Kind: "Late", InstanceName: "late", HeartbeatInterval: -1}); err == nil {
		t.Error("a negative heartbeat interval was taken")
	}
	session := w.ZooKeeper.Open(nil)
	seen := map[fleet.Kind][]fleet.Status{}
	for _, kind := range []fleet.Kind{rule, topic} {
		session.WatchStatus(kind, func(_ time.Duration, _ fleet.InstanceID, s fleet.Status) { seen[kind] = append(seen[kind], s) })
		session.Submit(kind, &fleet.Txn{Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Times: 4}}}, func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome) {})
		w.Kubernetes.CreatePod(kind, 0, 0, func(time.Duration, PodReply) {})
	}
	var loaded time.Duration
	w.DACs.OnReload = func(now time.Duration, kind fleet.Kind, _ fleet.InstanceID, _ int64) {
		if kind == topic {
			loaded = now
		}
	}
	runUntil(w.Timeline, 5*time.Minute)
	for kind, times := range map[fleet.Kind]int64{rule: -1, topic: 4} {
		if want := []fleet.Status{{Present: true, Times: times}}; !slices.Equal(seen[kind], want) {
			t.Errorf("%s: status %+v, want %+v", kind, seen[kind], want)
		}
	}
	if want := 1 + uint64((5*time.Minute-loaded)/(10*time.Second)); loaded == 0 || w.Kafka.Stats().Produced != want {
		t.Errorf("%d heartbeats, want %d", w.Kafka.Stats().Produced, want)
	}
}

// The typed layer keeps the contract's paths, with the bytes that the contract's
// JSON would take.
func TestTreeHasTheContractsPaths(t *testing.T) {
	w := newWorld(t, 1, DefaultConfig())
	session := w.ZooKeeper.Open(nil)
	session.Elect(thing, func(time.Duration, int64) {
		txn := &fleet.Txn{Epoch: 1, Control: &fleet.Control{}, ControlVersion: -1, Changes: []fleet.Change{
			{Kind: fleet.ChangeCreate, Instance: 12, Capacity: 5000, Used: 2, Times: 10, Add: []string{"a", "b"}},
		}}
		session.Submit(thing, txn, func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome) {})
	})
	w.Kubernetes.CreatePod(thing, 12, 0, func(time.Duration, PodReply) {})
	runUntil(w.Timeline, time.Minute)
	const base = "/iota/orchestration/Thing/12"
	for path, json := range map[string]string{
		base:                                  `{"used":2,"count":5000}`,
		base + "/resources":                   `{"ids":["a","b",]}`, // ListBytes counts a comma for each
		base + "/_reload":                     `{"times":10}`,
		base + "/tmp":                         "",
		base + "/tmp/status":                  `{"times":10}`,
		"/iota/orchestrator/Thing/control":    "{}",
		"/iota/orchestrator/Thing/epoch":      "",
		"/iota/orchestrator/Thing/candidates": "",
	} {
		n, err := w.ZooKeeper.Nodes().Get(path, nil)
		if err != nil || n.Path != path || n.Size != len(json) {
			t.Errorf("%s: %+v %v, want %d bytes", path, n, err, len(json))
			continue
		}
		if ephemeral := strings.HasSuffix(path, "/status"); (n.Session != 0) != ephemeral {
			t.Errorf("%s: owned by session %d", path, n.Session)
		}
	}
	if tree := w.ZooKeeper.Tree(thing); len(tree.Instances) != 1 || !tree.Instances[0].Status.Present || w.ZooKeeper.Epoch(thing) != 1 {
		t.Errorf("tree %+v at epoch %d", tree, w.ZooKeeper.Epoch(thing))
	}
}

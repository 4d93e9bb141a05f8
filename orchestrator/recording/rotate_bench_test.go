package recording

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// BenchmarkRotation measures how long a driver waits for the next segment, whose
// beginning is the whole state, and for a listing of the whole table.
func BenchmarkRotation(b *testing.B) {
	for _, n := range []int{100_000, 500_000, 1_000_000} {
		m, rows, tree := loaded(b, n, true)
		unsettled, _, _ := loaded(b, n, false)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, err := OpenDir(DirConfig{Path: b.TempDir(), Kinds: []reconcile.Config{reconcile.DefaultConfig("Thing")}})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			s := d.streams["Thing"]
			listed := reconcile.Listed{Req: 1, Rows: rows}
			for _, r := range rows {
				listed.Digest.Add(r)
			}
			var rotating, waiting, first, again, reading []time.Duration
			for b.Loop() {
				for !idle(d) {
					runtime.Gosched() // the disk keeps up
				}
				began := time.Now()
				s.mu.Lock()
				s.end(Closing{Continued: true})
				s.begin(0, m)
				s.mu.Unlock()
				rotating = append(rotating, time.Since(began))
				for !idle(d) {
					runtime.Gosched()
				}
				began = time.Now()
				s.mu.Lock()
				s.end(Closing{Continued: true})
				s.begin(0, unsettled)
				s.mu.Unlock()
				waiting = append(waiting, time.Since(began))
				began = time.Now()
				d.Told("Thing", 0, reconcile.TreeRead{Tree: tree})
				reading = append(reading, time.Since(began))
				began = time.Now()
				d.Told("Thing", 0, listed)
				first = append(first, time.Since(began))
				began = time.Now()
				d.Told("Thing", 0, listed)
				again = append(again, time.Since(began))
			}
			for name, took := range map[string][]time.Duration{"rotation": rotating, "rotation-unsettled": waiting, "tree": reading, "first-listing": first, "listing": again} {
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-"+name)
				b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-most-"+name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// loaded is a machine that leads with n resources, all placed, or none.
func loaded(b testing.TB, n int, placed bool) (*reconcile.Machine, []fleet.Resource, fleet.Tree) {
	cfg := reconcile.DefaultConfig("Thing")
	cfg.Limits = placement.Limits{ResourcePerInstance: 5000, MaxInstances: 1000, InitInstances: 10}
	m, err := reconcile.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]fleet.Resource, n)
	for i := range rows {
		rows[i].ID = fmt.Sprintf("5f3c1c1e-7a6e-4a3e-9d0a-%012d", i)
	}
	listed := reconcile.Listed{Rows: rows}
	for _, r := range rows {
		listed.Digest.Add(r)
	}
	var tree fleet.Tree
	for i := 0; i*4000 < n; i++ {
		in := fleet.TreeInstance{ID: fleet.InstanceID(i), Capacity: 5000, Times: 1}
		for _, r := range rows[i*4000 : min(n, (i+1)*4000)] {
			in.IDs = append(in.IDs, r.ID)
		}
		in.Used = len(in.IDs)
		tree.Instances = append(tree.Instances, in)
	}
	for _, c := range slices.Clone(m.Step(0, reconcile.Led{Epoch: 1})) {
		switch c := c.(type) {
		case reconcile.ReadTree:
			read := reconcile.TreeRead{Req: c.Req}
			if placed {
				read.Tree = tree
			}
			m.Step(1, read)
		case reconcile.ListRows:
			listed.Req = c.Req
			m.Step(2, listed)
		}
	}
	return m, rows, tree
}

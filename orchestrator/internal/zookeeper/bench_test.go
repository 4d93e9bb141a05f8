package zookeeper

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/orchestrator/fleet"
)

// BenchmarkCommit is transactions per second through Commit, one kind's after the
// other and several kinds at a time, beside the bare library's with multis of the
// same bytes and as many in flight.
func BenchmarkCommit(b *testing.B) {
	for _, backend := range backends {
		b.Run(backend.name, func(b *testing.B) {
			addr := backend.start(b)
			for _, ids := range []int{20, 2000} {
				for _, kinds := range []int{1, 8, 32} {
					name := fmt.Sprintf("ids=%d/kinds=%d", ids, kinds)
					b.Run(name+"/commit", func(b *testing.B) { benchCommit(b, addr, ids, kinds) })
					b.Run(name+"/raw", func(b *testing.B) { benchRaw(b, addr, ids, kinds) })
				}
			}
		})
	}
}

// share runs work b.N times, divided among so many goroutines.
func share(b *testing.B, among int, work func(who, n int)) {
	b.ResetTimer()
	var group sync.WaitGroup
	for who := range among {
		group.Go(func() {
			n := 0
			for i := who; i < b.N; i += among {
				work(who, n)
				n++
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "txn/s")
}

func benchCommit(b *testing.B, addr string, ids, kinds int) {
	c := open(b, Config{Servers: []string{addr}})
	if err := c.awaitConnection(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, resign := context.WithCancel(b.Context())
	var reigns sync.WaitGroup
	txns := make([]*fleet.Txn, kinds)
	for who := range kinds {
		led := make(chan int64)
		reigns.Go(func() {
			c.Lead(b.Context(), benchKind(b, who), fleet.Candidate{}, func(_ context.Context, epoch int64, _ func() bool) {
				led <- epoch
				<-ctx.Done()
			})
		})
		txns[who] = &fleet.Txn{Epoch: <-led}
		change := fleet.Change{Kind: fleet.ChangeCreate, Capacity: 9999, Used: ids, Add: manyIDs(ids)}
		txns[who].Changes = []fleet.Change{change}
		if o, err := c.Commit(b.Context(), benchKind(b, who), txns[who]); o != fleet.OutcomeDone {
			b.Fatal(o, err)
		}
	}
	add := manyIDs(ids + 2)[ids:]
	share(b, kinds, func(who, n int) {
		v := int32(n)
		change := fleet.Change{Capacity: 9999, Used: ids, Times: int64(n), Versions: fleet.Versions{Node: v, Resources: v, Reload: v},
			Add: add[n%2 : n%2+1]}
		if n > 0 {
			change.Remove = add[1-n%2 : 2-n%2]
		}
		txns[who].Changes[0] = change
		if o, err := c.Commit(b.Context(), benchKind(b, who), txns[who]); o != fleet.OutcomeDone {
			b.Error(o, err)
		}
	})
	for who := range kinds {
		c.Commit(b.Context(), benchKind(b, who), &fleet.Txn{Epoch: txns[who].Epoch, Changes: []fleet.Change{{Kind: fleet.ChangeDelete,
			Versions: fleet.Versions{Node: int32(rounds(b.N, who, kinds)), Resources: int32(rounds(b.N, who, kinds)), Reload: int32(rounds(b.N, who, kinds))}}}})
	}
	resign()
	reigns.Wait()
}

// BenchmarkLatency is what one transaction takes, and the bare library's multi of as
// many bytes: one after the other, in turns, on one connection each.
func BenchmarkLatency(b *testing.B) {
	for _, backend := range backends {
		b.Run(backend.name, func(b *testing.B) {
			addr := backend.start(b)
			for _, ids := range []int{1, 2000} {
				b.Run(fmt.Sprint("ids=", ids), func(b *testing.B) { benchLatency(b, addr, ids) })
			}
		})
	}
}

func benchLatency(b *testing.B, addr string, ids int) {
	c, conn := open(b, Config{Servers: []string{addr}}), rawConn(b, addr)
	if err := c.awaitConnection(b.Context()); err != nil {
		b.Fatal(err)
	}
	kind := fleet.Kind(fmt.Sprint("Latency", ids))
	p, _ := pathsOf(kind)
	at := p.instance(1)
	all := manyIDs(ids + 1)
	list := encodeList(all[:ids])
	err := c.Lead(b.Context(), kind, fleet.Candidate{}, func(ctx context.Context, epoch int64, _ func() bool) {
		commit := func(changes ...fleet.Change) {
			if o, err := c.Commit(ctx, kind, &fleet.Txn{Epoch: epoch, Changes: changes}); o != fleet.OutcomeDone {
				b.Fatal(o, err)
			}
		}
		old, err := c.ReadTree(ctx, kind)
		if err != nil {
			b.Fatal(err)
		}
		for _, in := range old.Instances { // of the round before
			commit(fleet.Change{Kind: fleet.ChangeDelete, Instance: in.ID, Versions: in.Versions})
		}
		commit(fleet.Change{Kind: fleet.ChangeCreate, Add: all[:ids]}, fleet.Change{Kind: fleet.ChangeCreate, Instance: 1})
		var took [2][]time.Duration
		outside, inside := all[ids:], all[ids/2:ids/2+1]
		for n := int32(0); b.Loop(); n++ {
			began := time.Now()
			v := fleet.Versions{Node: n, Resources: n, Reload: n}
			commit(fleet.Change{Capacity: 9, Times: int64(n), Versions: v, Add: outside, Remove: inside})
			outside, inside = inside, outside
			committed := time.Now()
			if _, err := conn.Multi(&zk.CheckVersionRequest{Path: p.epoch, Version: int32(epoch)},
				&zk.SetDataRequest{Path: at.node, Data: numbers{0, 9}.encode(), Version: -1},
				&zk.SetDataRequest{Path: at.resources, Data: list, Version: -1},
				&zk.SetDataRequest{Path: at.reload, Data: encodeTimes(int64(n)), Version: -1}); err != nil {
				b.Fatal(err)
			}
			took[0], took[1] = append(took[0], committed.Sub(began)), append(took[1], time.Since(committed))
		}
		for i, name := range []string{"commit", "raw"} {
			slices.Sort(took[i])
			b.ReportMetric(float64(took[i][len(took[i])/2])/1e3, name+"-p50-µs")
			b.ReportMetric(float64(took[i][len(took[i])*99/100])/1e3, name+"-p99-µs")
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}

func rounds(n, who, among int) int { return (n - who + among - 1) / among }

func benchKind(b *testing.B, who int) fleet.Kind { return fleet.Kind(fmt.Sprintf("Bench%d", who)) }

func benchRaw(b *testing.B, addr string, ids, kinds int) {
	conn := rawConn(b, addr)
	made := func(path string) {
		if _, err := conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && err != zk.ErrNodeExists {
			b.Fatal(err)
		}
	}
	list := encodeList(manyIDs(ids + 1))
	for _, path := range []string{"/iota", "/iota/orchestration"} {
		made(path)
	}
	for who := range kinds {
		root := fmt.Sprintf("/iota/orchestration/Raw%d", who)
		for _, below := range []string{"", "/0", "/0/resources", "/0/_reload", "/epoch"} {
			made(root + below)
		}
	}
	share(b, kinds, func(who, n int) {
		root := fmt.Sprintf("/iota/orchestration/Raw%d", who)
		if _, err := conn.Multi(&zk.CheckVersionRequest{Path: root + "/epoch", Version: 0},
			&zk.SetDataRequest{Path: root + "/0", Data: numbers{ids, 9999}.encode(), Version: -1},
			&zk.SetDataRequest{Path: root + "/0/resources", Data: list, Version: -1},
			&zk.SetDataRequest{Path: root + "/0/_reload", Data: encodeTimes(int64(n)), Version: -1}); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkReadTree reads 100 instances of 5,000 resources each, and what that
// leaves in memory: the lists by which transactions are made.
func BenchmarkReadTree(b *testing.B) {
	addr := startStandIn(b)
	c := open(b, Config{Servers: []string{addr}})
	if err := c.awaitConnection(b.Context()); err != nil {
		b.Fatal(err)
	}
	ids := manyIDs(5000)
	err := c.Lead(b.Context(), "Thing", fleet.Candidate{}, func(ctx context.Context, epoch int64, _ func() bool) {
		for i := range 100 {
			txn := &fleet.Txn{Epoch: epoch, Changes: []fleet.Change{{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(i), Capacity: 5000, Used: 5000, Add: ids}}}
			if o, err := c.Commit(ctx, "Thing", txn); o != fleet.OutcomeDone {
				b.Fatal(o, err)
			}
		}
		clear(c.kind("Thing").lists)
		before := heap()
		for b.Loop() {
			if tree, err := c.ReadTree(ctx, "Thing"); err != nil || len(tree.Instances) != 100 {
				b.Fatal(err)
			}
		}
		b.ReportMetric((heap()-before)/(1<<20), "MiB-kept")
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWatchTree is what watching costs for each of many instances: the time
// until all have been told, and memory.
func BenchmarkWatchTree(b *testing.B) {
	const instances = 10_000
	addr := startStandIn(b)
	c := open(b, Config{Servers: []string{addr}})
	if err := c.awaitConnection(b.Context()); err != nil {
		b.Fatal(err)
	}
	err := c.Lead(b.Context(), "Thing", fleet.Candidate{}, func(ctx context.Context, epoch int64, _ func() bool) {
		for i := 0; i < instances; i += 500 {
			txn := &fleet.Txn{Epoch: epoch}
			for n := range 500 {
				txn.Changes = append(txn.Changes, fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(i + n), Capacity: 5, Used: 1, Add: []string{"a"}})
			}
			if o, err := c.Commit(ctx, "Thing", txn); o != fleet.OutcomeDone {
				b.Fatal(o, err)
			}
		}
		for b.Loop() {
			watcher := open(b, Config{Servers: []string{addr}})
			before, goroutines := heap(), runtime.NumGoroutine()
			watching, stop := context.WithCancel(ctx)
			synced, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				watcher.WatchTree(watching, "Thing", func(fleet.TreeInstance) {}, func(fleet.InstanceID) {}, func() { close(synced) })
			}()
			<-synced
			b.ReportMetric((heap()-before)/instances, "B/instance") // with the server's part
			b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
			stop()
			<-ended
			watcher.Close()
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}

// heap is the bytes in use.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

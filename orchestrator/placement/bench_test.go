package placement

import (
	"fmt"
	"os"
	"testing"

	"dacorch/orchestrator/fleet"
)

// The benchmarks compare the policies with their peers on the same resources
// and instances. The part by= of a name says who plans: fill and balance are
// ours, map is the bare cost of one pass that writes an assignment into a map
// of the right size, and the others are peers (peers_test.go).
//
// Sticky needs time quadratic in the resources: sizes above 20,000 resources
// run only with BENCH_STICKY=all.

type scale struct{ resources, instances int }

var scales = []scale{{10_000, 100}, {20_000, 200}, {100_000, 1000}, {1_000_000, 10_000}}

func (s scale) name(op, by string) string {
	return fmt.Sprintf("op=%s/resources=%d/instances=%d/by=%s", op, s.resources, s.instances, by)
}

func (s scale) sticky() bool {
	return s.resources <= 20_000 || s.resources <= 100_000 && os.Getenv("BENCH_STICKY") == "all"
}

// benchResources are n resources with ids like UUIDs, in no order.
func benchResources(n int) []fleet.Resource {
	out := make([]fleet.Resource, n)
	x := uint64(1)
	next := func() uint64 { // splitmix64
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for i := range out {
		a, b := next(), next()
		out[i].ID = fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48, b&0xffffffffffff)
	}
	return out
}

// benchNew plans from scratch; a tenth of the room stays free.
func benchNew(b *testing.B, s scale, policy fleet.Policy, res []fleet.Resource, p *Plan) *Assignment {
	r := s.resources * 11 / 10 / s.instances
	a := New(Config{Policy: policy, Limits: Limits{ResourcePerInstance: 2 * r, MaxInstances: 2 * s.instances}})
	if err := a.Reorchestrate(Size{Instances: s.instances, ResourcePerInstance: r, MaxInstances: s.instances + s.instances/10}, p); err != nil {
		b.Fatal(err)
	}
	a.Apply(res, nil, p)
	return a
}

var ours = []fleet.Policy{fleet.PolicyFill, fleet.PolicyBalance}

// BenchmarkScratch: every resource is placed on instances that are empty.
func BenchmarkScratch(b *testing.B) {
	for _, s := range scales {
		res := benchResources(s.resources)
		for _, policy := range ours {
			b.Run(s.name("scratch", string(policy)), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var p Plan
					if a := benchNew(b, s, policy, res, &p); a.Unplaced() > 0 {
						b.Fatal(a)
					}
				}
			})
		}
		b.Run(s.name("scratch", "map"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := make(map[string]fleet.InstanceID, s.resources)
				for i := range res {
					m[res[i].ID] = fleet.InstanceID(i % s.instances)
				}
			}
		})
		benchPeersScratch(b, s, res)
	}
}

// BenchmarkLose: one instance in a hundred is lost.
func BenchmarkLose(b *testing.B) {
	for _, s := range scales {
		res := benchResources(s.resources)
		var lost []fleet.InstanceID
		for i := range s.instances / 100 {
			lost = append(lost, fleet.InstanceID(i*100+50))
		}
		for _, policy := range ours {
			b.Run(s.name("lose", string(policy)), func(b *testing.B) {
				b.ReportAllocs()
				bound := 0
				var p Plan
				for b.Loop() {
					b.StopTimer()
					p.Reset()
					a := benchNew(b, s, policy, res, &p)
					bound = 0
					for _, i := range lost {
						bound += a.Used(i)
					}
					p.Reset()
					b.StartTimer()
					a.CloseAll(lost, true, &p)
				}
				reportMoves(b, movesBetween(&p), bound)
			})
		}
		benchPeersLose(b, s, res, lost)
	}
}

// BenchmarkGrow: a tenth more resources.
func BenchmarkGrow(b *testing.B) {
	for _, s := range scales {
		all := benchResources(s.resources * 11 / 10)
		res, more := all[:s.resources], all[s.resources:]
		for _, policy := range ours {
			b.Run(s.name("grow", string(policy)), func(b *testing.B) {
				b.ReportAllocs()
				var p Plan
				for b.Loop() {
					b.StopTimer()
					p.Reset()
					a := benchNew(b, s, policy, res, &p)
					p.Reset()
					b.StartTimer()
					a.Apply(more, nil, &p)
				}
				reportMoves(b, movesBetween(&p), 0)
			})
		}
		benchPeersGrow(b, s, res, more)
	}
}

func reportMoves(b *testing.B, moves, bound int) {
	b.ReportMetric(float64(moves), "moves")
	b.ReportMetric(float64(bound), "fewest-moves")
}

// BenchmarkOne: one resource comes, or goes.
func BenchmarkOne(b *testing.B) {
	const round = 1024
	for _, s := range scales[2:] {
		all := benchResources(s.resources + round)
		res, more := all[:s.resources], all[s.resources:]
		for _, policy := range ours {
			var p Plan
			a := benchNew(b, s, policy, res, &p)
			add := func(rs []fleet.Resource) {
				for _, r := range rs {
					p.Reset()
					a.Add(r, &p)
				}
			}
			remove := func(rs []fleet.Resource) {
				for _, r := range rs {
					p.Reset()
					a.Remove(r.ID, &p)
				}
			}
			benchRounds(b, s.name("add", string(policy)), round, func() { add(more) }, func() { remove(more) })
			benchRounds(b, s.name("remove", string(policy)), round, func() { remove(res[:round]) }, func() { add(res[:round]) })
		}
		m := make(map[string]fleet.InstanceID, s.resources+round)
		set := func(rs []fleet.Resource) {
			for i := range rs {
				m[rs[i].ID] = 1
			}
		}
		unset := func(rs []fleet.Resource) {
			for i := range rs {
				delete(m, rs[i].ID)
			}
		}
		set(res)
		benchRounds(b, s.name("add", "map"), round, func() { set(more) }, func() { unset(more) })
		benchRounds(b, s.name("remove", "map"), round, func() { unset(res[:round]) }, func() { set(res[:round]) })
		benchPeersOne(b, s, more)
	}
}

// benchRounds times do, which does n things, and not undo.
func benchRounds(b *testing.B, name string, n int, do, undo func()) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		do()
		undo()
		b.ResetTimer()
		for done := 0; done < b.N; done += n {
			do()
			b.StopTimer()
			undo()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64((b.N+n-1)/n*n), "ns/op")
	})
}

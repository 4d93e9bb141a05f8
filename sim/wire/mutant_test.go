package wire

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/scenarios"
	"dacorch/sim/internal/churn"
	"dacorch/sim/internal/history"
	"dacorch/sim/internal/invariant"

	"github.com/go-zookeeper/zk"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clients "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// stageTest is a run whose orchestrator is the test itself: it writes straight
// into ZooKeeper, and what a run would see of that is checked.
type stageTest struct {
	*run
	t      *testing.T
	leader *zk.Conn
	kind   *kind
}

const at0 = "/iota/orchestration/Thing/0"
const at1 = "/iota/orchestration/Thing/1"

func newStage(t *testing.T, handoff string) *stageTest {
	t.Helper()
	sc, err := scenarios.Load("test.yaml", strings.NewReader("name: test\nabout: A test.\nduration: 2h\nkinds:\n  - {kind: Thing, resources: 0, handoff: "+handoff+"}\n"+"world:\n  kubernetes: {start: {min: 1ms, mean: 1ms, max: 1ms}}\nexpect:\n  - violations == 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(t.Context(), sc, RunOptions{TimeScale: 1, Log: io.Discard})
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	r.p.ZooKeeper.Observe(r.zookeeper)
	r.p.Kubernetes.Observe(r.kubernetes)
	r.began = time.Now()
	s := &stageTest{run: r, t: t, leader: dial(t, r.p.ZooKeeperAddr()), kind: r.kinds[0]}
	for _, path := range []string{"/iota", "/iota/orchestration", "/iota/orchestration/Thing", "/iota/orchestrator", "/iota/orchestrator/Thing", "/iota/orchestrator/Thing/epoch"} {
		s.must(s.leader, create(path, ""))
	}
	s.must(s.leader, set("/iota/orchestrator/Thing/epoch", "me"))
	r.churn(s.kind, churn.Op{Verb: churn.Create, Named: true, Resources: []fleet.Resource{{ID: "a"}, {ID: "b"}, {ID: "x"}}})
	s.must(s.leader, slices.Concat(instance(create, at0, 2, 3, 1, "a", "b"), instance(create, at1, 1, 3, 1, "x"))...)
	for id, ids := range [][]string{{"a", "b"}, {"x"}} {
		f := facts{r}
		f.Alive("Thing", fleet.InstanceID(id), "", true)
		for _, res := range ids {
			f.Ran("Thing", fleet.InstanceID(id), "", res, true)
		}
		f.Reloaded("Thing", fleet.InstanceID(id), 1)
	}
	r.takeFacts()
	return s
}

func create(path, data string) any {
	return &zk.CreateRequest{Path: path, Data: []byte(data), Acl: zk.WorldACL(zk.PermAll)}
}
func set(path, data string) any {
	return &zk.SetDataRequest{Path: path, Data: []byte(data), Version: -1}
}
func remove(path string) any { return &zk.DeleteRequest{Path: path, Version: -1} }

// instance writes the three nodes of an instance.
func instance(write func(path, data string) any, at string, used, count, times int, ids ...string) []any {
	return []any{write(at, fmt.Sprintf(`{"used":%d,"count":%d}`, used, count)), write(at+"/resources", string(encoded(map[string][]string{"ids": append([]string{}, ids...)}))),
		write(at+"/_reload", fmt.Sprintf(`{"times":%d}`, times))}
}

func (s *stageTest) must(conn *zk.Conn, ops ...any) {
	s.t.Helper()
	if _, err := conn.Multi(ops...); err != nil {
		s.t.Fatal(err)
	}
}

// write is the leader's transaction.
func (s *stageTest) write(ops ...[]any) { s.t.Helper(); s.must(s.leader, slices.Concat(ops...)...) }

// report is what a run that ended now would say, its deadlines long past.
func (s *stageTest) report() *history.Report {
	s.takeFacts()
	s.check.Heal(s.last)
	s.last += 24 * time.Hour
	s.check.Tick(s.last)
	s.check.End(s.last)
	return s.result().Report
}

func reloaded(s *stageTest, times ...int64) {
	for id, n := range times {
		if n > 0 {
			facts{s.run}.Reloaded("Thing", fleet.InstanceID(id), n)
		}
	}
}

// moved is b moved from 0 to 1 and running there.
func moved(s *stageTest) {
	s.write(instance(set, at1, 2, 3, 2, "b", "x"), instance(set, at0, 1, 3, 2, "a"))
	facts{s.run}.Ran("Thing", 0, "", "b", false)
	facts{s.run}.Ran("Thing", 1, "", "b", true)
	reloaded(s, 2, 2)
}

// TestMutants does what is right, and the same with one thing wrong, straight in
// ZooKeeper or by what the DACs run: the report names the invariant and why.
func TestMutants(t *testing.T) {
	for _, m := range []struct {
		name    string
		handoff string
		do      func(s *stageTest)
		breaks  string // empty: nothing
		reason  string
	}{
		{"nothing happens", "fast", func(*stageTest) {}, "", ""},
		{"a move", "strict", moved, "", ""},
		{"a resource in two lists", "fast", func(s *stageTest) {
			s.write(instance(set, at1, 2, 3, 2, "b", "x"))
			reloaded(s, 0, 2)
		}, "one-owner", `Thing "b" stands on instances 0 and 1`},
		{"a resource twice in a list", "fast", func(s *stageTest) { s.write(instance(set, at1, 2, 3, 2, "x", "x")) },
			"tree-shape", `adds Thing "x" to instance 1, whose list holds it already`},
		{"used is not the list's length", "fast", func(s *stageTest) { s.write(instance(set, at0, 1, 3, 1, "a", "b")) },
			"counters", "writes used 1 to instance 0, whose list then holds 2"},
		{"times is not raised", "fast", func(s *stageTest) { s.write(instance(set, at1, 0, 3, 1)) },
			"times-rise", "_reload times goes from 1 to 1 instead of 2"},
		{"more than the capacity", "fast", func(s *stageTest) { s.write(instance(set, at0, 2, 1, 1, "a", "b")) },
			"capacity", "leaves instance 0 with 2 resources, but its capacity is 1"},
		{"deleted with its resources", "fast", func(s *stageTest) {
			s.write([]any{remove(at1 + "/_reload"), remove(at1 + "/resources"), remove(at1)})
		}, "tree-shape", "deletes instance 1, whose list still holds 1 resources"},
		{"one node without the others", "fast", func(s *stageTest) {
			s.write(instance(set, at1, 1, 3, 1, "x"))
			s.write([]any{set(at1, `{"used":1,"count":3}`)})
		}, "versions", "of instance 1, which was at"},
		{"an old leader writes", "fast", func(s *stageTest) {
			s.must(dial(s.t, s.p.ZooKeeperAddr()), set("/iota/orchestrator/Thing/epoch", "another"))
			moved(s)
		}, "epoch", "of epoch 1 committed at"},
		{"the new leader writes", "fast", func(s *stageTest) {
			s.leader = dial(s.t, s.p.ZooKeeperAddr())
			s.must(s.leader, set("/iota/orchestrator/Thing/epoch", "another"))
			moved(s)
		}, "", ""},
		{"somebody who does not lead writes", "fast", func(s *stageTest) {
			s.leader = dial(s.t, s.p.ZooKeeperAddr())
			moved(s)
		}, "epoch", "of epoch 0 committed at"},
		{"what is no JSON", "fast", func(s *stageTest) {
			s.write([]any{set(at0, "{"), set(at0+"/resources", `{"ids":["a","b"]}`), set(at0+"/_reload", `{"times":1}`)})
		},
			"tree-shape", `/iota/orchestration/Thing/0 holds "{"`},
		{"a node that is no instance", "fast", func(s *stageTest) { s.write([]any{create("/iota/orchestration/Thing/00", "")}) },
			"tree-shape", "/iota/orchestration/Thing/00 is no instance"},
		{"a DAC runs what another runs", "strict", func(s *stageTest) { facts{s.run}.Ran("Thing", 1, "", "a", true) },
			"overlap", `Thing "a" runs on instances 0 and 1 at once`},
		{"a DAC runs for long what another runs", "fast", func(s *stageTest) { facts{s.run}.Ran("Thing", 1, "", "a", true) },
			"overlap", "longer than the 15s that a fast handoff may take"},
		{"a DAC runs what is not on its list", "fast", func(s *stageTest) {
			facts{s.run}.Ran("Thing", 0, "", "a", false)
			facts{s.run}.Ran("Thing", 1, "", "a", true)
		}, "settled", `Thing "a" is not settled`},
		{"a DAC does not reload", "fast", func(s *stageTest) {
			s.write(instance(set, at1, 2, 3, 2, "b", "x"), instance(set, at0, 1, 3, 2, "a"))
			reloaded(s, 2)
		}, "reload-reaches", "instance 1 is healthy, but has not applied _reload times 2"},
		{"a DAC reloads what nobody wrote", "fast", func(s *stageTest) { reloaded(s, 9) }, "reload-reaches", "has applied _reload times 9"},
		{"a row that nobody places", "fast", func(s *stageTest) {
			s.churn(s.kind, churn.Op{Verb: churn.Create, Named: true, Resources: []fleet.Resource{{ID: "new"}}})
		}, "settled", "not in any instance's list"},
		{"a deleted row that stays", "fast", func(s *stageTest) {
			s.churn(s.kind, churn.Op{Verb: churn.Delete, Named: true, Resources: []fleet.Resource{{ID: "a"}}})
		}, "settled", "deleted from the database, but still on instance 0's list and running on instance 0"},
		{"a DAC hangs and nobody replaces it", "fast", func(s *stageTest) { facts{s.run}.Hung("Thing", 0) }, "settled", "instance 0 hangs since"},
		{"a row behind everybody's back", "fast", func(s *stageTest) {
			if _, err := s.p.Centre.Do(s.t.Context(), Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: "ghost"}}, Silent: true}); err != nil {
				s.t.Error(err)
			}
			s.takeFacts()
			if err := s.audit(auditPatience); err != nil {
				s.t.Error(err)
			}
		}, "facts", "differences to the truth"},
	} {
		t.Run(m.name, func(t *testing.T) {
			s := newStage(t, m.handoff)
			for id := range fleet.InstanceID(2) { // of whom the stage has no pods
				s.check.PodCreated(s.at(time.Now()), "Thing", id, fmt.Sprint("uid-", id))
			}
			m.do(s)
			rep := s.report()
			found := m.breaks == ""
			for _, v := range rep.Violations {
				if m.breaks == "" {
					t.Errorf("%s broke: %s", v.Invariant, v.Reason)
				}
				found = found || v.Invariant == m.breaks && strings.Contains(v.Reason, m.reason)
			}
			if !found {
				t.Errorf("no violation of %s with %q, but %+v", m.breaks, m.reason, rep.Violations)
			}
			if n, _ := rep.Metric("violations"); (n > 0) != (m.breaks != "") || rep.OK() != (m.breaks == "") {
				t.Errorf("%v violations, ok %v", n, rep.OK())
			}
		})
	}
}

// pods is a client of the run's cluster.
func (s *stageTest) pods() *clients.Clientset {
	s.t.Helper()
	if err := s.p.Kubernetes.WriteKubeconfig(s.p.Kubeconfig()); err != nil {
		s.t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", s.p.Kubeconfig())
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := clients.NewForConfig(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// until takes facts in until one shows what is waited for.
func (s *stageTest) until(what string, is func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for s.takeFacts(); !is(); s.takeFacts() {
		select {
		case <-s.queue.some:
		case <-ctx.Done():
			s.t.Fatalf("%s did not come", what)
		}
	}
}

// TestReplacements: what became of a pod is judged by what its DAC did when its
// deletion was asked for, whatever has happened by the time that it is looked at.
func TestReplacements(t *testing.T) {
	at := dacAt{"Thing", 0}
	for _, c := range []struct {
		name     string
		before   func(s *stageTest)
		replaced float64
		needless float64
	}{
		{"a healthy one", func(*stageTest) {}, 1, 1},
		{"one that was ordered", func(s *stageTest) { s.ordered[at] = true }, 1, 0},
		{"one that hangs", func(s *stageTest) {
			if err := s.p.Kubernetes.HangPod(Namespace, "iota-dac-0"); err != nil {
				s.t.Error(err)
			}
		}, 1, 0},
		{"one that has crashed", func(s *stageTest) {
			if err := s.p.Kubernetes.CrashPod(Namespace, "iota-dac-0"); err != nil {
				s.t.Error(err)
			}
			s.until("its end", func() bool { return !s.pics.up[at] })
			s.until("its failure", func() bool {
				return s.podState("Thing", 0) == "Failed (Error)" || strings.HasPrefix(s.podState("Thing", 0), "Failed")
			})
		}, 1, 0},
		{"one whose instance is gone", func(s *stageTest) {
			s.write(instance(set, at0, 0, 3, 2), []any{})
			s.write([]any{remove(at0 + "/_reload"), remove(at0 + "/resources"), remove(at0)})
		}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, "fast")
			facts{s.run}.Alive("Thing", 0, "", false)
			for _, id := range []string{"a", "b"} {
				facts{s.run}.Ran("Thing", 0, "", id, false)
			}
			s.takeFacts()
			pods := s.pods().CoreV1().Pods(Namespace)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "iota-dac-0"}, Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{Name: "dac", Image: "dacorch", Env: []corev1.EnvVar{{Name: envInstance, Value: "0"}, {Name: envKind, Value: "Thing"}}}}}}
			if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			s.until("the DAC", func() bool { return s.pics.up[at] && len(s.p.DACs.running("Thing")[0]) == 2 })
			c.before(s)
			if err := pods.Delete(t.Context(), "iota-dac-0", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(patience); len(s.p.DACs.running("Thing")) > 0; { // only now the facts are looked at
				if time.Now().After(deadline) {
					t.Fatal("the DAC does not end")
				}
				<-time.After(time.Millisecond)
			}
			s.until("the pod's end", func() bool { return !s.pics.up[at] && s.podState("Thing", 0) == "Missing" })
			rep := s.report()
			for name, want := range map[string]float64{"instances_replaced": c.replaced, "instances_replaced_needlessly": c.needless} {
				if got, _ := rep.Metric(name); got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
			if n := rep.Invariants[invariant.Facts].Broken; n > 0 {
				t.Errorf("the facts do not fit together: %+v", rep.Violations)
			}
		})
	}
}

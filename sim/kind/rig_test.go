package kind

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/e2e/rig"
	"dacorch/scenarios"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// small is a run of a minute and a half in which much goes wrong.
const small = `
name: small
about: What a rig can play, in little time.
duration: 8m
heal: 5m
kinds:
  - {kind: Thing, resources: 60, initInstances: 3, monitor: 30s, resync: 1m}
churn:
  - {kind: Thing, create: 30/m, delete: 30/m, update: 10/m}
faults:
  - {at: 90s, pod: crash, kind: Thing, instance: 1}
  - {at: 2m, for: 30s, mqtt: lose, chance: 50%}
  - {at: 3m, for: 20s, orchestrator: crash}
  - {at: 4m, for: 20s, database: down}
  - {at: 4m30s, pod: evict, kind: Thing, instance: 2}
expect:
  - violations == 0
`

// onRig skips where nobody wants tests on a rig: they take one that is up.
func onRig(t *testing.T) *scenarios.Scenario {
	t.Helper()
	if os.Getenv("DACORCH_E2E") == "" {
		t.Skip("needs a rig: make up, and DACORCH_E2E=1")
	}
	sc, err := scenarios.Load("small.yaml", strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// TestOnRig plays a scenario on a rig that is up: it ends as it should, and nothing
// is left of it.
func TestOnRig(t *testing.T) {
	sc := onRig(t)
	result, err := Run(t.Context(), sc, Options{TimeScale: 5, Orchestrators: 2, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	rep := result.Report
	if len(rep.Violations) > 0 || len(rep.Pending) > 0 {
		t.Errorf("violations %+v, pending %+v", rep.Violations, rep.Pending)
	}
	for _, note := range rep.Notes {
		if strings.HasPrefix(note, "The rig: ") {
			t.Error(note)
		}
	}
	for name, want := range map[string]float64{"unsettled_end": 0, "resources_unplaced_end": 0, "pods_crashed": 2, "instances": 3} {
		if got, _ := rep.Metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if made, _ := rep.Metric("transactions"); made < 10 {
		t.Errorf("%v transactions were seen", made)
	}
	cleared(t)
}

// TestInterruptedOnRig: a run that is interrupted ends soon, and leaves nothing.
func TestInterruptedOnRig(t *testing.T) {
	sc := onRig(t)
	ctx, interrupt := context.WithTimeout(t.Context(), 20*time.Second)
	defer interrupt()
	if _, err := Run(ctx, sc, Options{Log: t.Output()}); err == nil {
		t.Error("an interrupted run has a result")
	}
	cleared(t)
}

// cleared looks for what a run may have left on the rig.
func cleared(t *testing.T) {
	t.Helper()
	r, err := rig.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &site{rig: r}
	if err := s.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.set.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("namespace %s: %v", namespace, err)
	}
	for _, at := range []string{orchestrationRoot + "Thing" + suffix, ownRoot + "Thing" + suffix, claim} {
		if _, _, err := s.zk.Get(at); !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("ZooKeeper still has %s (%v)", at, err)
		}
	}
	var tables int
	if err := s.db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_tables WHERE tablename LIKE '%`+suffix+`%'`).Scan(&tables); err != nil || tables > 0 {
		t.Errorf("%d tables are left (%v)", tables, err)
	}
}

package kind

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dacorch/e2e/rig"
	"dacorch/scenarios"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// onRig skips where nobody wants tests on a rig: they take one that is up.
func onRig(t *testing.T) *scenarios.Scenario {
	t.Helper()
	if os.Getenv("DACORCH_E2E") == "" {
		t.Skip("needs a rig: make up, and DACORCH_E2E=1")
	}
	file := filepath.Join("..", "..", "e2e", "night.yaml") // which the end-to-end suite plays to its end
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	sc, err := scenarios.Load(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return sc
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

package kind

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"

	"dacorch/e2e/rig"
	"dacorch/scenarios"
	"dacorch/sim/wire"

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

// TestInterruptedOnRig: a run that is interrupted in the midst of it ends soon, and
// leaves nothing.
func TestInterruptedOnRig(t *testing.T) {
	sc := onRig(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	progress := func(p wire.Progress) error {
		if p.Instances > 0 {
			interrupt()
		}
		return ctx.Err()
	}
	ended := make(chan error, 1)
	go func() {
		result, err := Run(ctx, sc, Options{TimeScale: 5, Log: t.Output(), Progress: progress})
		if result != nil {
			t.Error("an interrupted run has a result")
		}
		ended <- err
	}()
	select {
	case <-ctx.Done():
	case err := <-ended:
		t.Fatalf("it ended before it was interrupted: %v", err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("it goes on")
	}
	cleared(t)
}

// TestKilledOnRig: what a run that was killed has left on the rig, the next one
// clears away, whatever kinds it has itself.
func TestKilledOnRig(t *testing.T) {
	onRig(t)
	left := attach(t)
	for _, at := range []string{orchestrationRoot + "Rule" + suffix, ownRoot + "Rule" + suffix, ownRoot + "Rule" + suffix + "/epoch"} {
		if _, err := left.zk.Create(at, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	table := `"Rule` + suffix + wire.HiddenSuffix + `"`
	if _, err := left.db.ExecContext(t.Context(), "CREATE TABLE "+table+" (id text)"); err != nil {
		t.Fatal(err)
	}
	if err := left.rig.StopService(t.Context(), rig.Mosquitto); err != nil {
		t.Fatal(err)
	}
	s, err := openSite(t.Context(), "", []wire.Kind{{Kind: "Thing"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openSite(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "another run has the rig") {
		t.Errorf("beside another run: %v", err)
	}
	s.end()
	if err := s.close(t.Context()); err != nil {
		t.Error(err)
	}
	cleared(t)
}

// attach connects to the rig, beside a run.
func attach(t *testing.T) *site {
	t.Helper()
	r, err := rig.Open("")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{rig: r}
	t.Cleanup(func() {
		if err := errors.Join(s.close(context.WithoutCancel(t.Context())), r.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := s.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// cleared looks for what a run may have left on the rig.
func cleared(t *testing.T) {
	t.Helper()
	s := attach(t)
	if _, err := s.set.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("namespace %s: %v", namespace, err)
	}
	for _, root := range []string{orchestrationRoot, ownRoot} {
		kinds, _, err := s.zk.Children(strings.TrimSuffix(root, "/"))
		if kinds = slices.DeleteFunc(kinds, func(kind string) bool { return !ofRun(kind) }); len(kinds) > 0 || err != nil {
			t.Errorf("%s still has %q (%v)", root, kinds, err)
		}
	}
	if tables, err := s.tables(t.Context()); len(tables) > 0 || err != nil {
		t.Errorf("the tables %q are left (%v)", tables, err)
	}
	status, err := rig.Status(t.Context(), "")
	if err != nil || !status.AllUp() {
		t.Errorf("the rig is not all up: %+v (%v)", status.Parts, err)
	}
	// A session that is there would be resumed by who comes without a clean one.
	for i := range mostOrchestrators {
		id := rig.ClientID(namespace, release, i)
		client := mqtt.NewClient(s.rig.MQTTOptions(rig.UserOrchestrator, id).SetCleanSession(false).SetAutoReconnect(false))
		came := client.Connect().(*mqtt.ConnectToken)
		if came.Wait(); came.Error() != nil || came.SessionPresent() {
			t.Errorf("the broker has a session of %s (%v)", id, came.Error())
		}
		client.Disconnect(0)
	}
	if err := s.clearSessions(t.Context()); err != nil { // those that were just made
		t.Error(err)
	}
}

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestMigration goes by docs/migration.md: the first orchestrator has left a tree
// and pods, and is gone. Ours looks at them in maintenance mode, takes them over as
// they are and works on with them; then the first one comes back, and ours again.
// No pod is made anew, no resource moves, and no node is written without need.
func TestMigration(t *testing.T) {
	t.Parallel()
	k := newKind("Migration", nil)
	ids := names("first", 30)
	w := first(t, k, ids, []firstInstance{{ids[:10], `{"times":0}`}, {ids[10:20], `{}`}, {ids[20:], ""}})
	w.release.Config["zookeeper"] = map[string]any{"sessionTimeout": session, "othersMay": "crdwa"}
	before, nodes := w.runs(k), w.nodes(k)
	o := w.observe(k)

	w.makeControl(k)
	w.comeUp()
	w.looksOn(k)
	w.labelled(k)
	w.insert(k, "brief")
	w.announce(k.created("brief"))
	w.looksOn(k, "1 resources are not yet where they should be")
	w.remove(k, "brief")
	w.announce(k.removed("brief"))
	w.looksOn(k)
	w.sameNodes(k, nodes, "maintenance mode")
	w.maintenanceOff(k)
	w.sameNodes(k, nodes, "taken over")
	w.sameRuns(k, before, "taken over")

	w.insert(k, "new")
	w.announce(k.created("new"))
	for _, id := range []string{ids[0], ids[10], ids[20]} { // of each instance, whatever its _reload
		w.remove(k, id)
		w.announce(k.removed(id))
		w.awaitUnplaced(k, placedWithin, id)
	}
	w.awaitPlaced(k, placedWithin, "new")
	w.verify()
	w.sameRuns(k, before, "a row more and three less")

	w.goBack(k)
	w.sameRuns(k, before, "the way back")
	nodes = w.nodes(k)
	if _, err := w.zk.Set(control(k), []byte(maintenance), -1); err != nil {
		t.Fatal(err)
	}
	w.comeUp()
	w.looksOn(k)
	w.maintenanceOff(k)
	w.verify()
	w.sameNodes(k, nodes, "ours come again")
	w.sameRuns(k, before, "ours come again")
	o.end()
}

// TestMigrationMends: the first orchestrator's lists were wrong, and it has left a
// pod without an instance. What is wrong is put right, and the rest stays as it is.
func TestMigrationMends(t *testing.T) {
	t.Parallel()
	k := newKind("Mends", nil)
	ids := names("first", 30)
	w := first(t, k, ids, []firstInstance{
		{append([]string{"no-such-row"}, ids[:10]...), `{"times":0}`},
		{ids[10:20], `{"times":null}`},
		{append([]string{ids[10]}, ids[20:29]...), `{"times":0}`}, // ids[10] twice, ids[29] nowhere
	})
	if _, err := w.zk.Set(path.Join(treeRoot, k.name, "1"), []byte(`{"used": 3, "count": 11}`), -1); err != nil { // it holds 10
		t.Fatal(err)
	}
	before := w.runs(k)
	w.firstPod(k, 7)
	w.comeUp()
	w.verify() // the pod without an instance has gone
	w.sameRuns(k, before, "taken over")
	for id, on := range w.tree(k).placed() {
		if i := slices.Index(ids, id); id != ids[10] && id != ids[29] && on != i/10 {
			t.Errorf("%s moved from instance %d to %d", id, i/10, on)
		}
	}
}

// comeUp starts ours.
func (w *world) comeUp() {
	w.t.Helper()
	w.release.Values, w.release.NoWait = nil, false
	w.install()
}

// maintenance is the control node's data with which ours begins.
const maintenance = `{"maintenance":true}`

func control(k *kind) string { return path.Join(ownRoot, k.name, "control") }

// makeControl makes the nodes with which ours begins in maintenance mode.
func (w *world) makeControl(k *kind) {
	w.t.Helper()
	rights := append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...)
	for _, node := range []struct{ path, data string }{{path.Dir(control(k)), ""}, {control(k), maintenance}} {
		if _, err := w.zk.Create(node.path, []byte(node.data), 0, rights); err != nil {
			w.t.Fatalf("create %s: %v", node.path, err)
		}
	}
}

// looksOn waits until ours leads in maintenance mode and says that this is pending,
// and nothing else.
func (w *world) looksOn(k *kind, pending ...string) {
	w.t.Helper()
	pending = append([]string{"maintenance mode is on"}, pending...)
	eventually(w.t, settledWithin, "maintenance mode and "+strings.Join(pending[1:], ", "), func(context.Context) error {
		status := w.status(k)
		same := slices.EqualFunc(status.Pending, pending, strings.HasPrefix)
		if !status.Maintenance || !same || len(status.Alarms) != 1 || status.Alarms[0].Code != "maintenance" {
			return fmt.Errorf("maintenance is %v, alarms %v, pending %q", status.Maintenance, status.Alarms, status.Pending)
		}
		return nil
	})
}

// maintenanceOff lets ours work, and waits until nothing is left to do.
func (w *world) maintenanceOff(k *kind) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	if _, err := w.api.SetMaintenance(ctx, k.name, false); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, settledWithin, "nothing to do", func(context.Context) error {
		if status := w.status(k); status.Maintenance || len(status.Alarms)+len(status.Pending) > 0 {
			return fmt.Errorf("maintenance is %v, alarms %v, pending %q", status.Maintenance, status.Alarms, status.Pending)
		}
		return nil
	})
}

// labelled waits until each pod has the labels of one that is ours.
func (w *world) labelled(k *kind) {
	w.t.Helper()
	eventually(w.t, placedWithin, "pods labelled", func(ctx context.Context) error {
		pods, err := w.pods(ctx, k)
		if err != nil {
			return err
		}
		if len(pods) == 0 {
			return errors.New("there are none")
		}
		errs := []error{}
		for id, p := range pods {
			for label, want := range map[string]string{"instanceId": fmt.Sprint(id), "app.kubernetes.io/managed-by": "dacorch",
				"dacorch.io/kind": k.name, "dacorch.io/orchestrator": w.installed.Name} {
				if got := p.Labels[label]; got != want {
					errs = append(errs, fmt.Errorf("pod %s: label %s is %q: want %q", p.Name, label, got, want))
				}
			}
		}
		return errors.Join(errs...)
	})
}

// goBack takes ours away as the guide says, and lets the first one write each node
// and place a row. It raises no times.
func (w *world) goBack(k *kind) {
	w.t.Helper()
	progress, err := w.api.Progress(w.t.Context(), k.name)
	if err != nil || progress.Running {
		w.t.Errorf("progress is %+v, %v: want that nothing runs", progress, err)
	}
	runs, nodes := w.runs(k), w.nodes(k)
	w.helmUninstall()
	w.sameNodes(k, nodes, "ours gone")
	w.sameRuns(k, runs, "ours gone")

	w.firstWrites(k)
	w.insert(k, "meanwhile")
	w.firstPlaces(k, 0, "meanwhile")
}

// helmUninstall removes the release, and nothing that hangs on it: the namespace
// stays. Nobody stands for election then.
func (w *world) helmUninstall() {
	w.t.Helper()
	w.helm("uninstall", w.installed.Name, "--namespace", w.release.Namespace, "--wait", "--timeout", goneWithin.String())
	eventually(w.t, goneWithin, "the orchestrator gone", func(context.Context) error {
		if n := len(w.orchestrators()); n > 0 {
			return fmt.Errorf("%d pods of it are there", n)
		}
		return nil
	})
	// It ends its sessions itself: they would else stay for longer.
	for _, k := range w.kinds {
		eventually(w.t, closedWithin, "the end of its sessions", func(context.Context) error { return w.noSessions(path.Join(ownRoot, k.name)) })
	}
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	sets, err := w.kube.AppsV1().StatefulSets(w.release.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(sets.Items) > 0 {
		w.t.Errorf("%d StatefulSets are left, %v", len(sets.Items), err)
	}
}

// nodes are those of a kind's tree with their data and versions, but for what DACs
// write.
func (w *world) nodes(k *kind) (out map[string]string) {
	w.t.Helper()
	eventually(w.t, callWithin, "the nodes of "+k.name, func(context.Context) error {
		out = map[string]string{}
		return w.addNodes(out, path.Join(treeRoot, k.name))
	})
	return out
}

func (w *world) addNodes(out map[string]string, at string) error {
	data, stat, err := w.zk.Get(at)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	out[at] = fmt.Sprintf("%s, made by %x, version %d", data, stat.Czxid, stat.Version)
	if path.Base(at) == "tmp" {
		return nil
	}
	children, _, err := w.zk.Children(at)
	for _, child := range children {
		err = errors.Join(err, w.addNodes(out, path.Join(at, child)))
	}
	return err
}

// sameNodes fails the case when a node was written since.
func (w *world) sameNodes(k *kind, before map[string]string, what string) {
	w.t.Helper()
	now := w.nodes(k)
	both := maps.Clone(before)
	maps.Copy(both, now)
	for _, at := range slices.Sorted(maps.Keys(both)) {
		if now[at] != before[at] {
			w.t.Errorf("%s: %s was %q and is %q", what, at, before[at], now[at])
		}
	}
}

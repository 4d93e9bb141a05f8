package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"testing"

	"github.com/go-zookeeper/zk"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// TestMigration: the first orchestrator has left a tree and pods (CONTRACT.md), and
// is gone. Ours takes them over as they are: no pod is made anew, no resource moves.
// Then it goes on with them.
func TestMigration(t *testing.T) {
	t.Parallel()
	k := newKind("Migration", nil)
	ids := names("first", 30)
	w := first(t, k, ids, [3][]string{ids[:10], ids[10:20], ids[20:]})
	eventually(t, settledWithin, "the first orchestrator's pods at work", func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		return errors.Join(now.complete(set(ids)), w.podsRight(ctx, k, now))
	})
	before, places := w.runs(k), w.tree(k)
	o := w.observe(k)
	w.takeOver()
	w.sameRuns(k, before, "taken over")
	for id, n := range w.tree(k) {
		was := places[id]
		if !slices.Equal(n.ids, was.ids) || n.count != was.count || n.times != was.times {
			t.Errorf("instance %d: %d of %d, times %d; want as before %d of %d, times %d, in the same order",
				id, len(n.ids), n.count, n.times, len(was.ids), was.count, was.times)
		}
	}
	w.insert(k, "new")
	w.announce(k.created("new"))
	w.remove(k, ids[0])
	w.announce(k.removed(ids[0]))
	w.awaitPlaced(k, placedWithin, "new")
	w.awaitUnplaced(k, placedWithin, ids[0])
	w.verify()
	w.sameRuns(k, before, "a row more and a row less")
	o.end()
}

// TestMigrationMends: the first orchestrator's lists were wrong. What is wrong is put
// right, and the rest stays where it is.
func TestMigrationMends(t *testing.T) {
	t.Parallel()
	k := newKind("Mends", nil)
	ids := names("first", 30)
	w := first(t, k, ids, [3][]string{
		append([]string{"no-such-row"}, ids[:10]...),
		ids[10:20],
		append([]string{ids[10]}, ids[20:29]...), // ids[10] twice, ids[29] nowhere
	})
	if _, err := w.zk.Set(path.Join(treeRoot, k.name, "1"), []byte(`{"used": 3, "count": 11}`), -1); err != nil { // it holds 10
		t.Fatal(err)
	}
	eventually(t, settledWithin, "the first orchestrator's pods at work", func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		return w.podsRight(ctx, k, now)
	})
	before := w.runs(k)
	w.takeOver()
	w.sameRuns(k, before, "taken over")
	for id, on := range w.tree(k).placed() {
		if i := slices.Index(ids, id); id != ids[10] && id != ids[29] && on != i/10 {
			t.Errorf("%s moved from instance %d to %d", id, i/10, on)
		}
	}
}

// first is a world as the first orchestrator leaves it, with these rows and lists.
// Only the namespace and its secrets are ours.
func first(t *testing.T, k *kind, rows []string, lists [3][]string) *world {
	t.Helper()
	w := newWorld(t, k)
	w.insert(k, rows...)
	w.release.Values, w.release.NoWait = map[string]any{"replicaCount": 0}, true
	w.install()
	w.firstTree(k, lists)
	for id := range lists {
		w.firstPod(k, id)
	}
	return w
}

// takeOver starts ours.
func (w *world) takeOver() {
	w.t.Helper()
	w.release.Values, w.release.NoWait = nil, false
	w.install()
	w.verify()
}

func set(ids []string) map[string]bool {
	out := map[string]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out
}

// firstTree writes a kind's nodes as the first orchestrator does: with no owner, and
// _reload never raised.
func (w *world) firstTree(k *kind, lists [3][]string) {
	w.t.Helper()
	root := path.Join(treeRoot, k.name)
	w.makeNode(root, nil)
	for id, list := range lists {
		at := path.Join(root, strconv.Itoa(id))
		w.makeNode(at, map[string]int{"used": len(list), "count": 11})
		w.makeNode(at+"/resources", map[string][]string{"ids": list})
		w.makeNode(at+"/_reload", map[string]int{"times": 0})
		w.makeNode(at+"/tmp", nil)
	}
}

// makeNode makes a node and those above it that are missing.
func (w *world) makeNode(at string, value any) {
	w.t.Helper()
	var data []byte
	if value != nil {
		var err error
		if data, err = json.Marshal(value); err != nil {
			w.t.Fatal(err)
		}
	}
	_, err := w.zk.Create(at, data, 0, zk.WorldACL(zk.PermAll))
	if errors.Is(err, zk.ErrNoNode) && at != "/" {
		w.makeNode(path.Dir(at), nil)
		_, err = w.zk.Create(at, data, 0, zk.WorldACL(zk.PermAll))
	}
	if err != nil {
		w.t.Fatalf("create %s: %v", at, err)
	}
}

// firstPod makes an instance's pod as the first orchestrator does, from the same
// template: its name, one label, the first variable.
func (w *world) firstPod(k *kind, id int) {
	w.t.Helper()
	pod := w.podTemplate(k)
	pod.Name, pod.Namespace = k.pod(id), w.release.Namespace
	pod.Labels = maps.Clone(pod.Labels)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["instanceId"] = strconv.Itoa(id)
	pod.Spec.Containers[0].Env[0].Value = strconv.Itoa(id)
	if _, err := w.kube.CoreV1().Pods(pod.Namespace).Create(w.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// podTemplate is what the release has brought for the kind's pods.
func (w *world) podTemplate(k *kind) *corev1.Pod {
	w.t.Helper()
	var pod corev1.Pod
	eventually(w.t, callWithin, "the template of "+k.instanceName, func(ctx context.Context) error {
		maps, err := w.kube.CoreV1().ConfigMaps(w.release.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, m := range maps.Items {
			if text, there := m.Data[k.instanceName]; there {
				return yaml.Unmarshal([]byte(text), &pod)
			}
		}
		return fmt.Errorf("it stands in none of %d ConfigMaps", len(maps.Items))
	})
	return &pod
}

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
	w := newWorld(t, k)
	ids := names("first", 30)
	w.insert(k, ids...)
	w.release.Values, w.release.NoWait = map[string]any{"replicaCount": 0}, true // the namespace and its secrets
	w.install()
	w.firstTree(k, ids)
	for id := range 3 {
		w.firstPod(k, id)
	}
	eventually(t, settledWithin, "the first orchestrator's pods at work", func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		return errors.Join(now.complete(set(ids)), w.podsRight(ctx, k, now))
	})
	before, places := w.runs(k), w.tree(k)
	o := w.observe(k)

	w.release.Values, w.release.NoWait = nil, false
	w.install()
	w.verify()
	w.sameRuns(k, before, "taken over")
	w.samePlaces(k, places, "taken over")
	for id, n := range w.tree(k) {
		was := places[id]
		if !slices.Equal(n.ids, was.ids) || n.count != was.count {
			t.Errorf("instance %d: %d of %d, want as before %d of %d in the same order", id, len(n.ids), n.count, len(was.ids), was.count)
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

func set(ids []string) map[string]bool {
	out := map[string]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out
}

// firstTree writes a kind's nodes as the first orchestrator does: with no owner, and
// _reload never raised.
func (w *world) firstTree(k *kind, ids []string) {
	w.t.Helper()
	root := path.Join(treeRoot, k.name)
	w.makeNode(root, nil)
	size := len(ids) / 3
	for id := range 3 {
		at := path.Join(root, strconv.Itoa(id))
		w.makeNode(at, map[string]int{"used": size, "count": size + 1})
		w.makeNode(at+"/resources", map[string][]string{"ids": ids[id*size : (id+1)*size]})
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

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
	"time"

	"dacorch/e2e/rig"

	"github.com/go-zookeeper/zk"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// firstInstance is an instance of the first orchestrator's.
type firstInstance struct {
	ids    []string
	reload string // what _reload holds; empty: there is none
}

// first is a world as the first orchestrator leaves it, with these rows and
// instances at work. Only the namespace and its secrets are ours.
func first(t *testing.T, k *kind, rows []string, instances []firstInstance) *world {
	t.Helper()
	w := newWorld(t, k)
	w.insert(k, rows...)
	w.release.Values, w.release.NoWait = map[string]any{"replicaCount": 0}, true
	w.install()
	root := path.Join(treeRoot, k.name)
	w.makeNode(root, nil)
	for id, in := range instances {
		w.firstNodes(path.Join(root, strconv.Itoa(id)), in)
		w.firstPod(k, id)
	}
	eventually(t, settledWithin, "the first orchestrator's pods at work", func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		pods, err := w.pods(ctx, k)
		if err != nil {
			return err
		}
		errs := []error{}
		for id, n := range now {
			errs = append(errs, podWrong(pods[id]))
			if n.times != noReload { // else its DAC has nothing to confirm
				errs = append(errs, n.confirmed(k, id))
			}
		}
		return errors.Join(errs...)
	})
	return w
}

// firstNodes writes an instance's nodes as the first orchestrator does: with no
// owner, and _reload never raised.
func (w *world) firstNodes(at string, in firstInstance) {
	w.t.Helper()
	w.makeNode(at, mustJSON(map[string]int{"used": len(in.ids), "count": 11}))
	w.makeNode(at+"/resources", mustJSON(map[string][]string{"ids": in.ids}))
	if in.reload != "" {
		w.makeNode(at+"/_reload", []byte(in.reload))
	}
	w.makeNode(at+"/tmp", nil)
}

func mustJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // of strings and numbers
	}
	return data
}

// makeNode makes a node and those above it that are missing.
func (w *world) makeNode(at string, data []byte) {
	w.t.Helper()
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

// firstSession is the first orchestrator's: to ZooKeeper it is somebody else than
// ours.
func (w *world) firstSession() *zk.Conn {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	conn, err := w.rig.ConnectZooKeeper(ctx, rig.UserDAC, 10*time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	return conn
}

// firstWrites writes every node of the kind, as it stands.
func (w *world) firstWrites(k *kind) {
	w.t.Helper()
	conn := w.firstSession()
	for _, at := range slices.Sorted(maps.Keys(w.nodes(k))) {
		data, _, err := conn.Get(at)
		if err == nil {
			_, err = conn.Set(at, data, -1)
		}
		if err != nil {
			w.t.Errorf("the first orchestrator may not write %s: %v", at, err)
		}
	}
}

// firstPlaces puts a resource on an instance as the first orchestrator does.
func (w *world) firstPlaces(k *kind, on int, resource string) {
	w.t.Helper()
	at, n := path.Join(treeRoot, k.name, strconv.Itoa(on)), w.tree(k)[on]
	_, err := w.firstSession().Multi(
		&zk.SetDataRequest{Path: at, Version: -1, Data: mustJSON(map[string]int{"used": n.used + 1, "count": n.count})},
		&zk.SetDataRequest{Path: at + "/resources", Version: -1, Data: mustJSON(map[string][]string{"ids": append(n.ids, resource)})})
	if err != nil {
		w.t.Fatalf("place %s on %s: %v", resource, at, err)
	}
}

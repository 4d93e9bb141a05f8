package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dacorch/e2e/rig"
	"dacorch/orchestrator/api"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// world is a case's part of the platform: its namespace, release, kinds and clients.
type world struct {
	*platform
	t         *testing.T
	kinds     []*kind
	release   rig.Release
	installed *rig.Installed
	api       *api.Client // may write
	zk        *zk.Conn
	mqtt      paho.Client
}

// kind is a kind of a case. Its rows are what the database says; here stands only
// which ids are no longer demanded anywhere.
type kind struct {
	name, instanceName string
	settings           map[string]any // of its entry in dacorch.yaml

	mu       sync.Mutex
	released map[string]bool
}

// newKind is a kind with the suite's short times. Settings are those of an entry
// of dacorch.yaml's kinds; nested ones are merged key by key.
func newKind(name string, settings map[string]any) *kind {
	k := &kind{name: name, instanceName: strings.ToLower(name), released: map[string]bool{}}
	k.settings = map[string]any{
		"heartbeat": true,
		"limits":    map[string]any{"initInstances": 3},
		"timings": map[string]any{"heartbeatInterval": heartbeat, "silence": silence, "monitor": monitor,
			"resync": resync, "pending": "60s", "unconfirmed": "30s", "retryMax": "5s"},
	}
	for key, value := range settings {
		into, nested := k.settings[key].(map[string]any)
		if from, ok := value.(map[string]any); ok && nested {
			maps.Copy(into, from)
			continue
		}
		k.settings[key] = value
	}
	return k
}

// release notes ids that are about to be deleted: they may stand nowhere.
func (k *kind) release(ids ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		k.released[id] = true
	}
}

func (k *kind) isReleased(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.released[id]
}

func (k *kind) pod(id int) string { return fmt.Sprintf("%s-%d", k.instanceName, id) }

// newWorld makes a case's tables, clients and release, without installing it. What
// an earlier run of the case left over is removed first.
func newWorld(t *testing.T, kinds ...*kind) *world {
	t.Helper()
	p := open(t)
	w := &world{platform: p, t: t, kinds: kinds, zk: connectZooKeeper(t, p.rig), mqtt: connectMQTT(t, p.rig)}
	name := "e2e-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(strings.TrimPrefix(t.Name(), "Test")))
	w.release = rig.Release{Namespace: name, Config: map[string]any{
		"zookeeper": map[string]any{"sessionTimeout": session},
		"mqtt":      map[string]any{"reconnect": "3s", "keepAlive": "5s"},
		"log":       map[string]any{"level": "debug"},
	}}
	for _, k := range kinds {
		w.release.Kinds = append(w.release.Kinds, rig.ReleaseKind{Kind: k.name, InstanceName: k.instanceName, Settings: k.settings})
	}
	w.sweep(t)
	for _, k := range kinds {
		ctx, done := context.WithTimeout(t.Context(), callWithin)
		err := w.makeTable(ctx, k)
		done()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, k := range kinds {
			if err := errors.Join(w.awaitSessionsGone(k), w.removeTree(k), w.removeGroup(k), w.dropTable(k)); err != nil {
				t.Errorf("left over of %s: %v", k.name, err)
			}
		}
	})
	t.Cleanup(w.uninstall)
	return w
}

// sweep removes what an earlier run left over, and told.
func (w *world) sweep(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(collected(t)); err != nil {
		t.Fatal(err)
	}
	err := w.kube.CoreV1().Namespaces().Delete(t.Context(), w.release.Namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	w.awaitGone(t)
	for _, k := range w.kinds {
		if err := w.removeTree(k); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) awaitGone(t *testing.T) {
	t.Helper()
	err := retry(context.Background(), goneWithin, func(ctx context.Context) error {
		_, err := w.kube.CoreV1().Namespaces().Get(ctx, w.release.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is still there"), err)
	})
	if err != nil {
		t.Errorf("namespace %s: %v", w.release.Namespace, err)
	}
}

// with is the world for a part of the case.
func (w *world) with(t *testing.T) *world {
	part := *w
	part.t = t
	return &part
}

// install installs or upgrades the case's release.
func (w *world) install() {
	w.t.Helper()
	if err := w.tryInstall(w.release); err != nil {
		w.t.Fatalf("install %s: %v", w.release.Namespace, err)
	}
}

func (w *world) tryInstall(release rig.Release) error {
	ctx, done := context.WithTimeout(w.t.Context(), installedWithin)
	defer done()
	in, err := w.rig.Install(ctx, release)
	if err != nil {
		return err
	}
	client, err := in.API(in.Token)
	if err != nil {
		return err
	}
	if w.api != nil {
		w.api.Close()
	}
	w.installed, w.api = in, client
	return nil
}

// uninstall takes the release down, and nothing of it may stay. A case that failed
// tells first what it looked like.
func (w *world) uninstall() {
	if w.t.Failed() {
		w.collect()
	}
	ctx, done := context.WithTimeout(context.Background(), goneWithin)
	defer done()
	if w.api != nil {
		w.api.Close()
	}
	if w.installed == nil { // it never came up
		_ = w.kube.CoreV1().Namespaces().Delete(ctx, w.release.Namespace, metav1.DeleteOptions{})
	} else if err := w.installed.Uninstall(ctx); err != nil {
		w.t.Errorf("uninstall %s: %v", w.release.Namespace, err)
	}
	w.awaitGone(w.t)
	w.forgetSessions()
}

// start is newWorld with rows in every kind, installed and verified: where most
// cases begin.
func start(t *testing.T, rows int, kinds ...*kind) *world {
	t.Helper()
	w := newWorld(t, kinds...)
	for _, k := range kinds {
		w.insert(k, names("first", rows)...)
	}
	w.install()
	w.verify()
	return w
}

// names are ids: a word and a number.
func names(word string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%03d", word, i)
	}
	return out
}

// insert, announce and remove are the data centre's, where the case demands that
// they succeed.
func (w *world) insert(k *kind, ids ...string) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	if err := w.insertRows(ctx, k, "north", ids...); err != nil {
		w.t.Fatalf("insert into %s: %v", k.name, err)
	}
}

// announce publishes until the broker has taken it: twice does no harm.
func (w *world) announce(m message) {
	w.t.Helper()
	eventually(w.t, placedWithin, fmt.Sprintf("publish %+v", m), func(context.Context) error { return w.publish(m) })
}

func (w *world) announceRaw(payload string) {
	w.t.Helper()
	eventually(w.t, placedWithin, fmt.Sprintf("publish %q", payload), func(context.Context) error { return w.publishRaw([]byte(payload)) })
}

func (w *world) remove(k *kind, ids ...string) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), callWithin)
	defer done()
	if err := w.deleteRows(ctx, k, ids...); err != nil {
		w.t.Fatalf("delete from %s: %v", k.name, err)
	}
}

// tree is a kind's tree now.
func (w *world) tree(k *kind) tree {
	w.t.Helper()
	var out tree
	eventually(w.t, callWithin, "read "+k.name+"'s tree", func(ctx context.Context) (err error) {
		out, err = w.read(ctx, k)
		return err
	})
	return out
}

// awaitPlaced waits until the resources stand somewhere, and awaitGoneFrom until they
// stand nowhere.
func (w *world) awaitPlaced(k *kind, within time.Duration, ids ...string) {
	w.t.Helper()
	w.awaitIDs(k, within, true, ids)
}

func (w *world) awaitUnplaced(k *kind, within time.Duration, ids ...string) {
	w.t.Helper()
	w.awaitIDs(k, within, false, ids)
}

func (w *world) awaitIDs(k *kind, within time.Duration, want bool, ids []string) {
	w.t.Helper()
	what := map[bool]string{true: "placed", false: "taken out"}[want]
	eventually(w.t, within, fmt.Sprintf("%s %v %s", k.name, ids, what), func(ctx context.Context) error {
		now, err := w.read(ctx, k)
		if err != nil {
			return err
		}
		owners := now.owners()
		wrong := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return len(owners[id]) > 0 == want })
		if len(wrong) > 0 {
			return fmt.Errorf("not %s: %v", what, wrong)
		}
		return nil
	})
}

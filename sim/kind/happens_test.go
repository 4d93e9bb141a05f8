package kind

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/wire"
	"dacorch/sim/wire/zookeeper"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// TestCaughtUp: who asks is answered once the log was read, and not left waiting
// when nobody reads it any more.
func TestCaughtUp(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	g := &ground{site: &site{ctx: ctx}, following: newFollowing()}
	log, err := zookeeper.FollowLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g.works.Go(func() { g.follow(log) })
	for range 3 {
		if err := g.caughtUp(t.Context()); err != nil {
			t.Error(err)
		}
	}
	end()
	g.works.Wait()
	if err := g.caughtUp(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("when nobody reads: %v", err)
	}
}

// TestEvicted: an eviction is told before the pod's deletion, and once; a pod that
// its orchestrator deletes is not evicted.
func TestEvicted(t *testing.T) {
	var told []string
	kinds := []wire.Kind{{Kind: "Thing", InstanceName: "iota-dac"}}
	g := &ground{dacs: newDACs(kinds, new(heard)), crew: &crew{replicas: 1, ends: newEnds()}, s: wire.Setting{Kinds: kinds, Log: io.Discard, Told: wire.Told{
		Pod:     func(what watch.EventType, _, _ *corev1.Pod) { told = append(told, string(what)) },
		Evicted: func(kind fleet.Kind, id fleet.InstanceID) { told = append(told, string(kind)+" "+id.String()) },
	}}}
	p := &pods{g: g}
	one := func(name string, deleted bool, reason string) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		if deleted {
			pod.DeletionTimestamp = &metav1.Time{}
		}
		if reason != "" {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason}}
		}
		return pod
	}
	const by = "EvictionByEvictionAPI"
	p.happened(nil, one("iota-dac-3", false, ""))
	p.happened(one("iota-dac-3", false, ""), one("iota-dac-3", false, by))
	p.happened(one("iota-dac-3", false, by), one("iota-dac-3", true, by))
	p.happened(one("iota-dac-3", true, by), nil)
	p.happened(nil, one("iota-dac-3", false, ""))
	p.happened(one("iota-dac-3", false, ""), one("iota-dac-3", true, "DeletionByTaintManager"))
	p.happened(nil, one("somebody-else-3", false, by))
	want := []string{"ADDED", "Thing 3", "MODIFIED", "MODIFIED", "DELETED", "ADDED", "MODIFIED", "ADDED"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

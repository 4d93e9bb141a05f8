package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestLeaderKilled: of three replicas the one that leads gets SIGKILL under churn.
// Another takes over, with a higher epoch, before rows have waited long; no DAC
// notices, and the new leader hears what is announced.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	k, told := newKind("Leader", nil), newTold("LeaderTold")
	w := newWorld(t, k, told)
	w.release.Config["zookeeper"] = map[string]any{"sessionTimeout": shortSession}
	w.release.Replicas = 3
	w.insert(k, names("first", 30)...)
	w.install()
	w.verify()
	o, c := w.observe(k), w.stir(k)
	before := w.runs(k)
	leader, epoch := w.leader(k)
	since := time.Now()
	w.signal(leader, "KILL")
	eventually(t, replacedWithin, "another leader", func(ctx context.Context) error {
		status, err := w.api.Status(ctx, k.name)
		if err == nil && (status.Epoch <= epoch || status.Stage != "active") {
			err = fmt.Errorf("epoch %d (before: %d), stage %s", status.Epoch, epoch, status.Stage)
		}
		return err
	})
	t.Logf("led again after %v", took(since))
	w.wentOn(k, o, c, before, "the leader killed")
	w.hears(told)
}

// wentOn ends churn and watch once all is well, and fails the case when a row waited
// too long for its place or a pod was touched.
func (w *world) wentOn(k *kind, o *watch, c *churn, before map[int]run, what string) {
	w.t.Helper()
	w.settledUnderChurn(k)
	committed := c.end()
	w.verify()
	o.end()
	w.promptly(o, committed)
	w.sameRuns(k, before, what)
}

// promptly fails the case when a row waited longer for its place than a change of
// leaders, or the next comparison with the database, may take.
func (w *world) promptly(o *watch, committed map[string]life) {
	w.t.Helper()
	if was := w.tellWaits(o, committed); was.worst > placedWithin {
		w.t.Errorf("%s waited %v for its place: want at most %v", was.id, was.worst, placedWithin)
	}
}

func (w *world) tellWaits(o *watch, committed map[string]life) waits {
	w.t.Helper()
	was := o.waited(committed)
	w.t.Logf("of %d rows %d waited more than %v, %s for the longest, %v; %d were deleted before they were seen anywhere",
		len(committed), was.late, moment, was.id, was.worst.Round(100*time.Millisecond), was.never)
	return was
}

// leader is the pod of the process that leads a kind, and its epoch.
func (w *world) leader(k *kind) (leader *corev1.Pod, epoch int64) {
	w.t.Helper()
	eventually(w.t, settledWithin, "who leads", func(ctx context.Context) error {
		status, err := w.api.Status(ctx, k.name)
		if err != nil {
			return err
		}
		for _, p := range w.orchestrators() {
			if p.Name == status.Leader.Name && status.Stage == "active" {
				leader, epoch = p, status.Epoch
				return nil
			}
		}
		return fmt.Errorf("%q leads: no such pod", status.Leader.Name)
	})
	return leader, epoch
}

// TestRollingUpgrade: a new version of the release replaces both orchestrators one
// after the other, under churn. Rows are placed all the while, and the DACs go on.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	k, told := newKind("Upgrade", nil), newTold("UpgradeTold")
	w := newWorld(t, k, told)
	w.release.Replicas = 2
	w.insert(k, names("first", 30)...)
	w.install()
	w.verify()
	before, places := w.runs(k), w.tree(k) // without rows of the churn, which it deletes again
	o, c := w.observe(k), w.stir(k)
	old := w.orchestrators()
	since := time.Now()
	w.release.Values = map[string]any{"podAnnotations": map[string]any{"e2e.dacorch.io/round": "2"}}
	w.install()
	eventually(t, settledWithin, "only new orchestrators", func(context.Context) error {
		for _, p := range w.orchestrators() {
			for _, was := range old {
				if p.UID == was.UID {
					return fmt.Errorf("pod %s is there still", p.Name)
				}
			}
		}
		return nil
	})
	t.Logf("upgraded after %v", took(since))
	w.wentOn(k, o, c, before, "the orchestrators upgraded")
	w.samePlaces(k, places, "the orchestrators upgraded")
	w.hears(told)
}

// TestRollback: an upgrade to an image that there is not stops at the first replica,
// the other one works on, and helm rollback ends it.
func TestRollback(t *testing.T) {
	t.Parallel()
	k := newKind("Rollback", nil)
	w := newWorld(t, k)
	w.release.Replicas = 2
	w.insert(k, names("first", 30)...)
	w.install()
	w.verify()
	o := w.observe(k)
	before, places := w.runs(k), w.tree(k)
	was := w.orchestrators()

	bad := w.release
	bad.Image, bad.NoWait = "dacorch-rig/dacorch:there-is-no-such-version", true
	bad.Values = map[string]any{"image": map[string]any{"pullPolicy": "Never"}} // no registry is asked for it
	if err := w.tryInstall(bad); err != nil {
		t.Fatalf("upgrade: %v", err)
	}
	eventually(t, settledWithin, "a new pod that cannot start", func(context.Context) error {
		pods := w.orchestrators()
		if !slices.ContainsFunc(pods, imageMissing) {
			return fmt.Errorf("%d pods of the orchestrator, none lacks its image", len(pods))
		}
		return nil
	})
	w.insert(k, "meanwhile")
	w.announce(k.created("meanwhile"))
	w.awaitPlaced(k, placedWithin, "meanwhile")

	w.helm("rollback", w.installed.Name, "1", "--namespace", w.release.Namespace, "--wait", "--timeout", installedWithin.String())
	eventually(t, settledWithin, "the version of before", func(context.Context) error {
		pods := w.orchestrators()
		for _, p := range pods {
			if err := podWrong(p); err != nil {
				return err
			}
			if p.Spec.Containers[0].Image != was[0].Spec.Containers[0].Image {
				return fmt.Errorf("pod %s has image %s", p.Name, p.Spec.Containers[0].Image)
			}
		}
		if len(pods) != len(was) {
			return fmt.Errorf("%d pods of the orchestrator", len(pods))
		}
		return nil
	})
	w.verify()
	w.sameRuns(k, before, "upgrade and rollback")
	w.samePlaces(k, places, "upgrade and rollback")
	o.end()
}

func imageMissing(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == "ErrImageNeverPull"
	})
}

// helm runs the helm program.
func (w *world) helm(args ...string) {
	w.t.Helper()
	ctx, done := context.WithTimeout(w.t.Context(), installedWithin)
	defer done()
	if _, err := w.rig.Helm(ctx, args...); err != nil {
		w.t.Fatal(err)
	}
}

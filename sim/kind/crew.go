package kind

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"dacorch/e2e/rig"
	"dacorch/orchestrator/api"
	"dacorch/sim/wire"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// crew are the run's orchestrators: the replicas of a release.
type crew struct {
	g        *ground
	release  *rig.Installed
	client   *api.Client
	replicas int

	// Those of the last Start, nil before the first; the run's own.
	stopStarting context.CancelFunc
	started      chan struct{} // closed when it is done

	ends
}

const (
	// answerWithin bounds a request to the API server, or a command on the node.
	answerWithin = 20 * time.Second
	// askEvery is how often something is asked for that comes soon, and the shortest
	// wait between two tries at what should not fail, which doubles up to tryEvery.
	askEvery, tryEvery = 50 * time.Millisecond, 5 * time.Second
	// mostOrchestrators bounds the replicas.
	mostOrchestrators = 9
)

// install installs the release, with no replica yet.
func (g *ground) install(ctx context.Context) (*crew, error) {
	rel := rig.Release{Namespace: namespace, Name: release, NoWait: true, Values: map[string]any{"replicaCount": 0},
		Config: map[string]any{"zookeeper": map[string]any{"sessionTimeout": g.s.Session.String()},
			"mqtt": map[string]any{"reconnect": "1s", "keepAlive": "5s"}, "log": map[string]any{"level": "info"}}}
	for _, k := range g.s.Kinds {
		settings := map[string]any{"heartbeat": k.Heartbeat, "groupColumn": "grp"}
		if err := yaml.Unmarshal([]byte("{"+g.s.Entries[k.Kind]+"}"), &settings); err != nil {
			return nil, fmt.Errorf("the configuration of %s: %w", k.Kind, err)
		}
		of := rig.ReleaseKind{Kind: string(k.Kind) + suffix, InstanceName: k.InstanceName, Settings: settings,
			DAC: map[string]string{"IOTA_ZOOKEEPER_SESSION": k.Session.String(), "IOTA_HEARTBEAT_INTERVAL": k.HeartbeatInterval.String()}}
		template, err := g.rig.DACTemplate(of)
		if err != nil {
			return nil, err
		}
		of.Template = failing(template)
		rel.Kinds = append(rel.Kinds, of)
	}
	installed, err := g.rig.Install(ctx, rel)
	if err != nil {
		return nil, err
	}
	c := &crew{g: g, release: installed, replicas: g.s.Orchestrators, ends: newEnds()}
	if c.client, err = installed.API(installed.Token); err != nil {
		return nil, err
	}
	return c, nil
}

// failing has pods fail when their program ends, as those of scenarios do: the
// shipped template has the node start it again in its place, of which the
// orchestrator sees nothing.
func failing(template string) string {
	return strings.Replace(template, "restartPolicy: Always", "restartPolicy: Never", 1)
}

// scale has the release have so many replicas, and answers which generation of the
// StatefulSet that is. It tries until ctx ends: an API server may be slow.
func (c *crew) scale(ctx context.Context, replicas int) (generation int64, err error) {
	for wait := askEvery; ; wait = min(2*wait, tryEvery) {
		if generation, err = c.tryScale(ctx, replicas); err == nil || ctx.Err() != nil {
			return generation, err
		}
		c.g.unseen(err)
		if pause(ctx, wait+rand.N(wait)) != nil {
			return 0, err
		}
	}
}

func (c *crew) tryScale(ctx context.Context, replicas int) (generation int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	patch := `{"spec":{"replicas":` + strconv.Itoa(replicas) + `}}`
	set, err := c.g.set.AppsV1().StatefulSets(namespace).Patch(ctx, release, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return 0, fmt.Errorf("%d orchestrators: %w", replicas, err)
	}
	return set.Generation, nil
}

// names are the pods that the replicas have: a StatefulSet's are numbered.
func (c *crew) names() (names []string) {
	for i := range c.replicas {
		names = append(names, release+"-"+strconv.Itoa(i))
	}
	return names
}

// replica says that a pod is one of theirs.
func (c *crew) replica(pod string) bool { return slices.Contains(c.names(), pod) }

// Start is part of wire.Crew. The run does not wait for the API server.
func (c *crew) Start() error {
	ctx, cancel := context.WithCancel(c.g.ctx)
	started := make(chan struct{})
	c.stopStarting, c.started = cancel, started
	c.want(true)
	c.g.works.Go(func() {
		defer close(started)
		defer cancel()
		_, _ = c.scale(ctx, c.replicas) // what failed is noted
	})
	return nil
}

// Kill is part of wire.Crew. None may hear that it is to end, or be started again
// by its node: so first they stand still, then the cluster is to have none, and
// what it was about to remove is killed.
func (c *crew) Kill() {
	c.endStart()
	c.want(false)
	known := c.known()
	c.askedFor(known)
	err := c.inTime(func(ctx context.Context) error {
		return c.each(known, func(pod *corev1.Pod) error {
			_, err := c.g.rig.SignalPod(ctx, string(pod.UID), "STOP")
			return err
		})
	})
	var there []*corev1.Pod
	wanted := c.inTime(func(ctx context.Context) (err error) {
		there, err = c.none(ctx)
		return err
	})
	c.askedFor(there)
	c.keepLogs(there)
	killed := c.inTime(func(ctx context.Context) error {
		return c.each(there, func(pod *corev1.Pod) error { return c.kill(ctx, pod) })
	})
	if err := errors.Join(err, wanted, killed); err != nil {
		c.g.unseen(fmt.Errorf("killing the orchestrators: %w", err))
	}
}

// endStart ends what the last Start still tries.
func (c *crew) endStart() {
	if c.started != nil {
		c.stopStarting()
		<-c.started
	}
}

// keepLogs keeps the logs of pods that are about to go.
func (c *crew) keepLogs(pods []*corev1.Pod) {
	_ = c.inTime(func(ctx context.Context) error { // a log that cannot be read says so in its place
		return c.each(pods, func(pod *corev1.Pod) error {
			c.keepLog(ctx, pod.Name, false)
			return nil
		})
	})
}

// inTime does a part of a Kill or of the end, so that no part takes the time of the next.
func (c *crew) inTime(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.g.ctx, answerWithin)
	defer cancel()
	return do(ctx)
}

// none has the cluster want no orchestrator, and answers the pods that there still
// are.
func (c *crew) none(ctx context.Context) ([]*corev1.Pod, error) {
	generation, err := c.scale(ctx, 0)
	if err == nil {
		err = c.observed(ctx, generation)
	}
	pods, unknown := c.list(ctx)
	return pods, errors.Join(err, unknown)
}

// observed waits until the cluster acts as a generation of the StatefulSet says.
func (c *crew) observed(ctx context.Context, generation int64) error {
	for {
		set, err := c.g.set.AppsV1().StatefulSets(namespace).Get(ctx, release, metav1.GetOptions{})
		if err != nil || set.Status.ObservedGeneration >= generation {
			return err
		}
		if err := pause(ctx, askEvery); err != nil {
			return fmt.Errorf("the cluster still wants the orchestrators: %w", err)
		}
	}
}

// list asks for the pods that there are, of which the watch may not know yet. If
// nobody answers they are those that it knows.
func (c *crew) list(ctx context.Context) ([]*corev1.Pod, error) {
	all, err := c.g.set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return c.known(), err
	}
	var pods []*corev1.Pod
	for i := range all.Items {
		if c.replica(all.Items[i].Name) {
			pods = append(pods, &all.Items[i])
		}
	}
	return pods, nil
}

// known are the pods that the watch knows of.
func (c *crew) known() (pods []*corev1.Pod) {
	for _, name := range c.names() {
		if pod := c.g.pods.pod(name); pod != nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// each does something to several pods side by side.
func (c *crew) each(pods []*corev1.Pod, do func(pod *corev1.Pod) error) error {
	errs := make([]error, len(pods))
	var all sync.WaitGroup
	for i, pod := range pods {
		all.Go(func() { errs[i] = do(pod) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// kill removes a pod, with its processes, until there are none.
func (c *crew) kill(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	err := c.g.set.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, or another has its name
		err = nil
	}
	for {
		n, failed := c.g.rig.SignalPod(ctx, string(pod.UID), "KILL")
		if failed != nil || n == 0 {
			return errors.Join(err, failed)
		}
		if pause(ctx, askEvery) != nil {
			return errors.Join(err, fmt.Errorf("%s has %d processes that cannot be killed", pod.Name, n))
		}
	}
}

// signal sends the processes of a pod a signal; wire.ErrNotRunning when there are
// none.
func (c *crew) signal(pod types.UID, signal string) error {
	return c.inTime(func(ctx context.Context) error {
		n, err := c.g.rig.SignalPod(ctx, string(pod), signal)
		if err == nil && n == 0 {
			err = wire.ErrNotRunning
		}
		return err
	})
}

// Pause is part of wire.Crew.
func (c *crew) Pause(name string) (resume func(), err error) {
	pod := c.g.pods.pod(name)
	if pod == nil {
		return nil, wire.ErrNotRunning
	}
	c.hold(pod.UID, time.Time{})
	if err := c.signal(pod.UID, "STOP"); err != nil {
		return nil, err
	}
	return func() {
		if err := c.signal(pod.UID, "CONT"); err != nil && !errors.Is(err, wire.ErrNotRunning) {
			c.g.unseen(fmt.Errorf("letting %s go on: %w", name, err))
		}
		c.hold(pod.UID, time.Now())
	}, nil
}

// Gone is part of wire.Crew: the cluster starts again what ends.
func (c *crew) Gone() bool { return false }

// Client is part of wire.Crew.
func (c *crew) Client() *api.Client { return c.client }

// close keeps what the orchestrators have said, and removes the release with all
// pods.
func (c *crew) close(ctx context.Context) error {
	c.endStart()
	c.want(false)
	pods, err := c.list(ctx)
	c.keepLogs(pods)
	c.client.Close()
	return errors.Join(err, c.release.Uninstall(ctx))
}

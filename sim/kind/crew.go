package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	starting chan struct{} // closed when the last Start is done; nil before the first
}

// answerWithin bounds a request to the API server, or a command on the node.
const answerWithin = 20 * time.Second

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
	c := &crew{g: g, release: installed, replicas: g.s.Orchestrators}
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

// scale has the release have so many replicas.
func (c *crew) scale(ctx context.Context, replicas int) error {
	patch := `{"spec":{"replicas":` + strconv.Itoa(replicas) + `}}`
	_, err := c.g.set.AppsV1().StatefulSets(namespace).Patch(ctx, release, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("%d orchestrators: %w", replicas, err)
	}
	return nil
}

// names are the pods that the replicas have: a StatefulSet's are numbered.
func (c *crew) names() (names []string) {
	for i := range c.replicas {
		names = append(names, release+"-"+strconv.Itoa(i))
	}
	return names
}

// Start is part of wire.Crew. The run does not wait for the API server.
func (c *crew) Start() error {
	started := make(chan struct{})
	c.starting = started
	c.g.works.Go(func() {
		defer close(started)
		ctx, cancel := context.WithTimeout(c.g.ctx, answerWithin)
		defer cancel()
		if err := c.scale(ctx, c.replicas); err != nil {
			c.g.unseen(err)
		}
	})
	return nil
}

// Kill is part of wire.Crew: the processes are killed, and their pods removed before
// anybody could start them again.
func (c *crew) Kill() {
	if c.starting != nil {
		<-c.starting
	}
	ctx, cancel := context.WithTimeout(c.g.ctx, answerWithin)
	defer cancel()
	errs := make(chan error, c.replicas)
	for _, name := range c.names() {
		go func() { errs <- c.signal(ctx, name, "KILL") }()
	}
	var all []error
	for range c.replicas {
		if err := <-errs; !errors.Is(err, wire.ErrNotRunning) {
			all = append(all, err)
		}
	}
	all = append(all, c.scale(ctx, 0))
	now := int64(0)
	for _, name := range c.names() {
		err := c.g.set.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		if !apierrors.IsNotFound(err) {
			all = append(all, err)
		}
	}
	if err := errors.Join(all...); err != nil {
		c.g.unseen(fmt.Errorf("killing the orchestrators: %w", err))
	}
}

// signal sends the processes of a pod a signal; wire.ErrNotRunning when there are
// none.
func (c *crew) signal(ctx context.Context, pod, signal string) error {
	there := c.g.pods.pod(pod)
	if there == nil {
		return wire.ErrNotRunning
	}
	n, err := c.g.rig.SignalPod(ctx, string(there.UID), signal)
	if err == nil && n == 0 {
		err = wire.ErrNotRunning
	}
	return err
}

// Pause is part of wire.Crew.
func (c *crew) Pause(name string) (resume func(), err error) {
	if name == "" {
		return nil, wire.ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(c.g.ctx, answerWithin)
	defer cancel()
	if err := c.signal(ctx, name, "STOP"); err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(c.g.ctx, answerWithin)
		defer cancel()
		if err := c.signal(ctx, name, "CONT"); err != nil && !errors.Is(err, wire.ErrNotRunning) {
			c.g.unseen(fmt.Errorf("letting %s go on: %w", name, err))
		}
	}, nil
}

// Gone is part of wire.Crew: the cluster starts again what ends.
func (c *crew) Gone() bool { return false }

// Client is part of wire.Crew.
func (c *crew) Client() *api.Client { return c.client }

// notes tell of orchestrators that have ended by themselves.
func (c *crew) notes() (notes []string) {
	for _, name := range c.names() {
		pod := c.g.pods.pod(name)
		if pod == nil {
			continue
		}
		for _, s := range pod.Status.ContainerStatuses {
			if last := s.LastTerminationState.Terminated; s.RestartCount > 0 && last != nil {
				notes = append(notes, fmt.Sprintf("The cluster has restarted %s %d times, last since it ended with exit code %d (%s).", name, s.RestartCount, last.ExitCode, last.Reason))
			}
		}
	}
	return notes
}

// logLimit bounds what is kept of an orchestrator's log.
const logLimit = 64 << 20

// close keeps what the orchestrators have said, and removes the release with all
// pods.
func (c *crew) close(ctx context.Context, log io.Writer) error {
	for _, name := range c.names() {
		limit := int64(logLimit)
		said, err := c.g.set.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{LimitBytes: &limit}).DoRaw(ctx)
		if err != nil && !apierrors.IsNotFound(err) {
			fmt.Fprintf(log, "the log of %s: %v\n", name, err)
		}
		for line := range strings.Lines(string(said)) {
			fmt.Fprintf(log, "%s %s", name, line)
		}
	}
	c.client.Close()
	return c.release.Uninstall(ctx)
}

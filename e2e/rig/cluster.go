package rig

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/yaml"
)

const (
	// clusterReadyWithin bounds the start of a cluster: about 15 s on an idle
	// machine of two cores, several times as long while services start beside it.
	clusterReadyWithin = 5 * time.Minute
	// pollEvery is how often the state of something that starts is looked at.
	pollEvery = 500 * time.Millisecond
)

// builtinKindConfig is kind-config.yaml as it stands at the root of the source.
//
//go:embed kind-config.yaml
var builtinKindConfig []byte

// kindConfigFile is taken from the working directory when it is there.
const kindConfigFile = "kind-config.yaml"

// kindConfig reads the cluster's configuration and says where it came from.
func kindConfig(file string) (*v1alpha4.Cluster, string, error) {
	data, from := builtinKindConfig, "built in"
	read, err := os.ReadFile(file)
	if file == "" {
		read, err = os.ReadFile(kindConfigFile)
		if errors.Is(err, fs.ErrNotExist) {
			read, err = nil, nil
		} else {
			from = kindConfigFile
		}
	} else {
		from = file
	}
	if err != nil {
		return nil, "", err
	}
	if read != nil {
		data = read
	}
	cfg, err := parseKindConfig(data)
	if err != nil {
		return nil, "", fmt.Errorf("kind's configuration (%s): %w", from, err)
	}
	return cfg, from, nil
}

// configHash tells configurations apart.
func configHash(cfg *v1alpha4.Cluster) string {
	data, err := yaml.Marshal(cfg)
	if err != nil {
		panic(err) // it was read from such text
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:12])
}

func parseKindConfig(data []byte) (*v1alpha4.Cluster, error) {
	cfg := new(v1alpha4.Cluster)
	if err := yaml.UnmarshalStrict(data, cfg); err != nil {
		return nil, err
	}
	if cfg.Kind != "Cluster" || cfg.APIVersion != "kind.x-k8s.io/v1alpha4" {
		return nil, fmt.Errorf("it is %q of %q: want kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4", cfg.Kind, cfg.APIVersion)
	}
	if len(cfg.Nodes) != 1 || cfg.Nodes[0].Role != v1alpha4.ControlPlaneRole && cfg.Nodes[0].Role != "" {
		return nil, fmt.Errorf("it has %d nodes: want one, a control-plane", len(cfg.Nodes))
	}
	return cfg, nil
}

// nodeName is the container of the cluster's only node, as kind calls it.
func nodeName(name string) string { return name + "-control-plane" }

// provider is kind's way to Docker. The network's name goes through the
// environment: kind has no other way.
func provider(s State) (*cluster.Provider, error) {
	if err := os.Setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", s.Network); err != nil {
		return nil, err
	}
	return cluster.NewProvider(cluster.ProviderWithDocker()), nil
}

// ensureCluster makes the cluster, or starts the one that is there, and waits
// until its node is Ready. One that was left half made is made anew.
func (r *Rig) ensureCluster(ctx context.Context, opts Options) (StepState, string, error) {
	cfg, from, err := kindConfig(opts.KindConfig)
	if err != nil {
		return StepFailed, "", err
	}
	p, err := provider(r.state)
	if err != nil {
		return StepFailed, "", err
	}
	made := configHash(cfg)
	state, why, err := r.keepCluster(ctx, p)
	if state == StepThere && r.state.KindConfig != "" && r.state.KindConfig != made {
		why = "kind's configuration (" + from + ") is another than it was made of, and counts after rig down"
	}
	if err != nil || state != "" {
		return state, why, err
	}
	cfg.Name = r.state.Name
	cfg.Nodes[0].Image = r.state.Images.Node
	for i := range cfg.Nodes[0].ExtraPortMappings {
		if m := &cfg.Nodes[0].ExtraPortMappings[i]; m.HostPort > 0 {
			m.HostPort += int32(r.state.PortOffset)
		}
	}
	if r.state.AirGapped {
		cfg.Networking.DisableDefaultCNI = true // the node image brings its own
	}
	// kind knows no context: when ours ends it is left to itself, and the half-made
	// cluster to the next Up or Down.
	created := make(chan error, 1)
	go func() {
		created <- p.Create(r.state.Name, cluster.CreateWithV1Alpha4Config(cfg),
			cluster.CreateWithKubeconfigPath(r.state.Kubeconfig), cluster.CreateWithWaitForReady(clusterReadyWithin))
	}()
	select {
	case err = <-created:
	case <-ctx.Done():
		return StepFailed, "", ctx.Err()
	}
	if err != nil {
		return StepFailed, "", kindError(err)
	}
	node, err := r.docker.ContainerInspect(ctx, nodeName(r.state.Name), client.ContainerInspectOptions{})
	if err != nil {
		return StepFailed, "", err
	}
	r.mu.Lock()
	r.state.Node, r.state.KindConfig = node.Container.ID, made
	r.mu.Unlock()
	if err := errors.Join(r.save(), r.loadKubeconfig()); err != nil {
		return StepFailed, "", err
	}
	note := "kind's configuration: " + from
	if why != "" {
		note = why + "; " + note
	}
	return StepDone, note, r.nodeReady(ctx, time.Time{})
}

// keepCluster keeps a whole cluster of the right image; of another, or one that is
// half made, it removes what is there and says why. An empty state means that
// there is none now.
func (r *Rig) keepCluster(ctx context.Context, p *cluster.Provider) (state StepState, why string, err error) {
	res, err := r.docker.ContainerInspect(ctx, nodeName(r.state.Name), client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return "", "", nil
	case err != nil:
		return StepFailed, "", err
	}
	node := res.Container
	ours, err := r.owns(ctx, node)
	switch {
	case err != nil:
		return StepFailed, "", err
	case !ours:
		return StepFailed, "", fmt.Errorf("a cluster %s is there that no rig made: give the rig another --name, or remove it with kind delete cluster --name %s", r.state.Name, r.state.Name)
	case node.ID != r.state.Node:
		why = "a half-made one was removed"
	case node.Config.Image != r.state.Images.Node:
		why = "one of image " + node.Config.Image + " was removed, with all that ran there"
	default:
		// A stopped node whose network was removed cannot start again.
		on, err := r.onNetwork(ctx, node)
		if err != nil {
			return StepFailed, "", err
		}
		if on {
			return r.resumeCluster(ctx, p, node)
		}
		why = "one whose network was gone was removed, with all that ran there"
	}
	if err = r.unsettled(); err == nil {
		err = kindError(p.Delete(r.state.Name, r.state.Kubeconfig))
	}
	if err == nil {
		err = os.RemoveAll(r.tokens()) // of the releases that ran there
	}
	return "", why, err
}

// onNetwork says whether a node is on the rig's network as it is now: one of the same
// name that was made since is another.
func (r *Rig) onNetwork(ctx context.Context, node container.InspectResponse) (bool, error) {
	res, err := r.docker.NetworkInspect(ctx, r.state.Network, client.NetworkInspectOptions{})
	if err != nil || node.NetworkSettings == nil {
		return true, err // nothing is removed for what is not known
	}
	at := node.NetworkSettings.Networks[r.state.Network]
	return at == nil || at.NetworkID == "" || at.NetworkID == res.Network.ID, nil
}

// resumeCluster starts or thaws the node if need be, and waits until it is Ready.
func (r *Rig) resumeCluster(ctx context.Context, p *cluster.Provider, node container.InspectResponse) (state StepState, why string, err error) {
	state = StepThere
	var since time.Time
	switch {
	case node.State.Paused:
		state, why = StepDone, "it was frozen: goes on"
		_, err = r.docker.ContainerUnpause(ctx, node.ID, client.ContainerUnpauseOptions{})
	case !node.State.Running:
		state, why = StepDone, "it was stopped: started again"
		if _, err = r.docker.ContainerStart(ctx, node.ID, client.ContainerStartOptions{}); err == nil {
			since, err = r.nodeStarted(ctx)
		}
	}
	if err != nil {
		return StepFailed, "", err
	}
	r.mu.Lock()
	r.nodeSince = since
	r.mu.Unlock()
	if err := p.ExportKubeConfig(r.state.Name, r.state.Kubeconfig, false); err != nil {
		return StepFailed, "", kindError(err)
	}
	if err := r.loadKubeconfig(); err != nil {
		return StepFailed, "", err
	}
	return state, why, r.nodeReady(ctx, since)
}

// owns says whether a node is this rig's: the one that was noted, or one on the
// network that the rig has made. Others' clusters may have its name.
func (r *Rig) owns(ctx context.Context, node container.InspectResponse) (bool, error) {
	if node.ID == r.state.Node {
		return true, nil
	}
	if node.NetworkSettings == nil || node.NetworkSettings.Networks[r.state.Network] == nil {
		return false, nil
	}
	res, err := r.docker.NetworkInspect(ctx, r.state.Network, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return res.Network.Labels[rigLabel] == r.state.Name, err
}

// kindError adds what the command that kind ran has written, which its error
// leaves out.
func kindError(err error) error {
	if err == nil {
		return nil
	}
	if run := exec.RunErrorForError(err); run != nil {
		return fmt.Errorf("%w:\n%s", err, lastLines(string(run.Output), 15))
	}
	return err
}

// lastLines are the last n lines of text, indented for an error.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "    " + strings.Join(lines, "\n    ")
}

// nodeReady waits until the API server answers and the node is Ready, and has
// said so after the time since.
func (r *Rig) nodeReady(ctx context.Context, since time.Time) error {
	set, err := kubernetes.NewForConfig(r.rest)
	if err != nil {
		return err
	}
	return await(ctx, clusterReadyWithin, "the cluster's node is Ready", func(ctx context.Context) error {
		return nodesReady(ctx, set, since)
	})
}

// nodesReady says why a node is not Ready.
func nodesReady(ctx context.Context, set kubernetes.Interface, since time.Time) error {
	nodes, err := set.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(nodes.Items) == 0 {
		return errors.New("no node has joined")
	}
	for _, n := range nodes.Items {
		if !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && c.LastHeartbeatTime.After(since)
		}) {
			return fmt.Errorf("node %s has not said that it is Ready", n.Name)
		}
	}
	return nil
}

// namesResolve waits until the cluster's name server answers: a program that asks
// before is told that the services do not exist.
func (r *Rig) namesResolve(ctx context.Context) (StepState, error) {
	set, err := kubernetes.NewForConfig(r.rest)
	if err != nil {
		return StepFailed, err
	}
	r.mu.Lock()
	since := r.nodeSince
	r.mu.Unlock()
	state := StepThere
	err = await(ctx, clusterReadyWithin, "the cluster's name server is ready", func(ctx context.Context) error {
		err := podsRun(ctx, set, "kube-system", "k8s-app=kube-dns", since)
		if err != nil {
			state = StepDone
		}
		return err
	})
	return state, err
}

// podsRun says why none of the selected pods is ready, with containers that all
// started no earlier than since.
func podsRun(ctx context.Context, set kubernetes.Interface, namespace, selector string, since time.Time) error {
	all, err := set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	for _, p := range all.Items {
		if len(p.Status.ContainerStatuses) > 0 && !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
			return !c.Ready || c.State.Running == nil || c.State.Running.StartedAt.Time.Before(since)
		}) {
			return nil
		}
	}
	return fmt.Errorf("none of %s is ready", plural(len(all.Items), "pod", "pods"))
}

// await calls until it answers nil; once time is up the error says what was
// waited for and the last reason.
func await(ctx context.Context, timeout time.Duration, what string, until func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		err := until(within)
		if err == nil {
			return nil
		}
		if within.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-within.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("not within %s: %s: %w", timeout, what, last)
		}
	}
}

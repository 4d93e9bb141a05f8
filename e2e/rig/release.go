package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"dacorch/orchestrator/api"
)

const (
	// releaseReadyWithin bounds an installation: pods start in seconds, several
	// times as long on a machine that is busy with others.
	releaseReadyWithin = 3 * time.Minute
	// reachedWithin is from ready pods to an answer through the node port. After the
	// node was started again they were ready once, and have to come back first.
	reachedWithin = 2 * time.Minute
	// removedWithin bounds the end of a namespace: the orchestrator's grace period,
	// and as long again.
	removedWithin = 2 * time.Minute
)

// A Release is one installation of the chart, in a namespace of its own.
type Release struct {
	Namespace string // made when it is not there
	Name      string // default "dacorch"
	Replicas  int    // default 1
	Kinds     []ReleaseKind
	// Config is merged over the dacorch.yaml that Install makes; nil removes a key.
	Config map[string]any
	Image  string         // of the orchestrator; default the rig's own
	Values map[string]any // of the chart, merged over Install's
	NoWait bool           // return once Kubernetes has taken the release, not when it is ready
	// WrongPassword gives the orchestrator a wrong password for this service.
	WrongPassword ServiceName
}

// id is what the release's Service is called in the cluster.
func (rel Release) id() string { return rel.Namespace + "/" + rel.Name }

// own says whether it is the rig's own, which Up goes on with and Status looks at.
func (rel Release) own() bool { return rel.id() == ownNamespace+"/"+Name }

// A ReleaseKind is a kind that the release orchestrates. Its table must be there,
// or the orchestrator waits for it.
type ReleaseKind struct {
	Kind         string
	InstanceName string            // default that of the configuration: iota-dac for Thing, iota-rules-engine for Rule
	Settings     map[string]any    // merged over the kind's entry in dacorch.yaml; nil removes a key
	DAC          map[string]string // environment of the simulated DAC's pods, over Install's
	Template     string            // a whole pod template (YAML); default the simulated DAC's
}

// An Installed release is reached through the REST interface.
type Installed struct {
	Namespace string
	Name      string
	URL       string // https on loopback
	Token     string // may write
	Read      string // token that may only read
	TokenFile string // holds Token

	rig *Rig
}

// String tells nothing of the tokens.
func (i *Installed) String() string { return i.Name + " in " + i.Namespace + " at " + i.URL }

// Install installs a release, or upgrades the one of this name, and waits until it
// is ready and answers. Tokens, certificate and port of one that is there stay. One
// that fails keeps no port but its Service's, and no new file.
func (r *Rig) Install(ctx context.Context, rel Release) (in *Installed, err error) {
	if rel.Name == "" {
		rel.Name = Name
	}
	if rel.Replicas == 0 {
		rel.Replicas = 1
	}
	if rel.Namespace == "" || len(rel.Kinds) == 0 {
		return nil, errors.New("install: a release needs a Namespace and at least one of Kinds")
	}
	set, err := kubernetes.NewForConfig(r.rest)
	if err != nil {
		return nil, err
	}
	problem := func(err error) error { return fmt.Errorf("install %s in %s: %w", rel.Name, rel.Namespace, err) }
	if err := r.ensureNamespace(ctx, set, rel.Namespace); err != nil {
		return nil, problem(err)
	}
	kept, err := r.ensureReleaseSecrets(ctx, set, rel)
	if err != nil {
		return nil, problem(err)
	}
	in = &Installed{Namespace: rel.Namespace, Name: rel.Name, Token: kept.write, Read: kept.read, rig: r,
		TokenFile: r.TokenFile(rel.Namespace, rel.Name)}
	_, missing := os.Stat(in.TokenFile)
	file := in.TokenFile
	defer func() {
		if err == nil {
			return
		}
		// A Service that was made says itself which port it has.
		r.releasePorts(func(by string) bool { return by == rel.id() })
		if os.IsNotExist(missing) && !rel.own() {
			_ = os.Remove(file) // Down would
		}
	}()
	if err := os.MkdirAll(filepath.Dir(in.TokenFile), 0o700); err != nil {
		return nil, problem(err)
	}
	if err := writePrivate(in.TokenFile, []byte(in.Token+"\n")); err != nil {
		return nil, problem(err)
	}
	for tries := 0; ; tries++ {
		inside, outside, err := r.nodePort(ctx, set, rel)
		if err != nil {
			return nil, problem(err)
		}
		in.URL = "https://" + outside
		values, err := r.values(rel, kept, inside)
		if err != nil {
			return nil, problem(err)
		}
		err = r.upgrade(ctx, set, rel, values)
		if err != nil && tries < 10 && strings.Contains(err.Error(), "provided port is already allocated") {
			continue // another process was quicker
		}
		if err != nil {
			return nil, problem(fmt.Errorf("%w%s", err, diagnose(ctx, set, rel.Namespace)))
		}
		break
	}
	if rel.NoWait {
		return in, nil
	}
	if err := in.answers(ctx); err != nil {
		return nil, problem(fmt.Errorf("%w%s", err, diagnose(ctx, set, rel.Namespace)))
	}
	return in, nil
}

// TokenFile holds the token with which a release may be changed.
func (r *Rig) TokenFile(namespace, name string) string {
	return filepath.Join(r.tokens(), namespace+"."+name)
}

// tokens is the directory of all releases' tokens.
func (r *Rig) tokens() string { return filepath.Join(r.State().Dir, "tokens") }

// API is a client with that token; "" calls as nobody.
func (i *Installed) API(token string) (*api.Client, error) {
	return api.New(api.Config{URL: i.URL, Token: token, TLS: i.rig.TLS()})
}

// answers waits until the release answers through its port and is ready.
func (i *Installed) answers(ctx context.Context) error {
	return await(ctx, reachedWithin, i.URL+" answers", i.health)
}

// health says why the release does not answer, or is not ready.
func (i *Installed) health(ctx context.Context) error {
	c, err := i.API(i.Token)
	if err != nil {
		return err
	}
	defer c.Close()
	h, err := c.Health(ctx)
	if err == nil && !h.Ready {
		err = errors.New("it is not ready")
	}
	return err
}

// Uninstall removes the release and its namespace with all pods, and waits until
// they are gone. Tables and ZooKeeper's tree stay.
func (i *Installed) Uninstall(ctx context.Context) error {
	set, err := kubernetes.NewForConfig(i.rig.rest)
	if err != nil {
		return err
	}
	i.rig.releasePorts(func(by string) bool { return strings.HasPrefix(by, i.Namespace+"/") })
	if err := os.Remove(i.TokenFile); err != nil && !os.IsNotExist(err) {
		return err
	}
	err = await(ctx, removedWithin, "namespace "+i.Namespace+" is gone", func(ctx context.Context) error {
		err := set.CoreV1().Namespaces().Delete(ctx, i.Namespace, metav1.DeleteOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil || apierrors.IsConflict(err):
			return errors.New("it is still there")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("uninstall %s: %w", i.Name, err)
	}
	return nil
}

// ensureNamespace makes the namespace; one that is on its way out is waited for.
func (r *Rig) ensureNamespace(ctx context.Context, set kubernetes.Interface, name string) error {
	return await(ctx, removedWithin, "namespace "+name+" is there", func(ctx context.Context) error {
		_, err := set.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{rigLabel: r.State().Name}}}, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		there, err := set.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err == nil && there.DeletionTimestamp != nil {
			err = errors.New("the one of before is still being removed")
		}
		return err
	})
}

// nodePort chooses the node port of a release's Service, and answers the address
// of this machine that leads there.
func (r *Rig) nodePort(ctx context.Context, set kubernetes.Interface, rel Release) (inside int32, outside string, err error) {
	mapped, err := r.mappedPorts(ctx)
	if err != nil {
		return 0, "", err
	}
	services, err := set.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ports == nil {
		r.ports = map[int32]string{}
	}
	port, err := choosePort(mapped, services.Items, r.ports, rel)
	if err != nil {
		return 0, "", err
	}
	r.ports[port] = rel.id()
	return port, mapped[port], nil
}

// choosePort takes the port that the release has, or one that is free: the first of
// all for the rig's own release, another for others. given are those of this
// process whose Services may not be there yet.
func choosePort(mapped map[int32]string, services []corev1.Service, given map[int32]string, rel Release) (int32, error) {
	taken := map[int32]string{}
	maps.Copy(taken, given)
	for _, s := range services {
		for _, p := range s.Spec.Ports {
			if p.NodePort == 0 {
				continue
			}
			taken[p.NodePort] = s.Namespace + "/" + s.Name
			if mapped[p.NodePort] != "" && taken[p.NodePort] == rel.id() {
				return p.NodePort, nil
			}
		}
	}
	for n, port := range sortedPorts(mapped) {
		if by := taken[port]; (n == 0) == rel.own() && (by == "" || by == rel.id()) {
			return port, nil
		}
	}
	var by []string
	for _, port := range slices.Sorted(maps.Keys(taken)) {
		if mapped[port] != "" {
			by = append(by, fmt.Sprintf("%d by %s", port, taken[port]))
		}
	}
	return 0, fmt.Errorf("no node port is left of the %d that lead to this machine, of which the first is for the rig's own release: taken are %s; uninstall one, or map more in %s and make the rig anew",
		len(mapped), strings.Join(by, ", "), kindConfigFile)
}

// releasePorts gives back the ports of those who are gone.
func (r *Rig) releasePorts(gone func(by string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.ports, func(_ int32, by string) bool { return gone(by) })
}

// diagnose tells of pods that are not ready, with their last words, for an error.
func diagnose(ctx context.Context, set kubernetes.Interface, namespace string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	pods, err := set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return ""
	}
	var b strings.Builder
	told := 0
	for _, p := range pods.Items {
		why := notReady(&p)
		if why == "" {
			continue
		}
		if told++; told > 3 {
			continue
		}
		fmt.Fprintf(&b, "\n  pod %s: %s", p.Name, why)
		tail := int64(12)
		log, err := set.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: &tail}).DoRaw(ctx)
		if err == nil && len(log) > 0 {
			b.WriteString(", its last lines:\n" + lastLines(string(log), 12))
		}
	}
	if told > 3 {
		fmt.Fprintf(&b, "\n  and %d pods more", told-3)
	}
	return b.String()
}

// notReady says why a pod is not ready; "" when it is.
func notReady(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.Ready:
		case c.State.Waiting != nil:
			return strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": ")
		case c.State.Terminated != nil:
			return fmt.Sprintf("ended with exit code %d (%s)", c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		default:
			return fmt.Sprintf("not ready, restarted %d times", c.RestartCount)
		}
	}
	if p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodSucceeded {
		return ""
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return string(p.Status.Phase) + ": " + c.Message
		}
	}
	return string(p.Status.Phase)
}

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"dacorch/deploy"
)

// Helm runs the helm program against the rig's cluster and answers what it wrote to
// standard output: the one on the PATH, or in the source tree the one that go.mod
// pins.
func (r *Rig) Helm(ctx context.Context, args ...string) (string, error) {
	r.mu.Lock()
	program := r.helm
	r.mu.Unlock()
	if program == "" {
		var err error
		if program, err = helmProgram(ctx); err != nil {
			return "", err
		}
		r.mu.Lock()
		r.helm = program
		r.mu.Unlock()
	}
	state := r.State()
	verb := strings.Join(args[:min(1, len(args))], "")
	cmd := exec.CommandContext(ctx, program, append(args, "--kubeconfig", state.Kubeconfig)...)
	endsWithContext(cmd)
	own := filepath.Join(state.Dir, "helm") // nothing of a rig stands elsewhere
	// The caller's own settings name other clusters, namespaces and stores.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "HELM_") || strings.HasPrefix(v, "KUBECONFIG=")
	})
	cmd.Env = append(cmd.Env, "HELM_CACHE_HOME="+own, "HELM_CONFIG_HOME="+own, "HELM_DATA_HOME="+own)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("helm %s: %w:\n%s", verb, err, lastLines(problem.String(), 10))
	}
	return string(out), nil
}

// helmProgram finds helm. The one that go.mod pins is built and then run without
// "go tool", which ends well when its tool is killed.
func helmProgram(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("helm"); err == nil {
		return path, nil
	}
	tree, err := sourceTree()
	if err != nil {
		return "", errNoHelm
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", errNoHelm
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "helm")
	cmd.Dir = tree
	endsWithContext(cmd)
	var problem strings.Builder
	cmd.Stderr = &problem
	path, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("go tool helm: %w:\n%s", err, lastLines(problem.String(), 10))
	}
	return strings.TrimSpace(string(path)), nil
}

var errNoHelm = errors.New("the chart is installed with helm, which is not on the PATH: install Helm 3 or 4 (helm.sh/docs/intro/install), or run this in dacorch's source tree, which pins one")

// upgrade writes the chart and runs helm upgrade --install.
func (r *Rig) upgrade(ctx context.Context, set kubernetes.Interface, rel Release, values map[string]any) error {
	if err := unlock(ctx, set, rel); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(r.State().Dir, "chart-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	chart, file := filepath.Join(dir, "dacorch"), filepath.Join(dir, "values.yaml")
	if err := deploy.WriteChart(chart); err != nil {
		return err
	}
	data, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	args := []string{"upgrade", "--install", rel.Name, chart, "--namespace", rel.Namespace, "--values", file}
	if !rel.NoWait {
		args = append(args, "--wait", "--timeout", releaseReadyWithin.String())
	}
	_, err = r.Helm(ctx, args...)
	return err
}

// unlock removes what an interrupted helm left, which otherwise refuses to go on:
// its note that an operation is under way.
func unlock(ctx context.Context, set kubernetes.Interface, rel Release) error {
	return set.CoreV1().Secrets(rel.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{
		LabelSelector: "owner=helm,name=" + rel.Name + ",status in (pending-install,pending-upgrade,pending-rollback)"})
}

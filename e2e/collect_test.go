package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// logBytes bounds what is kept of a container's log: its end.
const logBytes = 4 << 20

// collected is where a case that failed tells what it looked like.
func collected(t *testing.T) string {
	return filepath.Join(cmp.Or(os.Getenv("DACORCH_E2E_OUT"), filepath.Join("..", "bin", "e2e")), filepath.FromSlash(t.Name()))
}

// collect writes what a case that failed looked like. It is done before anything is
// taken down, and its own failures fail nothing: it keeps what it gets.
func (w *world) collect() {
	dir := collected(w.t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Logf("nothing is collected: %v", err)
		return
	}
	ctx, done := context.WithTimeout(context.Background(), collectWithin)
	defer done()
	c := collector{w: w, dir: dir}
	c.pods(ctx)
	c.answers(ctx)
	for _, k := range w.kinds {
		c.write("zookeeper-"+k.name+".txt", []byte(c.nodes(treeRoot+"/"+k.name)+c.nodes(ownRoot+"/"+k.name)))
		rows, err := w.rows(ctx, k)
		c.write("rows-"+k.name+".txt", fmt.Appendf(nil, "%d rows\n%v\n%v\n", len(rows), rows, err))
	}
	w.t.Logf("what it looked like stands in %s", dir)
}

type collector struct {
	w   *world
	dir string
}

// write adds to a file.
func (c collector) write(name string, data []byte) {
	f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		c.w.t.Logf("%s is not collected: %v", name, err)
	}
}

// pods keeps the namespace's pods, their logs, and its events.
func (c collector) pods(ctx context.Context) {
	core := c.w.kube.CoreV1()
	namespace := c.w.release.Namespace
	pods, err := core.Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		c.write("pods.txt", []byte(err.Error()))
		return
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		p.ManagedFields = nil
		text, err := yaml.Marshal(p)
		c.write("pod-"+p.Name+".yaml", fmt.Appendf(text, "# %v\n", err))
		for _, container := range p.Spec.Containers {
			for _, previous := range []bool{true, false} {
				c.log(ctx, p, container.Name, previous)
			}
		}
	}
	events, err := core.Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		c.write("events.txt", []byte(err.Error()))
		return
	}
	for _, e := range events.Items {
		c.write("events.txt", fmt.Appendf(nil, "%s %s/%s %s ×%d: %s\n", e.LastTimestamp.Format("15:04:05"),
			e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Count, e.Message))
	}
}

func (c collector) log(ctx context.Context, p *corev1.Pod, container string, previous bool) {
	limit := int64(logBytes)
	stream, err := c.w.kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, LimitBytes: &limit, Timestamps: true}).Stream(ctx)
	if err != nil { // most have no previous one
		return
	}
	defer stream.Close()
	data, err := io.ReadAll(stream)
	name := "log-" + p.Name
	if previous {
		name += "-previous"
	}
	if err != nil {
		data = fmt.Appendf(data, "\n%v\n", err)
	}
	c.write(name+".txt", data)
}

// answers keeps what the REST interface says.
func (c collector) answers(ctx context.Context) {
	if c.w.api == nil {
		return
	}
	health, err := c.w.api.Health(ctx)
	c.write("rest.txt", fmt.Appendf(nil, "health: %+v %v\n", health, err))
	for _, k := range c.w.kinds {
		status, err := c.w.api.Status(ctx, k.name)
		c.write("rest.txt", fmt.Appendf(nil, "status of %s: %+v %v\n", k.name, status, err))
		instances, err := c.w.api.Instances(ctx, k.name)
		c.write("rest.txt", fmt.Appendf(nil, "instances of %s: %v\n", k.name, err))
		for _, in := range instances.Instances {
			text, _ := yaml.Marshal(in)
			c.write("rest.txt", append(text, '\n'))
		}
	}
}

// nodes are those from at on, with their data.
func (c collector) nodes(at string) string {
	data, stat, err := c.w.zk.Get(at)
	if err != nil {
		return fmt.Sprintf("%s: %v\n", at, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s version=%d mzxid=%d owner=%x %s\n", at, stat.Version, stat.Mzxid, stat.EphemeralOwner, data)
	children, _, err := c.w.zk.Children(at)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		fmt.Fprintf(&b, "%s: %v\n", at, err)
	}
	for _, child := range children {
		b.WriteString(c.nodes(path.Join(at, child)))
	}
	return b.String()
}

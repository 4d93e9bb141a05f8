package kubernetes_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"dacorch/sim/wire/kubernetes"
)

// exchange is one request of kubectl's, and what must come back.
type exchange struct {
	command      string
	method, path string
	header       http.Header
	body         string
	status       string
	media        string // "-" for any
	want         []string
}

func transcript(t *testing.T) []exchange {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "kubectl.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	command := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "":
		case "#":
			command = rest
		case "GET", "POST", "PUT", "PATCH", "DELETE":
			all = append(all, exchange{command: command, method: word, path: rest, header: http.Header{}})
		case "Accept:", "Content-Type:":
			all[len(all)-1].header.Set(strings.TrimSuffix(word, ":"), rest)
		case "body":
			all[len(all)-1].body = rest
		case "->":
			all[len(all)-1].status, all[len(all)-1].media, _ = strings.Cut(rest, " ")
		case "want":
			all[len(all)-1].want = append(all[len(all)-1].want, rest)
		default:
			t.Fatalf("testdata/kubectl.txt: cannot read %q", line)
		}
	}
	return all
}

func hello(ctx context.Context, pod *corev1.Pod, log io.Writer) error {
	fmt.Fprintln(log, "hello from", pod.Name)
	<-ctx.Done()
	return nil
}

var (
	versionIn = regexp.MustCompile(`"resourceVersion":"(\d+)"`)
	uidIn     = regexp.MustCompile(`"kind":"Pod".*?"uid":"([^"]+)"`)
)

// TestTranscriptOfKubectl replays what kubectl sent, so that it need not be
// there. What the kubelet has yet to do is waited for by asking again.
func TestTranscriptOfKubectl(t *testing.T) {
	s := start(t, kubernetes.Config{Nodes: 2, Events: true, Runner: &program{run: hello}})
	place := map[string]string{"{uid}": "", "{version}": "0"}
	for _, x := range transcript(t) {
		until := time.Now().Add(deadline)
		for {
			problem := x.replay(t, s, place)
			if problem == "" {
				break
			}
			if x.method != http.MethodGet || time.Now().After(until) {
				t.Fatalf("%s\n%s %s: %s", x.command, x.method, x.path, problem)
			}
		}
		if strings.HasPrefix(x.command, "kubectl apply -f pod.yaml") && x.method == http.MethodPost {
			await(t, client(t, s), "iota-dac-0", "running", running)
		}
	}
}

func (x exchange) replay(t *testing.T, s *kubernetes.Server, place map[string]string) (problem string) {
	t.Helper()
	path, body := x.path, x.body
	for mark, value := range place {
		path, body = strings.ReplaceAll(path, mark, value), strings.ReplaceAll(body, mark, value)
	}
	r, err := http.NewRequestWithContext(within(t), x.method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = x.header
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if status := fmt.Sprint(a.StatusCode); status != x.status {
		text, _ := io.ReadAll(a.Body)
		return fmt.Sprintf("status %s, not %s: %s", status, x.status, text)
	}
	if x.media == "-" {
		return "" // a watch has no end
	}
	if media := a.Header.Get("Content-Type"); !strings.HasPrefix(media, x.media) {
		return fmt.Sprintf("media type %s, not %s", media, x.media)
	}
	text, err := io.ReadAll(a.Body)
	if err != nil {
		return err.Error()
	}
	for _, want := range x.want {
		if !bytes.Contains(text, []byte(want)) {
			return fmt.Sprintf("no %s in %s", want, text)
		}
	}
	if m := versionIn.FindSubmatch(text); m != nil {
		place["{version}"] = string(m[1])
	}
	if m := uidIn.FindSubmatch(text); m != nil {
		place["{uid}"] = string(m[1])
	}
	return ""
}

const manifest = `apiVersion: v1
kind: Pod
metadata: {name: iota-dac-0, namespace: iota, labels: {app: %s}}
spec:
  containers:
  - {name: dac, image: "dac:1", env: [{name: INSTANCE, value: "0"}]}
`

// TestKubectl asks kubectl itself, where there is one.
func TestKubectl(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("kubectl is not installed")
	}
	secure, err := kubernetes.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, kubernetes.Config{Nodes: 2, Events: true, Runner: &program{run: hello}, TLS: secure, Token: "hush"})
	home := t.TempDir()
	config := filepath.Join(home, "config")
	if err := s.WriteKubeconfig(config); err != nil {
		t.Fatal(err)
	}
	kubectl := func(stdin, want string, args ...string) {
		t.Helper()
		c := exec.CommandContext(within(t), "kubectl", append([]string{"-n", namespace}, args...)...)
		c.Env = []string{"HOME=" + home, "KUBECONFIG=" + config, "PATH=" + os.Getenv("PATH")}
		c.Stdin = strings.NewReader(stdin)
		out, err := c.CombinedOutput()
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Fatalf("kubectl %v: %v; not %s:\n%s", args, err, want, out)
		}
	}
	first, second := fmt.Sprintf(manifest, "dac"), fmt.Sprintf(manifest, "dac2")
	kubectl(first, `pod/iota-dac-0 created`, "apply", "-f", "-")
	kubectl("", `condition met`, "wait", "--for=condition=Ready", "pod/iota-dac-0", "--timeout=20s")
	kubectl("", `NAME +READY +STATUS +RESTARTS +AGE\niota-dac-0 +1/1 +Running +0 `, "get", "pods")
	kubectl("", `(?s)INSTANCE: +0.*Successfully assigned iota/iota-dac-0`, "describe", "pod", "iota-dac-0")
	kubectl("", `hello from iota-dac-0`, "logs", "iota-dac-0")
	kubectl(first, `unchanged`, "apply", "-f", "-")
	kubectl(second, `configured`, "apply", "-f", "-")
	kubectl(second, `^pod/iota-dac-0 serverside-applied\n$`, "apply", "--server-side", "-f", "-")
	kubectl(second, `serverside-applied`, "apply", "--server-side", "-f", "-")
	kubectl("", `app=dac2`, "get", "pods", "--show-labels")
	kubectl("", `250m +64Mi`, "top", "pods")
	kubectl("", `drained`, "drain", "node-0", "--force")
	kubectl("", `SchedulingDisabled`, "get", "nodes")
	kubectl(first, `created|configured`, "apply", "-f", "-")
	kubectl("", `deleted`, "delete", "pod", "iota-dac-0")
	kubectl("", `No resources found`, "get", "pods")
}

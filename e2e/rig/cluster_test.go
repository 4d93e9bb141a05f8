package rig

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestKindConfigAtTheRootIsTheOneBuiltIn(t *testing.T) {
	root, err := os.ReadFile(filepath.Join("..", "..", kindConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(root, builtinKindConfig) {
		t.Error("kind-config.yaml and e2e/rig/kind-config.yaml differ: copy one over the other")
	}
}

func TestKindConfigLeadsToLoopbackAlone(t *testing.T) {
	cfg, err := parseKindConfig(builtinKindConfig)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(cfg.Nodes[0].ExtraPortMappings); n != 10 {
		t.Errorf("%d ports, want 10", n)
	}
	for i, m := range cfg.Nodes[0].ExtraPortMappings {
		if m.ListenAddress != "127.0.0.1" || m.ContainerPort != 30080+int32(i) || m.HostPort != 18080+int32(i) {
			t.Errorf("port %d is %+v", i, m)
		}
	}
}

func TestKindConfigComesFromTheNearestPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, from, err := kindConfig(""); err != nil || from != "built in" {
		t.Errorf("from %q, %v", from, err)
	}
	if err := os.WriteFile(kindConfigFile, builtinKindConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, from, err := kindConfig(""); err != nil || from != kindConfigFile {
		t.Errorf("from %q, %v", from, err)
	}
	if err := os.WriteFile("other.yaml", []byte("kind: Cluster\nnodse: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := kindConfig("other.yaml")
	holds(t, err, "other.yaml", `unknown field "nodse"`)
	if _, _, err := kindConfig("missing.yaml"); err == nil {
		t.Error("a file that is not there is no error")
	}
	_, err = Up(t.Context(), Options{KindConfig: "missing.yaml"})
	holds(t, err, "missing.yaml")
}

func TestKindConfigIsHeldToOneNode(t *testing.T) {
	head := "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
	for config, want := range map[string]string{
		"": "want kind: Cluster",
		"kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha3\n": "v1alpha4",
		head:                                "it has 0 nodes",
		head + "nodes:\n  - role: worker\n": "want one, a control-plane",
		head + "nodes:\n  - role: control-plane\n  - role: control-plane\n": "it has 2 nodes",
		"\t": "found character",
	} {
		_, err := parseKindConfig([]byte(config))
		holds(t, err, want)
	}
}

func FuzzKindConfig(f *testing.F) {
	f.Add(builtinKindConfig)
	f.Add([]byte("nodes: 3"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parseKindConfig(data)
		if (cfg == nil) == (err == nil) || err == nil && len(cfg.Nodes) != 1 {
			t.Errorf("%+v, %v", cfg, err)
		}
	})
}

func TestSignalsAndPodsAreChecked(t *testing.T) {
	r := &Rig{}
	_, err := r.SignalPod(t.Context(), "x; reboot", "STOP")
	holds(t, err, "is no pod's uid")
	_, err = r.SignalPod(t.Context(), "0b1c7d1e-6f0a-4b7e-9d55-3a1f0d0c2b11", "stop; reboot")
	holds(t, err, "is no signal")
}

// TestPodsOfBeforeTheRestartDoNotCount: the API server knows them as they were.
func TestPodsOfBeforeTheRestartDoNotCount(t *testing.T) {
	began := time.Now()
	pod := func(name string, ready bool, started time.Time) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "here", Name: name}, Status: corev1.PodStatus{
			ContainerStatuses: []corev1.ContainerStatus{{Ready: ready, State: corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}}}}}}
	}
	set := fake.NewClientset(pod("before", true, began.Add(-time.Second)), pod("starting", false, began.Add(time.Second)))
	holds(t, podsRun(t.Context(), set, "here", "", began), "none of 2 pods is ready")
	must(t, podsRun(t.Context(), set, "here", "", time.Time{}))
	_, err := set.CoreV1().Pods("here").Create(t.Context(), pod("after", true, began), metav1.CreateOptions{})
	must(t, err)
	must(t, podsRun(t.Context(), set, "here", "", began))
}

func TestLastLines(t *testing.T) {
	if got := lastLines("a\nb\nc\n", 2); got != "    b\n    c" {
		t.Errorf("%q", got)
	}
	if got := lastLines(strings.Repeat("x\n", 3), 9); strings.Count(got, "x") != 3 {
		t.Errorf("%q", got)
	}
}

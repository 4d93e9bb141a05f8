package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

// A standIn is a Docker daemon that says what it is told to say. What it was not
// told of is not there.
type standIn struct {
	mu    sync.Mutex
	says  map[string]string // by method and path: JSON, or the code of a failure
	asked []string
	hear  func(request string) // of each request; may be nil
}

var apiVersion = regexp.MustCompile(`^/v[0-9.]+`)

func (d *standIn) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	asked := req.Method + " " + apiVersion.ReplaceAllString(req.URL.Path, "")
	d.mu.Lock()
	d.asked = append(d.asked, asked)
	says, known := d.says[asked]
	d.mu.Unlock()
	if d.hear != nil {
		d.hear(asked)
	}
	w.Header().Set("Content-Type", "application/json")
	code := http.StatusOK
	switch {
	case strings.HasSuffix(asked, " /_ping"):
		w.Header().Set("Api-Version", "1.41")
	case !known:
		code, says = http.StatusNotFound, `{"message": "none is there"}`
	case len(says) == 3:
		_, _ = fmt.Sscan(says, &code)
		says = `{"message": "refused with ` + says + `"}`
	}
	w.WriteHeader(code)
	fmt.Fprint(w, says)
}

// withStandIn has the test's Docker be a stand-in, and a docker program that finds
// nothing.
func withStandIn(t *testing.T, says map[string]string) *standIn {
	t.Helper()
	d := &standIn{says: says}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_HOST", "tcp://"+server.Listener.Addr().String())
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	return d
}

// kept is a rig that is up, as its file says.
func kept(t *testing.T) *Rig {
	t.Helper()
	inCache(t)
	r := &Rig{}
	must(t, r.prepareState(Options{Name: "try", AirGapped: true, PortOffset: new(1000)}))
	r.state.Node, r.state.Up = "node-1", true
	must(t, os.MkdirAll(r.state.Dir, 0o700))
	must(t, r.save())
	return r
}

// connected is kept with the stand-in.
func connected(t *testing.T, says map[string]string) (*Rig, *standIn) {
	t.Helper()
	d := withStandIn(t, says)
	r := kept(t)
	var err error
	r.docker, err = connectDocker(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = r.docker.Close() })
	return r, d
}

// onSocket has the stand-in be a daemon of this machine.
func onSocket(t *testing.T, r *Rig, d *standIn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // short, as the path of a socket has to be
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	must(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: d}}
	server.Start()
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_HOST", "unix://"+l.Addr().String())
	r.docker, err = connectDocker(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = r.docker.Close() })
}

// given are options of images that the stand-in has, but those of the services.
func given(says map[string]string, o Options) Options {
	o.Name, o.NoInstall = "try", true
	o.Images.Dacorch, o.Images.DAC = "own/dacorch:1", "own/dac:1"
	for _, image := range []string{"own/dacorch:1", "own/dac:1"} {
		says["GET /images/"+image+"/json"] = `{"Id": "sha256:1"}`
	}
	return o
}

// TestMistakesOfAFirstUpAreNotKept: the next one begins anew, with other options.
func TestMistakesOfAFirstUpAreNotKept(t *testing.T) {
	inCache(t)
	says := map[string]string{"GET /info": `{"Architecture": "x86_64"}`}
	withStandIn(t, says)
	fails := func(o Options, parts ...string) {
		t.Helper()
		_, err := Up(t.Context(), given(says, o))
		holds(t, err, parts...)
		var step *StepError
		if errors.As(err, &step) && !step.Unchanged {
			t.Errorf("%v: it says that something was made", err)
		}
		if _, err := os.Stat(filepath.Join(os.Getenv("DACORCH_CACHE"), "rig", "try")); !os.IsNotExist(err) {
			t.Errorf("it is kept: %v", err)
		}
		if _, err := Status(t.Context(), "try"); err != ErrNotUp {
			t.Errorf("the status is %v", err)
		}
	}
	fails(Options{AirGapped: true, PortOffset: new(5)}, "images: 5 images are not on this machine: dacorch-rig/node", "--air-gapped=false")
	fails(Options{}, "images: 5 images are not on this machine: kindest/node")
	fails(Options{Images: Images{Kafka: "typo:1"}}, "typo:1 was named by --image or DACORCH_RIG_IMAGES", "There are two ways")
	published := DefaultImages()
	for _, f := range published.fields() {
		says["GET /images/"+*f.ref+"/json"] = `{}`
	}
	fails(Options{Images: Images{Kafka: "typo:1"}}, "1 image is not on this machine: typo:1", "see that the name is right")
	fails(Options{PortOffset: new(-1)}, "port offset -1: want 0 to 12000")
	fails(Options{PortOffset: new(12001)}, "want 0 to 12000")
	fails(Options{AirGapped: true, Published: true}, "want one of them")
	fails(Options{Binary: "x"}, "leave out --binary")

	_, err := Up(t.Context(), Options{Name: "try", NoInstall: true})
	holds(t, err, "program: ", "the running program", "GOARCH=amd64", "--binary bin/dacorch-linux")
}

// TestMistakesOfALaterUpChangeNothing: the rig runs on, and its file says so.
func TestMistakesOfALaterUpChangeNothing(t *testing.T) {
	says := map[string]string{"GET /info": `{}`}
	r, _ := connected(t, says)
	before := r.State()
	for part, o := range map[string]Options{
		"typo:1":                          {Images: Images{Kafka: "typo:1"}},
		"kindest/node":                    {Published: true},
		"has the port offset 1000 until ": {PortOffset: new(0)},
	} {
		_, err := Up(t.Context(), given(says, o))
		holds(t, err, part)
		after, err := readState("try")
		must(t, err)
		same(t, after, before)
	}
}

func TestPortsThatAreTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	if held := notFree([]string{l.Addr().String(), "127.0.0.1:0", "nonsense"}); len(held) != 2 ||
		held[0] != l.Addr().String()+" (address already in use)" || !strings.Contains(held[1], "nonsense") {
		t.Errorf("taken are %q", held)
	}
	r, _ := connected(t, map[string]string{})
	if at := r.otherPorts(); !strings.Contains(at, "take this one down") {
		t.Errorf("of a rig that is kept: %s", at)
	}
	r.state.Name = "another"
	if at := r.otherPorts(); !strings.HasPrefix(at, "give this one others") {
		t.Errorf("of a new rig: %s", at)
	}
}

func TestNetworkHasTheMTUOfTheUsualOne(t *testing.T) {
	masquerade := "com.docker.network.bridge.enable_ip_masquerade"
	same(t, networkOptions(nil), map[string]string{masquerade: "true"})
	same(t, networkOptions(map[string]string{"com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.name": "docker0"}),
		map[string]string{masquerade: "true", "com.docker.network.driver.mtu": "1400"})
}

// TestClaim: what one has claimed another gets once it was given back.
func TestClaim(t *testing.T) {
	r, _ := connected(t, map[string]string{})
	held, err := r.Claim("sim")
	must(t, err)
	if _, err := r.Claim("sim"); !errors.Is(err, ErrClaimed) {
		t.Errorf("claimed twice: %v", err)
	}
	must(t, held.Close())
	held, err = r.Claim("sim")
	must(t, err)
	must(t, held.Close())
}

// TestMovedRig: a rig's directory is where it was read, whatever its file says.
func TestMovedRig(t *testing.T) {
	r, _ := connected(t, map[string]string{})
	moved := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(moved, "rig"), 0o700))
	must(t, os.Rename(r.state.Dir, filepath.Join(moved, "rig", "try")))
	t.Setenv("DACORCH_CACHE", moved)
	s, err := readState("try")
	must(t, err)
	want, err := newState("try")
	must(t, err)
	same(t, []string{s.Dir, s.Kubeconfig, s.CAFile, s.Node}, []string{want.Dir, want.Kubeconfig, want.CAFile, "node-1"})
}

// TestRigOfAnotherCacheIsLeftAlone, while it is there.
func TestRigOfAnotherCacheIsLeftAlone(t *testing.T) {
	there := t.TempDir()
	says := map[string]string{"GET /networks/try": fmt.Sprintf(`{"Labels": {%q: "try", %q: %q}}`, rigLabel, directoryLabel, there)}
	r, d := connected(t, says)
	holds(t, r.ofAnother(t.Context()), "is kept in "+there) // this Docker may be another machine's, as is the directory
	onSocket(t, r, d)
	must(t, r.ofAnother(t.Context())) // nothing is kept there
	must(t, os.WriteFile(filepath.Join(there, stateFile), nil, 0o600))
	holds(t, r.ofAnother(t.Context()), "is kept in "+there, "DACORCH_CACHE", "another rig beside it")
	holds(t, Down(t.Context(), "try", nil), "is kept in "+there)
	for _, asked := range d.asked {
		if strings.HasPrefix(asked, "DELETE") {
			t.Error(asked)
		}
	}
	if _, err := os.Stat(r.state.file()); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(filepath.Join(there, stateFile)))
	must(t, os.Link(r.state.file(), filepath.Join(there, stateFile)))
	must(t, r.ofAnother(t.Context())) // the same by another path
}

// TestClusterOfANetworkThatIsGone cannot start: it is made anew.
func TestClusterOfANetworkThatIsGone(t *testing.T) {
	node := func(network string) string {
		return fmt.Sprintf(`{"Id": "node-1", "State": {"Running": false}, "Config": {"Image": %q},
			"NetworkSettings": {"Networks": {"try": {"NetworkID": %q}}}}`, AirGappedImages().Node, network)
	}
	says := map[string]string{
		"GET /containers/try-control-plane/json": node("old"),
		"GET /networks/try":                      `{"Id": "new"}`,
	}
	r, d := connected(t, says)
	token := r.TokenFile("iota", "dacorch")
	must(t, os.MkdirAll(filepath.Dir(token), 0o700))
	must(t, os.WriteFile(token, nil, 0o600))
	p, err := provider(r.state)
	must(t, err)
	state, why, err := r.keepCluster(t.Context(), p)
	if err != nil || state != "" || !strings.Contains(why, "network was gone") {
		t.Errorf("%q, %q, %v", state, why, err)
	}
	if _, err := os.Stat(token); !os.IsNotExist(err) {
		t.Errorf("the token of a release that was there: %v", err)
	}
	if s, err := readState("try"); err != nil || s.Up {
		t.Errorf("it counts as whole while it is made anew (%v)", err)
	}
	d.mu.Lock()
	says["GET /containers/try-control-plane/json"] = node("new")
	says["POST /containers/node-1/start"] = "500"
	d.mu.Unlock()
	_, _, err = r.keepCluster(t.Context(), p)
	holds(t, err, "refused with 500") // it was to be started
}

// TestNodeStartedByDockersClock, which may differ from this machine's.
func TestNodeStartedByDockersClock(t *testing.T) {
	says := map[string]string{"GET /containers/try-control-plane/json": `{"State": {"StartedAt": "2001-02-03T04:05:06.789Z"}}`}
	r, _ := connected(t, says)
	started, err := r.nodeStarted(t.Context())
	if err != nil || !started.Equal(time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)) {
		t.Errorf("%v, %v", started, err)
	}
	says["GET /containers/try-control-plane/json"] = `{"State": {"StartedAt": "soon"}}`
	_, err = r.nodeStarted(t.Context())
	holds(t, err, "soon")
}

// TestDownKeepsTheWayInUntilNothingIsLeft, whether something cannot be removed or
// somebody interrupts it.
func TestDownKeepsTheWayInUntilNothingIsLeft(t *testing.T) {
	says := map[string]string{
		"GET /containers/try-control-plane/json": "500",
		"GET /containers/json":                   `[]`,
		"GET /volumes":                           `{}`,
		"GET /images/json":                       `[]`,
	}
	r, d := connected(t, says)
	stays := func(err error, part string) {
		t.Helper()
		holds(t, err, part)
		if s, err := readState("try"); err != nil || s.Up || s.Node != "node-1" {
			t.Errorf("kept is %+v, %v", s, err)
		}
	}
	stays(Down(t.Context(), "try", nil), "cluster: ")

	delete(says, "GET /containers/try-control-plane/json")
	ctx, cancel := context.WithCancel(t.Context())
	d.hear = func(asked string) {
		if asked == "GET /containers/json" {
			cancel()
		}
	}
	stays(Down(ctx, "try", nil), "context canceled")

	d.hear = nil
	must(t, Down(t.Context(), "try", nil))
	if left, err := os.ReadDir(filepath.Dir(r.state.Dir)); err != nil || len(left) > 0 {
		t.Errorf("left is %v, %v", left, err)
	}
}

// TestContainerOfAnImageOfTheRig has its labels, and is somebody else's.
func TestContainerOfAnImageOfTheRig(t *testing.T) {
	says := map[string]string{
		"GET /containers/json": fmt.Sprintf(`[{"Id": "1", "Names": ["/try-kafka"], "Labels": {%q: "try"}},
			{"Id": "2", "Names": ["/mine"], "Labels": {%q: "try", %q: "dac"}}]`, rigLabel, rigLabel, madeLabel),
		"GET /volumes": `{}`, "DELETE /containers/1": ``, "DELETE /containers/2": ``,
	}
	r, _ := connected(t, says)
	removed, err := r.removeContainers(t.Context())
	must(t, err)
	same(t, removed, []string{"try-kafka"})
}

// TestImageThatSomebodyUses stays, and is named.
func TestImageThatSomebodyUses(t *testing.T) {
	says := map[string]string{
		"GET /images/json":                   `[{"RepoTags": ["dacorch-rig/dac:one", "dacorch-rig/dac:two", "dacorch-rig/dac:three", "own/dac:1"]}]`,
		"DELETE /images/dacorch-rig/dac:one": "409", "DELETE /images/dacorch-rig/dac:two": `[]`,
	}
	r, _ := connected(t, says)
	removed, err := r.removeMade(t.Context(), "dacorch-rig/dac:three")
	same(t, removed, []string{"dacorch-rig/dac:two"})
	holds(t, err, "dacorch-rig/dac:one is used by a container", "docker ps -a --filter ancestor=dacorch-rig/dac:one")
	if !errdefs.IsConflict(err) {
		t.Error("Up takes it for a failure")
	}
	says["DELETE /images/dacorch-rig/dac:one"] = "500"
	if _, err := r.removeMade(t.Context()); err == nil || errdefs.IsConflict(err) {
		t.Errorf("the error is %v", err)
	}
}

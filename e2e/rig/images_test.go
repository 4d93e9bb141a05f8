package rig

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dacorch/deploy"
)

func TestImagesArePinnedInEveryFlavour(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9][0-9.]*(@sha256:[0-9a-f]{64})?$`)
	for flavour, images := range map[string]Images{"published": DefaultImages(), "air-gapped": AirGappedImages()} {
		for _, f := range images.fields() {
			if made := f.name == "dacorch" || f.name == "dac"; made != (*f.ref == "") || !made && !pinned.MatchString(*f.ref) {
				t.Errorf("%s: %s is %q", flavour, f.name, *f.ref)
			}
		}
		for _, name := range ServiceNames {
			if images.Of(name) == "" {
				t.Errorf("%s: nothing for %s", flavour, name)
			}
		}
	}
}

// The names are also those that e2e/airgap/build gives, and the node's own files are of
// the kind that runs them.
func TestAirGappedImagesAreThoseThatAreBuilt(t *testing.T) {
	read := func(path ...string) []byte {
		data, err := os.ReadFile(filepath.Join(append([]string{".."}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	kind := regexp.MustCompile(`(?m)^\s*(?:require )?sigs\.k8s\.io/kind (v\S+)`).FindSubmatch(read("..", "go.mod"))
	if kind == nil {
		t.Fatal("go.mod does not require sigs.k8s.io/kind")
	}
	images := AirGappedImages()
	versions := read("airgap", "versions")
	for key, ref := range map[string]string{"KUBERNETES": images.Node, "ZOOKEEPER": images.ZooKeeper, "KAFKA": images.Kafka,
		"MOSQUITTO": images.Mosquitto, "POSTGRES": images.PostgreSQL, "KIND": "go.mod's kind:" + string(kind[1])} {
		_, tag, _ := strings.Cut(ref, ":")
		if !regexp.MustCompile(`(?m)^` + key + `=` + regexp.QuoteMeta(tag) + `(?:\s|$)`).Match(versions) {
			t.Errorf("%s: e2e/airgap/versions does not say %s=%s", ref, key, tag)
		}
	}
}

// What the build finds on the PATH instead of the real ones: compilers and downloads
// that take for ever, and a debootstrap that ends once they have begun.
var buildStubs = map[string]string{
	"go":      `[ "$1" != env ] || exit 0; touch "$STUBS/compiles"; sleep 1000 & sleep 1000`,
	"mvn":     `touch "$STUBS/downloads"; sleep 1000`,
	"docker":  `[ "$1" = version ]`,
	"apt-get": `. /etc/os-release; echo "$VERSION_CODENAME http://127.0.0.1/debian"`,
	"id":      `echo 0`,
	"debootstrap": `until [ -e "$STUBS/compiles" ] && [ -e "$STUBS/downloads" ]; do sleep 0.05; done
		[ "$INTERRUPT" = "" ] || kill -INT 0
		echo "no such mirror"; exit 1`,
}

// TestBuildEndsWhole: a build that fails or is interrupted leaves nobody at work, who
// would keep the next one waiting, and makes no image of half a file system.
func TestBuildEndsWhole(t *testing.T) {
	if release, err := os.ReadFile("/etc/os-release"); err != nil || !strings.Contains("\n"+string(release), "\nID=debian\n") {
		t.Skip("the images are built on Debian")
	}
	stubs := t.TempDir()
	for name, script := range buildStubs {
		if err := os.WriteFile(filepath.Join(stubs, name), []byte("#!/bin/bash\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		interrupt string
		code      int
		says      string
	}{{"", 1, "no such mirror"}, {"yes", 130, "base ..."}} {
		cache := t.TempDir()
		build := exec.CommandContext(t.Context(), filepath.Join("..", "airgap", "build"))
		build.Env = append(os.Environ(), "PATH="+stubs+":"+os.Getenv("PATH"), "DACORCH_CACHE="+cache, "STUBS="+cache,
			"INTERRUPT="+test.interrupt, "AIRGAP_NODE_SETUP=")
		var out bytes.Buffer
		build.Stdout, build.Stderr = &out, &out
		endsWithContext(build)
		if err := build.Run(); build.ProcessState == nil || build.ProcessState.ExitCode() != test.code || !strings.Contains(out.String(), test.says) {
			t.Errorf("interrupted %q: it ends with %v, want exit code %d and %q:\n%s", test.interrupt, err, test.code, test.says, &out)
		}
		if err := exec.CommandContext(t.Context(), "flock", "--timeout", "60", filepath.Join(cache, "airgap", "lock"), "true").Run(); err != nil {
			t.Errorf("interrupted %q: somebody works on: %v", test.interrupt, err)
		}
	}
}

func TestImagesAreOverridden(t *testing.T) {
	var o Options
	if err := errors.Join(o.Images.Set("kafka", "mirror/kafka:4"), o.Images.Set("dac", "own:1")); err != nil {
		t.Fatal(err)
	}
	want := DefaultImages()
	want.Kafka, want.DAC = "mirror/kafka:4", "own:1"
	same(t, o.wanted(), want)
	holds(t, o.Images.Set("kafak", "x"), `"kafak=x"`, "NAME=IMAGE", "node, zookeeper, kafka")
	holds(t, o.Images.Set("kafka", ""), "NAME=IMAGE")
}

func TestMissingImagesNameBothWays(t *testing.T) {
	cause := errors.New("connection refused")
	for _, err := range []error{&MissingImagesError{Images: []string{"a:1", "b:2"}, Cause: cause}, &MissingImagesError{Images: []string{"a:1"}, AirGapped: true}} {
		holds(t, err, "not on this machine: a:1", "rig images --air-gapped", "registry", "rig up")
	}
	holds(t, &MissingImagesError{Images: []string{"a:1"}, Cause: cause}, "1 image is", "connection refused")
}

func TestTableNamesImagesWithoutDocker(t *testing.T) {
	inCache(t)
	t.Setenv("DOCKER_HOST", "unix:///nowhere")
	table, err := ImageTable(t.Context(), Options{AirGapped: true})
	if err == nil || len(table) != 5 || table[0] != (ImageStatus{Name: "node", Image: AirGappedImages().Node}) {
		t.Errorf("the table is %+v, %v", table, err)
	}
}

func TestExecutableMustBeAStaticDacorch(t *testing.T) {
	_, err := executable("", "x86_64")
	holds(t, err, "the running program", "it is dacorch/e2e/rig.test", "--binary")
	_, err = executable(filepath.Join(t.TempDir(), "none"), "x86_64")
	holds(t, err, "none cannot go into the images")
}

func TestBuildContextHoldsProgramAndDockerfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := buildContext(&out, file); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(data)
		if h.Name == "bin/dacorch" && h.Mode != 0o755 {
			t.Errorf("the program's mode is %o", h.Mode)
		}
	}
	same(t, got, map[string]string{"Dockerfile": string(deploy.Dockerfile), "bin/dacorch": "program"})
	first, err := contentTag(file)
	if err != nil || len(first) != 12 {
		t.Fatalf("the tag is %q, %v", first, err)
	}
	if err := os.WriteFile(file, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if second, err := contentTag(file); err != nil || second == first {
		t.Errorf("another program's tag is %q, %v", second, err)
	}
}

func TestLinesAreHandedOnWhole(t *testing.T) {
	var got []string
	w := &lineWriter{say: func(line string) { got = append(got, line) }}
	for _, part := range []string{"a", "b\nc\n", "\nd"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	w.flush()
	same(t, got, []string{"ab", "c", "", "d"})
}

func TestSourceTreeIsFoundFromBelow(t *testing.T) {
	tree, err := sourceTree()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tree, "e2e", "rig", "rig.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	_, err = sourceTree()
	holds(t, err, "is not in dacorch's source tree")
	holds(t, BuildImages(t.Context(), func(string) {}), "e2e/airgap/build", "source tree")
}

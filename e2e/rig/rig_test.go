package rig

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// inCache gives the test a cache directory of its own.
func inCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DACORCH_CACHE", dir)
	return dir
}

// holds fails unless the error says every one of parts.
func holds(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %q: want it to say %q", err, part)
		}
	}
}

// same fails unless both values are equal.
func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestNameIsFitForContainersAndPaths(t *testing.T) {
	for name, want := range map[string]string{"": Name, "a": "a", "try-2": "try-2"} {
		if got, err := checkName(name); err != nil || got != want {
			t.Errorf("checkName(%q) = %q, %v: want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"A", "-a", "a-", "a/b", "../a", "a b", strings.Repeat("a", 31), "é"} {
		_, err := checkName(name)
		holds(t, err, "want 1 to 30 of a-z")
	}
}

func TestDirectoryIsBelowTheCache(t *testing.T) {
	dir := inCache(t)
	s, err := newState("try")
	if err != nil || s.Dir != filepath.Join(dir, "rig", "try") {
		t.Fatalf("the directory is %q, %v", s.Dir, err)
	}
}

func TestStateIsReadAsItWasWritten(t *testing.T) {
	inCache(t)
	s, err := newState("try")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readState("try"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without a file the error is %v", err)
	}
	s.Services[Kafka] = Service{Name: Kafka, Image: "kafka:1", Outside: "127.0.0.1:1", Inside: "kafka:2", User: "u", Password: "secret"}
	s.Images, s.AirGapped, s.Node, s.Up = AirGappedImages(), true, "abc", true
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (&Rig{state: s}).save(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.file())
	if err != nil || bytes.Contains(data, []byte("secret")) {
		t.Fatalf("the file holds a password, or %v", err)
	}
	got, err := readState("try")
	want := s
	want.Services = map[ServiceName]Service{Kafka: {Name: Kafka, Image: "kafka:1", Outside: "127.0.0.1:1", Inside: "kafka:2", User: "u"}}
	if err != nil || !reflect.DeepEqual(want, got) {
		t.Errorf("written %+v, read %+v, %v", want, got, err)
	}
	if err := os.WriteFile(s.file(), []byte(`{"name": 3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = readState("try")
	holds(t, err, "is damaged", "rig down")
}

func TestOpenSaysThatNoneIsUp(t *testing.T) {
	inCache(t)
	if _, err := Open(""); !errors.Is(err, ErrNotUp) {
		t.Errorf("the error is %v, want ErrNotUp", err)
	}
	s, err := newState(Name)
	if err == nil {
		err = os.MkdirAll(s.Dir, 0o700)
	}
	if err == nil {
		err = (&Rig{state: s}).save()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open("")
	holds(t, err, "is not whole", "rig up goes on")
	r := kept(t)
	must(t, r.unsettled())
	_, err = Open("try")
	holds(t, err, "is not whole", "rig up --name try goes on")
}

func TestWithoutDockerErrorsSayWhatToDo(t *testing.T) {
	inCache(t)
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	_, up := Up(t.Context(), Options{NoInstall: true})
	_, status := Status(t.Context(), "")
	for what, err := range map[string]error{"up": up, "status": status, "down": Down(t.Context(), "", nil)} {
		var none *NoDockerError
		if !errors.As(err, &none) || none.Do == "" {
			t.Errorf("%s: the error is %v", what, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err := Status(t.Context(), "")
	holds(t, err, "docker program is not on the PATH", "install Docker")

	holds(t, noDocker("unix:///d", os.ErrPermission), "usermod -aG docker")
	holds(t, noDocker("unix:///d", errors.New("no such file")), "no Docker daemon answers at unix:///d", "systemctl start docker")
	holds(t, noDocker("tcp://h:1", context.DeadlineExceeded), "did not answer within")
}

func TestDockerHostThatCannotBe(t *testing.T) {
	inCache(t)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	t.Setenv("DOCKER_HOST", "what")
	_, err := Status(t.Context(), "")
	holds(t, err, `DOCKER_HOST="what"`, "unix:///path")
}

func TestOneUpAtATime(t *testing.T) {
	inCache(t)
	s, err := newState("try")
	if err != nil {
		t.Fatal(err)
	}
	first, err := lock(s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = lock(s)
	holds(t, err, "another dacorch rig up or down is at work on try")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lock(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestStepsTellBeginAndEnd(t *testing.T) {
	var told []Step
	s := &steps{tell: func(s Step) { s.Took = 0; told = append(told, s) }}
	if err := s.run("a", func() (StepState, string, error) { return StepThere, "kept", nil }); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no room")
	err := s.run("b", noNote(func() (StepState, error) { return StepDone, cause }))
	var failed *StepError
	if !errors.As(err, &failed) || failed.Step != "b" || !errors.Is(err, cause) {
		t.Errorf("the error is %v", err)
	}
	if err := s.run("c", noNote(func() (StepState, error) { return "", context.Canceled })); err == nil {
		t.Error("an interrupted step is no error")
	}
	want := []Step{{Name: "a", State: StepBegun}, {Name: "a", State: StepThere, Note: "kept"},
		{Name: "b", State: StepBegun}, {Name: "b", State: StepFailed},
		{Name: "c", State: StepBegun}, {Name: "c", State: StepFailed, Note: "interrupted"}}
	same(t, told, want)
}

func TestStepsBesideOneAnotherTellEveryError(t *testing.T) {
	s := &steps{}
	fails := func(text string) func() (StepState, string, error) {
		return func() (StepState, string, error) { return "", "", errors.New(text) }
	}
	err := s.beside(map[string]func() (StepState, string, error){"x": fails("one"), "y": fails("two"),
		"z": func() (StepState, string, error) { return StepDone, "", nil }})
	holds(t, err, "x: one", "y: two")
}

func TestAwaitTellsTheLastReason(t *testing.T) {
	err := await(t.Context(), time.Nanosecond, "the sun rises", func(context.Context) error { return errors.New("it is night") })
	holds(t, err, "not within 1ns", "the sun rises", "it is night")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(ctx, time.Hour, "", func(ctx context.Context) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt the error is %v", err)
	}
}

func TestPortsAreBesideAnotherRigs(t *testing.T) {
	inCache(t)
	r := &Rig{}
	if err := r.prepareState(Options{Name: "try", PortOffset: new(1000)}); err != nil {
		t.Fatal(err)
	}
	if at := r.state.Services[ZooKeeper].Outside; at != "127.0.0.1:13281" {
		t.Errorf("ZooKeeper is at %s", at)
	}
}

func TestWhatARigKeeps(t *testing.T) {
	inCache(t)
	fresh := &Rig{}
	if err := fresh.prepareState(Options{Name: "try", AirGapped: true}); err != nil {
		t.Fatal(err)
	}
	if fresh.state.Images != AirGappedImages() || !fresh.state.AirGapped {
		t.Fatalf("a new rig is of %+v", fresh.state.Images)
	}
	if err := os.MkdirAll(fresh.state.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fresh.save(); err != nil {
		t.Fatal(err)
	}
	again := &Rig{}
	if err := again.prepareState(Options{Name: "try", Images: Images{Kafka: "mine:1"}}); err != nil {
		t.Fatal(err)
	}
	want := AirGappedImages()
	want.Kafka = "mine:1"
	if again.state.Images != want || !again.state.AirGapped {
		t.Errorf("brought up again without --air-gapped it is of %+v", again.state.Images)
	}
	if err := again.prepareState(Options{Name: "try", Published: true}); err != nil {
		t.Fatal(err)
	}
	if again.state.Images != DefaultImages() || again.state.AirGapped {
		t.Errorf("with --air-gapped=false it is of %+v", again.state.Images)
	}
}

// TestClusterKeepsItsConfiguration: to give it another is an error, not nothing.
func TestClusterKeepsItsConfiguration(t *testing.T) {
	r := kept(t)
	file := filepath.Join(t.TempDir(), "kind.yaml")
	again := func(config string) error {
		must(t, os.WriteFile(file, []byte(config), 0o600))
		return (&Rig{}).prepareState(Options{Name: "try", KindConfig: file})
	}
	other := strings.Replace(string(builtinKindConfig), "18089", "18189", 1)
	must(t, again(other)) // what it was made of is not known
	cfg, err := parseKindConfig(builtinKindConfig)
	must(t, err)
	r.state.KindConfig = configHash(cfg)
	must(t, r.save())
	must(t, again("# another comment\n"+string(builtinKindConfig)))
	holds(t, again(other), file, "until the rig is taken down", "leave --kind-config out")
	r.state.Node = ""
	must(t, r.save())
	must(t, again(other)) // none is whole
}

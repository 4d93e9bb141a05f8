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
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Images are the names of all images that a rig is made of. DefaultImages pins
// them in one place.
type Images struct {
	Node       string `json:"node"`
	ZooKeeper  string `json:"zookeeper"`
	Kafka      string `json:"kafka"`
	Mosquitto  string `json:"mosquitto"`
	PostgreSQL string `json:"postgres"`
	Dacorch    string `json:"dacorch"` // made here: the orchestrator
	DAC        string `json:"dac"`     // made here: the simulated DAC
}

// DefaultImages are the images that a rig takes from registries, pinned. Up names
// the two that it makes after what is in them, unless they are given.
func DefaultImages() Images {
	return Images{
		Node:       "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5", // kind v0.33.0's
		ZooKeeper:  "zookeeper:3.8.4",
		Kafka:      "apache/kafka:4.2.0",
		Mosquitto:  "eclipse-mosquitto:2.0.22",
		PostgreSQL: "postgres:15.14",
	}
}

// AirGappedImages are the images that e2e/airgap/build makes where no registry
// can be reached, with the versions that stand in e2e/airgap/versions.
func AirGappedImages() Images {
	return Images{
		Node:       "dacorch-rig/node:v1.34.3",
		ZooKeeper:  "dacorch-rig/zookeeper:3.8.0",
		Kafka:      "dacorch-rig/kafka:4.2.0",
		Mosquitto:  "dacorch-rig/mosquitto:2.0.11",
		PostgreSQL: "dacorch-rig/postgres:15",
	}
}

// An imageField is an image under its name.
type imageField struct {
	name string
	ref  *string
}

// fields are the images by name, in the order in which people see them.
func (i *Images) fields() []imageField {
	return []imageField{
		{"node", &i.Node}, {"zookeeper", &i.ZooKeeper}, {"kafka", &i.Kafka}, {"mosquitto", &i.Mosquitto},
		{"postgres", &i.PostgreSQL}, {"dacorch", &i.Dacorch}, {"dac", &i.DAC},
	}
}

// Of is the image that a service runs.
func (i Images) Of(name ServiceName) string {
	for _, f := range i.fields() {
		if f.name == string(name) {
			return *f.ref
		}
	}
	return ""
}

// Set gives an image by its name: node, zookeeper, kafka, mosquitto, postgres,
// dacorch or dac.
func (i *Images) Set(name, ref string) error {
	var known []string
	for _, f := range i.fields() {
		if f.name == name && ref != "" {
			*f.ref = ref
			return nil
		}
		known = append(known, f.name)
	}
	return fmt.Errorf("%q cannot be an image of the rig: want NAME=IMAGE, NAME one of %s", name+"="+ref, strings.Join(known, ", "))
}

// or takes from other what i leaves open.
func (i Images) or(other Images) Images {
	from := other.fields()
	for n, f := range i.fields() {
		if *f.ref == "" {
			*f.ref = *from[n].ref
		}
	}
	return i
}

// An ImageStatus says whether an image is on this machine.
type ImageStatus struct {
	Name    string `json:"name"`
	Image   string `json:"image"`
	Present bool   `json:"present"`
	Bytes   int64  `json:"bytes,omitempty"`
	ID      string `json:"id,omitempty"`
}

// ImageTable says which images a rig is or would be made of, and which of them are
// here. Without Docker it answers the names too, with the error.
func ImageTable(ctx context.Context, opts Options) ([]ImageStatus, error) {
	var err error
	if opts.Name, err = checkName(opts.Name); err != nil {
		return nil, err
	}
	var r Rig
	if err := r.prepareState(opts); err != nil {
		return nil, err
	}
	images := r.state.Images
	var table []ImageStatus
	for _, f := range images.fields() {
		if *f.ref != "" {
			table = append(table, ImageStatus{Name: f.name, Image: *f.ref})
		}
	}
	docker, err := connectDocker(ctx)
	if err != nil {
		return table, err
	}
	defer docker.Close()
	for i := range table {
		res, err := docker.ImageInspect(ctx, table[i].Image)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return table, err
		}
		table[i].Present, table[i].Bytes, table[i].ID = true, res.Size, res.ID
	}
	return table, nil
}

// wanted are the images that the options ask for.
func (o Options) wanted() Images {
	if o.AirGapped {
		return o.Images.or(AirGappedImages())
	}
	return o.Images.or(DefaultImages())
}

// A MissingImagesError names the images that are neither here nor to be had.
type MissingImagesError struct {
	Images    []string
	Given     []string // those of them that no flavour of the rig has: somebody named them
	AirGapped bool
	Cause     error // why pulling failed; nil when nothing was tried
}

func (e *MissingImagesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s not on this machine: %s", plural(len(e.Images), "image is", "images are"), strings.Join(e.Images, ", "))
	if e.Cause != nil {
		fmt.Fprintf(&b, "; no registry gave them: %v", e.Cause)
	}
	if len(e.Given) > 0 {
		fmt.Fprintf(&b, ".\n%s was named by --image or DACORCH_RIG_IMAGES: see that the name is right; docker pull or docker load brings it here", strings.Join(e.Given, ", "))
	}
	if len(e.Given) == len(e.Images) {
		return b.String()
	}
	b.WriteString(".\nThere are two ways to get them:\n")
	if e.AirGapped {
		b.WriteString("  without a registry: dacorch rig images --air-gapped builds them (in the source tree; about 15 minutes the first time)\n" +
			"  with one: dacorch rig up --air-gapped=false pulls the published ones")
	} else {
		b.WriteString("  with a registry: make it reachable for Docker (docker pull tells), or name a mirror's images with --image NAME=IMAGE\n" +
			"  without one: dacorch rig images --air-gapped builds them (in the source tree; about 15 minutes the first time), then dacorch rig up --air-gapped")
	}
	return b.String()
}

// newMissingImagesError is that of images which are missing.
func newMissingImagesError(images []string, airGapped bool, cause error) *MissingImagesError {
	e := &MissingImagesError{Images: images, AirGapped: airGapped, Cause: cause}
	published, built := DefaultImages(), AirGappedImages()
	for _, ref := range images {
		is := func(f imageField) bool { return *f.ref == ref }
		if !slices.ContainsFunc(published.fields(), is) && !slices.ContainsFunc(built.fields(), is) {
			e.Given = append(e.Given, ref)
		}
	}
	return e
}

func (e *MissingImagesError) Unwrap() error { return e.Cause }

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// ensureImages finds the images that Up does not make itself, and pulls those
// that are missing.
func (r *Rig) ensureImages(ctx context.Context, opts Options) (StepState, error) {
	needed := r.state.Images
	needed.Dacorch, needed.DAC = opts.Images.Dacorch, opts.Images.DAC // made here unless they are given
	var missing []string
	for _, f := range needed.fields() {
		if *f.ref == "" {
			continue
		}
		if _, err := r.docker.ImageInspect(ctx, *f.ref); errdefs.IsNotFound(err) {
			missing = append(missing, *f.ref)
		} else if err != nil {
			return StepFailed, err
		}
	}
	switch {
	case len(missing) == 0:
		return StepThere, nil
	case r.state.AirGapped:
		return StepFailed, newMissingImagesError(missing, true, nil)
	}
	failed := make([]error, len(missing))
	var wg sync.WaitGroup
	for i, ref := range missing {
		wg.Go(func() { failed[i] = r.pull(ctx, ref) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return StepFailed, ctx.Err()
	}
	var none []string
	var cause error
	for i, err := range failed {
		if err != nil {
			none, cause = append(none, missing[i]), err
		}
	}
	if cause != nil {
		return StepFailed, newMissingImagesError(none, false, cause)
	}
	return StepDone, nil
}

func (r *Rig) pull(ctx context.Context, ref string) error {
	res, err := r.docker.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	defer res.Close()
	return res.Wait(ctx)
}

// BuildImages builds the images for a rig without a registry: it runs
// e2e/airgap/build, which needs the source tree around the working directory. say
// gets its lines. What has not changed is not built again.
func BuildImages(ctx context.Context, say func(line string), names ...string) error {
	tree, err := sourceTree()
	if err != nil {
		return fmt.Errorf("the images are built by e2e/airgap/build: %w", err)
	}
	docker, err := connectDocker(ctx)
	if err != nil {
		return err
	}
	if err := docker.Close(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(tree, "e2e", "airgap", "build"), names...)
	cmd.Dir = tree
	endsWithContext(cmd)
	lines := &lineWriter{say: say}
	cmd.Stdout, cmd.Stderr = lines, lines
	err = cmd.Run()
	lines.flush()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("e2e/airgap/build: %w; what it wrote above says why", err)
	}
	return nil
}

// lineWriter hands on whole lines.
type lineWriter struct {
	say  func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, whole := strings.Cut(string(w.rest), "\n")
		if !whole {
			return len(p), nil
		}
		w.say(line)
		w.rest = []byte(rest)
	}
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.say(string(w.rest))
		w.rest = nil
	}
}

// sourceTree is the root of dacorch's source around the working directory.
func sourceTree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if first, _, _ := strings.Cut(string(data), "\n"); err == nil && strings.TrimSpace(first) == "module dacorch" {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not in dacorch's source tree: %w", dir, errNoTree)
		}
	}
}

var errNoTree = errors.New("change into a clone of it")

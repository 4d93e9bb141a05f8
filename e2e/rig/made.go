package rig

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"dacorch/deploy"
)

// The images that a rig makes bear this label, with the name of the target in
// deploy's Dockerfile.
const madeLabel = "dacorch.rig.made"

// madeRepository is what they are called before their tag, which is the hash of
// what is in them: a name never stands for two contents, so a cluster that has the
// name has the image, and a new program is a new rollout.
const madeRepository = "dacorch-rig/"

// executable finds the program that goes into the images and checks that it can
// run there: static, for Linux, of the daemon's architecture.
func executable(file string, arch string) (string, error) {
	hint := ""
	if file == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		file, hint = self, " (the running program)"
	}
	err := func() error {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return err
		}
		if info.Path != "dacorch/cmd/dacorch" {
			return fmt.Errorf("it is %s", info.Path)
		}
		f, err := elf.Open(file)
		if err != nil {
			return fmt.Errorf("it is no program for Linux: %w", err)
		}
		defer f.Close()
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			return errors.New("it is linked dynamically, and the images hold nothing but it")
		}
		if want, ok := machines[arch]; ok && f.Machine != want {
			return fmt.Errorf("it is for %s, and Docker's machine is %s", f.Machine, arch)
		}
		return nil
	}()
	if err != nil {
		goarch := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[arch]
		return "", fmt.Errorf("%s%s cannot go into the images: %w; want a static dacorch for Linux on %s: in the source tree, CGO_ENABLED=0 GOOS=linux GOARCH=%s go build -o bin/dacorch-linux ./cmd/dacorch makes one for --binary bin/dacorch-linux",
			file, hint, err, arch, cmp.Or(goarch, arch))
	}
	return file, nil
}

// machines are the architectures as Docker's Info names them.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "aarch64": elf.EM_AARCH64, "amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// program is what goes into the images; "" where both are given.
func (r *Rig) program(ctx context.Context, opts Options) (string, error) {
	if opts.Images.Dacorch != "" && opts.Images.DAC != "" {
		return "", nil
	}
	info, err := r.docker.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", err
	}
	return executable(opts.Binary, info.Info.Architecture)
}

// makeImages builds the orchestrator's and the DAC's image unless they are there,
// or given, and answers their names.
func (r *Rig) makeImages(ctx context.Context, opts Options) (Images, StepState, error) {
	refs := Images{Dacorch: opts.Images.Dacorch, DAC: opts.Images.DAC}
	file, err := r.program(ctx, opts)
	if err != nil {
		return refs, StepFailed, err
	}
	if file == "" {
		return refs, StepThere, nil
	}
	tag, err := contentTag(file)
	if err != nil {
		return refs, StepFailed, err
	}
	state := StepThere
	for _, m := range []struct {
		target, name string
		ref          *string
	}{{"orchestrator", "dacorch", &refs.Dacorch}, {"dac", "dac", &refs.DAC}} {
		if *m.ref != "" {
			continue
		}
		*m.ref = madeRepository + m.name + ":" + tag
		if _, err := r.docker.ImageInspect(ctx, *m.ref); err == nil {
			continue
		} else if !errdefs.IsNotFound(err) {
			return refs, StepFailed, err
		}
		if err := r.build(ctx, file, m.target, *m.ref); err != nil {
			return refs, StepFailed, fmt.Errorf("image %s: %w", *m.ref, err)
		}
		state = StepDone
	}
	return refs, state, nil
}

// contentTag is the hash of the program and the Dockerfile.
func contentTag(file string) (string, error) {
	h := sha256.New()
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	h.Write(deploy.Dockerfile)
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

// build builds one target of deploy's Dockerfile, with the classic builder: it is
// in every Docker, and nothing here needs more.
func (r *Rig) build(ctx context.Context, file, target, ref string) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(buildContext(writer, file)) }()
	defer reader.Close() // ends the goroutine
	res, err := r.docker.ImageBuild(ctx, reader, client.ImageBuildOptions{
		Tags: []string{ref}, Target: target, Remove: true, ForceRemove: true,
		Labels: map[string]string{madeLabel: target, rigLabel: r.state.Name}, Version: build.BuilderV1,
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := json.NewDecoder(res.Body)
	for {
		var line struct {
			Error string `json:"error"`
		}
		switch err := lines.Decode(&line); {
		case err == io.EOF:
			return nil
		case err != nil:
			return errors.Join(ctx.Err(), err)
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// buildContext writes what Docker builds from: the Dockerfile and bin/dacorch.
func buildContext(w io.Writer, file string) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(deploy.Dockerfile))}); err != nil {
		return err
	}
	if _, err := t.Write(deploy.Dockerfile); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: "bin/dacorch", Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	if _, err := io.Copy(t, f); err != nil {
		return err
	}
	return t.Close()
}

// loadImages brings the two images into the cluster's node, those that it does
// not have. The name of one that is given may stand for another than before.
func (r *Rig) loadImages(ctx context.Context, given Images) (StepState, error) {
	p, err := provider(r.state)
	if err != nil {
		return StepFailed, err
	}
	all, err := p.ListNodes(r.state.Name)
	if err != nil {
		return StepFailed, kindError(err)
	}
	state := StepThere
	for _, node := range all {
		var missing []string
		for _, ref := range []string{r.state.Images.Dacorch, r.state.Images.DAC} {
			id, err := nodeutils.ImageID(node, ref)
			if err == nil && (ref == given.Dacorch || ref == given.DAC) {
				res, err := r.docker.ImageInspect(ctx, ref)
				if err != nil {
					return StepFailed, err
				}
				if res.ID != id {
					missing = append(missing, ref)
				}
			} else if err != nil {
				missing = append(missing, ref)
			}
		}
		if len(missing) == 0 {
			continue
		}
		state = StepDone
		if err := r.load(ctx, node, missing); err != nil {
			return StepFailed, err
		}
	}
	return state, nil
}

func (r *Rig) load(ctx context.Context, node nodes.Node, refs []string) error {
	archive, err := r.docker.ImageSave(ctx, refs)
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := nodeutils.LoadImageArchive(node, archive); err != nil {
		return errors.Join(ctx.Err(), kindError(err))
	}
	return nil
}

// removeMade removes the images that this rig made from Docker, but those named. A
// cluster that runs one has its own copy. The error is a conflict (errdefs) when
// nothing stands in the way but somebody's container.
func (r *Rig) removeMade(ctx context.Context, keep ...string) ([]string, error) {
	list, err := r.docker.ImageList(ctx, client.ImageListOptions{
		Filters: client.Filters{}.Add("label", madeLabel, rigLabel+"="+r.state.Name)})
	if err != nil {
		return nil, err
	}
	var removed []string
	var used error
	for _, image := range list.Items {
		for _, tag := range image.RepoTags {
			if !strings.HasPrefix(tag, madeRepository) || slices.Contains(keep, tag) {
				continue
			}
			_, err := r.docker.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
			switch {
			case errdefs.IsConflict(err):
				used = fmt.Errorf("%s is used by a container (docker ps -a --filter ancestor=%s): remove that one first: %w", tag, tag, err)
			case err != nil && !errdefs.IsNotFound(err):
				return removed, err
			default:
				removed = append(removed, tag)
			}
		}
	}
	return removed, used
}

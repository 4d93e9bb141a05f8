package rig

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"k8s.io/client-go/kubernetes"
)

// statusWithin bounds the look at each part.
const statusWithin = 15 * time.Second

// A Report says what of a rig is there and answers.
type Report struct {
	State
	Parts       []Part `json:"parts"`
	SecretsFile string `json:"secretsFile"` // the services' passwords
	TokenFile   string `json:"tokenFile"`   // for the REST interface of the rig's own release; "" without one
}

// A Part is the cluster, a service or the rig's own release.
type Part struct {
	Name    string `json:"name"`
	Up      bool   `json:"up"`
	Address string `json:"address,omitempty"` // on this machine
	Inside  string `json:"inside,omitempty"`  // from pods
	User    string `json:"user,omitempty"`
	Note    string `json:"note,omitempty"` // why it is not up, or what it is
}

// AllUp says whether every part is, and Up has ended well.
func (r Report) AllUp() bool {
	if !r.Up {
		return false
	}
	for _, p := range r.Parts {
		if !p.Up {
			return false
		}
	}
	return len(r.Parts) > 0
}

// Status looks at every part of a rig; "" stands for Name. The error is ErrNotUp
// when there is none.
func Status(ctx context.Context, name string) (Report, error) {
	name, err := checkName(name)
	if err != nil {
		return Report{}, err
	}
	docker, err := connectDocker(ctx)
	if err != nil {
		return Report{}, err
	}
	defer docker.Close()
	state, err := readState(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, ErrNotUp
	}
	if err != nil {
		return Report{}, err
	}
	r := &Rig{docker: docker, state: state}
	report := Report{State: state, SecretsFile: filepath.Join(state.Dir, secretsFile)}
	looks := []func(context.Context) Part{r.clusterPart}
	for _, name := range ServiceNames {
		looks = append(looks, func(ctx context.Context) Part { return r.servicePart(ctx, name) })
	}
	if in := r.own(); in.TokenFile != "" {
		report.TokenFile = in.TokenFile
		looks = append(looks, func(ctx context.Context) Part { return r.releasePart(ctx, in) })
	}
	report.Parts = make([]Part, len(looks))
	var wg sync.WaitGroup
	for i, look := range looks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, statusWithin)
			defer cancel()
			report.Parts[i] = look(ctx)
		})
	}
	wg.Wait()
	return report, ctx.Err()
}

// containerState is "" for a container that runs, or why it does not.
func (r *Rig) containerState(ctx context.Context, name string) string {
	res, err := r.docker.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return "its container is gone"
	case err != nil:
		return err.Error()
	case res.Container.State.Running && !res.Container.State.Paused:
		return ""
	}
	return "its container is " + string(res.Container.State.Status)
}

func (r *Rig) clusterPart(ctx context.Context) Part {
	p := Part{Name: "cluster", Note: r.containerState(ctx, nodeName(r.state.Name))}
	if p.Note != "" {
		return p
	}
	if r.state.Node == "" {
		p.Note = "it is half made"
		return p
	}
	var own Rig // loadKubeconfig writes what others read
	own.state = r.state
	if err := own.loadKubeconfig(); err != nil {
		p.Note = err.Error()
		return p
	}
	p.Address = own.rest.Host
	set, err := kubernetes.NewForConfig(own.rest)
	if err == nil {
		err = nodesReady(ctx, set, time.Time{})
	}
	if err != nil {
		p.Note = err.Error()
		return p
	}
	p.Up, p.Note = true, r.state.Images.Node
	return p
}

func (r *Rig) servicePart(ctx context.Context, name ServiceName) Part {
	s := r.State().Services[name]
	p := Part{Name: string(name), Address: s.Outside, Inside: s.Inside, User: s.User, Note: r.containerState(ctx, r.containerName(name))}
	if p.Note != "" {
		return p
	}
	probe := Rig{docker: r.docker, state: r.State()}
	err := probe.loadCA()
	if err == nil {
		err = probe.serviceAnswers(ctx, name)
	}
	if err != nil {
		p.Note = err.Error()
		return p
	}
	p.Up, p.Note = true, s.Image
	return p
}

// own is the rig's own release as far as its files tell; without one TokenFile is
// empty.
func (r *Rig) own() Installed {
	rel := ownRelease()
	in := Installed{Namespace: rel.Namespace, Name: Name, rig: r, TokenFile: r.TokenFile(rel.Namespace, Name)}
	token, err := os.ReadFile(in.TokenFile)
	if err != nil {
		in.TokenFile = ""
		return in
	}
	in.Token = strings.TrimSpace(string(token))
	return in
}

func (r *Rig) releasePart(ctx context.Context, in Installed) Part {
	p := Part{Name: Name, Note: r.containerState(ctx, nodeName(r.state.Name))}
	if p.Note != "" {
		p.Note = "its cluster is not up"
		return p
	}
	own := &Rig{docker: r.docker, state: r.State()}
	mapped, err := own.mappedPorts(ctx)
	if err == nil {
		err = own.loadCA()
	}
	if err != nil {
		p.Note = err.Error()
		return p
	}
	for n, port := range sortedPorts(mapped) {
		if n == 0 {
			p.Address = "https://" + mapped[port]
		}
	}
	in.rig, in.URL = own, p.Address
	if err := in.health(ctx); err != nil {
		p.Note = err.Error()
		return p
	}
	p.Up, p.Note = true, "namespace "+in.Namespace
	return p
}

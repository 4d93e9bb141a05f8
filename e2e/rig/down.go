package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Down removes the rig: cluster, containers with their data, network, the images
// that it made, and directory. Images that were pulled or built by BuildImages
// stay. It is no error when there is none.
func Down(ctx context.Context, name string, progress func(Step)) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	state, err := newState(name)
	if err != nil {
		return err
	}
	docker, err := connectDocker(ctx)
	if err != nil {
		return err
	}
	r := &Rig{docker: docker, state: state}
	defer docker.Close()
	held, err := lock(state)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := r.ofAnother(ctx); err != nil {
		return err
	}
	if kept, err := readState(name); err == nil {
		r.state = kept
		if err := r.unsettled(); err != nil {
			return err
		}
	}
	if err := r.remove(ctx, &steps{tell: progress}); err != nil {
		return err
	}
	return os.Remove(held.Name())
}

// remove does Down's steps. The directory, with the way into the cluster and the
// passwords, goes once nothing is left that they open.
func (r *Rig) remove(ctx context.Context, s *steps) error {
	type step struct {
		name string
		do   func(context.Context) (removed []string, err error)
	}
	for _, beside := range [][]step{
		{{"cluster", r.removeCluster}, {"services", r.removeContainers}, {"network", r.removeNetwork}},
		{{"directory", r.removeDirectory}, {"images", func(ctx context.Context) ([]string, error) { return r.removeMade(ctx) }}},
	} {
		var errs []error
		for _, step := range beside {
			if ctx.Err() != nil {
				break
			}
			errs = append(errs, s.run(step.name, func() (StepState, string, error) {
				removed, err := step.do(ctx)
				if len(removed) == 0 {
					return StepThere, "nothing of this rig was there", err
				}
				return StepDone, "removed " + strings.Join(removed, ", "), err
			}))
		}
		if err := errors.Join(append(errs, ctx.Err())...); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) removeCluster(ctx context.Context) ([]string, error) {
	node := nodeName(r.state.Name)
	res, err := r.docker.ContainerInspect(ctx, node, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if ours, err := r.owns(ctx, res.Container); err != nil || !ours {
		return nil, err
	}
	p, err := provider(r.state)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.state.Dir, 0o700); err != nil { // kind looks for the kubeconfig
		return nil, err
	}
	return []string{node}, kindError(p.Delete(r.state.Name, r.state.Kubeconfig))
}

// removeContainers removes the services' containers and their volumes.
func (r *Rig) removeContainers(ctx context.Context) ([]string, error) {
	list, err := r.docker.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", rigLabel+"="+r.state.Name)})
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, c := range list.Items {
		if c.Labels[madeLabel] != "" {
			continue // somebody runs an image of the rig: the labels are the image's
		}
		if _, err := r.docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !errdefs.IsNotFound(err) {
			return removed, err
		}
		removed = append(removed, strings.TrimPrefix(c.Names[0], "/"))
	}
	volumes, err := r.docker.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", rigLabel+"="+r.state.Name)})
	if err != nil {
		return removed, err
	}
	for _, v := range volumes.Items {
		if _, err := r.docker.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			return removed, err
		}
		removed = append(removed, "volume "+v.Name)
	}
	slices.Sort(removed)
	return removed, nil
}

func (r *Rig) removeNetwork(ctx context.Context) ([]string, error) {
	res, err := r.docker.NetworkInspect(ctx, r.state.Network, client.NetworkInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case res.Network.Labels[rigLabel] != r.state.Name:
		return nil, nil // somebody else's of this name
	}
	_, err = r.docker.NetworkRemove(ctx, r.state.Network, client.NetworkRemoveOptions{})
	return []string{r.state.Network}, err
}

// removeDirectory removes the rig's directory. What a service has written there
// under a user of its own goes by a container, where this user may not.
func (r *Rig) removeDirectory(ctx context.Context) ([]string, error) {
	dir := r.state.Dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	// The state goes last: it names the image that the container is made of.
	err := os.RemoveAll(r.ZooKeeperData())
	if errors.Is(err, fs.ErrPermission) && r.state.Images.ZooKeeper != "" {
		err = r.emptyDirectory(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; remove %s yourself", err, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	return []string{dir}, nil
}

// emptyDirectory deletes as root, in a container of an image that is there.
func (r *Rig) emptyDirectory(ctx context.Context) error {
	state := r.state
	created, err := r.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: state.Name + "-cleaner",
		Config: &container.Config{Image: state.Images.ZooKeeper, User: "0", Labels: map[string]string{rigLabel: state.Name},
			Entrypoint: []string{"sh", "-c", "rm -rf /rig/*-data"}},
		HostConfig: &container.HostConfig{Binds: []string{state.Dir + ":/rig"}, NetworkMode: "none"},
	})
	if err != nil {
		return err
	}
	defer r.docker.ContainerRemove(context.WithoutCancel(ctx), created.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	wait := r.docker.ContainerWait(ctx, created.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := r.docker.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return err
	}
	select {
	case res := <-wait.Result:
		if res.StatusCode != 0 {
			return fmt.Errorf("removing the services' files ended with exit code %d", res.StatusCode)
		}
		return nil
	case err := <-wait.Error:
		return err
	}
}

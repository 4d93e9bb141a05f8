package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// dockerAnswersWithin bounds the first question to Docker. A daemon that is busy
// takes a second or two.
const dockerAnswersWithin = 10 * time.Second

// A NoDockerError says that Docker cannot be used, and what to do about it.
type NoDockerError struct{ Problem, Do string }

func (e *NoDockerError) Error() string { return e.Problem + "; " + e.Do }

const installDocker = "install Docker Engine 20.10 or newer (docs.docker.com/engine/install) and try again"

// connectDocker finds a Docker daemon that answers: the one that DOCKER_HOST names,
// or else the current context of the docker program, which kind calls and which is
// therefore needed too.
func connectDocker(ctx context.Context) (*client.Client, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, &NoDockerError{"the docker program is not on the PATH, and kind makes its nodes with it", installDocker}
	}
	if os.Getenv("DOCKER_HOST") == "" {
		host, err := contextHost(ctx)
		if err == nil && host != "" {
			// kind, testcontainers and this package must mean the same daemon.
			if err := os.Setenv("DOCKER_HOST", host); err != nil {
				return nil, err
			}
		}
	}
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return nil, &NoDockerError{fmt.Sprintf("DOCKER_HOST=%q cannot be used: %v", os.Getenv("DOCKER_HOST"), err),
			"want unix:///path/to/docker.sock or tcp://host:port, or unset it"}
	}
	ctx, cancel := context.WithTimeout(ctx, dockerAnswersWithin)
	defer cancel()
	if _, err := docker.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, errors.Join(noDocker(docker.DaemonHost(), err), docker.Close())
	}
	return docker, nil
}

// contextHost is the daemon of the docker program's current context.
func contextHost(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerAnswersWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	return strings.TrimSpace(string(out)), err
}

// noDocker explains why the daemon at host did not answer.
func noDocker(host string, err error) error {
	var dial *net.OpError
	switch {
	case errors.Is(err, os.ErrPermission), strings.Contains(err.Error(), "permission denied"):
		return &NoDockerError{fmt.Sprintf("Docker at %s may not be used by this user", host),
			"add the user to the group docker (sudo usermod -aG docker $USER, then log in again) or run this as root"}
	case errors.Is(err, context.DeadlineExceeded):
		return &NoDockerError{fmt.Sprintf("Docker at %s did not answer within %s", host, dockerAnswersWithin),
			"see whether docker info answers, and restart it if it does not"}
	case strings.HasPrefix(host, "unix://") || errors.As(err, &dial):
		return &NoDockerError{fmt.Sprintf("no Docker daemon answers at %s", host),
			"start it (sudo systemctl start docker, or open Docker Desktop), or set DOCKER_HOST to where it is; docker info tells whether it runs"}
	default:
		return &NoDockerError{fmt.Sprintf("Docker at %s cannot be used: %v", host, err), "docker info says more"}
	}
}

// daemon says which Docker it is and what it has to give.
func daemon(ctx context.Context, docker *client.Client) (string, error) {
	res, err := docker.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", err
	}
	i := res.Info
	return fmt.Sprintf("Docker %s at %s: %d CPUs, %.1f GiB", i.ServerVersion, docker.DaemonHost(), i.NCPU, float64(i.MemTotal)/(1<<30)), nil
}

// ensureNetwork makes the network that cluster and services share.
func (r *Rig) ensureNetwork(ctx context.Context) (StepState, error) {
	res, err := r.docker.NetworkInspect(ctx, r.state.Network, client.NetworkInspectOptions{})
	if err == nil && res.Network.Labels[rigLabel] != r.state.Name {
		return StepFailed, fmt.Errorf("a network %s is there that no rig made: give the rig another --name, or remove it with docker network rm %s", r.state.Network, r.state.Network)
	}
	if err == nil {
		return StepThere, nil
	}
	if !errdefs.IsNotFound(err) {
		return StepFailed, err
	}
	usual, err := r.docker.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
	if err != nil && !errdefs.IsNotFound(err) {
		return StepFailed, err
	}
	_, err = r.docker.NetworkCreate(ctx, r.state.Network, client.NetworkCreateOptions{
		Driver:  "bridge",
		Options: networkOptions(usual.Network.Options),
		Labels:  map[string]string{rigLabel: r.state.Name, directoryLabel: r.state.Dir},
	})
	return StepDone, err
}

// networkOptions are those that kind gives its own networks. Pods reach the world
// through the node; and Docker holds a network that is made to no mtu but its own,
// whatever the daemon was told for the usual one, where packets of 1500 bytes may be
// lost on the way.
func networkOptions(usual map[string]string) map[string]string {
	const mtu = "com.docker.network.driver.mtu"
	options := map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "true"}
	if usual[mtu] != "" {
		options[mtu] = usual[mtu]
	}
	return options
}

// directoryLabel on the rig's network names its directory.
const directoryLabel = "dacorch.rig.directory"

// ofAnother is an error when the rig of this name is another user's, or is kept in
// another cache, and its directory is there still: what one of them makes the other
// would remove.
func (r *Rig) ofAnother(ctx context.Context) error {
	res, err := r.docker.NetworkInspect(ctx, r.state.Network, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	dir := res.Network.Labels[directoryLabel]
	if err != nil || dir == "" || dir == r.state.Dir {
		return err
	}
	there, err := os.Stat(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) && local(r.docker.DaemonHost()) {
		return nil
	}
	if here, unread := os.Stat(r.state.file()); err == nil && unread == nil && os.SameFile(here, there) {
		return nil // by another path
	}
	return fmt.Errorf("the rig %s on this Docker is kept in %s and not in %s: set DACORCH_CACHE to where it is, or give another rig beside it a --name and a --port-offset", r.state.Name, dir, r.state.Dir)
}

// local says that a daemon runs on this machine, so that who else uses it does, too.
func local(host string) bool {
	return strings.HasPrefix(host, "unix://") || strings.HasPrefix(host, "npipe://")
}

// logTail is the last lines of what a container wrote; "" when it cannot be told.
func logTail(ctx context.Context, docker *client.Client, container string, lines int) string {
	logs, err := docker.ContainerLogs(ctx, container, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return ""
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, io.LimitReader(logs, 1<<20)); err != nil {
		return ""
	}
	return strings.TrimRight(out.String(), "\n")
}

// execIn runs a command in a container and answers what it wrote.
func execIn(ctx context.Context, docker *client.Client, container string, command ...string) (string, error) {
	created, err := docker.ExecCreate(ctx, container, client.ExecCreateOptions{
		AttachStdout: true, AttachStderr: true, Cmd: command})
	if err != nil {
		return "", err
	}
	attached, err := docker.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return "", err
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)() // ends the read below
	var out, problem bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &problem, attached.Reader); err != nil {
		return "", errors.Join(ctx.Err(), err)
	}
	res, err := docker.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	if err != nil {
		return "", err
	}
	if res.ExitCode != 0 {
		return "", fmt.Errorf("%s in %s ended with exit code %d: %s", command[0], container, res.ExitCode,
			strings.TrimSpace(problem.String()))
	}
	return out.String(), nil
}

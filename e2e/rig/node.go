package rig

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// RestartNode restarts the cluster's node as if the machine had, and waits until
// it is Ready again. Pods come back by themselves, some time later.
func (r *Rig) RestartNode(ctx context.Context) error {
	atOnce := 0 // as when the power fails
	if _, err := r.docker.ContainerRestart(ctx, nodeName(r.State().Name), client.ContainerRestartOptions{Timeout: &atOnce}); err != nil {
		return fmt.Errorf("restart of the node: %w", err)
	}
	since, err := r.nodeStarted(ctx)
	if err != nil {
		return err
	}
	return r.nodeReady(ctx, since)
}

// nodeStarted is when the node's container was last started: what node and pods said
// before does not count. It is Docker's time, which may be another machine's, in
// whole seconds as theirs.
func (r *Rig) nodeStarted(ctx context.Context) (time.Time, error) {
	res, err := r.docker.ContainerInspect(ctx, nodeName(r.State().Name), client.ContainerInspectOptions{})
	if err != nil {
		return time.Time{}, err
	}
	started, err := time.Parse(time.RFC3339, res.Container.State.StartedAt)
	if err != nil {
		return time.Time{}, fmt.Errorf("when the node was started: %w", err)
	}
	return started.Truncate(time.Second), nil
}

var (
	podUIDs = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	signals = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,9}$`)
)

// signalScript finds a pod's processes by their control groups, whose names hold
// its uid, with _ for - under systemd.
const signalScript = `
n=0
for p in /proc/[0-9]*; do
	grep -qsF -e "$1" -e "$(echo "$1" | tr - _)" "$p/cgroup" || continue
	[ "$(cat "$p/comm" 2>/dev/null)" != pause ] || continue
	kill -s "$2" "${p#/proc/}" 2>/dev/null && n=$((n+1))
done
echo $n`

// SignalPod sends a signal, such as STOP, CONT or KILL, to every process of a
// pod's containers and says how many they were. The pod's own pause process is
// spared.
func (r *Rig) SignalPod(ctx context.Context, podUID, signal string) (int, error) {
	if !podUIDs.MatchString(podUID) {
		return 0, fmt.Errorf("%q is no pod's uid: want one such as 0b1c7d1e-6f0a-4b7e-9d55-3a1f0d0c2b11", podUID)
	}
	if !signals.MatchString(signal) {
		return 0, fmt.Errorf("%q is no signal: want a name such as STOP, CONT or KILL", signal)
	}
	out, err := execIn(ctx, r.docker, nodeName(r.State().Name), "sh", "-c", signalScript, "signal", podUID, signal)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

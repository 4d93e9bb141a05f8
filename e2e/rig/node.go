package rig

import "context"

// RestartNode restarts the cluster's node as if the machine had, and waits until
// it is Ready.
func (r *Rig) RestartNode(ctx context.Context) error { return errNotYet }

// SignalPod sends a signal, such as STOP, CONT or KILL, to every process of a
// pod's containers and says how many they were. The pod's own pause process is
// spared.
func (r *Rig) SignalPod(ctx context.Context, podUID, signal string) (int, error) { return 0, errNotYet }

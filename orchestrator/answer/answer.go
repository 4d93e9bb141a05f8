// Package answer translates what a kind's machine knows into what the REST
// interface tells, and what has happened into events (event.go). Production and
// whoever serves a simulation or a recording say the same words with it. It is
// pure: times are the machine's.
package answer

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// Kind is a kind as the interface names it.
type Kind struct {
	Name         string // "Thing"
	InstanceName string // "iota-dac": pods are named <InstanceName>-<id>
}

// Pod is the name of an instance's pod.
func (k Kind) Pod(id fleet.InstanceID) string { return k.InstanceName + "-" + strconv.Itoa(int(id)) }

// Instance tells of one instance; now is the machine's own time. What only Kubernetes knows (Node, Restarts,
// AgeSeconds) is left to the caller.
func (k Kind) Instance(in reconcile.Instance, now time.Duration) api.Instance {
	x := api.Instance{
		ID: int(in.ID), Pod: k.Pod(in.ID), Used: in.Used, Capacity: in.Capacity,
		Phase: in.Phase.String(), Reason: in.Reason, Up: up(in),
		Closing: in.Closing, Terminating: in.Terminating, NodeLost: in.NodeLost, Silent: in.Silent,
		Session: in.Status.Present, Confirms: in.Status.Times >= 0, Times: in.Times,
		Arriving: in.Arriving, Leaving: in.Leaving,
	}
	if in.Status.Times >= 0 {
		x.ConfirmedTimes = new(in.Status.Times)
	}
	if in.Heard {
		x.HeartbeatAgeSeconds = new((now - in.LastBeat).Seconds())
	}
	if in.Down {
		x.DownForSeconds = new((now - in.DownSince).Seconds())
	}
	return x
}

// up says whether an instance's pod runs and does its work as far as one can tell.
func up(in reconcile.Instance) bool {
	return in.Phase == fleet.PhaseRunning && !in.Down && !in.Terminating && !in.NodeLost && !in.Silent
}

// Progress tells how far the running re-orchestration is.
func (k Kind) Progress(m *reconcile.Machine, now time.Duration) api.Progress {
	p := m.Progress()
	out := api.Progress{Resource: k.Name, Running: p.Running, Planned: p.Planned, Moves: p.Moves, MovesLeft: p.MovesLeft,
		Create: p.Create, CreateLeft: p.CreateLeft, Release: p.Release, ReleaseLeft: p.ReleaseLeft}
	if p.Running {
		out.SinceSeconds = (now - p.Since).Seconds()
	}
	return out
}

// pendingShown bounds api.Status.Pending.
const pendingShown = 100

// Status tells what state a machine is in. Who leads, and with which epoch, is
// left to the caller.
func (k Kind) Status(m *reconcile.Machine) api.Status {
	out := api.Status{
		Resource: k.Name, Stage: m.Stage().String(), Maintenance: m.Control().Maintenance,
		Instances: m.Instances(), Resources: m.Resources(), Unplaced: m.Unplaced(),
		Alarms: []api.Alarm{}, Pending: append([]string{}, m.Pending(pendingShown+1)...), Counters: counters(m.Stats()),
	}
	alarms := m.Alarms()
	for _, code := range slices.Sorted(maps.Keys(alarms)) {
		out.Alarms = append(out.Alarms, api.Alarm{Code: code, Text: alarms[code]})
	}
	if len(out.Pending) > pendingShown {
		out.Pending, out.PendingTruncated = out.Pending[:pendingShown], true
	}
	return out
}

func counters(st reconcile.Stats) map[string]int64 {
	return map[string]int64{
		"notifications": int64(st.Notifications), "badIds": int64(st.BadIDs), "heartbeats": int64(st.Heartbeats),
		"strayHeartbeats": int64(st.StrayBeats), "conflicts": int64(st.Conflicts), "unknownOutcomes": int64(st.Unknown),
		"replaced": int64(st.Replaced), "movesPlanned": int64(st.MovesPlanned), "moves": int64(st.Moves),
		"committed": int64(st.Committed), "resyncs": int64(st.Resyncs), "healed": int64(st.Healed),
	}
}

// Plan tells what a re-orchestration of so many resources would do, with at most
// limit of its moves.
func (k Kind) Plan(resources int, size placement.Size, plan *placement.Plan, limit int) api.Plan {
	out := api.Plan{Resource: k.Name, Resources: resources, Instances: size.Instances, ResourcePerInstance: size.ResourcePerInstance,
		Moves: []api.PlannedMove{}, Opened: []api.PlannedOpen{}, Released: []api.PlannedClose{}, Recapacitated: []api.Recapacity{}}
	c := &out.Cost
	for _, m := range plan.Moves {
		switch {
		case m.From == fleet.NoInstance:
			c.Placements++
		case m.To == fleet.NoInstance:
			c.Unplaced++
		default:
			c.Moves++
		}
		if len(out.Moves) < limit {
			out.Moves = append(out.Moves, api.PlannedMove{ID: m.Resource, From: Place(m.From), To: Place(m.To), Reason: m.Why.String()})
		}
	}
	out.MovesTruncated = len(out.Moves) < len(plan.Moves)
	for _, o := range plan.Opened {
		out.Opened = append(out.Opened, api.PlannedOpen{ID: int(o.Instance), Capacity: o.Capacity, Reason: o.Why.String()})
	}
	for _, r := range plan.Released {
		out.Released = append(out.Released, api.PlannedClose{ID: int(r.Instance), Reason: r.Why.String()})
	}
	for _, r := range plan.Capacities {
		out.Recapacitated = append(out.Recapacitated, api.Recapacity{ID: int(r.Instance), From: r.From, To: r.To, Reason: r.Why.String()})
	}
	c.Opened, c.Released, c.Recapacitated = len(out.Opened), len(out.Released), len(out.Recapacitated)
	return out
}

// Place is nil for no instance.
func Place(id fleet.InstanceID) *int {
	if id == fleet.NoInstance {
		return nil
	}
	return new(int(id))
}

// Request is what an orchestration is asked to come to.
func Request(r api.OrchestrateRequest) placement.Request {
	return placement.Request{ResourcePerInstance: r.ResourcePerInstance, MaxInstances: r.MaxInstances}
}

// SizeError is the interface's error for one of placement's: refused,
// out_of_range with its field, or unavailable; nil for nil.
func SizeError(err error) error {
	var tooMany *placement.TooManyError
	var field *fleet.FieldError
	switch {
	case errors.As(err, &tooMany):
		return api.Errorf(api.CodeRefused, "%v", tooMany)
	case errors.As(err, &field):
		return &api.Error{Code: api.CodeOutOfRange, Message: field.Error(), Field: field.Field}
	case err != nil:
		return api.Errorf(api.CodeUnavailable, "%v", err)
	}
	return nil
}

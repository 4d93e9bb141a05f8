package orchestrator

import (
	"context"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/internal/kubernetes"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/reconcile"
)

// podDetails tells people of pods what the machine need not know.
type podDetails interface {
	// Detail answers from memory.
	Detail(kind fleet.Kind, id fleet.InstanceID) (kubernetes.Detail, bool)
	// PodEvents asks Kubernetes, for a few seconds at most. With an error come those
	// that were read until then.
	PodEvents(ctx context.Context, kind fleet.Kind, id fleet.InstanceID) ([]kubernetes.Event, error)
}

// Pod is part of rest.Observer.
func (s *service) Pod(ctx context.Context, kind string, instance int) (api.Pod, error) {
	out := api.Pod{Resource: kind, Instance: instance, Events: []api.PodEvent{}}
	id := fleet.InstanceID(instance)
	err := s.lead(ctx, kind, false, func(st loop.State) error {
		in, ok := answer.FindInstance(st.Machine, id)
		if !ok || int(id) != instance {
			return s.kind(kind).NoInstance(instance)
		}
		out.Name, out.UID, out.Phase, out.Reason = s.pod(kind, id), in.UID, in.Phase.String(), in.Reason
		return nil
	})
	if err != nil || s.details == nil {
		return out, err
	}
	if d, ok := s.detail(kind, id, out.UID); ok {
		out.Node, out.Image, out.Restarts, out.AgeSeconds = d.Node, d.Image, &d.Restarts, age(d.Created)
	}
	events, err := s.details.PodEvents(ctx, fleet.Kind(kind), id)
	if err != nil {
		out.EventsError = err.Error()
	}
	for _, e := range events[:min(len(events), podEventsShown)] {
		out.Events = append(out.Events, api.PodEvent{AgeSeconds: *age(e.Last), Type: e.Type, Reason: e.Reason, Text: e.Message, Count: e.Count, Source: e.Source})
	}
	return out, nil
}

// podEventsShown bounds Pod.Events.
const podEventsShown = 100

// detail answers what is known of the pod with that UID.
func (s *service) detail(kind string, id fleet.InstanceID, uid string) (kubernetes.Detail, bool) {
	if s.details == nil || uid == "" {
		return kubernetes.Detail{}, false
	}
	d, ok := s.details.Detail(fleet.Kind(kind), id)
	return d, ok && d.UID == uid
}

// age is how long ago something was; 0 for what another's clock has in the future.
func age(at time.Time) *float64 { return new(max(0, time.Since(at).Seconds())) }

// instances tells what the machine knows of the instances, and the UIDs of their
// pods.
func (s *service) instances(kind string, st loop.State) (out api.Instances, pods []string) {
	k, n := s.kind(kind), st.Machine.Instances()
	out = api.Instances{Resource: kind, Heartbeat: st.Config.Heartbeat, Instances: make([]api.Instance, 0, n)}
	pods = make([]string, 0, n)
	st.Machine.EachInstance(func(in reconcile.Instance) bool {
		out.Instances, pods = append(out.Instances, k.Instance(in, st.Now)), append(pods, in.UID)
		return true
	})
	return out, pods
}

// addDetails adds what only Kubernetes knows of the pods with those UIDs.
func (s *service) addDetails(out *api.Instances, pods []string) {
	for i := range out.Instances {
		x := &out.Instances[i]
		if d, ok := s.detail(out.Resource, fleet.InstanceID(x.ID), pods[i]); ok {
			x.Node, x.Restarts, x.AgeSeconds = d.Node, &d.Restarts, age(d.Created)
		}
	}
}

// Reorchestrations is part of rest.Observer.
func (s *service) Reorchestrations(ctx context.Context, kind string) (api.Reorchestrations, error) {
	out := api.Reorchestrations{Resource: kind}
	err := s.lead(ctx, kind, true, func(loop.State) error { return nil })
	if err == nil {
		out.Runs, out.Since = s.runs.of(kind)
	}
	return out, err
}

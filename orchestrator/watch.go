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

// Instances is part of rest.Observer.
func (s *service) Instances(ctx context.Context, kind string) (api.Instances, error) {
	out := api.Instances{Resource: kind}
	var known []reconcile.Instance
	var now time.Duration
	err := s.lead(ctx, kind, false, func(st loop.State) error {
		out.Heartbeat, now = st.Config.Heartbeat, st.Now
		known = instancesOf(st.Machine)
		return nil
	})
	k := s.kind(kind)
	out.Instances = make([]api.Instance, len(known))
	for i := range known {
		x := k.Instance(known[i], now)
		if d, ok := s.detail(kind, known[i].ID, known[i].UID); ok {
			x.Node, x.Restarts, x.AgeSeconds = d.Node, new(d.Restarts), age(d.Created)
		}
		out.Instances[i] = x
	}
	return out, err
}

// instancesOf copies what the machine knows of its instances, and no more: it
// waits meanwhile, and there may be ten thousand.
func instancesOf(m *reconcile.Machine) []reconcile.Instance {
	known := make([]reconcile.Instance, 0, m.Instances())
	m.EachInstance(func(in reconcile.Instance) bool {
		known = append(known, in)
		return true
	})
	return known
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

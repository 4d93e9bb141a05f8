package serve

import (
	"context"
	"time"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/tape"
)

// lead has look see the machine that leads a kind at the moment shown.
func (s *Server) lead(kind string, loading bool, look func(answer.Kind, state)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.kind(kind)
	if err != nil {
		return err
	}
	st, err := s.leading(k, loading)
	if err == nil {
		look(k, st)
	}
	return err
}

// Instances is part of rest.Observer.
func (s *Server) Instances(_ context.Context, kind string) (out api.Instances, err error) {
	err = s.lead(kind, false, func(k answer.Kind, st state) {
		var known bool
		if out, known = s.views.instances[kind]; known {
			return
		}
		out = s.instances(k, st)
		s.views.instances[kind] = out
	})
	return out, err
}

func (s *Server) instances(k answer.Kind, st state) api.Instances {
	out := api.Instances{Resource: k.Name, Heartbeat: st.config.Heartbeat, Instances: make([]api.Instance, 0, st.machine.Instances())}
	st.machine.EachInstance(func(in reconcile.Instance) bool {
		x := k.Instance(in, st.now)
		if pod := s.moment.Pod(fleet.Kind(k.Name), in.ID); in.UID != "" && pod.UID == in.UID {
			x.Node, x.AgeSeconds = pod.Node, new((s.moment.At() - pod.Created).Seconds())
			if pod.Told {
				x.Restarts = new(pod.Restarts)
			}
		}
		out.Instances = append(out.Instances, x)
		return true
	})
	return out
}

// podEventsShown bounds api.Pod.Events.
const podEventsShown = 100

// Pod is part of rest.Observer.
func (s *Server) Pod(_ context.Context, kind string, instance int) (out api.Pod, err error) {
	id := fleet.InstanceID(instance)
	var missing error
	err = s.lead(kind, false, func(k answer.Kind, st state) {
		in, ok := answer.FindInstance(st.machine, id)
		if !ok || int(id) != instance {
			missing = k.NoInstance(instance)
			return
		}
		out = api.Pod{Resource: kind, Instance: instance, Name: k.Pod(id), UID: in.UID, Phase: in.Phase.String(), Reason: in.Reason, Events: []api.PodEvent{}}
		pod, now := s.moment.Pod(fleet.Kind(kind), id), s.moment.At()
		if in.UID != "" && pod.UID == in.UID {
			out.Node, out.AgeSeconds = pod.Node, new((now - pod.Created).Seconds())
			if pod.Told {
				out.Restarts = new(pod.Restarts)
			}
		}
		for i := range pod.Facts[:min(len(pod.Facts), podEventsShown)] {
			out.Events = append(out.Events, podEvent(&pod.Facts[i], now))
		}
		if !pod.Complete || len(pod.Facts) > podEventsShown {
			out.EventsError = "older events are not kept"
		}
	})
	if err == nil {
		err = missing
	}
	return out, err
}

// podEvent is what has happened to a pod, as Kubernetes would tell it where it
// does.
func podEvent(f *tape.PodFact, now time.Duration) api.PodEvent {
	ev := api.PodEvent{AgeSeconds: (now - f.At).Seconds(), Type: "Normal", Text: f.Text, Count: 1, Source: "kubelet"}
	warn := func(reason, text string) { ev.Type, ev.Reason, ev.Text = "Warning", reason, text }
	switch f.What {
	case tape.PodCreated:
		ev.Reason, ev.Text, ev.Source = "Created", "pod "+f.UID, "orchestrator"
	case tape.PodBound:
		ev.Reason, ev.Text, ev.Source = "Scheduled", "assigned to "+f.Text, "scheduler"
	case tape.PodDeleted:
		ev.Reason, ev.Source = "Deleted", "orchestrator"
	case tape.PodGone:
		ev.Reason, ev.Text = "Gone", "the name is free"
	case tape.ProgramStarted:
		ev.Reason, ev.Text = "Started", "the program runs"
	case tape.ProgramHung:
		warn("Hung", "the program does nothing, and only the simulation knows")
		ev.Source = "simulation"
	case tape.ProgramEnded:
		ev.Reason, ev.Text = "Stopped", "the program has ended"
	case tape.PodPhase:
		phaseEvent(&ev, f, warn)
	}
	return ev
}

func phaseEvent(ev *api.PodEvent, f *tape.PodFact, warn func(reason, text string)) {
	text := f.Phase.String()
	if f.Text != "" {
		text += ": " + f.Text
	}
	ev.Reason, ev.Text = f.Phase.String(), text
	switch {
	case f.NodeLost:
		warn("NodeNotReady", text+"; its node does not answer")
	case f.Terminating:
		ev.Reason, ev.Text = "Killing", text+"; it is being deleted"
	case f.Phase == fleet.PhasePending && f.Text == "Unschedulable":
		warn("FailedScheduling", text)
	case f.Phase == fleet.PhasePending && f.Text != "":
		warn("BackOff", text)
	case f.Phase == fleet.PhaseFailed || f.Phase == fleet.PhaseUnknown:
		warn(f.Phase.String(), text)
	}
}

// movesShown bounds api.Moves.
const movesShown = 1000

// Moves is part of rest.Observer.
func (s *Server) Moves(_ context.Context, kind, id string) (api.Moves, error) {
	out := api.Moves{Resource: kind, ID: id, Moves: []api.MoveRecord{}}
	err := s.lead(kind, true, func(answer.Kind, state) {
		moves, since, all := s.moment.Moves(fleet.Kind(kind), id, movesShown)
		for i := range moves {
			m := &moves[i]
			out.Moves = append(out.Moves, api.MoveRecord{At: s.wall(m.At), From: answer.Place(m.From), To: answer.Place(m.To), Reason: m.Why.String()})
		}
		out.Since, out.Complete = s.wall(since), all && len(moves) < movesShown
	})
	return out, err
}

// Preview is part of rest.Observer.
func (s *Server) Preview(_ context.Context, kind string, req api.OrchestrateRequest, limit int) (api.Plan, error) {
	var resources int
	var size placement.Size
	var plan func() (*placement.Plan, error)
	var wrong error
	var k answer.Kind
	err := s.lead(kind, false, func(of answer.Kind, st state) {
		k, resources = of, st.machine.Resources()
		size, plan, wrong = st.machine.Preview(answer.Request(req))
	})
	if err == nil {
		err = answer.SizeError(wrong)
	}
	if err != nil {
		return api.Plan{}, err
	}
	planned, err := plan() // time goes on meanwhile
	if err != nil {
		return api.Plan{}, answer.SizeError(err)
	}
	return k.Plan(resources, size, planned, limit), nil
}

// Progress is part of rest.Observer.
func (s *Server) Progress(_ context.Context, kind string) (out api.Progress, err error) {
	err = s.lead(kind, false, func(k answer.Kind, st state) { out = k.Progress(st.machine, st.now) })
	return out, err
}

// Maintenance is part of rest.Observer.
func (s *Server) Maintenance(_ context.Context, kind string) (out api.Maintenance, err error) {
	err = s.lead(kind, false, func(_ answer.Kind, st state) { out.On = st.machine.Control().Maintenance })
	return out, err
}

// Status is part of rest.Observer.
func (s *Server) Status(_ context.Context, kind string) (out api.Status, err error) {
	err = s.lead(kind, true, func(k answer.Kind, st state) {
		out = k.Status(st.machine)
		out.Leader, out.Epoch = st.leader, st.epoch
	})
	return out, err
}

// runsShown bounds api.Reorchestrations.
const runsShown = 100

// Reorchestrations is part of rest.Observer.
func (s *Server) Reorchestrations(_ context.Context, kind string) (api.Reorchestrations, error) {
	out := api.Reorchestrations{Resource: kind, Runs: []api.Reorchestration{}}
	err := s.lead(kind, true, func(answer.Kind, state) {
		out.Since = s.wall(s.tape.Begin())
		for _, r := range s.moment.Reorchestrations(fleet.Kind(kind), runsShown) {
			run := api.Reorchestration{StartedAt: s.wall(r.Began), Outcome: r.Outcome, Moves: r.Moves, Create: r.Create, Release: r.Release, Text: r.Text}
			if r.Outcome != "running" {
				run.EndedAt = new(s.wall(r.Ended))
			}
			out.Runs = append(out.Runs, run)
		}
		if n := len(out.Runs); n == runsShown {
			out.Since = out.Runs[n-1].StartedAt
		}
	})
	return out, err
}

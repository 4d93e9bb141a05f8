package rest

import (
	"context"

	"dacorch/orchestrator/api"
)

// The fake shows a simulation, too.

func (f *fake) Clock(ctx context.Context) (api.Clock, error) {
	f.mu.Lock()
	c := f.shown
	f.mu.Unlock()
	c.Source, c.End, c.Planned, c.Event, c.Text = "simulation", 60, 600, 12, "a heartbeat"
	return c, f.enter(ctx, "", "clock")
}

func (f *fake) SetClock(ctx context.Context, change api.ClockChange) (api.Clock, error) {
	if s := change.Seek; s != nil && (*s < 0 || *s > 60) {
		return api.Clock{}, &api.Error{Code: api.CodeOutOfRange, Field: "seek", Message: "want 0 to 60 seconds"}
	}
	f.mu.Lock()
	for to, from := range map[*float64]*float64{&f.shown.Now: change.Seek, &f.shown.Speed: change.Speed} {
		if from != nil {
			*to = *from
		}
	}
	if change.Paused != nil {
		f.shown.Paused = *change.Paused
	}
	f.mu.Unlock()
	return f.Clock(ctx)
}

func (f *fake) Step(ctx context.Context, step api.Step) (api.Clock, error) {
	f.mu.Lock()
	f.shown.Now += float64(step.Events)
	f.mu.Unlock()
	return f.Clock(ctx)
}

func (f *fake) Timeline(ctx context.Context, buckets int) (api.Timeline, error) {
	until := 2.5
	return api.Timeline{End: 60, Bucket: 60 / float64(buckets),
		Marks: []api.Mark{{At: 1, Until: &until, Class: api.MarkFault, Text: "kafka down"}}, Series: []api.Series{{Resource: "Thing"}}}, f.enter(ctx, "", "timeline %d", buckets)
}

func (f *fake) Faults(ctx context.Context) (api.Faults, error) {
	return api.Faults{Offered: []api.FaultWord{{Subject: "pod", Word: "crash", About: "A pod's program ends.", Once: true, Target: "instance"}}}, f.enter(ctx, "", "faults")
}

func (f *fake) Inject(ctx context.Context, fault []byte) (api.Injected, error) {
	return api.Injected{At: 60, Text: string(fault)}, f.enter(ctx, "", "inject %s", fault)
}

package serve

import (
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

func TestReads(t *testing.T) {
	s := paused(t, small)
	c, ctx := client(t, s), t.Context()
	s.until(5 * time.Minute)
	clock := ok[api.Clock](t)(c.Clock(ctx))
	t.Logf("%+v", clock)
	kinds := ok[api.Kinds](t)(c.Kinds(ctx))
	t.Logf("%+v", kinds)
	in := ok[api.Instances](t)(c.Instances(ctx, "Thing"))
	t.Logf("%+v", in.Instances[0])
	pod := ok[api.Pod](t)(c.Pod(ctx, "Thing", 0))
	t.Logf("%+v", pod)
	found := ok[api.Search](t)(c.Search(ctx, "Thing", "", "", 3))
	t.Logf("%+v", found)
	t.Logf("%+v", ok[api.Moves](t)(c.Moves(ctx, "Thing", found.Resources[0].ID)))
	t.Logf("%+v", ok[api.Status](t)(c.Status(ctx, "Thing")))
	t.Logf("%+v", ok[api.About](t)(c.About(ctx)))
	t.Logf("%+v", ok[api.Timeline](t)(c.Timeline(ctx, 10)))
	t.Logf("%+v", ok[api.Recent](t)(c.Recent(ctx, api.RecentQuery{Limit: 5})))
	t.Logf("%+v", ok[api.Injected](t)(c.Inject(ctx, map[string]any{"pod": "crash", "kind": "Thing", "instance": 2})))
	t.Logf("%+v", ok[api.Faults](t)(c.Faults(ctx)).Active)
	t.Logf("%+v", ok[api.Clock](t)(c.Step(ctx, 3)))
	t.Logf("%+v", ok[api.Clock](t)(c.Step(ctx, -3)))
	t.Logf("%+v", ok[api.Clock](t)(c.SetClock(ctx, api.ClockChange{Seek: new(60.0)})))
	t.Logf("%+v", ok[api.Recent](t)(c.Recent(ctx, api.RecentQuery{Limit: 2})))
	s.until(31 * time.Minute)
	t.Logf("%+v", ok[api.Clock](t)(c.Clock(ctx)))
	t.Logf("%+v", ok[api.Kinds](t)(c.Kinds(ctx)))
}

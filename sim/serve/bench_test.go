package serve

import (
	"context"
	"testing"
	"time"

	"dacorch/orchestrator/api"
)

// large has 10,000 instances with 500,000 resources.
const large = `
name: large
about: For measurements of the server.
duration: 1h
kinds:
  - {kind: Thing, resources: 500000, initInstances: 10000, maxInstances: 12000, resourcePerInstance: 100, policy: balance}
churn:
  - {kind: Thing, create: 50/s, delete: 50/s}
expect: [violations < 1000]
`

// BenchmarkLarge measures calls about the end, while time stands still.
func BenchmarkLarge(b *testing.B) {
	s := made(b, Config{Scenario: parsed(b, large), Paused: true, At: 5 * time.Minute})
	ctx := context.Background()
	page, _, err := s.Search(ctx, "Thing", "", "", 1)
	if err != nil {
		b.Fatal(err)
	}
	id := page[0].ID
	each := func(api.InstanceList) error { return nil }
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"kinds", func() error { _, err := s.Kinds(ctx); return err }},
		{"where", func() error { _, err := s.Where("Thing", id); return err }},
		{"instances", func() error { s.goLive(); _, err := s.Instances(ctx, "Thing"); return err }},
		{"instances-again", func() error { _, err := s.Instances(ctx, "Thing"); return err }},
		{"search-first", func() error { s.goLive(); _, _, err := s.Search(ctx, "Thing", "Thing-0001", "", 100); return err }},
		{"search-again", func() error { _, _, err := s.Search(ctx, "Thing", "Thing-0001", "", 100); return err }},
		{"search-moving", func() error {
			s.clock.paused = false
			defer func() { s.clock.paused = true }()
			_, _, err := s.Search(ctx, "Thing", "Thing-0001", "", 100)
			return err
		}},
		{"orchestration", func() error { s.goLive(); _, err := s.Orchestration(ctx, "Thing", true, each); return err }},
		{"clock", func() error { _, err := s.Clock(ctx); return err }},
		{"timeline", func() error { _, err := s.Timeline(ctx, 200); return err }},
		{"seek", func() error {
			_, err := s.SetClock(ctx, api.ClockChange{Seek: new(290.0)})
			return err
		}},
		{"step-back", func() error { _, err := s.Step(ctx, api.Step{Events: -1}); return err }},
	} {
		b.Run(call.name, func(b *testing.B) {
			for b.Loop() {
				if err := call.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPass measures a second of a small simulation, with all that makes it
// seen.
func BenchmarkPass(b *testing.B) {
	s := paused(b, small)
	s.until(time.Minute)
	for b.Loop() {
		if s.clock.now >= 29*time.Minute {
			b.StopTimer()
			s = paused(b, small)
			s.until(time.Minute)
			b.StartTimer()
		}
		s.until(s.clock.now + time.Second)
	}
}

package mqtt

import (
	"context"
	"fmt"
	"testing"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest"
	broker "dacorch/sim/wire/mqtt"
)

// Notifications from the stand-in through the adapter, each parsed, handed over
// and acknowledged; with the broker's usual window and with a wide one.
func BenchmarkListen(b *testing.B) {
	for _, window := range []int{20, 1000} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			s := standIn(b, broker.Config{MaxInflight: window, MaxQueued: b.N})
			c := adapter(b, config(s.URL()))
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			up, all, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
			got := 0
			go func() {
				defer close(ended)
				c.Listen(ctx, func(token uint64, _ *fleet.Notification) {
					c.Ack(token)
					if got++; got == b.N {
						close(all)
					}
				}, func(bool) { close(up) })
			}()
			<-up
			payload := porttest.NotificationValue("Thing", "0f8fad5b-d9cb-469f-a165-70867728950e")
			b.ResetTimer()
			for range b.N {
				inside(b, s, payload)
			}
			<-all
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.StopTimer()
			cancel()
			<-ended
		})
	}
}

func BenchmarkParse(b *testing.B) {
	payload := porttest.NotificationValue("Thing", "0f8fad5b-d9cb-469f-a165-70867728950e")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Parser{}).Parse(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBulk(b *testing.B) {
	payload := []byte(`{"o":"bd","t":"Thing","where":{"id":["0"`)
	for i := 1; i < MaxIDs; i++ {
		payload = fmt.Appendf(payload, `,"0f8fad5b-d9cb-469f-a165-%012d"`, i)
	}
	payload = append(payload, "]}}"...)
	for b.Loop() {
		if n, err := (Parser{}).Parse(payload); err != nil || len(n.Resources) != MaxIDs {
			b.Fatal(err)
		}
	}
}

package mqtt

import (
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"dacorch/orchestrator/porttest/real"
)

// Messages of quality of service 1 through a broker, from one publisher to one
// subscriber, each acknowledged on both sides: this one, this one with a data
// directory, and Mosquitto.
func BenchmarkQoS1(b *testing.B) {
	for _, c := range []struct {
		name  string
		start func(b *testing.B) (addr string)
	}{
		{"memory", func(b *testing.B) string { return start(b, Config{MaxQueued: b.N}).Addr() }},
		{"data directory", func(b *testing.B) string {
			return start(b, Config{DataDir: b.TempDir(), MaxQueued: b.N}).Addr()
		}},
		{"Mosquitto", func(b *testing.B) string {
			return real.Mosquitto(b, real.Setting("max_queued_messages", "0")).Addr
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			addr := c.start(b)
			got := make(chan struct{}, 1<<10)
			sub := connect(b, addr, "sub", func(o *paho.ClientOptions) {
				o.SetDefaultPublishHandler(func(paho.Client, paho.Message) { got <- struct{}{} })
			})
			done(b, "subscribing", sub.Subscribe("t", 1, nil))
			pub := connect(b, addr, "pub", nil)
			payload := make([]byte, 200)
			b.ResetTimer()
			go func() {
				for range b.N {
					pub.Publish("t", 1, false, payload)
				}
			}()
			for range b.N {
				<-got
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.StopTimer()
			pub.Disconnect(1000)
			sub.Disconnect(1000)
		})
	}
}

package mqtt

import (
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Messages of quality of service 1 through the broker, from one publisher to one
// subscriber, each acknowledged on both sides; with and without a data directory.
func BenchmarkQoS1(b *testing.B) {
	for name, dir := range map[string]string{"memory": "", "data directory": b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			s := start(b, Config{DataDir: dir, MaxQueued: b.N})
			got := make(chan struct{}, 1<<10)
			sub := connect(b, s.Addr(), "sub", func(o *paho.ClientOptions) {
				o.SetDefaultPublishHandler(func(paho.Client, paho.Message) { got <- struct{}{} })
			})
			done(b, "subscribing", sub.Subscribe("t", 1, nil))
			pub := connect(b, s.Addr(), "pub", nil)
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
		})
	}
}

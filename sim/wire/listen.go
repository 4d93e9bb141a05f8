package wire

import (
	"context"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// listen hands over every announcement until ctx ends.
func (p *Platform) listen(ctx context.Context, heard func(payload []byte)) error {
	messages := make(chan []byte, 1024)
	subscribed := make(chan error, 1)
	o := mqtt.NewClientOptions().AddBroker("tcp://" + p.MQTT.Addr()).SetClientID("dacorch-" + centreName).
		SetOrderMatters(true).SetConnectRetry(true).SetConnectRetryInterval(time.Second).SetMaxReconnectInterval(time.Second)
	o.SetOnConnectHandler(func(c mqtt.Client) {
		t := c.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) {
			select {
			case messages <- m.Payload():
			case <-ctx.Done():
			}
		})
		go func() {
			<-t.Done()
			select {
			case subscribed <- t.Error():
			default: // a reconnect
			}
		}()
	})
	c := mqtt.NewClient(o)
	c.Connect()
	defer c.Disconnect(100)
	select {
	case err := <-subscribed:
		if err != nil {
			return fmt.Errorf("subscribing to %s: %w", topic, err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		select {
		case payload := <-messages:
			heard(payload)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

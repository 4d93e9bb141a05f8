package wire

import (
	"context"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// patient bounds the wait for a broker that runs elsewhere.
const patient = 10 * time.Second

// Publisher connects a data centre to a broker that runs elsewhere, and answers how
// it announces there. It reconnects by itself; what is published meanwhile is an
// error at once. It publishes nothing any more after end. A client id that the
// options lack is given them.
func Publisher(broker *mqtt.ClientOptions) (publish func(payload []byte) error, end func(), err error) {
	if broker.ClientID == "" {
		broker.SetClientID("dacorch-" + centreName + "-says")
	}
	c := mqtt.NewClient(broker.SetMaxReconnectInterval(time.Second))
	where := "no broker"
	for _, at := range broker.Servers {
		where = at.Redacted()
	}
	answered := func(what string, t mqtt.Token) error {
		if !t.WaitTimeout(patient) {
			return fmt.Errorf("%s %s: no answer within %v", what, where, patient)
		}
		if err := t.Error(); err != nil {
			return fmt.Errorf("%s %s: %w", what, where, err)
		}
		return nil
	}
	if err := answered("connecting to", c.Connect()); err != nil {
		return nil, nil, err
	}
	return func(payload []byte) error {
			if !c.IsConnectionOpen() { // it would be kept until there is one, and whoever publishes would wait
				return fmt.Errorf("publishing at %s: there is no connection", where)
			}
			return answered("publishing at", c.Publish(topic, 1, false, payload))
		},
		func() { c.Disconnect(100) }, nil
}

// listen hands over every announcement until ctx ends.
func (p *Platform) listen(ctx context.Context, heard func(payload []byte)) error {
	messages := make(chan []byte, 1024)
	subscribed := make(chan error, 1)
	o := mqtt.NewClientOptions().AddBroker(p.MQTTURL()).SetClientID("dacorch-" + centreName).
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

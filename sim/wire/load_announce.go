package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"dacorch/orchestrator/fleet"
)

// announcer is an open loop: it says again and again of rows what is so, at a
// constant rate whatever becomes of it.
type announcer struct {
	kind      fleet.Kind
	perSecond float64 // of real time
	rows      []fleet.Resource
	publish   func(payload []byte) acknowledgement
	tally     *tally
}

// acknowledgement comes when the broker has taken a message. It is an
// mqtt.Token.
type acknowledgement interface {
	Done() <-chan struct{}
	Error() error
}

// maxUnacked bounds the messages that wait for their acknowledgement; one more
// fails at once. MQTT has 65,535 numbers for them.
const maxUnacked = 20_000

// overMQTT announces over a connection of its own.
func (a *announcer) overMQTT(ctx, stop context.Context, addr string, entry int) {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID(fmt.Sprintf("dacorch-load-%d", entry)).
		SetCleanSession(false).SetConnectRetry(true).SetConnectRetryInterval(time.Second).SetMaxReconnectInterval(time.Second).
		SetWriteTimeout(answerLimit)
	client := mqtt.NewClient(o)
	client.Connect() // what is published before it stands is sent then
	defer client.Disconnect(100)
	a.publish = func(payload []byte) acknowledgement { return client.Publish(topic, 1, false, payload) }
	a.play(ctx, stop)
}

// announcement is a message that was sent.
type announcement struct {
	due time.Time
	ack acknowledgement
}

// play announces until stop is done, and then waits for acknowledgements as long
// as one may take. When ctx ends it goes at once.
func (a *announcer) play(ctx, stop context.Context) {
	unacked := make(chan announcement, maxUnacked)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		for m := range unacked {
			a.await(ctx, m)
		}
	}()
	defer func() {
		close(unacked)
		<-waited
	}()
	began := time.Now()
	for n := 0; ; n++ {
		// A late message is as late as it is: the wait counts from when it was due.
		due := began.Add(time.Duration(float64(n) / a.perSecond * float64(time.Second)))
		if !pause(stop, time.Until(due)) {
			return
		}
		if len(unacked) == cap(unacked) {
			a.tally.acknowledged(time.Since(due), fmt.Sprintf("%d before it were not acknowledged", maxUnacked))
			continue
		}
		payload, err := a.message(n)
		if err != nil {
			a.tally.acknowledged(time.Since(due), err.Error())
			continue
		}
		unacked <- announcement{due, a.publish(payload)}
	}
}

// message says of a row that it is as it is: that it was updated, or created.
func (a *announcer) message(n int) ([]byte, error) {
	r := a.rows[n%len(a.rows)]
	op := "u"
	if n%2 == 1 {
		op = "c"
	}
	return json.Marshal(message{Op: op, Table: string(a.kind), Key: &key{r.ID}, Instance: &row{r.ID, r.Group}, By: centreName})
}

// await waits for an acknowledgement. They come in the order of the messages.
func (a *announcer) await(ctx context.Context, m announcement) {
	late := time.NewTimer(time.Until(m.due.Add(answerLimit)))
	defer late.Stop()
	why := ""
	select {
	case <-m.ack.Done():
		if err := m.ack.Error(); err != nil {
			why = reason(err)
		}
	case <-late.C:
		why = fmt.Sprintf("not acknowledged within %v", answerLimit)
	case <-ctx.Done():
		return
	}
	a.tally.acknowledged(time.Since(m.due), why)
}

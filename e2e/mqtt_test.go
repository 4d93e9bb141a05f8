package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"dacorch/e2e/rig"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// message is one of cm/notify, as the data centre writes them.
type message struct {
	Op    string           `json:"o"`
	Table string           `json:"t,omitempty"`
	Key   map[string]any   `json:"k,omitempty"`
	Row   map[string]any   `json:"instance,omitempty"`
	Keys  []map[string]any `json:"keys,omitempty"`
	Where map[string]any   `json:"where,omitempty"`
}

const notifications = "cm/notify"

// connectMQTT is a client that comes back by itself, as the data centre's does.
func connectMQTT(t *testing.T, r *rig.Rig) paho.Client {
	t.Helper()
	options := r.MQTTOptions(rig.UserPlatform, "e2e-"+t.Name()).
		SetAutoReconnect(true).SetMaxReconnectInterval(2 * time.Second).SetKeepAlive(5 * time.Second).SetOrderMatters(false)
	client := paho.NewClient(options)
	if token := client.Connect(); !token.WaitTimeout(callWithin) || token.Error() != nil {
		t.Fatalf("Mosquitto as %s: no connection within %v: %v", rig.UserPlatform, callWithin, token.Error())
	}
	t.Cleanup(func() { client.Disconnect(100) })
	return client
}

// forgetSessions ends the orchestrators' sessions at the broker.
func (w *world) forgetSessions() {
	for replica := range max(1, w.release.Replicas) {
		ctx, done := context.WithTimeout(context.Background(), callWithin)
		if err := w.rig.ForgetSession(ctx, rig.ClientID(w.release.Namespace, rig.Name, replica)); err != nil {
			w.t.Error(err)
		}
		done()
	}
}

// publish answers errNotPublished when the broker does not take it at once: the data
// centre keeps nothing to say later.
func (w *world) publish(m message) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return w.publishRaw(payload)
}

func (w *world) publishRaw(payload []byte) error {
	if !w.mqtt.IsConnectionOpen() {
		return fmt.Errorf("%w: no connection", errNotPublished)
	}
	token := w.mqtt.Publish(notifications, 1, false, payload)
	if !token.WaitTimeout(5 * time.Second) {
		return fmt.Errorf("%w: no acknowledgement", errNotPublished)
	}
	if err := token.Error(); err != nil {
		return fmt.Errorf("%w: %w", errNotPublished, err)
	}
	return nil
}

// created and removed announce rows as the data centre does: one by one, or as many.
func (k *kind) created(ids ...string) message {
	if len(ids) == 1 {
		return message{Op: "c", Table: k.name, Key: key(ids[0]), Row: key(ids[0])}
	}
	m := message{Op: "bc", Table: k.name}
	for _, id := range ids {
		m.Keys = append(m.Keys, key(id))
	}
	return m
}

func (k *kind) removed(ids ...string) message {
	if len(ids) == 1 {
		return message{Op: "d", Table: k.name, Key: key(ids[0]), Row: key(ids[0])}
	}
	return message{Op: "bd", Table: k.name, Where: map[string]any{"id": ids}}
}

// newTold is a kind of one instance that learns of rows by messages: it is compared
// with the database far too late to help, but for when a server has come back.
func newTold(name string) *kind {
	return newKind(name, map[string]any{"limits": map[string]any{"initInstances": 1}, "timings": map[string]any{"resync": unresynced}})
}

// hears fails the case unless a message brings a row. One that a comparison with
// the database has brought proves nothing, so another is tried then.
func (w *world) hears(k *kind) {
	w.t.Helper()
	const tries = 5
	for n := range tries {
		before := w.status(k)
		id := fmt.Sprintf("told-%d-%d", time.Now().UnixMilli(), n)
		w.insert(k, id)
		w.announce(k.created(id))
		w.awaitPlaced(k, placedWithin, id)
		if after := w.status(k); after.Epoch == before.Epoch && after.counted(w.t, "healed") == before.counted(w.t, "healed") {
			return
		}
	}
	w.t.Errorf("%d rows of %s were announced, and all of them found in the database alone", tries, k.name)
}

func key(id string) map[string]any { return map[string]any{"id": id} }

package sim

import (
	"cmp"
	"slices"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// unarrived is a notification that has not reached the orchestrator yet.
type unarrived struct {
	kind fleet.Kind
	nth  uint64 // of those published
}

// publish sends a notification from the data centre.
func (r *run) publish(n *fleet.Notification, k *kind) {
	lost := r.world.MQTT.Stats().Lost
	r.world.MQTT.Publish(n)
	stats := r.world.MQTT.Stats()
	r.check.Add(k.name, history.Notifications, 1)
	if stats.Lost > lost {
		r.lose(k.name)
		return
	}
	r.unarrived[n] = unarrived{k.name, stats.Published}
}

// arrived says that the orchestrator has received a notification.
func (r *run) arrived(n *fleet.Notification) { delete(r.unarrived, n) }

func (r *run) lose(kind fleet.Kind) {
	r.lost++
	r.check.Add(kind, history.NotificationsLost, 1)
}

// loseUnarrived counts what was lost on its way. The broker says how many those
// are, and messages keep their order: what is still on its way was published
// after them.
func (r *run) loseUnarrived() {
	stats := r.world.MQTT.Stats()
	open := make([]unarrived, 0, len(r.unarrived))
	for _, u := range r.unarrived {
		open = append(open, u)
	}
	slices.SortFunc(open, func(a, b unarrived) int { return cmp.Compare(a.nth, b.nth) })
	rest := int(stats.Lost + stats.Overflowed - r.lost)
	for _, u := range open[:min(rest, len(open))] {
		r.lose(u.kind)
	}
}

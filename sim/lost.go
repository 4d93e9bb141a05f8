package sim

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/history"
)

// publish sends a notification from the data centre.
func (r *run) publish(n *fleet.Notification, k *kind) {
	r.check.Add(k.name, history.Notifications, 1)
	r.unarrived[n] = k.name
	r.world.MQTT.Publish(n)
}

// arrived says that the orchestrator has received a notification.
func (r *run) arrived(n *fleet.Notification) { delete(r.unarrived, n) }

// lost counts a notification that will not reach a process, unless one has
// received it.
func (r *run) lost(_ time.Duration, n *fleet.Notification) {
	if kind, open := r.unarrived[n]; open {
		delete(r.unarrived, n)
		r.check.Add(kind, history.NotificationsLost, 1)
	}
}

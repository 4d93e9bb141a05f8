package tui

import (
	"cmp"
	"slices"
	"strings"

	"dacorch/orchestrator/api"
)

// graveness is how the codes of the alarms that are known begin, by what they mean
// for the resources: the worst first. The empty one stands for those not named.
var graveness = []string{"zookeeper-unreadable", "many-down", "unplaced", "too-many", "no-room", "instance-down-", "mass-silence",
	"kubernetes-unreadable", "database-unreadable", "", "heartbeats-down", "notifications-down", "bad-id", "maintenance"}

// worstFirst sorts alarms by how grave they are.
func worstFirst(alarms []api.Alarm) []api.Alarm {
	grave := func(a api.Alarm) int {
		other := 0
		for i, code := range graveness {
			switch {
			case code == "":
				other = i
			case strings.HasPrefix(a.Code, code):
				return i
			}
		}
		return other
	}
	return slices.SortedStableFunc(slices.Values(alarms), func(a, b api.Alarm) int { return cmp.Compare(grave(a), grave(b)) })
}

package data

import "dacorch/orchestrator/api"

// Health is how an instance is, as one word.
type Health uint8

// The health of an instance, from the best to the worst.
const (
	Up       Health = iota
	Closing         // drained, released, or its pod is being deleted on purpose
	Starting        // its pod is not there yet, or pending
	Silent          // it runs and is not heard, or its node does not answer
	Down            // it failed, or has not been up for long
)

var healthNames = [...]string{"up", "closing", "starting", "silent", "down"}

// String is the word for people.
func (h Health) String() string { return healthNames[h] }

// Letter is the one character that stands for it where there is no colour.
func (h Health) Letter() string { return [...]string{"·", "c", "s", "?", "!"}[h] }

// downAfter is for how long a pod may be on its way before that is bad.
const downAfter = 120

// HealthOf is an instance's health.
func HealthOf(in *api.Instance) Health {
	switch {
	case in.NodeLost || in.Silent:
		return Silent
	case in.Closing || in.Terminating && in.Used == 0:
		return Closing
	case in.Up:
		return Up
	case in.Phase == "Failed" || in.DownForSeconds != nil && *in.DownForSeconds > downAfter:
		return Down
	}
	return Starting
}

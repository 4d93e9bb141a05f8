// Package recording is the format in which a run of the core is kept: every
// event that a machine was told, every command that it answered, with the time,
// in the order in which it happened; so that the same machine, told the same
// again, can be seen to answer the same.
//
// A recording is one or more segments. Each begins with a Header and, but for
// the first, with the state of every machine (reconcile's snapshot), so that the
// oldest can be deleted and the rest still replays.
package recording

import (
	"encoding/json"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// Version is that of the format that this package writes. It reads this one and
// older ones.
const Version = 2

// Header is what a segment begins with.
type Header struct {
	Program string    `json:"program"`        // name and version of what wrote it
	Began   time.Time `json:"began,omitzero"` // in production, the wall clock at time 0
	Segment int       `json:"segment"`        // from 0
	Kinds   []Kind    `json:"kinds"`          // records name a kind by its place here

	// Of a simulation: what it ran, complete, as a scenario file, and with which seed.
	Scenario string `json:"scenario,omitempty"`
	Seed     uint64 `json:"seed,omitempty"`
}

// Kind is one kind's machine as it was made.
type Kind struct {
	Config reconcile.Config `json:"config"`
}

// Entry is one thing in a recording. Exactly one of Event, Commands, Mark, Snapshot and
// Closing is set. An Event is followed by the Commands that it was answered
// with, if any.
type Entry struct {
	At    time.Duration // since time 0
	Kind  int           // in Header.Kinds
	Event reconcile.Event

	// Process is the number of the process whose machine it is, where several
	// run at once; and Skew how far its clock is ahead of At: the machine was told
	// At+Skew. A number is used again, after a Restarted, once its process has
	// ended.
	Process int
	Skew    time.Duration

	// Commands are all that the machine answered to the event before.
	Commands []reconcile.Command
	// Restarted says that the machine was made anew: the process had crashed.
	Restarted bool
	// Snapshot is the kind's machine at the beginning of a segment.
	Snapshot []byte
	Mark     *Mark
	Closing  *Closing
}

// Mark is something that happened around the core and that a simulation knows;
// it is shown, not replayed.
type Mark struct {
	What     MarkKind
	Instance fleet.InstanceID // NoInstance where none is meant
	Resource string
	For      time.Duration // Settled, Recovered: how long it took
	Text     string        // a fault's or an order's words; the cause of a slow settlement; a violation's reason
}

// MarkKind says what a Mark tells.
type MarkKind uint8

// The marks.
const (
	FaultBegan MarkKind = iota // Text names the fault; FaultEnded bears the same
	FaultEnded
	OrderGiven
	Healed
	Settled   // a row's creation or deletion is done: For, and Text where it was slow
	Recovered // a row runs again: For
	ProgramStarted
	ProgramHung
	ProgramEnded
	Broken      // an invariant
	PodBound    // the instance's pod has found its node: Text; from version 2 on
	ProcessDied // the Entry's Process, with the machines of all its kinds; from version 2 on
)

// Closing is the end of a segment that was ended in order.
type Closing struct {
	Report    json.RawMessage // of a simulation: its report as JSON
	Continued bool            // the next segment goes on where this one ends
	Lost      string          // why what happened next was not recorded; empty when all was
}

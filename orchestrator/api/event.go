package api

import "time"

// EventType says what an event of the stream is about.
type EventType string

// The types of events. Gap and Bye are about the stream itself and have no id;
// whoever does not know a type skips it.
const (
	EventMove        EventType = "move"        // ResourceID got a place, went From → To, or lost its place; at most 100 of a transaction are told
	EventCommit      EventType = "commit"      // a transaction ended; Code is its outcome, Count how many resources it has put on lists or taken off
	EventPod         EventType = "pod"         // Instance's pod; Code is its phase
	EventInstance    EventType = "instance"    // Instance; Code is opened or gone for its znodes, create for its pod, or what its pod is deleted for: replace, ordered, release
	EventOrder       EventType = "order"       // an operator's order; Code is what it came to
	EventProgress    EventType = "progress"    // a re-orchestration began, got on, ended
	EventMaintenance EventType = "maintenance" // On
	EventAlarm       EventType = "alarm"       // Code is the alarm's, On whether it is
	EventLeader      EventType = "leader"      // Code is the leader's name, empty for none; On: it is this process
	EventNote        EventType = "note"        // what was decided and why
	// EventGap: Count events were lost to this reader, 0 when it is not known how
	// many. What it has seen so far may be stale: read anew.
	EventGap EventType = "gap"
	// EventBye is the last one: the server ends the stream. Code is one of the Bye
	// constants; the reader may come again with the last id it has seen.
	EventBye EventType = "bye"
)

// The codes of EventBye.
const (
	ByeSlow    = "slow"    // the reader was too slow for the server's bounded buffer
	ByeClosing = "closing" // the server shuts down
	ByeLeader  = "leader"  // another process leads now: come again to be forwarded
	ByeToken   = "token"   // the token is valid no longer
)

// Event is one event of GET /v1/api/events: the JSON of a "data:" line. Fields
// that say nothing for the type are absent.
type Event struct {
	ID         string    `json:"id,omitempty"`         // for Last-Event-ID; opaque
	Type       EventType `json:"type"`                 // what it is about
	At         time.Time `json:"at"`                   // when it happened, by the clock of the process
	Resource   string    `json:"resource,omitempty"`   // the kind
	Instance   *int      `json:"instance,omitempty"`   // the instance that it is about
	ResourceID string    `json:"resourceId,omitempty"` // the resource that it is about
	From       *int      `json:"from,omitempty"`       // instance; nil for newly placed
	To         *int      `json:"to,omitempty"`         // instance; nil for removed, or left without a place
	Count      int       `json:"count,omitempty"`      // how many, see the type
	On         *bool     `json:"on,omitempty"`         // whether it is on now
	Code       string    `json:"code,omitempty"`       // see the type
	Text       string    `json:"text,omitempty"`       // for people
}

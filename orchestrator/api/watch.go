package api

import "time"

// About answers GET /v1/api/about: who answers, what the caller may do, and what
// this server offers beyond every server's calls.
type About struct {
	Program string `json:"program"`         // name and version, such as "dacorch 1.4.0"
	Name    string `json:"name"`            // of the process
	Title   string `json:"title,omitempty"` // what is watched, for people; empty for production
	Who     string `json:"who,omitempty"`   // whose token was sent; empty for none
	Scope   string `json:"scope"`           // what the caller may do: none, read, write
	Time    bool   `json:"time"`            // /v1/api/time and /v1/api/timeline are there
	Faults  bool   `json:"faults"`          // /v1/api/faults is there
}

// Pod answers GET …/:resource/instances/:instance/pod.
type Pod struct {
	Resource   string     `json:"resource"`             // the kind
	Instance   int        `json:"instance"`             // number of the instance
	Name       string     `json:"name"`                 // <instanceName>-<id>
	UID        string     `json:"uid,omitempty"`        // empty: there is none
	Phase      string     `json:"phase"`                // as Instance.Phase
	Reason     string     `json:"reason,omitempty"`     // Kubernetes' own, for the phase
	Node       string     `json:"node,omitempty"`       // that it runs on; empty: none yet, or not known
	Image      string     `json:"image,omitempty"`      // of its first container; empty: not known
	Restarts   *int       `json:"restarts,omitempty"`   // of its containers; nil: not known
	AgeSeconds *float64   `json:"ageSeconds,omitempty"` // since its creation; nil: not known
	Events     []PodEvent `json:"events"`               // newest first, at most 100
	// EventsError says why Events may be incomplete; empty when they are not.
	EventsError string `json:"eventsError,omitempty"`
}

// PodEvent is an event that Kubernetes keeps about a pod.
type PodEvent struct {
	AgeSeconds float64 `json:"ageSeconds"` // since it was last seen
	Type       string  `json:"type"`       // Normal, Warning
	Reason     string  `json:"reason"`     // one word, such as "Scheduled"
	Text       string  `json:"text"`       // for people
	Count      int     `json:"count"`      // times it was seen, 1 or more
	Source     string  `json:"source"`     // who said it
}

// Recent answers GET /v1/api/events/recent. Moves and commits, which come with
// every change, are forgotten sooner than other events.
type Recent struct {
	Events []Event `json:"events"` // newest first
	// Complete says that no older one that was asked for has been forgotten or left
	// out by the process that answers. It never knew of those before it began or led.
	Complete bool   `json:"complete"`
	Last     string `json:"last"` // the stream's newest id: follow on with Last-Event-ID
}

// RecentQuery says which events Client.Recent is about. Zero fields ask for all.
type RecentQuery struct {
	Kind       string
	Instance   *int   // events about this instance: its own, and moves to it and from it
	ResourceID string // moves of this resource
	Type       EventType
	Limit      int // 1 to 1000; 0: 100
}

// Reorchestration is one run of re-orchestrating a kind.
type Reorchestration struct {
	StartedAt time.Time  `json:"startedAt"`         // by the leader's clock
	EndedAt   *time.Time `json:"endedAt,omitempty"` // nil while it runs
	Outcome   string     `json:"outcome"`           // running, done, interrupted
	Moves     int        `json:"moves"`             // planned
	Create    int        `json:"create"`            // instances planned to be created
	Release   int        `json:"release"`           // instances planned to be let go
	Text      string     `json:"text,omitempty"`    // how far it is, or why it ended so
}

// Reorchestrations answers GET …/:resource/reorchestrations.
type Reorchestrations struct {
	Resource string            `json:"resource"` // the kind
	Runs     []Reorchestration `json:"runs"`     // newest first, at most 100
	Since    time.Time         `json:"since"`    // from here on none is missing; older ones may be
}

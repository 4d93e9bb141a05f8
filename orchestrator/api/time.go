package api

import "time"

// EventTime says that the moment that is shown has jumped: what has been read
// is of another moment, read anew. It is among the events of a server that
// offers /v1/api/time.
const EventTime EventType = "time"

// Clock answers GET and PUT /v1/api/time and POST /v1/api/time/step: which moment
// of a simulation or a recording is shown. Offsets are seconds since its time 0.
type Clock struct {
	Source string    `json:"source"` // simulation, recording
	Began  time.Time `json:"began"`  // the wall clock at time 0, as events have it

	Now     float64 `json:"now"`               // the moment shown
	Begin   float64 `json:"begin"`             // the first that can be shown
	End     float64 `json:"end"`               // the last so far: what has happened
	Planned float64 `json:"planned,omitempty"` // where End will stop growing; 0: not known

	Live   bool    `json:"live"`   // Now goes with End
	Ended  bool    `json:"ended"`  // End grows no more
	Paused bool    `json:"paused"` // nothing moves until it is told to
	Speed  float64 `json:"speed"`  // seconds shown a second; 1 is real time

	// ReadOnly says why no order and no fault is taken now; empty: they are.
	ReadOnly string `json:"readOnly,omitempty"`

	Event int64  `json:"event"`          // number of the last event that has happened at Now; 0: none
	Text  string `json:"text,omitempty"` // that event, in words

	Violations int      `json:"violations"` // of invariants, up to Now
	Faults     []string `json:"faults"`     // that last at Now, as a scenario has them
}

// ClockChange is the body of PUT /v1/api/time. What is nil stays. Seek and Live
// exclude each other; seeking pauses nothing.
type ClockChange struct {
	Paused *bool    `json:"paused,omitempty"` // true: nothing moves until it is told to
	Speed  *float64 `json:"speed,omitempty"`  // 0.01 to 100,000
	Seek   *float64 `json:"seek,omitempty"`   // the moment to show, from Begin to End
	Live   *bool    `json:"live,omitempty"`   // true: go to End, and with it
}

// Step is the body of POST /v1/api/time/step. It pauses.
type Step struct {
	// Events to go on by, or back when negative; -10,000 to 10,000 and not 0. At the
	// end a simulation makes them happen.
	Events int `json:"events"`
}

// MarkClass says what a mark on the timeline is about.
type MarkClass string

// The classes of marks.
const (
	MarkFault     MarkClass = "fault"     // something was broken, or broke
	MarkViolation MarkClass = "violation" // an invariant broke
	MarkOutage    MarkClass = "outage"    // the core was told that a channel is down
	MarkAlarm     MarkClass = "alarm"     // the core raised an alarm
	MarkOrder     MarkClass = "order"     // an operator's order
	MarkLeader    MarkClass = "leader"    // another leader, or a process that began anew
	MarkHeal      MarkClass = "heal"      // from here on no fault begins, and all must settle
)

// Mark is something on the timeline.
type Mark struct {
	At       float64   `json:"at"`                 // seconds since time 0
	Until    *float64  `json:"until,omitempty"`    // when it was over; nil: it has not ended, or Once
	Once     bool      `json:"once,omitempty"`     // it happened at At
	Class    MarkClass `json:"class"`              // what it is about
	Resource string    `json:"resource,omitempty"` // the kind; empty: all
	Instance *int      `json:"instance,omitempty"` // nil: none
	Text     string    `json:"text"`               // for people
}

// Series are figures of a kind over time, each with one value for each bucket of
// the timeline that has begun.
type Series struct {
	Resource     string    `json:"resource"`     // the kind
	Resources    []int     `json:"resources"`    // that exist, at the bucket's end
	Unplaced     []int     `json:"unplaced"`     // the most in the bucket
	Instances    []int     `json:"instances"`    // at the bucket's end
	Up           []int     `json:"up"`           // instances whose pods run, the fewest in the bucket
	Moves        []int     `json:"moves"`        // in the bucket
	Commits      []int     `json:"commits"`      // transactions in the bucket
	HeartbeatAge []float64 `json:"heartbeatAge"` // seconds: of the instance heard longest ago, the most in the bucket
}

// Timeline answers GET /v1/api/timeline.
type Timeline struct {
	Begin          float64  `json:"begin"`          // seconds since time 0
	End            float64  `json:"end"`            // seconds since time 0
	Planned        float64  `json:"planned"`        // as Clock.Planned
	Bucket         float64  `json:"bucket"`         // seconds; bucket 0 begins at Begin
	Marks          []Mark   `json:"marks"`          // by At
	MarksTruncated bool     `json:"marksTruncated"` // there are more: of each class the first and the last are listed
	Series         []Series `json:"series"`         // in the configuration's order of the kinds
}

// FaultWord is a sort of fault that can be injected.
type FaultWord struct {
	Subject string   `json:"subject"` // what breaks: pod, node, kafka, …
	Word    string   `json:"word"`    // how: crash, down, …
	About   string   `json:"about"`   // one sentence
	Once    bool     `json:"once"`    // it happens at a moment: "for" is refused
	Target  string   `json:"target"`  // instance, node, or empty: it hits no single thing
	Needs   bool     `json:"needs"`   // the target has to be given
	Keys    []string `json:"keys"`    // that it takes besides subject, "for", "chance"
	By      float64  `json:"by"`      // default of "by", seconds; 0: it takes none
}

// Faults answers GET /v1/api/faults.
type Faults struct {
	Offered []FaultWord `json:"offered"` // in the vocabulary's order
	Active  []Mark      `json:"active"`  // that last now
	Nodes   []string    `json:"nodes"`   // Kubernetes nodes that there are; empty: not modelled
}

// Injected answers POST /v1/api/faults, whose body is a fault as a scenario file
// has it, without "at": {"pod": "crash", "kind": "Thing", "instance": 3}.
type Injected struct {
	At   float64 `json:"at"`   // seconds since time 0
	Text string  `json:"text"` // the fault as it was understood
}

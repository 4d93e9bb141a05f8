// Package report turns a recording into what an engineer needs to see of it: a
// Story, which is plain values, and one self-contained HTML page about it.
//
//	story, err := report.Load(recording)
//	err = story.HTML(file)
//
// A Story is made in one pass and in bounded memory, whatever the recording
// holds: time falls into at most MaxBuckets buckets, every list has a bound and
// says what it left out, and of a resource a fixed number of bytes is kept. It
// reads recordings of simulations and of production alike. A simulation's own
// report and marks, where there are any, take precedence over what is derived
// from the core's events and commands.
package report

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/sim/internal/history"
)

// The bounds of a story. What does not fit is counted.
const (
	MaxBuckets      = 480     // of time
	MaxLanes        = 16_384  // instances that are followed one by one
	MaxResources    = 4 << 20 // resources whose place is followed
	MaxBands        = 1000
	MaxReplacements = 1000
	MaxLog          = 400 // of each sort: see Story.Log
	MaxSlowest      = 20
	MaxViolations   = 100
	MaxProblems     = 20
)

// Story is what a recording tells. All times are offsets from the recording's
// time 0, durations are real or simulated time as the recording's clock had it.
type Story struct {
	Program  string    // what wrote the recording
	Began    time.Time // wall clock at time 0; zero for a simulation
	Scenario string    // a simulation's name; empty for production
	About    string
	Seed     uint64
	Heal     time.Duration // when a simulation's faults stop; 0: not known

	From, To time.Duration // the first and the last entry
	Ended    bool          // it was ended in order: nothing is cut off
	Entries  int
	Segments int

	Report *history.Report // a simulation's own; nil when it left none

	Kinds  []Kind
	Bucket time.Duration // the width of a bucket; bucket 0 begins at From
	Tracks Tracks
	Lanes  []*Lane // by kind, then instance
	Bands  []Band  // by their beginning

	Settle    Distribution // creations and deletions
	SettledBy SettleSource // what Settle tells
	TracedBy  SettleSource // what Tracks.Settle tells
	Slowest   []Settlement // the longest first

	Replacements []Replacement // the first ones
	Violations   []Violation   // the first ones
	Log          []LogEntry    // what was decided and why; see LogOmitted
	LogOmitted   int

	Unfollowed Omitted
	Problems   []string // what in the recording could not be read, or not be followed
}

// SettleSource says what a story's settle times are measured between.
type SettleSource uint8

// The sources of settle times.
const (
	// SettledInZooKeeper: from the notification until the transaction was answered.
	// Whether a DAC then runs the resource, the core is not told.
	SettledInZooKeeper SettleSource = iota
	// SettledOnDAC: from the row's change until exactly one DAC runs it, or none.
	SettledOnDAC
)

// Omitted counts what did not fit.
type Omitted struct {
	Lanes, Resources, Bands, Replacements int
}

// Kind is what became of one kind, by what its core was told and did.
type Kind struct {
	Name   fleet.Kind
	Config reconcile.Config

	Resources   int // in lists or waiting for one, at the end
	Unplaced    int // told of, but on no list, at the end
	UnplacedMax int // most at once, once the first placement was done
	Instances   int // in ZooKeeper at the end

	Transactions int // that happened, by their answers
	Conflicts    int // refused for a version
	Failed       int // failed, deposed or of unknown outcome
	Moves        int // times a resource got another instance than its last
	Replaced     int // pods ordered deleted to be created anew
	Created      int // instances created by transactions
	Released     int // instances deleted by transactions

	Notifications int
	Heartbeats    int
	Alarms        int // raised
	Orders        int
	Refused       int // orders refused or given up
	Leaderships   int
	Restarts      int
	Start         time.Duration // from first leading until everything known was placed; 0: not seen
}

// State is what an instance's pod does.
type State uint8

// The states, from the best to the worst: a bucket keeps the worst.
const (
	Absent   State = iota // no such instance
	Running               //
	Unseen                // in ZooKeeper; nothing has been said of a pod yet
	Hung                  // its pod runs, but a simulation knows that it does nothing
	Leaving               // its deletion was requested
	Pending               //
	Missing               // no pod
	NodeLost              // its node does not answer, or Kubernetes does not know
	Failed                // or ended
)

var stateNames = [...]string{"absent", "running", "not seen yet", "hung", "terminating", "pending", "no pod", "node lost", "failed"}

// String is the state's name for people.
func (s State) String() string { return stateNames[s] }

// Lane is one instance over time.
type Lane struct {
	Kind     fleet.Kind
	Instance fleet.InstanceID
	Cells    []Cell // one for each bucket, from bucket 0 on

	Replaced       int
	Used, Capacity int           // as last seen
	Peak           float64       // the most of used/capacity
	Down           time.Duration // how long it was there and no pod of it ran, once one had
	Born, Died     time.Duration // when it appeared and went during the recording; -1: it did not

	now     Cell
	exists  bool
	ran     bool
	state   State // of the pod, whether or not the instance exists
	uid     string
	changed time.Duration
	open    int // 1 + the replacement that waits for it to run again
}

// Cell is an instance in one bucket.
type Cell struct {
	Load  float32 // used/capacity as the bucket ended; below 0: not known
	State State   // the worst that it was
	Ticks uint8   // times it was replaced, up to 255
}

// BandClass says where a band comes from.
type BandClass uint8

// The classes of bands.
const (
	BandFault  BandClass = iota // a simulation broke something
	BandOutage                  // the core was told that a channel is down, or does not lead
	BandAlarm                   // the core raised an alarm
	BandOrder                   // a person ordered something
)

// Band is something that lasted.
type Band struct {
	Class    BandClass
	Name     string // faults and outages: what; alarms: the code, without an instance's number
	Text     string // more words; may be empty
	Kind     fleet.Kind
	From, To time.Duration
	Open     bool // it had not ended when the recording did
	Once     bool // it happened at From
}

// Settlement is one creation or deletion that took long, or a resource's long
// time without an owner.
type Settlement struct {
	At       time.Duration // when it was over
	For      time.Duration
	Kind     fleet.Kind
	Resource string
	Instance fleet.InstanceID
	What     string // settle, delete, recover (it ran again after a failure) or move
	Open     bool   // it was not over by the end
	Cause    string // empty: not known
}

// Replacement is a pod that was ordered deleted to be created anew.
type Replacement struct {
	At       time.Duration
	Kind     fleet.Kind
	Instance fleet.InstanceID
	Why      string
	Ordered  bool          // by a person
	Back     time.Duration // until the instance's next pod ran; 0: it had not by the end

	uid string
}

// Violation is an invariant that broke.
type Violation struct {
	At        time.Duration
	Kind      fleet.Kind
	Invariant string // empty: the reason names it
	Reason    string
}

// LogClass says what a line of the log is about.
type LogClass uint8

// The classes of log lines. All but notes are kept up to MaxLog; of the notes
// MaxLog/2 from the beginning and as many from the end.
const (
	LogNote LogClass = iota
	LogAlarmOn
	LogAlarmOff
	LogOrder
	LogLeader
	LogFault
	LogBroken
)

var logClassNames = [...]string{"note", "alarm", "alarm over", "order", "leader", "fault", "broken"}

// String is the class's name for people.
func (c LogClass) String() string { return logClassNames[c] }

// LogEntry is one line of the log.
type LogEntry struct {
	At       time.Duration
	Class    LogClass
	Kind     fleet.Kind
	Instance fleet.InstanceID // the first; NoInstance for the kind as a whole
	More     int              // so many other instances at the same time with the same text
	Text     string

	seq int
}

// Length is how long the story is.
func (s *Story) Length() time.Duration { return s.To - s.From }

// Simulated says whether a simulation wrote the recording.
func (s *Story) Simulated() bool { return s.Scenario != "" || s.Report != nil }

// Total sums up what every kind counts.
func (s *Story) Total() Kind {
	var t Kind
	for i := range s.Kinds {
		k := &s.Kinds[i]
		t.Resources += k.Resources
		t.Unplaced += k.Unplaced
		t.UnplacedMax = max(t.UnplacedMax, k.UnplacedMax)
		t.Instances += k.Instances
		t.Transactions += k.Transactions
		t.Conflicts += k.Conflicts
		t.Failed += k.Failed
		t.Moves += k.Moves
		t.Replaced += k.Replaced
		t.Created += k.Created
		t.Released += k.Released
		t.Notifications += k.Notifications
		t.Heartbeats += k.Heartbeats
		t.Alarms += k.Alarms
		t.Orders += k.Orders
		t.Refused += k.Refused
		t.Leaderships += k.Leaderships
		t.Restarts += k.Restarts
		t.Start = max(t.Start, k.Start)
	}
	return t
}

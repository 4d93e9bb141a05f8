// Package scenarios is the vocabulary of simulation scenarios: what exists at
// the start, what changes, what breaks, what an operator does, and what must be
// true at the end, as plain values; the strict loader that reads them from YAML;
// the expectation language; and the scenarios that ship with the product.
//
// It imports nothing from this module and opens no file: it reads what it is
// given. README.md defines every key.
package scenarios

import "time"

// Scenario is one run's script, complete: every default is filled in.
// All times of the script are offsets from its start.
type Scenario struct {
	File     string        // the name given to Load or Parse
	Name     string        // lower case words joined by hyphens
	About    string        // what the scenario shows, in a sentence or two
	Seed     uint64        // of every random stream
	Duration time.Duration // when the run ends; 1s to 366d
	// Heal is when faults have stopped and churn stops (unless an entry's own
	// "until" is later): from then on everything must settle. 0 < Heal ≤ Duration.
	Heal   time.Duration
	Kinds  []Kind // at least one, in the order of the file; names are unique
	Churn  []Churn
	Faults []Fault
	Orders []Order
	Load   []Traffic
	On     string // OnAny or OnWire
	Nodes  *Nodes // nil: pods can always be scheduled
	World  World
	Expect []Expectation // at least one
}

// KindNamed answers the kind of that name, or nil.
func (s *Scenario) KindNamed(name string) *Kind {
	for i := range s.Kinds {
		if s.Kinds[i].Kind == name {
			return &s.Kinds[i]
		}
	}
	return nil
}

// Kind is one class of resources and how it is orchestrated. The fields are the
// orchestrator's configuration of the kind, but for Resources and Groups, which
// say what exists at the start.
type Kind struct {
	Kind         string // table and message name, such as Thing
	InstanceName string // pods are named <InstanceName>-<id>
	Heartbeat    bool   // its instances send heartbeats, and silence replaces them
	Policy       string // fill, balance or group
	Handoff      string // fast or strict

	InitInstances       int // fewest instances of an orchestration
	MaxInstances        int // most instances; a request's value must be below it
	ResourcePerInstance int // an instance's capacity; a request's value must be below it

	Resources int     // rows in the database at the start
	Groups    []Group // what new rows draw their group from, by weight; in the order of the file

	HeartbeatInterval time.Duration // between two heartbeats of an instance
	Silence           time.Duration // an instance unheard for longer is silent
	Monitor           time.Duration // between two checks of the pods
	Resync            time.Duration // between two comparisons with the database
	Pending           time.Duration // a pod Pending for longer is replaced
	Patience          time.Duration // an instance down for longer gives its resources away
	Unconfirmed       time.Duration // one that runs and confirms nothing new for longer is replaced; 0: never

	MovesInFlight int // resources that may be between two instances at once
	Replacing     int // pods that may be replaced at once
	MaxIDBytes    int // a resource's id may have at most so many bytes
}

// Group is a name that resources carry, and how often a new row carries it.
type Group struct {
	Name   string
	Weight float64 // > 0; the share of new rows is Weight over the sum of the kind's weights
}

// The words of on.
const (
	OnAny  = "any"  // in virtual time, and on wire
	OnWire = "wire" // on wire alone
)

// Policies and Handoffs are the words of a kind's policy and handoff.
var (
	Policies = []string{"fill", "balance", "group"}
	Handoffs = []string{"fast", "strict"}
)

// Package data is what the terminal UI knows of the server: answers to queries,
// and what the event stream has told. It is plain values; whoever fetches puts
// answers in, panes read them.
package data

import (
	"time"

	"dacorch/orchestrator/api"
)

// What says which call a query is.
type What uint8

// The queries. Fields of Query that are not named do not count.
const (
	AskAbout            What = iota // → api.About
	AskKinds                        // → api.Kinds
	AskStatus                       // Kind → api.Status
	AskInstances                    // Kind → api.Instances
	AskPod                          // Kind, Instance → api.Pod
	AskList                         // Kind, Instance, After, N (limit) → api.Search: the resources on the instance
	AskSearch                       // Kind, Text (prefix), After, N (limit) → api.Search
	AskMoves                        // Kind, Text (id) → api.Moves
	AskRecent                       // Kind, Instance (-1: all), Text (resource id) , N (limit) → api.Recent
	AskReorchestrations             // Kind → api.Reorchestrations
	AskPlan                         // Kind, Per (0: default), Max (0: default), N (moves listed) → api.Plan
	AskHealth                       // → api.Health
	AskClock                        // → api.Clock
	AskTimeline                     // N (buckets) → api.Timeline
	AskFaults                       // → api.Faults
)

// Query is one call that changes nothing; it can be a map's key.
type Query struct {
	What     What
	Kind     string
	Instance int
	Text     string
	After    string
	N        int
	Per, Max int
}

// Answer is what came of a query the last time, and whether one is under way.
type Answer struct {
	Value   any       // the api value; nil: none yet
	At      time.Time // when Value came
	Took    time.Duration
	Err     error // of the last attempt; Value is then of an earlier one
	Loading bool
	Stale   bool // something has happened since that may have changed it: to be asked again soon
}

// Connection is how the server is reached.
type Connection struct {
	URL     string
	Up      bool      // the last call was answered
	Since   time.Time // when Up became what it is
	Err     string    // why not
	Retry   time.Time // when it is tried next; zero: is being tried
	Latency time.Duration
}

// Flow is a resource flow over an instance's border, seen in the event stream
// within the last Fade.
type Flow struct{ In, Out int }

// Fade is for how long a move can be seen.
const Fade = 3 * time.Second

// State is all that is known. Panes only read it.
type State struct {
	Now        time.Time // when the frame is drawn: ages count from it
	Connection Connection
	Kind       string // that is looked at; empty until kinds are known
	Answers    map[Query]*Answer

	Events  []api.Event // of all kinds, newest last, at most MaxEvents
	Skipped int         // events that a flood or a gap has left out since the start
	Rate    float64     // events a second, lately
	Sampled bool        // events are being left out now

	Flows map[Place]Flow // by what Events told within Fade

	History map[string]*Track // by kind: figures over the time that we have watched

	Found  *api.Found // what the last find has found, on Kind; highlighted in the placement
	Orders []Order    // that were given here, newest last, at most 50
}

// MaxEvents bounds State.Events.
const MaxEvents = 2000

// Place is an instance of a kind.
type Place struct {
	Kind     string
	Instance int
}

// Order is what somebody at this terminal has asked for and what came of it.
type Order struct {
	At   time.Time
	Text string // "replace Thing 3"
	Done bool
	Err  error
	Says string // the answer in words
}

// Get is the last answer's value of a type, and the answer; ok is false while
// there is none.
func Get[T any](s *State, q Query) (v T, a *Answer, ok bool) {
	a = s.Answers[q]
	if a == nil {
		return v, &Answer{}, false
	}
	v, ok = a.Value.(T)
	return v, a, ok
}

// Clock is the moment shown; ok is false for a server that shows only now.
func (s *State) Clock() (api.Clock, bool) {
	v, _, ok := Get[api.Clock](s, Query{What: AskClock})
	return v, ok
}

// Moment is the time that events and ages of events are measured against: the
// moment shown where there is a clock, else Now.
func (s *State) Moment() time.Time {
	if c, ok := s.Clock(); ok {
		return c.Began.Add(time.Duration(c.Now * float64(time.Second)))
	}
	return s.Now
}

// About is what the server says of itself and of us.
func (s *State) About() (api.About, bool) {
	v, _, ok := Get[api.About](s, Query{What: AskAbout})
	return v, ok
}

// ReadOnly says why nothing can be changed now; empty: it can.
func (s *State) ReadOnly() string {
	if about, ok := s.About(); ok && about.Scope != "write" {
		return "the token may only " + about.Scope + ": it needs the scope write"
	}
	if clock, ok := s.Clock(); ok {
		return clock.ReadOnly
	}
	return ""
}

// Instances is the kind's instances.
func (s *State) Instances(kind string) ([]api.Instance, *Answer) {
	v, a, _ := Get[api.Instances](s, Query{What: AskInstances, Kind: kind})
	return v.Instances, a
}

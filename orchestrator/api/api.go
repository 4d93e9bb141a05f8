// Package api is the REST interface as values: what the calls take and answer,
// the events of the stream, the errors, and a client for Go programs. It
// imports nothing of this module. CONTRACT.md fixes three of the calls; the
// document at /openapi.json describes all of them.
//
// Field names are lowerCamelCase and end in their unit where they have one.
// Ages and times until are seconds; they are measured by whoever answers, so
// that clocks need not agree. Counts are whole numbers, 0 or more.
package api

import "time"

// OrchestrateRequest is the body of POST …/:resource/orchestrate. Nil stands
// for the kind's default.
type OrchestrateRequest struct {
	MaxInstances        *int `json:"maxInstances,omitempty"`        // 3 ≤ n < the kind's ceiling (contract 100)
	ResourcePerInstance *int `json:"resourcePerInstance,omitempty"` // 0 < n < the kind's ceiling (contract 5000)
}

// Orchestrated answers a re-orchestration that is done.
type Orchestrated struct {
	Resource            string  `json:"resource"`            // the kind
	Instances           int     `json:"instances"`           // that there are now
	Resources           int     `json:"resources"`           // that exist now
	ResourcePerInstance int     `json:"resourcePerInstance"` // capacity of an instance after the contract's init rule
	Moves               int     `json:"moves"`               // resources that went from one instance to another
	Opened              int     `json:"opened"`              // instances created
	Released            int     `json:"released"`            // instances let go
	TookSeconds         float64 `json:"tookSeconds"`         // from the request to the end
}

// Location answers GET …/:resource/:id/instances.
type Location struct {
	RunIn    string `json:"runIn"`           // the instance's pod, "iota-dac-3"
	Instance int    `json:"instance"`        // its number
	Phase    string `json:"phase,omitempty"` // of the pod, as Kubernetes writes it; empty when not known here
}

// InstanceList is an instance as GET …/:resource shows it. Capacity stands in
// "count", as in the instance's znode.
type InstanceList struct {
	ID   int      `json:"id"`           // number of the instance
	Pod  string   `json:"pod"`          // name of its pod: <instanceName>-<id>
	Used int      `json:"used"`         // resources assigned
	Cap  int      `json:"count"`        // capacity
	IDs  []string `json:"ids,omitzero"` // of the resources assigned; absent with ?ids=false
}

// Totals end GET …/:resource.
type Totals struct {
	InstanceCount int `json:"instanceCount"` // instances that there are
	Used          int `json:"used"`          // resources assigned, of all instances
	Capacity      int `json:"capacity"`      // of all instances
	Unplaced      int `json:"unplaced"`      // resources that exist and stand on no instance; 0 on a follower, which does not know
}

// Orchestration is the answer of GET …/:resource as a whole.
type Orchestration struct {
	Resource  string         `json:"resource"`  // the kind
	Instances []InstanceList `json:"instances"` // ascending by id
	Totals
}

// KindSummary is one kind in GET /v1/api/orchestrations.
type KindSummary struct {
	Resource     string `json:"resource"`     // the kind
	InstanceName string `json:"instanceName"` // pods are named <instanceName>-<id>
	Leader       Leader `json:"leader"`       // who leads it
	Totals
}

// Kinds answers GET /v1/api/orchestrations.
type Kinds struct {
	Kinds []KindSummary `json:"kinds"` // in the configuration's order
}

// Leader is who leads a kind. All fields are zero while that is not known.
type Leader struct {
	Self bool   `json:"self"`           // the process that answers leads
	Name string `json:"name,omitempty"` // of the process that leads
	URL  string `json:"url,omitempty"`  // where its REST interface answers
}

// Instance is one instance in GET …/:resource/instances. The pointers are nil
// when there is nothing to tell.
type Instance struct {
	ID          int    `json:"id"`               // number of the instance
	Pod         string `json:"pod"`              // name of its pod: <instanceName>-<id>
	Used        int    `json:"used"`             // resources assigned
	Capacity    int    `json:"capacity"`         // resources that it may hold
	Phase       string `json:"phase"`            // Missing, Pending, Running, Succeeded, Failed, Unknown
	Reason      string `json:"reason,omitempty"` // Kubernetes' own about its pod, such as Unschedulable
	Up          bool   `json:"up"`               // its pod runs and is not counted as silent
	Closing     bool   `json:"closing"`          // its resources move away, then it goes
	Terminating bool   `json:"terminating"`      // its pod's deletion has been requested
	NodeLost    bool   `json:"nodeLost"`         // its Kubernetes node does not answer
	Silent      bool   `json:"silent"`           // no heartbeat within the deadline while the channel worked
	Session     bool   `json:"session"`          // its tmp/status exists: the DAC is connected to ZooKeeper
	Confirms    bool   `json:"confirms"`         // its DAC tells which _reload it has applied
	Times       int64  `json:"times"`            // of _reload
	// ConfirmedTimes is the _reload that the DAC has applied.
	ConfirmedTimes *int64 `json:"confirmedTimes,omitempty"`
	// HeartbeatAgeSeconds is how long ago the last heartbeat came, or the pod came up.
	HeartbeatAgeSeconds *float64 `json:"heartbeatAgeSeconds,omitempty"`
	// DownForSeconds is for how long it has not been up.
	DownForSeconds *float64 `json:"downForSeconds,omitempty"`

	Arriving   int      `json:"arriving"`             // resources on their way to it
	Leaving    int      `json:"leaving"`              // and away from it
	Node       string   `json:"node,omitempty"`       // as Pod.Node
	Restarts   *int     `json:"restarts,omitempty"`   // as Pod.Restarts
	AgeSeconds *float64 `json:"ageSeconds,omitempty"` // as Pod.AgeSeconds
}

// Instances answers GET …/:resource/instances.
type Instances struct {
	Resource  string     `json:"resource"`  // the kind
	Heartbeat bool       `json:"heartbeat"` // the kind's instances send heartbeats
	Instances []Instance `json:"instances"` // ascending by id
}

// Found is a resource that a search found.
type Found struct {
	ID       string `json:"id"`                 // of the resource
	RunIn    string `json:"runIn,omitempty"`    // pod; empty when it stands on no instance
	Instance *int   `json:"instance,omitempty"` // nil when it stands on no instance
}

// Search answers GET …/:resource/resources.
type Search struct {
	Resource  string  `json:"resource"`       // the kind
	Resources []Found `json:"resources"`      // ascending by id, bytewise
	Next      string  `json:"next,omitempty"` // give as ?after= for the next page; empty at the end
}

// MoveRecord is one change of a resource's place.
type MoveRecord struct {
	At     time.Time `json:"at"`             // when ZooKeeper had it, by the leader's clock
	From   *int      `json:"from,omitempty"` // instance; nil for newly placed
	To     *int      `json:"to,omitempty"`   // instance; nil for removed, or left without a place
	Reason string    `json:"reason"`         // for people
}

// Moves answers GET …/:resource/resources/:id/moves.
type Moves struct {
	Resource string       `json:"resource"` // the kind
	ID       string       `json:"id"`       // of the resource
	Moves    []MoveRecord `json:"moves"`    // newest first
	// Complete says that nothing older has been forgotten since Since.
	Complete bool      `json:"complete"`
	Since    time.Time `json:"since"` // the leader remembers nothing before
}

// Plan answers POST …/:resource/orchestrate?dryRun=true: what a
// re-orchestration would do now. Nothing has been changed.
type Plan struct {
	Resource            string         `json:"resource"`            // the kind
	Resources           int            `json:"resources"`           // that exist, as far as the leader knows
	Instances           int            `json:"instances"`           // there would be
	ResourcePerInstance int            `json:"resourcePerInstance"` // capacity after the contract's init rule
	Cost                Cost           `json:"cost"`                // totals of all that follows
	Moves               []PlannedMove  `json:"moves"`               // at most ?limit= of them
	MovesTruncated      bool           `json:"movesTruncated"`      // there are more than listed: Cost counts all
	Opened              []PlannedOpen  `json:"opened"`              // instances that would be created
	Released            []PlannedClose `json:"released"`            // instances that would be let go
	Recapacitated       []Recapacity   `json:"recapacitated"`       // instances whose capacity would change
}

// Cost is what a plan would take, as totals.
type Cost struct {
	Moves         int `json:"moves"`         // resources from one instance to another
	Placements    int `json:"placements"`    // resources that stand nowhere now
	Unplaced      int `json:"unplaced"`      // resources that would stand nowhere
	Opened        int `json:"opened"`        // instances
	Released      int `json:"released"`      // instances
	Recapacitated int `json:"recapacitated"` // instances
}

// PlannedMove is a resource that would change its place.
type PlannedMove struct {
	ID     string `json:"id"`             // of the resource
	From   *int   `json:"from,omitempty"` // nil: stands nowhere now
	To     *int   `json:"to,omitempty"`   // nil: would stand nowhere
	Reason string `json:"reason"`         // for people
}

// PlannedOpen is an instance that would be created.
type PlannedOpen struct {
	ID       int    `json:"id"`       // of the instance
	Capacity int    `json:"capacity"` // resources that it may hold
	Reason   string `json:"reason"`   // for people
}

// PlannedClose is an instance that would be let go.
type PlannedClose struct {
	ID     int    `json:"id"`     // of the instance
	Reason string `json:"reason"` // for people
}

// Recapacity is an instance whose capacity would change.
type Recapacity struct {
	ID     int    `json:"id"`     // of the instance
	From   int    `json:"from"`   // resources that it may hold now
	To     int    `json:"to"`     // resources that it would hold at most
	Reason string `json:"reason"` // for people
}

// Done answers an operator's order about an instance.
type Done struct {
	Resource string `json:"resource"` // the kind
	Instance int    `json:"instance"` // number of the instance
	Order    string `json:"order"`    // drain, undrain, replace
	// Finished is false for an order that has been accepted and goes on: a drain
	// without ?wait=true.
	Finished bool `json:"finished"`
}

// Maintenance is the mode in which nothing is done automatically: the body and
// the answer of PUT …/:resource/maintenance, and the answer of GET.
type Maintenance struct {
	On bool `json:"on"` // whether nothing is done automatically
}

// Progress answers GET …/:resource/progress. All is zero while none runs.
type Progress struct {
	Resource     string  `json:"resource"`     // the kind
	Running      bool    `json:"running"`      // whether one runs
	Planned      bool    `json:"planned"`      // false while it waits for the database
	Moves        int     `json:"moves"`        // resources to move
	MovesLeft    int     `json:"movesLeft"`    // of these, not yet moved
	Create       int     `json:"create"`       // instances to create
	CreateLeft   int     `json:"createLeft"`   // of these, not yet running
	Release      int     `json:"release"`      // instances to let go
	ReleaseLeft  int     `json:"releaseLeft"`  // of these, not yet gone
	SinceSeconds float64 `json:"sinceSeconds"` // how long ago it began
}

// Alarm is something that needs a person's eye.
type Alarm struct {
	Code string `json:"code"` // stable name, such as "heartbeats-down"
	Text string `json:"text"` // what is wrong, for people
}

// Status answers GET …/:resource/status.
type Status struct {
	Resource         string           `json:"resource"`         // the kind
	Leader           Leader           `json:"leader"`           // who leads the kind
	Epoch            int64            `json:"epoch"`            // of the leadership; rises with each
	Stage            string           `json:"stage"`            // follower, loading, active
	Maintenance      bool             `json:"maintenance"`      // whether nothing is done automatically
	Instances        int              `json:"instances"`        // planned
	Resources        int              `json:"resources"`        // that exist, as far as the leader knows
	Unplaced         int              `json:"unplaced"`         // resources that exist and stand on no instance
	Alarms           []Alarm          `json:"alarms"`           // by code
	Pending          []string         `json:"pending"`          // what is left to do and why, at most 100 sentences
	PendingTruncated bool             `json:"pendingTruncated"` // there is more than listed
	Counters         map[string]int64 `json:"counters"`         // since the process leads: commits, moves, heartbeats, …
}

// Check is one thing that health depends on.
type Check struct {
	Name string `json:"name"`           // such as "zookeeper"
	OK   bool   `json:"ok"`             // whether it is well
	Text string `json:"text,omitempty"` // what is wrong; only told to whoever may read; never holds secrets
}

// Health answers /healthz, /readyz and /v1/api/health: status 200, or 503 when
// Live (for /healthz) or Ready (for the others) is false.
type Health struct {
	Live   bool    `json:"live"`   // the process can go on: do not restart it
	Ready  bool    `json:"ready"`  // it answers reads from what it knows
	Checks []Check `json:"checks"` // what it depends on
}

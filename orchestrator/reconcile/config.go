package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// Config is what a machine is told about its kind. Every field of DefaultConfig
// is valid; Validate names the field that is not.
type Config struct {
	Kind    fleet.Kind
	Policy  fleet.Policy     // how resources are placed; default fill
	Limits  placement.Limits // ceilings and defaults of the sizing
	Handoff fleet.Handoff    // how a resource moves between live instances; default fast

	// Heartbeat says that instances of the kind send heartbeats. Without them
	// only a pod's phase tells that it failed.
	Heartbeat bool
	// HeartbeatInterval is how often an instance sends; default 60 s.
	HeartbeatInterval time.Duration
	// Silence is how long an instance may be silent before it is replaced;
	// default 90 s, more than HeartbeatInterval.
	Silence time.Duration
	// SilentShare is the share of instances, 0 < share ≤ 1, above which silence
	// is taken for a fault of the channel: nothing is replaced and an alarm is
	// raised. Default 0.34.
	SilentShare float64

	// Monitor is the time between two listings of the pods; default 60 s.
	Monitor time.Duration
	// Resync is the time between two comparisons with the database; default 5 min.
	Resync time.Duration
	// ResyncFloor is the least time between two whole listings of the database,
	// however many messages ask for one; default 1 s.
	ResyncFloor time.Duration

	// Pending is how long a pod may be Pending before it is replaced; default 5 min.
	Pending time.Duration
	// Patience is how long an instance may be without a running pod before its
	// resources move to the others; default 10 min. Before it nothing moves,
	// since a replaced pod reads the same list.
	Patience time.Duration

	// Unconfirmed is how long an instance whose pod runs and has confirmed a list
	// may leave a later one unconfirmed before it is replaced; without a status in
	// ZooKeeper, which most others of the kind have, it may be for twice as long. Seen
	// at the next listing of the pods (Monitor). At most a day; 0: never. Default 5 min.
	Unconfirmed time.Duration

	// MovesInFlight bounds the resources that are between two owners at once;
	// default 1000.
	MovesInFlight int
	// Replacing bounds the pods that are being replaced at once; default 10.
	Replacing int

	// TxnBytes bounds the bytes of a transaction; default 1,000,000, since
	// ZooKeeper refuses a packet of more than 1 MiB. A list may take half of it,
	// so that a move's two sides fit.
	TxnBytes int
	// MaxIDBytes bounds a resource's id; default 90. ResourcePerInstance ids of
	// that length must fit in half of TxnBytes.
	MaxIDBytes int

	// RetryMin and RetryMax bound the exponential wait before something that
	// failed is tried again; default 100 ms and 1 min.
	RetryMin, RetryMax time.Duration
}

// DefaultConfig is the contract's configuration of a kind.
func DefaultConfig(kind fleet.Kind) Config {
	return Config{
		Kind:              kind,
		Policy:            fleet.PolicyFill,
		Limits:            placement.Limits{ResourcePerInstance: 5000, MaxInstances: 100, InitInstances: 10},
		Handoff:           fleet.HandoffFast,
		Heartbeat:         kind != "Rule",
		HeartbeatInterval: 60 * time.Second,
		Silence:           90 * time.Second,
		SilentShare:       0.34,
		Monitor:           60 * time.Second,
		Resync:            5 * time.Minute,
		ResyncFloor:       time.Second,
		Pending:           5 * time.Minute,
		Patience:          10 * time.Minute,
		Unconfirmed:       5 * time.Minute,
		MovesInFlight:     1000,
		Replacing:         10,
		TxnBytes:          1_000_000,
		MaxIDBytes:        90,
		RetryMin:          100 * time.Millisecond,
		RetryMax:          time.Minute,
	}
}

// maxUnconfirmed keeps the deadline in range however often it doubles.
const maxUnconfirmed = 24 * time.Hour

// listOverhead bounds what a list costs besides its ids: the JSON around them, the
// other nodes of the instance, their paths (a kind's name may have 63 bytes), and
// the five operations' own headers.
const listOverhead = 1024

// controlOverhead bounds the control node's operation and JSON, controlClosing
// each number in its list of closing instances.
const (
	controlOverhead = 2048
	controlClosing  = 12
)

// Validate answers a *fleet.FieldError for the first field that is not valid.
func (c Config) Validate() error {
	if c.Kind == "" {
		return &fleet.FieldError{Field: "kind", Value: `""`, Want: "the table's name, such as Thing"}
	}
	if err := fleet.CheckPolicy("policy", c.Policy); err != nil {
		return err
	}
	if err := fleet.CheckHandoff("handoff", c.Handoff); err != nil {
		return err
	}
	if err := c.Limits.Validate(); err != nil {
		return err
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"heartbeatInterval", c.HeartbeatInterval}, {"monitor", c.Monitor}, {"resync", c.Resync},
		{"resyncFloor", c.ResyncFloor}, {"pending", c.Pending}, {"patience", c.Patience}, {"retryMin", c.RetryMin},
	} {
		if d.value <= 0 {
			return &fleet.FieldError{Field: d.field, Value: d.value.String(), Want: "more than 0s"}
		}
	}
	if c.Unconfirmed < 0 || c.Unconfirmed > maxUnconfirmed {
		return &fleet.FieldError{Field: "unconfirmed", Value: c.Unconfirmed.String(), Want: fmt.Sprintf("0s (never) to %v", maxUnconfirmed)}
	}
	if c.Silence <= c.HeartbeatInterval {
		return &fleet.FieldError{Field: "silence", Value: c.Silence.String(),
			Want: fmt.Sprintf("more than heartbeatInterval (%v), or every instance counts as silent", c.HeartbeatInterval)}
	}
	if c.RetryMax < c.RetryMin {
		return &fleet.FieldError{Field: "retryMax", Value: c.RetryMax.String(), Want: fmt.Sprintf("at least retryMin (%v)", c.RetryMin)}
	}
	if !(c.SilentShare > 0 && c.SilentShare <= 1) {
		return &fleet.FieldError{Field: "silentShare", Value: fmt.Sprint(c.SilentShare), Want: "0 < share ≤ 1"}
	}
	for _, n := range []struct {
		field string
		value int
	}{{"movesInFlight", c.MovesInFlight}, {"replacing", c.Replacing}, {"maxIdBytes", c.MaxIDBytes}} {
		if n.value < 1 {
			return &fleet.FieldError{Field: n.field, Value: fmt.Sprint(n.value), Want: "1 or more"}
		}
	}
	perInstance := cmp.Or(c.Limits.ResourcePerInstance, placement.DefaultResourcePerInstance)
	if need := perInstance*(c.MaxIDBytes+3) + listOverhead; need > c.TxnBytes/2 {
		return &fleet.FieldError{Field: "resourcePerInstance", Value: fmt.Sprint(perInstance),
			Want: fmt.Sprintf("so few that a list of ids of maxIdBytes (%d) takes at most half of txnBytes: %d bytes, not %d", c.MaxIDBytes, c.TxnBytes/2, need)}
	}
	return nil
}

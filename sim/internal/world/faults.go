package world

import (
	"errors"
	"time"

	"dacorch/orchestrator/fleet"
)

// What the hooks of the models answer. Each is asked about one case, at the moment
// it arises; the zero answer lets the case pass as if nobody had asked. A hook
// must not change the world.

// CallFault is what befalls a call to Kubernetes, when it reaches the API server.
type CallFault struct {
	// Delay is how much later the call takes effect, and is answered.
	Delay time.Duration
	// Err, unless nil, is the answer: one of ErrInternal, ErrThrottled, ErrQuota
	// and ErrConflict, or any other.
	Err error
	// Executed, with Err: the call takes effect all the same.
	Executed bool
}

// CallVerb is what a call to Kubernetes is for.
type CallVerb uint8

// The calls.
const (
	CallCreate CallVerb = iota
	CallDelete
	CallList
)

// Call names a call to Kubernetes to its hook.
type Call struct {
	Verb     CallVerb
	Kind     fleet.Kind
	Instance fleet.InstanceID // not of CallList
	UID      string           // as given to DeletePod
}

// The errors that a CallFault may answer with, and that of a server that is down.
var (
	ErrInternal   = errors.New("kubernetes: internal error")            // 500
	ErrThrottled  = errors.New("kubernetes: too many requests")         // 429
	ErrQuota      = errors.New("kubernetes: forbidden: exceeded quota") // 403
	ErrConflict   = errors.New("kubernetes: conflict")                  // 409, but not for the name
	ErrUnanswered = errors.New("kubernetes: no answer in time")         // executed or not
)

// StartFault is what befalls a pod's start, when it has found its node.
type StartFault struct {
	Late    time.Duration // image and container take this much longer
	Crash   time.Duration // the program crashes this long after its start; 0: it does not
	NoImage bool          // it stays Pending, Reason "ImagePullBackOff", until RetryImages
}

// SendFault is what befalls a heartbeat where it is sent.
type SendFault struct {
	Drop   bool          // it is never sent
	Delay  time.Duration // it is on its way this much longer
	Copies int           // so many more are sent
	Skew   time.Duration // is added to its timestamp
}

// MessageFault is what befalls a notification at the broker.
type MessageFault struct {
	Lose   bool          // no subscriber gets it; counted in Stats.Lost, told to OnLost
	Copies int           // it is delivered so many times more
	Delay  time.Duration // it is queued this much later: younger ones overtake it
}

// Clients are those whose sessions a fault of ZooKeeper is about.
type Clients uint8

// The clients of ZooKeeper. Who calls ZooKeeper.Open is an orchestrator.
const (
	Orchestrators Clients = 1 << iota
	DACClients
	AllClients = Orchestrators | DACClients
)

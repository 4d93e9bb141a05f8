package fleet

import "errors"

// The errors of pod operations that are answers and no failures. Adapters wrap
// them with what Kubernetes said.
var (
	// ErrPodExists: the name is taken, perhaps by a pod that is being deleted.
	ErrPodExists = errors.New("a pod of that name exists")
	// ErrPodNotFound: no pod of that name and UID.
	ErrPodNotFound = errors.New("no such pod")
	// ErrPodForeign: the name is taken by a pod that is not this orchestrator's.
	ErrPodForeign = errors.New("a pod of that name exists that is not this orchestrator's")
)

// Candidate is a process that leads a kind or may come to.
type Candidate struct {
	Name string `json:"name"`          // of the process, unique among them
	URL  string `json:"url,omitempty"` // where its REST API answers, for the others to forward to
}

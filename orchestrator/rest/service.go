package rest

import (
	"context"

	"dacorch/orchestrator/api"
)

// Service is what the handlers need of the orchestrator. All methods are safe
// for concurrent use, and return as soon as ctx ends.
//
// Errors are *api.Error (or wrap one): its code decides the status. A
// *fleet.FieldError is answered as out_of_range with its field. ctx's own errors
// are answered as timeout; any other error is internal and its text is only
// logged. A kind that is not configured is unknown_kind, in every method.
type Service interface {
	Reader
	Observer
	Operator
	Leadership
	Health
}

// Reader answers what every process knows, leader or follower, from memory.
type Reader interface {
	// Kinds lists the kinds in the configuration's order.
	Kinds(ctx context.Context) ([]api.KindSummary, error)

	// Where answers where a resource stands in ZooKeeper. It is the most frequent
	// call: no lock that others hold long, and no allocation, if it can be.
	// Errors: unknown_kind; unplaced for a resource that exists and stands
	// nowhere; unknown_resource (a follower cannot tell the two apart).
	Where(kind, id string) (api.Location, error)

	// Orchestration hands over every instance, ascending by id, then answers the
	// totals of what it handed over. Without ids, IDs is nil. each may block for
	// as long as a slow reader takes: no lock may be held meanwhile. It only reads
	// IDs, and not after it returned. An error of each ends the call and is
	// answered. Errors: unknown_kind, unavailable (nothing read yet), both before
	// the first each.
	Orchestration(ctx context.Context, kind string, ids bool, each func(api.InstanceList) error) (api.Totals, error)

	// Search answers at most limit resources (1 to 1000) whose ids begin with
	// prefix and are greater than after, ascending by id, and whether there are
	// more. Errors: unknown_kind, unavailable.
	Search(ctx context.Context, kind, prefix, after string, limit int) (found []api.Found, more bool, err error)

	// Resources answers at most limit resources (1 to 1000) that stand on an instance
	// and whose ids are greater than after, ascending by id, and whether there are
	// more. Errors: unknown_kind, unknown_instance, unavailable.
	Resources(ctx context.Context, kind string, instance int, after string, limit int) (found []api.Found, more bool, err error)
}

// Observer answers what only the leader knows. Errors of all: unknown_kind,
// not_leader, unavailable (it loads).
type Observer interface {
	// Instances tells of every instance, ascending by id.
	Instances(ctx context.Context, kind string) (api.Instances, error)
	// Moves tells what is remembered of a resource's places, newest first; empty
	// for a resource of which nothing is. Bounded by the implementor.
	Moves(ctx context.Context, kind, id string) (api.Moves, error)
	// Preview computes what Orchestrate would do now and changes nothing. At most
	// limit moves are listed (0 to 10,000). Errors: out_of_range, refused, too.
	Preview(ctx context.Context, kind string, req api.OrchestrateRequest, limit int) (api.Plan, error)
	// Progress tells how far the running re-orchestration is.
	Progress(ctx context.Context, kind string) (api.Progress, error)
	// Maintenance tells whether the mode is on.
	Maintenance(ctx context.Context, kind string) (api.Maintenance, error)
	// Status tells what state the kind is in; at most 100 entries in Pending.
	Status(ctx context.Context, kind string) (api.Status, error)
	// Pod tells of an instance's pod and what happened to it. Error:
	// unknown_instance, too. It may ask Kubernetes: events that cannot be had are
	// told as such in the answer.
	Pod(ctx context.Context, kind string, instance int) (api.Pod, error)
	// Reorchestrations tells the latest runs, newest first, at most 100.
	Reorchestrations(ctx context.Context, kind string) (api.Reorchestrations, error)
}

// Operator carries out orders; only the leader can. Errors of all: unknown_kind;
// not_leader, which says that nothing was done; unavailable; refused, with the
// reason as the message, verbatim.
//
// When ctx ends while an order is carried out, the order goes on.
type Operator interface {
	// Orchestrate computes the orchestration anew and answers when ZooKeeper and
	// Kubernetes have come to it. Errors: out_of_range with the field; refused
	// with the contract's "require instances more than the max: <n>/<max>";
	// conflict while another one runs.
	Orchestrate(ctx context.Context, kind string, req api.OrchestrateRequest) (api.Orchestrated, error)
	// Drain moves an instance's resources away and lets it go. With wait it
	// answers when it has gone, else as soon as the order is accepted. Errors:
	// unknown_instance, conflict (it is being drained).
	Drain(ctx context.Context, kind string, instance int, wait bool) error
	// Undrain takes back a Drain that has not finished. Errors: unknown_instance,
	// conflict (it is not being drained, or too late).
	Undrain(ctx context.Context, kind string, instance int) error
	// Replace deletes an instance's pod, to be created anew. Errors:
	// unknown_instance, conflict (its pod is on its way).
	Replace(ctx context.Context, kind string, instance int) error
	// SetMaintenance switches the mode in which nothing is done automatically.
	// Setting what is set is no error.
	SetMaintenance(ctx context.Context, kind string, on bool) error
}

// Leadership tells who leads.
type Leadership interface {
	// Leader answers who leads the kind: Self, or a URL to forward to, or neither
	// while it is not known. It is asked with every request: from memory. Error:
	// unknown_kind; or no_leader, where it is known why nobody leads.
	Leader(kind string) (api.Leader, error)
}

// Health tells how the process is, from memory.
type Health interface {
	Health(ctx context.Context) api.Health
}

// Time is the moment that a simulation or a recording shows. All methods are
// safe for concurrent use.
type Time interface {
	// Clock answers from memory.
	Clock(ctx context.Context) (api.Clock, error)
	// SetClock answers once the moment asked for is shown. Errors: out_of_range
	// with the field; refused.
	SetClock(ctx context.Context, change api.ClockChange) (api.Clock, error)
	// Step answers once the moment asked for is shown; at either end it steps as far
	// as it can.
	Step(ctx context.Context, step api.Step) (api.Clock, error)
	// Timeline answers in at most so many buckets (1 to 2000), and at most 2000 marks.
	Timeline(ctx context.Context, buckets int) (api.Timeline, error)
}

// Faults is what can be broken in a simulation. All methods are safe for
// concurrent use.
type Faults interface {
	Faults(ctx context.Context) (api.Faults, error)
	// Inject breaks something at the moment shown. fault is a JSON object, not yet
	// checked. Errors: out_of_range or unknown_field with the field; bad_request;
	// refused with the reason, such as that the moment shown is in the past.
	Inject(ctx context.Context, fault []byte) (api.Injected, error)
}

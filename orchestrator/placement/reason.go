package placement

import (
	"fmt"

	"dacorch/orchestrator/fleet"
)

// Reason says why a decision was taken. It is a small value; the text is made
// by String alone.
type Reason struct {
	kind     reasonKind
	fill     bool             // the place was chosen as the newest with room
	instance fleet.InstanceID // that receives
	from     fleet.InstanceID // that gives
	a, b     int32
	group    *string // the group policy's group; nil otherwise
}

type reasonKind uint8

const (
	noReason    reasonKind = iota
	placed                 // a: used before, b: capacity of instance; likewise in the next five
	evens                  // from had more than its share
	overflow               // from had more than its capacity
	evacuated              // from is closed
	regrouped              // the resource's group changed
	wrongGroup             // from belongs to another group
	removed                // the resource is gone
	openedFull             // a: resources, b: room on the open instances
	openedFirst            // a: resources
	openedSize             // a: instances, b: capacity
	surplus                // a: instances, b: capacity
	groupEmpty             // no resource of the group is left
	unused                 // an open instance that belongs to no group
	raisedFull             // a: open instances, b: at most
	raisedInit             // a: resources, b: open instances
	resized                // a: capacity
	overfull               // a: load
	unplacedMax            // a: open instances, b: at most
)

// String is the reason as a sentence for people; empty for the zero Reason.
func (r Reason) String() string {
	of := ""
	if r.group != nil {
		of = fmt.Sprintf(" of group %q", *r.group)
	}
	switch r.kind {
	case placed:
		return r.choice(of)
	case evens:
		return fmt.Sprintf("instance %v has more than its share; %s", r.from, r.choice(of))
	case overflow:
		return fmt.Sprintf("instance %v has more than its capacity; %s", r.from, r.choice(of))
	case evacuated:
		return fmt.Sprintf("instance %v is closed; %s", r.from, r.choice(of))
	case regrouped:
		return fmt.Sprintf("resource is now%s; %s", of, r.choice(of))
	case wrongGroup:
		return fmt.Sprintf("instance %v belongs to another group; %s", r.from, r.choice(of))
	case removed:
		return "resource removed"
	case openedFull:
		return fmt.Sprintf("%d resources%s, room for %d on the open instances", r.a, of, r.b)
	case openedFirst:
		return fmt.Sprintf("%d resources%s and no open instance", r.a, of)
	case openedSize:
		return fmt.Sprintf("orchestrated to %d instances of %d%s", r.a, r.b, of)
	case surplus:
		return fmt.Sprintf("orchestrated to %d instances of %d%s; keeping it saves the fewest moves", r.a, r.b, of)
	case groupEmpty:
		return fmt.Sprintf("no resource%s is left", of)
	case unused:
		return "belongs to no group"
	case raisedFull:
		return fmt.Sprintf("%d of %d instances open and no room%s; raised to the limit", r.a, r.b, of)
	case raisedInit:
		return fmt.Sprintf("%d resources on the first %d instances: each may hold more of them before another is opened", r.a, r.b)
	case resized:
		return fmt.Sprintf("orchestrated to %d resources per instance", r.a)
	case overfull:
		return fmt.Sprintf("found with %d resources", r.a)
	case unplacedMax:
		return fmt.Sprintf("%d of %d instances open, none%s has room: raise maxInstances or resourcePerInstance", r.a, r.b, of)
	}
	return ""
}

// choice says why the receiving instance was chosen.
func (r Reason) choice(of string) string {
	if r.fill {
		return fmt.Sprintf("instance %v has %d of %d free; newest with room", r.instance, r.b-r.a, r.b)
	}
	return fmt.Sprintf("instance %v has %d of %d used; least loaded%s", r.instance, r.a, r.b, of)
}

package fleet

import "strconv"

// Op is what a notification says has happened (CONTRACT.md, MQTT).
type Op uint8

// The operations of a notification. OpOther stands for every operation the
// contract does not name: something changed.
const (
	OpOther Op = iota
	OpCreate
	OpUpdate
	OpDelete
	OpBulkCreate
	OpBulkUpdate
	OpBulkDelete
)

var opNames = [...]string{"other", "c", "u", "d", "bc", "bu", "bd"}

// String is the operation as it stands in the message's field "o".
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "Op(" + strconv.Itoa(int(o)) + ")"
}

// Notification is one message of cm/notify, parsed.
type Notification struct {
	Op    Op
	Table string // the kind's name; a message for another table is not ours

	// Resources are the rows that the message names: one for c, u and d, any
	// number for bc, bu and bd. It is empty when the message names none: an
	// OpOther, or a bulk condition that is not about ids. Whoever receives it
	// must not change it.
	Resources []Resource

	// GroupKnown says that the resources' groups were in the message (c and u
	// carry the row; the others carry keys alone).
	GroupKnown bool
}

package recording

import (
	"fmt"
	"reflect"

	"dacorch/orchestrator/reconcile"
)

// code is the first byte of a record, of an event, of an order or of a command;
// docs/recording.md has the table, and a test compares the two.
type code byte

// The records.
const (
	codeEvent     code = 1 // at, event
	codeCommands  code = 2 // at, count, commands
	codeKind      code = 3 // kind: that of the records that follow; 0 at first
	codeRestarted code = 4 // at
	codeSnapshot  code = 5 // at, bytes
	codeMark      code = 6 // at, mark
	codeClosing   code = 7 // closing; nothing follows
	codeProcess   code = 8 // number, skew: of the process that the records which follow are of; 0 and 0 at first
)

// The events.
const (
	codeLed code = iota + 16
	codeDeposed
	codeTreeRead
	codeListed
	codePodsListed
	codeNotified
	codeNotificationChannel
	codeHeartbeat
	codeHeartbeatChannel
	codePodSeen
	codePodGone
	codePodCreated
	codePodDeleted
	codeCommitted
	codeStatusSeen
	codeTick
	codeOrdered
)

// The orders, inside an Ordered.
const (
	codeOrchestrate code = iota + 48
	codeDrain
	codeUndrain
	codeReplace
	codeMaintenance
)

// The commands.
const (
	codeReadTree code = iota + 64
	codeListRows
	codeListPods
	codeCommit
	codeCreatePod
	codeDeletePod
	codeAck
	codeReply
	codeStepDown
	codeAlarm
	codeNote
)

// codes tells what stands behind each code that a Go type is behind.
var codes = map[code]reflect.Type{
	codeLed: reflect.TypeFor[reconcile.Led](), codeDeposed: reflect.TypeFor[reconcile.Deposed](),
	codeTreeRead: reflect.TypeFor[reconcile.TreeRead](), codeListed: reflect.TypeFor[reconcile.Listed](),
	codePodsListed: reflect.TypeFor[reconcile.PodsListed](), codeNotified: reflect.TypeFor[reconcile.Notified](),
	codeNotificationChannel: reflect.TypeFor[reconcile.NotificationChannel](), codeHeartbeat: reflect.TypeFor[reconcile.Heartbeat](),
	codeHeartbeatChannel: reflect.TypeFor[reconcile.HeartbeatChannel](), codePodSeen: reflect.TypeFor[reconcile.PodSeen](),
	codePodGone: reflect.TypeFor[reconcile.PodGone](), codePodCreated: reflect.TypeFor[reconcile.PodCreated](),
	codePodDeleted: reflect.TypeFor[reconcile.PodDeleted](), codeCommitted: reflect.TypeFor[reconcile.Committed](),
	codeStatusSeen: reflect.TypeFor[reconcile.StatusSeen](), codeTick: reflect.TypeFor[reconcile.Tick](),
	codeOrdered: reflect.TypeFor[reconcile.Ordered](),

	codeOrchestrate: reflect.TypeFor[reconcile.Orchestrate](), codeDrain: reflect.TypeFor[reconcile.Drain](),
	codeUndrain: reflect.TypeFor[reconcile.Undrain](), codeReplace: reflect.TypeFor[reconcile.Replace](),
	codeMaintenance: reflect.TypeFor[reconcile.Maintenance](),

	codeReadTree: reflect.TypeFor[reconcile.ReadTree](), codeListRows: reflect.TypeFor[reconcile.ListRows](),
	codeListPods: reflect.TypeFor[reconcile.ListPods](), codeCommit: reflect.TypeFor[reconcile.Commit](),
	codeCreatePod: reflect.TypeFor[reconcile.CreatePod](), codeDeletePod: reflect.TypeFor[reconcile.DeletePod](),
	codeAck: reflect.TypeFor[reconcile.Ack](), codeReply: reflect.TypeFor[reconcile.Reply](),
	codeStepDown: reflect.TypeFor[reconcile.StepDown](), codeAlarm: reflect.TypeFor[reconcile.Alarm](),
	codeNote: reflect.TypeFor[reconcile.Note](),
}

// records are the names of the other codes.
var records = map[code]string{
	codeEvent: "event", codeCommands: "commands", codeKind: "kind", codeRestarted: "restarted",
	codeSnapshot: "snapshot", codeMark: "mark", codeClosing: "closing", codeProcess: "process",
}

// String is the code's name.
func (c code) String() string {
	if t, ok := codes[c]; ok {
		return t.Name()
	}
	if name, ok := records[c]; ok {
		return name
	}
	return fmt.Sprintf("code %d", byte(c))
}

// The layout around the records.
const (
	magic = "dacrec\r\n" // the line break shows a copy that was made as text
	// A block's frame: the bytes of the packed block, those of it unpacked, and
	// the packed block's CRC-32C, each in four bytes, least first.
	frameBytes = 12
	// blockBytes is the most that a block holds unpacked. Records run on from one
	// block to the next.
	blockBytes = 1 << 20
	// sealBytes is from how many bytes on the records written are made a block.
	sealBytes = 256 << 10
	// headerBytes bounds the header, packed and unpacked.
	headerBytes = 16 << 20
)

// The table of strings. Both sides forget all of it when either bound is reached.
const (
	wordsMost     = 1 << 16
	wordsBytes    = 8 << 20
	wordLongest   = 256 // a longer string is never put into it
	wordEmpty     = 0
	wordNew       = 1 // shared, length, bytes: put into the table
	wordUnkept    = 2 // likewise, not put into it
	wordFirst     = 3 // this and greater: that of the table, the first put into it first
	sharedLongest = 255
)

// Bounds of what a reader takes; a writer never comes near them.
const (
	stringLongest = 64 << 20
	listLongest   = 1 << 28
	processesMost = 1 << 20
	kindsMost     = 1 << 10
	// entryMost bounds the memory that a record takes, and that which a reader keeps
	// from one to the next: 60 bytes for each of four million resources.
	entryMost = 256 << 20
	// commandBytes is about what a command takes beside its lists and strings.
	commandBytes = 128
)

// How the rows of a Listed are written.
const (
	rowsPlain = 0
	rowsSame  = 1 // as a change of the kind's last listing of the whole table
)

// What a change of the listing before does, in the order of the rows.
const (
	rowsEnd  = 0
	rowsKeep = 1 // count
	rowsDrop = 2 // count
	rowsAdd  = 3 // count, rows
)

// The bits of a Notified.
const (
	noteIs         = 1
	noteGroupKnown = 2
)

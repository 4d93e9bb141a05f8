package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// decoder reads records. It holds what they refer back to, as the encoder that
// made them did. The first error stays; from then on everything reads as zero.
type decoder struct {
	buf  []byte // unpacked and not yet read
	more func() ([]byte, error)
	err  error

	at    time.Duration
	kind  int
	from  process
	token uint64
	epoch int64
	words []string
	bytes int    // in words
	last  string // that was written out
	lists []listing
	most  int // of either of these

	version uint64 // of the format
	spent   int    // bytes of memory that the record at hand takes
	kept    int    // bytes of memory that lists take
}

// spend counts the memory that a record takes. A few bytes of a file can stand for
// millions when they are unpacked, and those for many more in memory.
func (d *decoder) spend(bytes int) {
	if d.spent += bytes; d.spent > d.most {
		d.fail(fmt.Errorf("a record takes more than %d MiB of memory", d.most>>20))
	}
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.buf = nil
}

// fill brings one more block, and answers whether there is one.
func (d *decoder) fill() bool {
	if d.err != nil {
		return false
	}
	block, err := d.more()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // in the middle of a record
		}
		d.fail(err)
		return false
	}
	if len(d.buf) == 0 {
		d.buf = block
	} else {
		d.buf = append(d.buf[:len(d.buf):len(d.buf)], block...)
	}
	return true
}

// take answers the next n bytes, which are good until the next call; nil when
// there are not as many. What it takes up grows with what is there alone.
func (d *decoder) take(n int) []byte {
	if n > blockBytes { // long: gathered without moving the start each time
		return d.gather(n)
	}
	for len(d.buf) < n {
		if !d.fill() {
			return nil
		}
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) gather(n int) []byte {
	if d.spend(n); d.err != nil {
		return nil
	}
	var all []byte
	for {
		part := min(n-len(all), len(d.buf))
		all = append(all, d.buf[:part]...)
		if d.buf = d.buf[part:]; len(all) == n {
			return all
		}
		if !d.fill() {
			return nil
		}
	}
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	b := d.byte()
	if b > 1 {
		d.fail(fmt.Errorf("yes or no is written as %d", b))
	}
	return b == 1
}

func (d *decoder) uint() uint64 {
	for {
		v, n := binary.Uvarint(d.buf)
		switch {
		case n > 0:
			d.buf = d.buf[n:]
			return v
		case n < 0:
			d.fail(errors.New("a number has more than 64 bits"))
			return 0
		case !d.fill():
			return 0
		}
	}
}

func (d *decoder) int() int64 {
	u := d.uint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

// int32 is an int that must fit in 32 bits.
func (d *decoder) int32() int32 {
	v := d.int()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail(fmt.Errorf("%d does not fit in 32 bits", v))
		return 0
	}
	return int32(v)
}

func (d *decoder) instance() fleet.InstanceID { return fleet.InstanceID(d.int32()) }

// length is that of something which follows.
func (d *decoder) length() int {
	n := d.uint()
	if n > listLongest {
		d.fail(fmt.Errorf("a list of %d is longer than any", n))
		return 0
	}
	return int(n)
}

// list is the length of a list, and whether there is one.
func (d *decoder) list() (n int, is bool) {
	n = d.length()
	return max(n-1, 0), n > 0
}

// below is a byte that is one of n names.
func (d *decoder) below(n byte, what string) byte {
	b := d.byte()
	if b >= n {
		d.fail(fmt.Errorf("%s %d is none that is known", what, b))
		return 0
	}
	return b
}

func (d *decoder) string() string {
	w := d.uint()
	switch {
	case d.err != nil || w == wordEmpty:
		return ""
	case w == wordUnkept:
		return d.text()
	case w == wordNew:
		s := d.text()
		if len(s) > wordLongest {
			d.fail(fmt.Errorf("a string of %d bytes is to be remembered", len(s)))
			return ""
		}
		if len(d.words) == wordsMost || d.bytes+len(s) > wordsBytes {
			d.words, d.bytes = d.words[:0], 0
		}
		d.words = append(d.words, s)
		d.bytes += len(s)
		return s
	case w-wordFirst >= uint64(len(d.words)):
		d.fail(fmt.Errorf("string %d was not written before", w-wordFirst))
		return ""
	}
	return d.words[w-wordFirst]
}

// text is a string that is written out.
func (d *decoder) text() string {
	shared, n := int(d.byte()), d.uint()
	if shared > len(d.last) {
		d.fail(fmt.Errorf("a string shares %d bytes with one of %d", shared, len(d.last)))
	}
	if n > stringLongest {
		d.fail(fmt.Errorf("a string of %d bytes is longer than any", n))
	}
	if d.err != nil {
		return ""
	}
	rest := d.take(int(n))
	if d.err != nil {
		return ""
	}
	d.spend(shared + int(n))
	d.last = d.last[:shared] + string(rest)
	return d.last
}

// many reads a list whose length stands before it. It grows with what is there.
func many[T any](d *decoder, one func() T) []T {
	n, is := d.list()
	if !is || d.err != nil {
		return nil
	}
	list := make([]T, 0, min(n, 1024))
	size := int(reflect.TypeFor[T]().Size())
	for range n {
		d.spend(size)
		v := one()
		if d.err != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}

func (d *decoder) strings() []string { return many(d, d.string) }

func (d *decoder) tokenIs() uint64 {
	d.token += uint64(d.int())
	return d.token
}

func (d *decoder) epochIs() int64 {
	d.epoch += d.int()
	return d.epoch
}

func (d *decoder) time() time.Duration {
	d.at += time.Duration(d.int())
	return d.at
}

func (d *decoder) event() reconcile.Event {
	switch c := code(d.byte()); c {
	case codeLed:
		return reconcile.Led{Epoch: d.epochIs()}
	case codeDeposed:
		return reconcile.Deposed{Why: d.string()}
	case codeTreeRead:
		return reconcile.TreeRead{Req: d.uint(), Tree: d.tree(), Err: d.string()}
	case codeListed:
		return d.listed()
	case codePodsListed:
		return reconcile.PodsListed{Req: d.uint(), Pods: many(d, d.pod), Err: d.string()}
	case codeNotified:
		return reconcile.Notified{Token: d.tokenIs(), Note: d.notification()}
	case codeNotificationChannel:
		return reconcile.NotificationChannel{Up: d.bool()}
	case codeHeartbeat:
		return reconcile.Heartbeat{Instance: d.instance()}
	case codeHeartbeatChannel:
		return reconcile.HeartbeatChannel{Up: d.bool()}
	case codePodSeen:
		return reconcile.PodSeen{Pod: d.pod()}
	case codePodGone:
		return reconcile.PodGone{Instance: d.instance(), UID: d.string()}
	case codePodCreated:
		return reconcile.PodCreated{Instance: d.instance(), UID: d.string(), Answer: d.podAnswer(), Err: d.string()}
	case codePodDeleted:
		return reconcile.PodDeleted{Instance: d.instance(), UID: d.string(), Answer: d.podAnswer(), Err: d.string()}
	case codeCommitted:
		return reconcile.Committed{Txn: d.uint(), Outcome: fleet.Outcome(d.below(byte(fleet.OutcomeUnknown)+1, "outcome")), Err: d.string()}
	case codeStatusSeen:
		return reconcile.StatusSeen{Instance: d.instance(), Status: d.status()}
	case codeTick:
		return reconcile.Tick{}
	case codeOrdered:
		return reconcile.Ordered{Req: d.uint(), Order: d.order()}
	default:
		d.fail(fmt.Errorf("%v is no event", c))
		return nil
	}
}

func (d *decoder) podAnswer() reconcile.PodAnswer {
	return reconcile.PodAnswer(d.below(byte(reconcile.PodRefused)+1, "answer"))
}

func (d *decoder) order() reconcile.Order {
	switch c := code(d.byte()); c {
	case codeOrchestrate:
		return reconcile.Orchestrate{Request: placement.Request{ResourcePerInstance: d.optional(), MaxInstances: d.optional()}}
	case codeDrain:
		return reconcile.Drain{Instance: d.instance()}
	case codeUndrain:
		return reconcile.Undrain{Instance: d.instance()}
	case codeReplace:
		return reconcile.Replace{Instance: d.instance()}
	case codeMaintenance:
		return reconcile.Maintenance{On: d.bool()}
	default:
		d.fail(fmt.Errorf("%v is no order", c))
		return nil
	}
}

func (d *decoder) optional() *int {
	if !d.bool() {
		return nil
	}
	return new(int(d.int()))
}

func (d *decoder) notification() *fleet.Notification {
	bits := d.byte()
	if bits&noteIs == 0 {
		return nil
	}
	return &fleet.Notification{GroupKnown: bits&noteGroupKnown != 0,
		Op: fleet.Op(d.below(byte(fleet.OpBulkDelete)+1, "operation")), Table: d.string(), Resources: d.resources()}
}

func (d *decoder) resources() []fleet.Resource {
	return many(d, func() fleet.Resource { return fleet.Resource{ID: d.string(), Group: d.string()} })
}

func (d *decoder) pod() fleet.Pod {
	return fleet.Pod{Instance: d.instance(), UID: d.string(), Phase: fleet.Phase(d.below(byte(fleet.PhaseUnknown)+1, "phase")),
		Terminating: d.bool(), NodeLost: d.bool(), Reason: d.string()}
}

func (d *decoder) status() fleet.Status { return fleet.Status{Present: d.bool(), Times: d.int()} }

func (d *decoder) versions() fleet.Versions {
	return fleet.Versions{Node: d.int32(), Resources: d.int32(), Reload: d.int32()}
}

func (d *decoder) tree() fleet.Tree {
	return fleet.Tree{Instances: many(d, func() fleet.TreeInstance {
		return fleet.TreeInstance{ID: d.instance(), Capacity: int(d.int()), Used: int(d.int()), IDs: d.strings(),
			Times: d.int(), Born: d.int(), Versions: d.versions(), Status: d.status()}
	}), Control: d.control(), ControlVersion: d.int32()}
}

func (d *decoder) control() fleet.Control {
	return fleet.Control{ResourcePerInstance: int(d.int()), MaxInstances: int(d.int()), Capacity: int(d.int()),
		TargetInstances: int(d.int()), Closing: many(d, d.instance), Maintenance: d.bool()}
}

func (d *decoder) command() reconcile.Command {
	switch c := code(d.byte()); c {
	case codeReadTree:
		return reconcile.ReadTree{Req: d.uint()}
	case codeListRows:
		return reconcile.ListRows{Req: d.uint(), IDs: d.strings()}
	case codeListPods:
		return reconcile.ListPods{Req: d.uint()}
	case codeCommit:
		return reconcile.Commit{Txn: d.txn(), Decisions: d.decisions()}
	case codeCreatePod:
		return reconcile.CreatePod{Instance: d.instance(), Why: d.string()}
	case codeDeletePod:
		return reconcile.DeletePod{Instance: d.instance(), UID: d.string(),
			Purpose: reconcile.Purpose(d.below(byte(reconcile.PurposeRelease)+1, "purpose")), Why: d.string()}
	case codeAck:
		return reconcile.Ack{Token: d.tokenIs()}
	case codeReply:
		return reconcile.Reply{Req: d.uint(), Err: d.string()}
	case codeStepDown:
		return reconcile.StepDown{Why: d.string()}
	case codeAlarm:
		return reconcile.Alarm{Code: d.string(), On: d.bool(), Text: d.string()}
	case codeNote:
		return reconcile.Note{Instance: d.instance(), Text: d.string()}
	default:
		d.fail(fmt.Errorf("%v is no command", c))
		return nil
	}
}

func (d *decoder) txn() *fleet.Txn {
	if !d.bool() {
		return nil
	}
	t := &fleet.Txn{ID: d.uint(), Epoch: d.epochIs(), Changes: many(d, func() fleet.Change {
		return fleet.Change{Kind: fleet.ChangeKind(d.below(byte(fleet.ChangeDelete)+1, "change")), Instance: d.instance(),
			Capacity: int(d.int()), Used: int(d.int()), Add: d.strings(), Remove: d.strings(), Times: d.int(), Versions: d.versions()}
	})}
	if d.bool() {
		t.Control = new(d.control())
	}
	t.ControlVersion = d.int32()
	return t
}

func (d *decoder) decisions() []placement.Move {
	moves := many(d, func() placement.Move {
		return placement.Move{Resource: d.string(), From: d.instance(), To: d.instance()}
	})
	if len(moves) == 0 {
		return moves
	}
	c := placement.NewReader(d.take(d.length()))
	for i := range moves {
		moves[i].Why.Code(c)
	}
	if _, err := c.Done(); err != nil {
		d.fail(fmt.Errorf("the reasons of decisions: %w", err))
	}
	return moves
}

package recording

import (
	"encoding/binary"
	"fmt"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// encoder makes records. It holds what the records refer back to, which is the
// same at the same place of the decoder that reads them.
type encoder struct {
	buf   []byte
	at    time.Duration
	kind  int
	from  process
	said  process // that was written last
	token uint64  // of the last Notified or Ack
	epoch int64   // of the last transaction or Led
	words words
	lists []listing // by kind

	scratch []byte
}

func newEncoder(kinds int) encoder {
	return encoder{words: words{index: map[string]uint32{}}, lists: make([]listing, kinds)}
}

// restart begins a new segment: it refers to nothing of the one before, and keeps
// its memory.
func (e *encoder) restart(kinds int) {
	old := *e
	*e = newEncoder(kinds)
	e.buf, e.scratch = old.buf[:0], old.scratch
	for i := range min(kinds, len(old.lists)) {
		e.lists[i].rows = old.lists[i].rows[:0]
	}
}

// stateRoom estimates the bytes of the state of a machine that has settled what
// was listed last; too little costs time, too much memory for a moment.
func (e *encoder) stateRoom() int {
	n := 64 << 10
	for _, l := range e.lists {
		if len(l.rows) > 0 {
			n += len(l.rows) * (len(l.rows[0].ID) + 48)
		}
	}
	return n
}

// process is whose machine is told something.
type process struct {
	number int
	skew   time.Duration
}

// words is the encoder's table of strings.
type words struct {
	index map[string]uint32
	bytes int
	last  string // that was written out
}

// listing is the last listing of a kind's whole table.
type listing struct {
	known bool
	rows  []fleet.Resource
	bytes int // of memory, counted by a reader
}

func (e *encoder) uint(v uint64)               { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)                 { e.buf = binary.AppendVarint(e.buf, v) }
func (e *encoder) count(n int)                 { e.buf = binary.AppendUvarint(e.buf, uint64(n)) }
func (e *encoder) byte(b byte)                 { e.buf = append(e.buf, b) }
func (e *encoder) code(c code)                 { e.buf = append(e.buf, byte(c)) }
func (e *encoder) instance(n fleet.InstanceID) { e.int(int64(n)) }

func (e *encoder) bool(b bool) {
	if b {
		e.buf = append(e.buf, 1)
	} else {
		e.buf = append(e.buf, 0)
	}
}

// list writes a list's length; one that is nil is told from one that is empty.
func (e *encoder) list(n int, isNil bool) {
	if isNil {
		e.count(0)
	} else {
		e.count(n + 1)
	}
}

// string writes a string that may come again.
func (e *encoder) string(s string) {
	if s == "" {
		e.count(wordEmpty)
		return
	}
	if len(s) > wordLongest {
		e.unkept(s)
		return
	}
	w := &e.words
	if i, ok := w.index[s]; ok {
		e.count(wordFirst + int(i))
		return
	}
	if len(w.index) == wordsMost || w.bytes+len(s) > wordsBytes {
		clear(w.index)
		w.bytes = 0
	}
	w.index[s] = uint32(len(w.index))
	w.bytes += len(s)
	e.count(wordNew)
	e.bytesOf(s)
}

// unkept writes a string that is not expected to come again soon.
func (e *encoder) unkept(s string) {
	if s == "" {
		e.count(wordEmpty)
		return
	}
	e.count(wordUnkept)
	e.bytesOf(s)
}

// bytesOf writes a string out, less what it shares with the one before: lists are
// sorted, and names are numbered.
func (e *encoder) bytesOf(s string) {
	shared, most := 0, min(len(s), len(e.words.last), sharedLongest)
	for shared < most && s[shared] == e.words.last[shared] {
		shared++
	}
	e.words.last = s
	e.byte(byte(shared))
	e.count(len(s) - shared)
	e.buf = append(e.buf, s[shared:]...)
}

func (e *encoder) strings(list []string) {
	e.list(len(list), list == nil)
	for _, s := range list {
		e.string(s)
	}
}

// begin opens a record of a kind at a time.
func (e *encoder) begin(at time.Duration, kind int, c code) {
	if kind != e.kind {
		e.kind = kind
		e.code(codeKind)
		e.count(kind)
	}
	if e.from != e.said {
		e.said = e.from
		e.code(codeProcess)
		e.count(e.from.number)
		e.int(int64(e.from.skew))
	}
	e.code(c)
	e.int(int64(at - e.at))
	e.at = at
}

func (e *encoder) tokenIs(token uint64) {
	e.int(int64(token - e.token))
	e.token = token
}

func (e *encoder) epochIs(epoch int64) {
	e.int(epoch - e.epoch)
	e.epoch = epoch
}

// event writes an event. It panics on one that it does not know, which
// TestEveryTypeIsWritten rules out.
func (e *encoder) event(ev reconcile.Event) {
	switch ev := ev.(type) {
	case reconcile.Heartbeat:
		e.code(codeHeartbeat)
		e.instance(ev.Instance)
	case reconcile.Tick:
		e.code(codeTick)
	case reconcile.Notified:
		e.code(codeNotified)
		e.tokenIs(ev.Token)
		e.notification(ev.Note)
	case reconcile.Committed:
		e.code(codeCommitted)
		e.uint(ev.Txn)
		e.byte(byte(ev.Outcome))
		e.string(ev.Err)
	case reconcile.StatusSeen:
		e.code(codeStatusSeen)
		e.instance(ev.Instance)
		e.status(ev.Status)
	case reconcile.PodSeen:
		e.code(codePodSeen)
		e.pod(&ev.Pod)
	case reconcile.PodGone:
		e.code(codePodGone)
		e.instance(ev.Instance)
		e.string(ev.UID)
	case reconcile.PodCreated:
		e.code(codePodCreated)
		e.podAnswer(ev.Instance, ev.UID, ev.Answer, ev.Err)
	case reconcile.PodDeleted:
		e.code(codePodDeleted)
		e.podAnswer(ev.Instance, ev.UID, ev.Answer, ev.Err)
	case reconcile.Listed:
		e.code(codeListed)
		e.listed(&ev)
	case reconcile.PodsListed:
		e.code(codePodsListed)
		e.uint(ev.Req)
		e.list(len(ev.Pods), ev.Pods == nil)
		for i := range ev.Pods {
			e.pod(&ev.Pods[i])
		}
		e.string(ev.Err)
	case reconcile.TreeRead:
		e.code(codeTreeRead)
		e.uint(ev.Req)
		e.tree(&ev.Tree)
		e.string(ev.Err)
	default:
		e.rareEvent(ev)
	}
}

func (e *encoder) rareEvent(ev reconcile.Event) {
	switch ev := ev.(type) {
	case reconcile.Led:
		e.code(codeLed)
		e.epochIs(ev.Epoch)
	case reconcile.Deposed:
		e.code(codeDeposed)
		e.string(ev.Why)
	case reconcile.NotificationChannel:
		e.code(codeNotificationChannel)
		e.bool(ev.Up)
	case reconcile.HeartbeatChannel:
		e.code(codeHeartbeatChannel)
		e.bool(ev.Up)
	case reconcile.Ordered:
		e.code(codeOrdered)
		e.uint(ev.Req)
		e.order(ev.Order)
	default:
		panic(fmt.Sprintf("recording: no code for event %T", ev))
	}
}

func (e *encoder) order(o reconcile.Order) {
	switch o := o.(type) {
	case reconcile.Orchestrate:
		e.code(codeOrchestrate)
		e.optional(o.Request.ResourcePerInstance)
		e.optional(o.Request.MaxInstances)
	case reconcile.Drain:
		e.code(codeDrain)
		e.instance(o.Instance)
	case reconcile.Undrain:
		e.code(codeUndrain)
		e.instance(o.Instance)
	case reconcile.Replace:
		e.code(codeReplace)
		e.instance(o.Instance)
	case reconcile.Maintenance:
		e.code(codeMaintenance)
		e.bool(o.On)
	default:
		panic(fmt.Sprintf("recording: no code for order %T", o))
	}
}

func (e *encoder) optional(n *int) {
	e.bool(n != nil)
	if n != nil {
		e.int(int64(*n))
	}
}

func (e *encoder) notification(n *fleet.Notification) {
	if n == nil {
		e.byte(0)
		return
	}
	bits := byte(noteIs)
	if n.GroupKnown {
		bits |= noteGroupKnown
	}
	e.byte(bits)
	e.byte(byte(n.Op))
	e.string(n.Table)
	e.resources(n.Resources, (*encoder).string)
}

func (e *encoder) resources(rows []fleet.Resource, id func(*encoder, string)) {
	e.list(len(rows), rows == nil)
	for i := range rows {
		id(e, rows[i].ID)
		e.string(rows[i].Group)
	}
}

func (e *encoder) pod(p *fleet.Pod) {
	e.instance(p.Instance)
	e.string(p.UID)
	e.byte(byte(p.Phase))
	e.bool(p.Terminating)
	e.bool(p.NodeLost)
	e.string(p.Reason)
}

func (e *encoder) podAnswer(id fleet.InstanceID, uid string, answer reconcile.PodAnswer, err string) {
	e.instance(id)
	e.string(uid)
	e.byte(byte(answer))
	e.string(err)
}

func (e *encoder) status(s fleet.Status) {
	e.bool(s.Present)
	e.int(s.Times)
}

func (e *encoder) versions(v fleet.Versions) {
	e.int(int64(v.Node))
	e.int(int64(v.Resources))
	e.int(int64(v.Reload))
}

func (e *encoder) tree(t *fleet.Tree) {
	ids := 0
	for i := range t.Instances {
		ids += len(t.Instances[i].IDs)
	}
	id := (*encoder).string
	if ids > manyRows {
		id = (*encoder).unkept
	}
	e.list(len(t.Instances), t.Instances == nil)
	for i := range t.Instances {
		in := &t.Instances[i]
		e.instance(in.ID)
		e.int(int64(in.Capacity))
		e.int(int64(in.Used))
		e.list(len(in.IDs), in.IDs == nil)
		for _, s := range in.IDs {
			id(e, s)
		}
		e.int(in.Times)
		e.int(in.Born)
		e.versions(in.Versions)
		e.status(in.Status)
	}
	e.control(&t.Control)
	e.int(int64(t.ControlVersion))
}

func (e *encoder) control(c *fleet.Control) {
	e.int(int64(c.ResourcePerInstance))
	e.int(int64(c.MaxInstances))
	e.int(int64(c.Capacity))
	e.int(int64(c.TargetInstances))
	e.list(len(c.Closing), c.Closing == nil)
	for _, id := range c.Closing {
		e.instance(id)
	}
	e.bool(c.Maintenance)
}

// command writes a command. It panics on one that it does not know, which
// TestEveryTypeIsWritten rules out.
func (e *encoder) command(c reconcile.Command) {
	switch c := c.(type) {
	case reconcile.Ack:
		e.code(codeAck)
		e.tokenIs(c.Token)
	case reconcile.Commit:
		e.code(codeCommit)
		e.txn(c.Txn)
		e.decisions(c.Decisions)
	case reconcile.Note:
		e.code(codeNote)
		e.instance(c.Instance)
		e.string(c.Text)
	case reconcile.CreatePod:
		e.code(codeCreatePod)
		e.instance(c.Instance)
		e.string(c.Why)
	case reconcile.DeletePod:
		e.code(codeDeletePod)
		e.instance(c.Instance)
		e.string(c.UID)
		e.byte(byte(c.Purpose))
		e.string(c.Why)
	case reconcile.ReadTree:
		e.code(codeReadTree)
		e.uint(c.Req)
	case reconcile.ListRows:
		e.code(codeListRows)
		e.uint(c.Req)
		e.strings(c.IDs)
	case reconcile.ListPods:
		e.code(codeListPods)
		e.uint(c.Req)
	case reconcile.Reply:
		e.code(codeReply)
		e.uint(c.Req)
		e.string(c.Err)
	case reconcile.StepDown:
		e.code(codeStepDown)
		e.string(c.Why)
	case reconcile.Alarm:
		e.code(codeAlarm)
		e.string(c.Code)
		e.bool(c.On)
		e.string(c.Text)
	default:
		panic(fmt.Sprintf("recording: no code for command %T", c))
	}
}

func (e *encoder) txn(t *fleet.Txn) {
	e.bool(t != nil)
	if t == nil {
		return
	}
	e.uint(t.ID)
	e.epochIs(t.Epoch)
	e.list(len(t.Changes), t.Changes == nil)
	for i := range t.Changes {
		ch := &t.Changes[i]
		e.byte(byte(ch.Kind))
		e.instance(ch.Instance)
		e.int(int64(ch.Capacity))
		e.int(int64(ch.Used))
		e.strings(ch.Add)
		e.strings(ch.Remove)
		e.int(ch.Times)
		e.versions(ch.Versions)
	}
	e.bool(t.Control != nil)
	if t.Control != nil {
		e.control(t.Control)
	}
	e.int(int64(t.ControlVersion))
}

// decisions writes moves, and their reasons behind them in one piece, as
// placement writes them.
func (e *encoder) decisions(moves []placement.Move) {
	e.list(len(moves), moves == nil)
	if len(moves) == 0 {
		return
	}
	c := placement.NewWriter(e.scratch[:0])
	for i := range moves {
		m := &moves[i]
		e.string(m.Resource)
		e.instance(m.From)
		e.instance(m.To)
		why := m.Why
		why.Code(c)
	}
	e.scratch, _ = c.Done() // writing does not fail
	e.count(len(e.scratch))
	e.buf = append(e.buf, e.scratch...)
}

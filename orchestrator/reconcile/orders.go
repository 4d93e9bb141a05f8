package reconcile

import (
	"fmt"
	"slices"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// orders is what people have asked for, and what of it must survive a restart.
type orders struct {
	control        fleet.Control
	controlVersion int32
	controlDirty   bool
	unnoted        []uint64 // orders that are answered once ZooKeeper holds control

	orchestration *orchestration
}

// orchestration is a re-orchestration under way.
type orchestration struct {
	req     uint64 // zero when a restart resumed it
	request placement.Request
	planned bool // the database has been listed and the plan made
	closed  bool // all is done but the note of it in ZooKeeper
	began   time.Duration
	moves   int
	opened  []fleet.InstanceID
	closing []fleet.InstanceID
}

func (m *Machine) ordered(ev Ordered) {
	refuse := func(format string, args ...any) {
		m.emit(Reply{Req: ev.Req, Err: fmt.Sprintf(format, args...)})
	}
	if m.stage != StageActive {
		refuse("not ready: this process is %v", m.stage)
		return
	}
	if mode, ok := ev.Order.(Maintenance); ok {
		m.maintain(mode.On)
		m.unnoted = append(m.unnoted, ev.Req)
		m.answerNoted()
		return
	}
	if m.control.Maintenance {
		refuse("maintenance mode is on: switch it off first")
		return
	}
	switch o := ev.Order.(type) {
	case Orchestrate:
		if m.orchestration != nil {
			refuse("an orchestration is running: %v", m.Progress())
			return
		}
		if _, err := m.cfg.Limits.Size(m.plan.Len(), o.Request); err != nil {
			refuse("%v", err)
			return
		}
		m.orchestration = &orchestration{req: ev.Req, request: o.Request, began: m.now}
		m.listRows() // counts what exists now
	case Drain:
		in := m.instances[o.Instance]
		switch {
		case in == nil || !m.plan.Has(o.Instance):
			refuse("no instance %d", o.Instance)
		case in.closing:
			refuse("instance %d is being drained already", o.Instance)
		default:
			in.drainReq = ev.Req
			m.close(in, "drained on request")
			m.plan.Close(o.Instance, true, &m.scratch)
			m.absorb(&m.scratch)
			m.tend(in)
		}
	case Undrain:
		in := m.instances[o.Instance]
		switch {
		case in == nil || !in.closing:
			refuse("instance %d is not being drained", o.Instance)
		case m.empty(in) && m.txn != nil:
			refuse("instance %d is empty and about to go", o.Instance)
		default:
			m.reopen(in)
			m.unnoted = append(m.unnoted, ev.Req)
			m.answerNoted()
		}
	case Replace:
		in := m.instances[o.Instance]
		switch {
		case in == nil || !m.plan.Has(o.Instance):
			refuse("no instance %d", o.Instance)
		case in.phase == fleet.PhaseMissing || in.terminating || in.step != podIdle:
			refuse("instance %d has no pod that could be replaced now: it is on its way", o.Instance)
		default:
			in.retryAt = 0
			m.setReplacing(in, true)
			m.replace(in, "on request", PurposeOrdered)
			m.emit(Reply{Req: ev.Req})
		}
	default:
		refuse("unknown order %T", o)
	}
}

// answerNoted answers the orders that a restart must know of, once it would.
func (m *Machine) answerNoted() {
	if m.controlDirty || m.txn != nil && m.txn.Control != nil {
		return
	}
	for _, req := range m.unnoted {
		m.emit(Reply{Req: req})
	}
	m.unnoted = nil
}

func (m *Machine) maintain(on bool) {
	if m.control.Maintenance == on {
		return
	}
	m.control.Maintenance, m.controlDirty = on, true
	if on {
		m.alarm("maintenance", "maintenance mode is on: nothing is done automatically")
		return
	}
	m.alarmOff("maintenance")
	for _, in := range m.order {
		if in.down && !in.evacuated { // nobody has tried to bring it up meanwhile
			in.downSince = m.now
		}
		in.owingSince = m.now // nor has it been watched
	}
	m.resyncSoon()
	m.wakeAt(m.now)
}

// close lets an instance go: once nothing stands on it, its pod and then its
// nodes are deleted.
func (m *Machine) close(in *instance, why string) {
	if in.closing {
		return
	}
	in.closing = true
	if o := m.orchestration; o != nil && o.planned {
		o.closing = append(o.closing, in.id)
	}
	if i, found := slices.BinarySearch(m.control.Closing, in.id); !found {
		m.control.Closing = slices.Insert(slices.Clone(m.control.Closing), i, in.id)
		m.controlDirty = true
	}
	m.note(in.id, "closes: %s", why)
	m.settleReplacing(in)
	m.wakeAt(m.now)
}

func (m *Machine) reopen(in *instance) {
	in.closing = false
	if in.evacuated || in.down {
		in.evacuated, in.downSince = false, m.now // it gets its chance again
		m.alarmOff(fmt.Sprintf("instance-down-%d", in.id))
	}
	m.uncontrol(in.id)
	if in.drainReq != 0 {
		m.emit(Reply{Req: in.drainReq, Err: "taken back"})
		in.drainReq = 0
	}
	m.note(in.id, "opened again")
	m.plan.Open(in.id, &m.scratch)
	m.absorb(&m.scratch)
	m.wakeAt(m.now)
}

// uncontrol removes an instance from those that are closing.
func (m *Machine) uncontrol(id fleet.InstanceID) {
	if i, found := slices.BinarySearch(m.control.Closing, id); found {
		m.control.Closing = slices.Delete(slices.Clone(m.control.Closing), i, i+1)
		m.controlDirty = true
	}
}

// planOrchestration makes the plan once the database has been listed.
func (m *Machine) planOrchestration() {
	o := m.orchestration
	if o == nil || o.planned {
		return
	}
	size, err := m.cfg.Limits.Size(m.plan.Len(), o.request)
	if err == nil {
		o.planned = true
		err = m.replan(size)
	}
	if err != nil {
		m.orchestration = nil
		m.emit(Reply{Req: o.req, Err: err.Error()})
		return
	}
	m.checkOrchestration()
}

// replan brings the plan to size and notes the target in ZooKeeper, so that a
// restart resumes.
func (m *Machine) replan(size placement.Size) error {
	o := m.orchestration
	if err := m.plan.Reorchestrate(size, &m.scratch); err != nil {
		m.scratch.Reset()
		return err
	}
	for _, op := range m.scratch.Opened {
		o.opened = append(o.opened, op.Instance)
	}
	for i := range m.scratch.Moves {
		if mv := &m.scratch.Moves[i]; mv.From != fleet.NoInstance && mv.To != fleet.NoInstance {
			o.moves++
		}
	}
	m.note(fleet.NoInstance, "orchestrates %d resources to %d instances of %d: %d moves, %d instances to create, %d to release",
		m.plan.Len(), size.Instances, size.ResourcePerInstance, o.moves, len(m.scratch.Opened), len(m.scratch.Released))
	m.setSize()
	m.control.TargetInstances = size.Instances
	m.absorb(&m.scratch)
	return nil
}

// resumeOrchestration goes on with what a predecessor, or this process before
// it read ZooKeeper anew, had begun.
func (m *Machine) resumeOrchestration() {
	if m.orchestration == nil {
		m.orchestration = &orchestration{began: m.now}
	}
	o := m.orchestration
	o.planned, o.moves, o.opened, o.closing = true, 0, nil, nil
	o.closing = slices.Clone(m.control.Closing)
	size := placement.Size{Instances: m.control.TargetInstances, ResourcePerInstance: m.control.Capacity,
		Ceiling: m.control.ResourcePerInstance, MaxInstances: m.control.MaxInstances}
	if err := m.replan(size); err != nil {
		m.finishOrchestration(err.Error())
	}
}

// checkOrchestration ends a re-orchestration that has reached its target: no
// resource on its way, every new instance up (or given up), every surplus one
// gone.
func (m *Machine) checkOrchestration() {
	o := m.orchestration
	if o == nil || !o.planned || m.stage != StageActive {
		return
	}
	if o.closed {
		if !m.controlDirty && (m.txn == nil || m.txn.Control == nil) {
			m.finishOrchestration("")
		}
		return
	}
	if m.moving > 0 || len(m.releasing) > 0 {
		return
	}
	for _, id := range o.opened {
		if in := m.instances[id]; in != nil && m.plan.Has(id) && !in.closing && !in.evacuated && !(in.exists && m.up(in)) {
			return
		}
	}
	for _, id := range o.closing {
		// One that the plan cannot empty for want of room is not waited for: another
		// orchestration may be what makes room.
		if in := m.instances[id]; in != nil && in.closing && m.plan.Used(id) == 0 {
			return
		}
	}
	o.closed = true
	m.control.TargetInstances, m.controlDirty = 0, true
}

func (m *Machine) finishOrchestration(err string) {
	o := m.orchestration
	m.orchestration = nil
	if m.control.TargetInstances != 0 {
		m.control.TargetInstances, m.controlDirty = 0, true
	}
	m.note(fleet.NoInstance, "orchestration ended after %v%s", (m.now - o.began).Round(time.Millisecond), because(err))
	if o.req != 0 {
		m.emit(Reply{Req: o.req, Err: err})
	}
}

// failOrders answers every open order.
func (m *Machine) failOrders(why string) {
	if o := m.orchestration; o != nil && o.req != 0 {
		m.emit(Reply{Req: o.req, Err: why})
	}
	for _, req := range m.unnoted {
		m.emit(Reply{Req: req, Err: why})
	}
	for _, in := range m.order {
		if in.drainReq != 0 {
			m.emit(Reply{Req: in.drainReq, Err: why})
		}
	}
}

package world

import (
	"cmp"
	"time"

	"dacorch/orchestrator/fleet"
)

// dac is the program in one instance pod, from the container's start to its end.
type dac struct {
	dacs    *DACs
	kind    *dacKind
	id      fleet.InstanceID
	uid     string
	nodes   *instanceNodes
	session *Session
	gone    bool // the program has ended
	hung    bool
	zombie  bool // it beats, and does nothing else
	away    bool // nobody reaches its node
	loaded  bool

	held    idSet // what it runs
	born    int64 // czxid of the nodes whose list it holds; 0 before the first read
	version int32 // of the list that it holds
	times   int64 // of the _reload that it has applied

	// One read and apply is under way at a time, on the connection asked; 0 for
	// none. A watch that fires meanwhile makes the DAC read again afterwards.
	asked   int64
	stale   bool
	watched bool // a watch's event is on its way
	owes    bool // its report was refused; it is tried again
	read    dacRead
}

// dacRead is what a DAC has read and not yet applied.
type dacRead struct {
	born    int64 // 0: there were no nodes
	version int32
	times   int64
	whole   bool       // ids is the whole list; else edits leads to it
	edits   []listEdit // reused
	ids     []string   // reused
}

const (
	opLoaded uint32 = iota
	opRead
	opApply
	opReport
	opNoticed
	opBeat
	opReopen
	opReportAgain
)

// Handle is the DAC's part of the timeline. gen is the session's connection at
// the time of the request.
func (d *dac) Handle(now time.Duration, op uint32, gen int64, _ any) {
	if d.gone || d.hung || d.zombie && op != opLoaded && op != opBeat && op != opReopen {
		return
	}
	switch op {
	case opLoaded:
		d.load(now)
	case opBeat:
		d.beat(now)
	case opReopen:
		d.open(now)
	case opNoticed:
		d.watched = false
		d.request(now)
	case opRead:
		if gen == d.asked && d.session.reaches(gen) {
			d.readList(now)
		}
	case opApply:
		d.apply(now, gen)
	case opReport:
		if d.session.writes(gen) {
			d.report(now)
		}
	case opReportAgain:
		if d.owes = false; d.session.connected {
			d.dacs.tl.At(d.session.sent(now), d, opReport, d.session.gen, nil)
		}
	}
}

func (d *dac) load(now time.Duration) {
	d.loaded = true
	d.beat(now)
	d.open(now)
}

func (d *dac) beat(now time.Duration) {
	if !d.kind.spec.Heartbeat {
		return
	}
	if d.away {
		d.dacs.kafka.unreachable(d.kind.spec.Kind)
	} else {
		d.dacs.kafka.Produce(d.kind.spec.Kind, d.id, now)
	}
	next := cmp.Or(d.kind.spec.HeartbeatInterval, d.dacs.cfg.Heartbeat)
	if d.dacs.OnBeat != nil {
		next = max(next+d.dacs.OnBeat(now, d.kind.spec.Kind, d.id), time.Millisecond)
	}
	d.dacs.tl.After(next, d, opBeat, 0, nil)
}

func (d *dac) open(now time.Duration) {
	d.session = d.dacs.zk.start(DACClients, d.away, d.sessionState)
	d.watched, d.asked, d.stale, d.owes = false, 0, false, false
	d.request(now)
}

func (d *dac) sessionState(now time.Duration, state SessionState) {
	switch {
	case d.gone || d.hung:
	case state == SessionExpired:
		d.unwatch()
		d.dacs.tl.After(d.dacs.reopen.draw(), d, opReopen, 0, nil)
	case state == SessionConnected: // what was under way is lost, watches too
		d.request(now)
	}
}

// request sends the read of the list, unless one is under way on this connection:
// a watch may have asked for it before the client heard that it is connected again.
func (d *dac) request(now time.Duration) {
	switch {
	case d.zombie:
	case !d.session.connected: // sessionState comes back to it
	case d.asked == d.session.gen:
		d.stale = true
	default:
		d.asked, d.stale = d.session.gen, false
		d.dacs.tl.At(d.session.sent(now), d, opRead, d.session.gen, nil)
	}
}

// readList is the moment of the read at the ensemble.
func (d *dac) readList(now time.Duration) {
	r, in := &d.read, d.nodes
	*r = dacRead{edits: r.edits[:0]}
	d.watch()
	if old := d.session.minority(); old != nil {
		old.read(in, r)
	} else if in.node != nil {
		r.born, r.version, r.times = in.node.Czxid, in.list.version, in.times
		r.whole = true
		if d.born == r.born {
			var ok bool
			r.edits, ok = in.list.since(d.version, r.edits)
			r.whole = !ok
		}
		if r.whole {
			r.ids = in.list.sorted()
			d.dacs.stats.WholeReads++
		}
	}
	d.dacs.stats.Reads++
	d.dacs.tl.At(d.session.answered(now)+d.dacs.apply.draw(), d, opApply, d.session.gen, nil)
}

// watch sets the one-shot watches on resources and _reload, or on the creation
// of the instance's node.
func (d *dac) watch() {
	in, z := d.nodes, d.dacs.zk.nodes
	if d.watched {
		return
	}
	if in.node == nil {
		z.Exists(in.path, d)
		return
	}
	in.resources.watch(d)
	in.reload.watch(d)
}

func (d *dac) unwatch() {
	z := d.dacs.zk.nodes
	for _, path := range []string{d.nodes.path, d.nodes.path + "/resources", d.nodes.path + "/_reload"} {
		z.Unwatch(path, d)
	}
}

// Fired hears a watch at the ensemble. The nodes of an instance change in one
// transaction: its second watch adds nothing.
func (d *dac) Fired(WatchEvent, string) {
	if d.watched || d.gone || d.hung || !d.session.hears() {
		return
	}
	d.watched = true
	now := d.dacs.tl.Now()
	d.dacs.tl.At(d.session.noticed(now), d, opNoticed, 0, nil)
}

// apply starts and stops what the list that was read demands, and reports it.
func (d *dac) apply(now time.Duration, gen int64) {
	if gen != d.session.gen || gen != d.asked {
		return // the answer is lost with its connection
	}
	r := &d.read
	if r.whole || r.born == 0 {
		d.replace(now, r.ids)
	} else {
		d.edit(now, r.edits)
	}
	clear(r.edits) // lets go of the ids
	r.ids = nil
	d.asked = 0
	fresh := d.born != r.born || d.version != r.version || d.times != r.times
	d.born, d.version, d.times = r.born, r.version, r.times
	if r.born != 0 {
		if fresh && d.dacs.OnReload != nil {
			d.dacs.OnReload(now, d.kind.spec.Kind, d.id, d.times)
		}
		d.dacs.tl.At(d.session.sent(now), d, opReport, d.session.gen, nil)
	}
	if d.stale {
		d.request(now)
	}
}

// confirmed is what the status says: the times applied, or that it confirms nothing.
func (d *dac) confirmed() int64 {
	if d.kind.spec.Confirms {
		return d.times
	}
	return -1
}

// edit applies a difference. An id that one version removes and a later one adds
// again is not touched, nor the other way round: only the lists' ends count.
func (d *dac) edit(now time.Duration, edits []listEdit) {
	if d.read.version-d.version > 1 {
		edits = lastEdits(edits)
	}
	for _, e := range edits {
		if !e.add && d.held.remove(e.id) {
			d.dacs.ran(now, d, e.id, false)
		}
	}
	for _, e := range edits {
		if e.add && d.held.add(e.id) {
			d.dacs.ran(now, d, e.id, true)
		}
	}
}

// lastEdits keeps each id's last edit.
func lastEdits(edits []listEdit) []listEdit {
	last := make(map[string]int, len(edits))
	for i, e := range edits {
		last[e.id] = i
	}
	kept := edits[:0]
	for i, e := range edits {
		if last[e.id] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

// replace makes ids what is held.
func (d *dac) replace(now time.Duration, ids []string) {
	wanted := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		wanted[id] = struct{}{}
	}
	for _, id := range d.held.sorted() {
		if _, ok := wanted[id]; !ok {
			d.held.remove(id)
			d.dacs.ran(now, d, id, false)
		}
	}
	for _, id := range ids {
		if d.held.add(id) {
			d.dacs.ran(now, d, id, true)
		}
	}
}

// end is the end of the program: what it ran stops.
func (d *dac) end(now time.Duration, tidy bool) {
	d.gone = true
	if d.session != nil {
		d.unwatch()
		if tidy {
			d.session.Close()
		} else {
			d.session.Kill()
		}
	}
	for _, id := range d.held.sorted() {
		d.dacs.ran(now, d, id, false)
	}
	d.held = idSet{}
}

// hang stops the program without ending it.
func (d *dac) hang() {
	d.hung = true
	if d.session != nil {
		d.unwatch()
		d.session.Kill()
	}
}

package loop

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// The types of journal entries.
const (
	EntryLeader    = "leader"     // who leads, as this process sees it
	EntryLed       = "led"        // this process leads
	EntryDeposed   = "deposed"    // it does no longer
	EntryNote      = "note"       // a decision
	EntryAlarm     = "alarm"      // an alarm is on
	EntryAlarmOver = "alarm-over" // it is over
	EntryCommit    = "commit"     // a transaction has changed an instance's list
	EntryPodCreate = "pod-create" // a pod is being created
	EntryPodDelete = "pod-delete"
	EntryPod       = "pod" // Kubernetes tells a pod's new phase
)

// Entry is something that has happened.
type Entry struct {
	Seq      uint64 // from 1, without gaps
	At       time.Time
	Kind     fleet.Kind
	Type     string
	Instance fleet.InstanceID // NoInstance for the kind as a whole
	Text     string

	// Of EntryCommit.
	Used, Capacity, Added, Removed int
	// Of EntryPod.
	Phase fleet.Phase
}

// Journal keeps the latest entries of a process for readers.
type Journal struct {
	// Run tells one process's journal from another's: sequence numbers mean
	// nothing across them.
	Run string

	mu     sync.Mutex
	ring   []Entry
	next   uint64        // the sequence number of the next entry
	more   chan struct{} // closed at the next entry
	closed bool
}

func newJournal(start time.Time, size int) *Journal {
	return &Journal{Run: strconv.FormatInt(start.UnixNano(), 36), ring: make([]Entry, 0, size), next: 1, more: make(chan struct{})}
}

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	e.Seq, e.At = j.next, time.Now()
	j.next++
	if len(j.ring) < cap(j.ring) {
		j.ring = append(j.ring, e)
	} else {
		j.ring[(e.Seq-1)%uint64(cap(j.ring))] = e
	}
	close(j.more)
	j.more = make(chan struct{})
}

// Since answers the entries after a sequence number, at most limit, and whether
// some between are no longer kept. more is closed when there is another entry;
// it is nil once the journal is closed.
func (j *Journal) Since(seq uint64, limit int) (entries []Entry, gap bool, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	oldest := j.next - uint64(len(j.ring))
	from := max(seq+1, oldest)
	for s := from; s < j.next && len(entries) < limit; s++ {
		entries = append(entries, j.ring[(s-1)%uint64(cap(j.ring))])
	}
	if !j.closed {
		more = j.more
	}
	return entries, seq+1 < oldest, more
}

// Last is the latest sequence number; 0 before the first entry.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next - 1
}

func (j *Journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		close(j.more)
	}
}

// moves remembers a kind's latest placements.
type moves struct {
	ring []Moved
	n    uint64 // so many were ever added
}

// Moved is a placement that was committed.
type Moved struct {
	At time.Duration
	placement.Move
}

func newMoves(size int) *moves { return &moves{ring: make([]Moved, 0, size)} }

func (m *moves) add(at time.Duration, decided []placement.Move) {
	for _, mv := range decided {
		if len(m.ring) < cap(m.ring) {
			m.ring = append(m.ring, Moved{at, mv})
		} else {
			m.ring[m.n%uint64(cap(m.ring))] = Moved{at, mv}
		}
		m.n++
	}
}

// of answers a resource's placements, the latest first, at most limit.
func (m *moves) of(id string, limit int) (found []Moved) {
	for i := uint64(1); i <= uint64(len(m.ring)) && len(found) < limit; i++ {
		if mv := &m.ring[(m.n-i)%uint64(cap(m.ring))]; mv.Resource == id {
			found = append(found, *mv)
		}
	}
	return found
}

func (d *driver) note(kind string, id fleet.InstanceID, format string, args ...any) {
	d.l.journal.add(Entry{Kind: d.kind, Type: kind, Instance: id, Text: fmt.Sprintf(format, args...)})
}

// committed tells the journal what a transaction has changed.
func (d *driver) committed(txn *fleet.Txn) {
	for i := range txn.Changes {
		c := &txn.Changes[i]
		d.l.journal.add(Entry{Kind: d.kind, Type: EntryCommit, Instance: c.Instance, Text: c.Kind.String(),
			Used: c.Used, Capacity: c.Capacity, Added: len(c.Add), Removed: len(c.Remove)})
	}
}

// podChanged tells the journal of a pod's new phase.
func (d *driver) podChanged(p fleet.Pod) {
	was := d.phases[p.Instance]
	if was.UID == p.UID && was.Phase == p.Phase && was.Terminating == p.Terminating {
		return
	}
	d.phases[p.Instance] = p
	text := p.Phase.String()
	if p.Terminating {
		text += ", terminating"
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	d.l.journal.add(Entry{Kind: d.kind, Type: EntryPod, Instance: p.Instance, Phase: p.Phase, Text: text})
}

func (d *driver) podGone(ev reconcile.PodGone) {
	if d.phases[ev.Instance].UID == ev.UID {
		delete(d.phases, ev.Instance)
		d.l.journal.add(Entry{Kind: d.kind, Type: EntryPod, Instance: ev.Instance, Phase: fleet.PhaseMissing, Text: "gone"})
	}
}

package tape

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
	"dacorch/orchestrator/reconcile"
)

// The types of entries: those that the production loop tells, and those that a
// transaction falls into.
const (
	EntryLed         = "led"
	EntryDeposed     = "deposed"
	EntryNote        = "note"
	EntryAlarm       = "alarm"
	EntryAlarmOver   = "alarm-over"
	EntryCommit      = "commit"   // Count: resources that it put on lists and took off
	EntryInstance    = "instance" // Code: opened, gone
	EntryMove        = "move"     // a placement, as it was committed: also a first one, and a removal
	EntryPodCreate   = "pod-create"
	EntryPodDelete   = "pod-delete" // Code: replace, ordered, release
	EntryPod         = "pod"
	EntryOrder       = "order" // Code: done, refused, interrupted
	EntryProgress    = "progress"
	EntryMaintenance = "maintenance"
)

// Entry is something that has happened, for people.
type Entry struct {
	Seq      int64 // from 1, over all entries
	Event    int64 // that it follows from
	At       time.Duration
	Kind     fleet.Kind
	Process  int // that it happened in, from 0
	Type     string
	Instance fleet.InstanceID // NoInstance for the kind as a whole
	Code     string           // of an alarm: its name; see the types
	On       bool             // of EntryProgress: it runs; of EntryMaintenance: the mode
	Phase    fleet.Phase      // of EntryPod
	Text     string
	Count    int

	// Of EntryMove.
	Resource string
	From, To fleet.InstanceID
	Why      placement.Reason
}

func (e *Entry) stamp() stamp { return stamp{e.Event, e.At} }

// toldMoves bounds the placements of one transaction that become entries; the others
// are found by Moment.Moves.
const toldMoves = 100

// log is what has happened, the newest last.
type log struct {
	list []Entry
	last int64 // Seq of the newest
}

func newLog() log { return log{} }

// tell adds an entry.
func (t *Tape) tell(k *kindTape, process int, e Entry) {
	l := &t.log
	l.last++
	e.Seq, e.Event, e.At, e.Kind, e.Process, e.Text = l.last, t.place.n, t.now, k.name, process, shortened(e.Text)
	l.list = append(trimmed(l.list, t.cfg.MaxLog), e)
}

// trimmed makes room for one more in a list that has a bound: the oldest fifth
// goes when it is full.
func trimmed[T any](list []T, most int) []T {
	if len(list) < most {
		return list
	}
	return append(list[:0], list[max(most/5, 1):]...)
}

// upTo is how many of a list's first are not beyond a moment.
func upTo[T any](list []T, to stamp, when func(*T) stamp) int {
	n, _ := slices.BinarySearchFunc(list, to, func(e T, to stamp) int {
		if to.holds(when(&e)) {
			return -1
		}
		return 1
	})
	return n
}

// Last is the number of the newest entry of the log.
func (t *Tape) Last() int64 { return t.log.last }

// Follow answers the entries of the log after the one numbered seq, oldest first,
// at most limit; missed says that some of them are no longer kept. They are good
// until the tape is told more.
func (t *Tape) Follow(seq int64, limit int) (list []Entry, missed bool) {
	kept := t.log.list
	first := t.log.last - int64(len(kept)) + 1 // Seq of the oldest
	from := min(max(seq+1-first, 0), int64(len(kept)))
	kept = kept[from:]
	return kept[:min(limit, len(kept))], seq+1 < first
}

// happened notes what an event is about.
func (t *Tape) happened(key machineKey, ev reconcile.Event) {
	k := t.byNum[key.kind]
	switch ev := ev.(type) {
	case reconcile.Led:
		t.led(k, key, ev.Epoch)
	case reconcile.Deposed:
		t.deposed(k, key, ev.Why)
	case reconcile.NotificationChannel:
		t.channel(k, key, "notifications down", ev.Up)
	case reconcile.HeartbeatChannel:
		t.channel(k, key, "heartbeats down", ev.Up)
	case reconcile.PodsListed:
		if ev.Err == "" {
			t.podsListed(k, ev.Pods)
		}
	case reconcile.PodSeen:
		t.podSeen(k, key, ev.Pod)
	case reconcile.PodGone:
		t.podGone(k, key, ev)
	case reconcile.PodCreated:
		if ev.Answer == reconcile.PodAccepted && ev.UID != "" {
			t.podFact(k, ev.Instance, PodFact{What: PodCreated, UID: ev.UID})
		}
	case reconcile.Committed:
		t.committed(k, key, ev)
	case reconcile.Ordered:
		t.ordered(k, key, ev)
	}
}

// answered notes what a machine has answered.
func (t *Tape) answered(k *kindTape, key machineKey, c reconcile.Command) {
	switch c := c.(type) {
	case reconcile.Commit:
		t.sent(k, key, c)
	case reconcile.CreatePod:
		t.tell(k, key.process, Entry{Type: EntryPodCreate, Instance: c.Instance, Text: c.Why})
	case reconcile.DeletePod:
		t.tell(k, key.process, Entry{Type: EntryPodDelete, Instance: c.Instance, Code: c.Purpose.String(), Text: c.Why})
		t.podFact(k, c.Instance, PodFact{What: PodDeleted, UID: c.UID, Text: c.Why})
	case reconcile.Alarm:
		t.alarm(k, key, c)
	case reconcile.Note:
		t.tell(k, key.process, Entry{Type: EntryNote, Instance: c.Instance, Text: c.Text})
	case reconcile.Reply:
		t.replied(k, key, c)
	}
}

func shortened(s string) string { return shortenedTo(s, maxText) }

func shortenedTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

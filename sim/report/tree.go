package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
)

// place is what is known of one resource.
type place struct {
	since   time.Duration // waiting, leaving: since when
	last    fleet.InstanceID
	on      bool // last's list holds it
	waiting bool // exists and stands on no list
	leaving bool // on a list, and its row is gone
	told    bool // by a notification: how long it waits is a settle time
	read    bool // in the reading of ZooKeeper or of the database that goes on
}

// hashed stands for an id: FNV-1a, 64 bits. Two of a million resources share one
// with a chance of 3 in 100 million.
func hashed(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}

// put remembers a resource's place and keeps the counts; it answers false when
// there are too many resources to follow.
func (t *teller) put(k *kindTeller, id uint64, p place) bool {
	was, known := k.places[id]
	if !known {
		if t.followed >= MaxResources {
			t.story.Unfollowed.Resources++
			return false
		}
		t.followed++
		was.last = fleet.NoInstance
	}
	on, waiting := count(p.on)-count(was.on), count(p.waiting)-count(was.waiting)
	k.on += on
	k.waiting += waiting
	t.known += on + waiting
	if p.on || p.waiting || p.last != fleet.NoInstance {
		k.places[id] = p
	} else {
		delete(k.places, id)
		t.followed--
	}
	return true
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// settledWaiting brings the figures of unplaced resources up to date. Until all
// that the start found have a place, none counts: they would dwarf what follows.
func (t *teller) settledWaiting(k *kindTeller) {
	if !k.placed && k.led >= 0 && k.waiting == 0 && k.on > 0 {
		k.placed = true
		k.Start = t.now - k.led
	}
	t.unplaced = 0
	for _, k := range t.kinds {
		if k.placed {
			k.UnplacedMax = max(k.UnplacedMax, k.waiting)
			t.unplaced += k.waiting
		}
	}
	t.levels()
}

// treeRead compares what ZooKeeper holds with what transactions have told: what
// differs happened unseen.
func (t *teller) treeRead(k *kindTeller, tree *fleet.Tree) {
	t.known -= k.unnamed
	k.unnamed = 0
	for id, p := range k.places {
		p.read = false
		k.places[id] = p
	}
	there := map[fleet.InstanceID]bool{}
	for i := range tree.Instances {
		in := &tree.Instances[i]
		there[in.ID] = true
		for _, id := range in.IDs {
			t.own(k, id, in.ID)
			if p, ok := k.places[hashed(id)]; ok {
				p.read = true
				k.places[hashed(id)] = p
			}
		}
		t.sized(k, in.ID, len(in.IDs), in.Capacity)
	}
	for id, p := range k.places {
		if p.on && !p.read {
			p.on, p.leaving = false, false
			t.put(k, id, p)
		}
	}
	for _, l := range t.story.Lanes {
		if l.Kind == k.Name && l.exists && !there[l.Instance] {
			t.removed(k, l.Instance)
		}
	}
	t.settledWaiting(k)
}

// snapshot is a machine as it was where the first segment that is left begins. It
// says how full the instances are, and not which resources they hold.
func (t *teller) snapshot(k *kindTeller, state []byte) {
	if len(k.lanes) > 0 || k.on > 0 {
		return // known already
	}
	m, err := reconcile.Restore(k.Config, state)
	if err != nil {
		t.problem("%s: the state at the beginning cannot be read: %s", shortened(string(k.Name), maxIDShown), shortened(err.Error(), maxTextShown))
		return
	}
	m.EachInstance(func(in reconcile.Instance) bool {
		if in.UID != "" {
			t.podSeen(k, fleet.Pod{Instance: in.ID, UID: in.UID, Phase: in.Phase, Terminating: in.Terminating, NodeLost: in.NodeLost})
		}
		if in.Exists {
			t.sized(k, in.ID, in.Used, in.Capacity)
			k.unnamed += in.Used
		}
		return true
	})
	if m.Stage() == reconcile.StageActive {
		k.placed = true
	}
	t.known += k.unnamed
	t.levels()
}

// listing is a question to the database.
type listing struct {
	at  time.Duration
	ids []string // nil: all rows
}

// question is a command's number, which each process counts for itself.
type question struct {
	process int
	req     uint64
}

// maxAsked bounds the questions that are remembered, and the transactions: a process has
// two listings and one transaction open at once.
const maxAsked = 16

func (t *teller) ask(k *kindTeller, c reconcile.ListRows) {
	if len(k.asked) >= maxAsked {
		clear(k.asked) // those before a crash are never answered
	}
	k.asked[question{t.process, c.Req}] = listing{at: t.now, ids: c.IDs}
}

// listed is what the database holds: a row that stands on no list waits, and what
// waits and is no row is no resource.
func (t *teller) listed(k *kindTeller, ev *reconcile.Listed) {
	which := question{t.process, ev.Req}
	asked, known := k.asked[which]
	delete(k.asked, which)
	if ev.Err != "" || len(ev.Rows) == 0 && ev.Digest.Count > 0 {
		return // the rows themselves are not told: they are what was known
	}
	for i := range ev.Rows {
		h := hashed(ev.Rows[i].ID)
		p, known := k.places[h]
		if !known {
			p.last = fleet.NoInstance
		}
		if !p.on && !p.waiting {
			p.waiting, p.told, p.since = true, false, t.now
		}
		p.read = true
		t.put(k, h, p)
	}
	if known {
		t.unlisted(k, asked)
	}
	for h, p := range k.places {
		if p.read {
			p.read = false
			k.places[h] = p
		}
	}
	t.settledWaiting(k)
}

// unlisted drops what waits, was asked for, and is not among the rows read.
func (t *teller) unlisted(k *kindTeller, asked listing) {
	drop := func(h uint64) {
		if p, known := k.places[h]; known && !p.read && p.waiting && p.since < asked.at {
			t.put(k, h, place{last: fleet.NoInstance})
		}
	}
	for _, id := range asked.ids {
		drop(hashed(id))
	}
	if asked.ids == nil {
		for h := range k.places {
			drop(h)
		}
	}
}

// notified is a message about rows.
func (t *teller) notified(k *kindTeller, n *fleet.Notification) {
	if n.Table != string(k.Name) {
		return
	}
	for i := range n.Resources {
		h := hashed(n.Resources[i].ID)
		p, known := k.places[h]
		if !known {
			p.last = fleet.NoInstance
		}
		switch n.Op {
		case fleet.OpDelete, fleet.OpBulkDelete:
			if !p.on { // it never had a place
				if known {
					t.put(k, h, place{last: fleet.NoInstance})
				}
				continue
			}
			if p.leaving {
				continue
			}
			p.leaving, p.since = true, t.now
		case fleet.OpCreate, fleet.OpBulkCreate:
			if p.on && p.leaving { // there again
				p.leaving = false
			}
			if p.on || p.waiting {
				break
			}
			p = place{waiting: true, told: true, since: t.now, last: fleet.NoInstance}
		default:
			continue
		}
		t.put(k, h, p)
	}
	t.settledWaiting(k)
}

// committed is a transaction's answer. One whose outcome is not known shows in
// the next reading of ZooKeeper.
func (t *teller) committed(k *kindTeller, ev reconcile.Committed) {
	sent := k.sent[t.process]
	txn, decisions := sent.Txn, sent.Decisions
	if txn == nil || txn.ID != ev.Txn {
		return // of a process that has died
	}
	delete(k.sent, t.process)
	switch ev.Outcome {
	case fleet.OutcomeDone:
	case fleet.OutcomeConflict:
		k.Conflicts++
		return
	default:
		k.Failed++
		return
	}
	k.Transactions++
	t.story.Tracks.Transactions.add(t.bucket(t.now), 1)
	for i := range txn.Changes {
		ch := &txn.Changes[i]
		for _, id := range ch.Remove {
			t.disown(k, id, ch.Instance)
		}
	}
	for i := range decisions { // under strict handoff a move takes two transactions
		if d := &decisions[i]; d.From != fleet.NoInstance && d.To != fleet.NoInstance {
			t.between(k, d.Resource)
		}
	}
	for i := range txn.Changes {
		ch := &txn.Changes[i]
		for _, id := range ch.Add {
			t.own(k, id, ch.Instance)
		}
		switch ch.Kind {
		case fleet.ChangeDelete:
			t.removed(k, ch.Instance)
			k.Released++
			continue
		case fleet.ChangeCreate:
			k.Created++
		}
		t.sized(k, ch.Instance, ch.Used, ch.Capacity)
	}
	t.settledWaiting(k)
}

// own puts a resource on an instance's list.
func (t *teller) own(k *kindTeller, id string, by fleet.InstanceID) {
	h := hashed(id)
	p, known := k.places[h]
	if known && p.last != fleet.NoInstance && p.last != by {
		k.Moves++
		t.story.Tracks.Moves.add(t.bucket(t.now), 1)
	}
	if p.waiting && p.told {
		t.wroteSettled(k, Settlement{For: t.now - p.since, Kind: k.Name, Resource: id, Instance: by, What: "settle"})
	}
	leaving, since := p.leaving, p.since
	t.put(k, h, place{last: by, on: true, leaving: leaving, since: since})
}

// disown takes it off again.
func (t *teller) disown(k *kindTeller, id string, by fleet.InstanceID) {
	h := hashed(id)
	p, known := k.places[h]
	if !known && k.unnamed > 0 {
		k.unnamed--
		t.known--
	}
	if p.leaving {
		t.wroteSettled(k, Settlement{For: t.now - p.since, Kind: k.Name, Resource: id, Instance: by, What: "delete"})
		t.put(k, h, place{last: fleet.NoInstance})
		return
	}
	t.put(k, h, place{last: by})
}

// between has a resource that has left its list for another wait for that one.
func (t *teller) between(k *kindTeller, id string) {
	h := hashed(id)
	if p, known := k.places[h]; known && !p.on && !p.waiting {
		p.waiting, p.told, p.since = true, false, t.now
		t.put(k, h, p)
	}
}

// maxIDShown bounds a resource's id in a story.
const maxIDShown = 128

// wroteSettled counts a settle time that the core's own events give.
func (t *teller) wroteSettled(k *kindTeller, s Settlement) {
	if t.marks {
		return
	}
	t.wrote.Add(s.For)
	t.story.Tracks.Settle.peak(t.bucket(t.now), s.For.Seconds())
	t.slowest(s)
}

// slowest keeps a settlement if it is one of the longest.
func (t *teller) slowest(s Settlement) {
	if n := len(t.slow); n == MaxSlowest && s.For <= t.slow[n-1].For {
		return
	}
	s.At = t.now
	s.Resource = shortened(s.Resource, maxIDShown)
	if s.Cause == "" {
		s.Cause = t.cause(s)
	}
	at, _ := slices.BinarySearchFunc(t.slow, s, func(a, b Settlement) int {
		if a.For >= b.For { // a later one of the same length stands behind
			return -1
		}
		return 1
	})
	t.slow = slices.Insert(t.slow, at, s)
	t.slow = t.slow[:min(len(t.slow), MaxSlowest)]
}

// causes bounds how many reasons a settlement is given.
const causes = 3

// cause names what went on while a resource waited.
func (t *teller) cause(s Settlement) string {
	var names []string
	for i := range t.story.Bands {
		b := &t.story.Bands[i]
		if b.From > s.At || !b.Open && b.To < s.At-s.For || b.Once && b.From < s.At-s.For {
			continue
		}
		if b.Kind != "" && b.Kind != s.Kind || slices.Contains(names, b.Name) {
			continue
		}
		if names = append(names, b.Name); len(names) == causes {
			break
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "meanwhile: " + strings.Join(names, ", ")
}

// finishSettled takes the best that there is: the simulation's report, what it has
// marked, or what the core's own events give.
func (t *teller) finishSettled() {
	s := t.story
	s.Slowest = t.slow
	switch rep := s.Report; {
	case rep != nil && len(rep.Distributions) > 0:
		s.SettledBy = SettledOnDAC
		s.Settle = distributionOf(rep)
	case t.marks:
		s.SettledBy = SettledOnDAC
	default:
		s.Settle = t.wrote
	}
	if s.Report == nil || len(s.Report.Slowest) == 0 {
		return
	}
	s.Slowest = nil
	for i := range s.Report.Slowest {
		slow := &s.Report.Slowest[i]
		s.Slowest = append(s.Slowest, Settlement{
			At: slow.From + slow.Took, For: slow.Took, Kind: slow.Kind, Resource: shortened(slow.Resource, maxIDShown),
			Instance: fleet.InstanceID(slow.Instance), What: shortened(slow.What, maxIDShown), Open: slow.Open, Cause: shortened(slow.Why, maxTextShown),
		})
	}
	slices.SortStableFunc(s.Slowest, func(a, b Settlement) int { return cmp.Compare(b.For, a.For) })
	s.Slowest = s.Slowest[:min(len(s.Slowest), MaxSlowest)]
}

// shortened is at most n bytes of text that somebody else has written, without
// what cannot be shown.
func shortened(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar // it would change what stands around it
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) <= n {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:n], ""), len(text))
}

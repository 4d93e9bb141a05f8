package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/scenarios"
)

// teller makes a story.
type teller struct {
	story   *Story
	kinds   []*kindTeller // as the story's
	now     time.Duration
	process int // whose machine the entry is about

	running, instances int // over all kinds
	known, unplaced    int
	followed           int // resources

	faults  map[string]scenarios.Fault // of a simulation, by their text
	planned []scenarios.Fault
	broke   bool            // it has marked a fault
	open    map[bandKey]int // bands that have not ended, by their place in the story
	notes   noteKeeper
	marks   bool         // a simulation has marked its settlements
	wrote   Distribution // settled in ZooKeeper, until marks tell better
	slow    []Settlement
}

// kindTeller is what must be remembered of one kind.
type kindTeller struct {
	*Kind
	lanes   map[fleet.InstanceID]*Lane
	beyond  map[fleet.InstanceID]struct{} // those that have none
	places  map[uint64]place              // by a hash of the resource's id
	on      int                           // resources in lists
	waiting int                           // known and in none
	unnamed int                           // in lists, by a snapshot: which, is not known
	sent    map[int]reconcile.Commit      // by process; not answered yet
	asked   map[question]listing          // of the database, not answered yet
	orders  map[question]order
	led     time.Duration // when it first led; below 0: never
	placed  bool          // everything known stood somewhere for the first time
}

// order is one that waits for its reply.
type order struct {
	text string
	at   time.Duration
}

func newTeller() *teller {
	return &teller{
		story:  &Story{From: -1, Bucket: firstBucket, Tracks: newTracks()},
		open:   map[bandKey]int{},
		faults: map[string]scenarios.Fault{},
	}
}

func (t *teller) problem(format string, args ...any) {
	if len(t.story.Problems) < MaxProblems {
		t.story.Problems = append(t.story.Problems, shortened(fmt.Sprintf(format, args...), maxTextShown))
	}
}

// header begins a segment of a row. Its kinds are those of the segments and rows
// before, or new.
func (t *teller) header(r *row, h recording.Header) {
	s := t.story
	if s.Segments++; s.Segments == 1 {
		s.Program, s.Seed = h.Program, h.Seed
	}
	if h.Segment > 0 && !r.begun {
		t.problem("the recording of %s begins with segment %d: what was before has been deleted", kindNames(h), h.Segment)
	}
	r.begun = true
	if h.Scenario != "" && s.Scenario == "" {
		t.scenario(h.Scenario)
	}
	r.kinds = r.kinds[:0]
	for _, k := range h.Kinds {
		at := t.kindAt(k.Config.Kind)
		if at < 0 {
			at = len(t.kinds)
			t.kinds = append(t.kinds, &kindTeller{
				Kind:   &Kind{Name: k.Config.Kind, Config: k.Config},
				lanes:  map[fleet.InstanceID]*Lane{},
				places: map[uint64]place{},
				orders: map[question]order{},
				asked:  map[question]listing{},
				beyond: map[fleet.InstanceID]struct{}{},
				sent:   map[int]reconcile.Commit{},
				led:    -1,
			})
		}
		r.kinds = append(r.kinds, at)
	}
}

func kindNames(h recording.Header) string {
	var names []string
	for i := range h.Kinds {
		names = append(names, shortened(string(h.Kinds[i].Config.Kind), maxIDShown))
	}
	return strings.Join(names, ", ")
}

// entry tells the story on by one entry of a row.
func (t *teller) entry(r *row, e *recording.Entry) {
	s := t.story
	s.Entries++
	t.now, t.process = max(t.now, r.at(e)), r.process(e)
	if s.From < 0 {
		s.From = t.now
	}
	s.To = t.now
	var k *kindTeller
	if e.Kind >= 0 && e.Kind < len(r.kinds) {
		k = t.kinds[r.kinds[e.Kind]]
	}
	if e.Mark != nil {
		t.mark(k, e.Mark)
	}
	if e.Closing != nil {
		t.closing(e.Closing)
	}
	if k == nil {
		if e.Event != nil || len(e.Commands) > 0 {
			t.problem("entry %d is of kind number %d: its segment has %d kinds", s.Entries, e.Kind, len(r.kinds))
		}
		return
	}
	if e.Restarted {
		k.Restarts++
		delete(k.sent, t.process) // what came of it, the next reading of ZooKeeper shows
		t.log(LogLeader, k, fleet.NoInstance, "the orchestrator's process began anew")
	}
	if e.Snapshot != nil {
		t.snapshot(k, e.Snapshot)
	}
	if e.Event != nil {
		t.event(k, e.Event)
	}
	for _, c := range e.Commands {
		t.command(k, c)
	}
}

func (t *teller) event(k *kindTeller, ev reconcile.Event) {
	switch ev := ev.(type) {
	case reconcile.Led:
		t.leads(k)
	case reconcile.Deposed:
		t.deposed(k, ev.Why)
	case reconcile.TreeRead:
		if ev.Err == "" {
			t.treeRead(k, &ev.Tree)
		}
	case reconcile.Listed:
		t.listed(k, &ev)
	case reconcile.PodsListed:
		if ev.Err == "" {
			t.podsListed(k, ev.Pods)
		}
	case reconcile.Notified:
		k.Notifications++
		if ev.Note != nil {
			t.notified(k, ev.Note)
		}
	case reconcile.NotificationChannel:
		t.channel(k, "notifications down", ev.Up)
	case reconcile.HeartbeatChannel:
		t.channel(k, "heartbeats down", ev.Up)
	case reconcile.Heartbeat:
		k.Heartbeats++
	case reconcile.PodSeen:
		t.podSeen(k, ev.Pod)
	case reconcile.PodGone:
		t.podGone(k, ev)
	case reconcile.Committed:
		t.committed(k, ev)
	case reconcile.Ordered:
		t.ordered(k, ev)
	}
}

func (t *teller) command(k *kindTeller, c reconcile.Command) {
	switch c := c.(type) {
	case reconcile.Commit:
		if len(k.sent) < maxAsked {
			k.sent[t.process] = c
		}
	case reconcile.ListRows:
		t.ask(k, c)
	case reconcile.DeletePod:
		if c.Purpose != reconcile.PurposeRelease {
			t.replaced(k, c)
		}
	case reconcile.Alarm:
		t.alarm(k, c)
	case reconcile.Note:
		t.log(LogNote, k, c.Instance, c.Text)
	case reconcile.Reply:
		t.replied(k, c)
	case reconcile.StepDown:
		t.log(LogLeader, k, fleet.NoInstance, "steps down: "+c.Why)
	}
}

// levels notes the figures of which every change shows.
func (t *teller) levels() {
	b := t.bucket(t.now)
	tracks := &t.story.Tracks
	tracks.Resources.set(b, float64(t.known))
	tracks.Instances.set(b, float64(t.instances))
	tracks.Running.set(b, float64(t.running))
	tracks.Unplaced.set(b, float64(t.unplaced))
}

// finish ends everything that lasts.
func (t *teller) finish() *Story {
	s := t.story
	if s.Report != nil {
		s.To = max(s.To, seconds(s.Report.VirtualS))
	}
	t.now = s.To
	t.levels()
	b := t.bucket(s.To)
	for _, track := range s.Tracks.all() {
		track.advance(b)
	}
	for _, l := range s.Lanes {
		l.advance(b)
		t.elapsed(l)
	}
	slices.SortStableFunc(s.Lanes, func(a, b *Lane) int {
		if a.Kind != b.Kind {
			return t.kindAt(a.Kind) - t.kindAt(b.Kind)
		}
		return int(a.Instance) - int(b.Instance)
	})
	for _, k := range t.kinds {
		k.Resources, k.Unplaced = k.on+k.unnamed+k.waiting, k.waiting
		s.Kinds = append(s.Kinds, *k.Kind)
	}
	t.finishBands()
	t.finishSettled()
	s.Log, s.LogOmitted = t.notes.lines()
	return s
}

func (t *teller) kindAt(name fleet.Kind) int {
	return slices.IndexFunc(t.kinds, func(k *kindTeller) bool { return k.Name == name })
}

package world

import (
	"fmt"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

const thing fleet.Kind = "Thing"

// newWorld is a world with the kind Thing.
func newWorld(t testing.TB, seed timeline.Seed, cfg Config) *World {
	t.Helper()
	w, err := New(timeline.New(), seed, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddKind(KindSpec{Kind: thing, InstanceName: "iota-dac", Heartbeat: true, Confirms: true}); err != nil {
		t.Fatal(err)
	}
	return w
}

// runUntil moves the clock to until and fires every event up to then.
func runUntil(tl *timeline.Timeline, until time.Duration) {
	tl.At(until, nothing{}, 0, 0, nil)
	for {
		if at, ok := tl.Next(); !ok || at > until {
			break
		}
		tl.Step()
	}
}

type nothing struct{}

func (nothing) Handle(time.Duration, uint32, int64, any) {}

// commit changes the rows that a notification names, then publishes it, as the
// data centre does. It answers how many rows have changed.
func commit(w *World, n *fleet.Notification) int {
	kind := fleet.Kind(n.Table)
	changed := 0
	for _, r := range n.Resources {
		ok := false
		switch n.Op {
		case fleet.OpCreate, fleet.OpBulkCreate:
			ok = w.Database.Insert(kind, r)
		case fleet.OpDelete:
			ok = w.Database.Delete(kind, r.ID)
		}
		if ok {
			changed++
		}
	}
	w.MQTT.Publish(n)
	return changed
}

// feeder is the smallest orchestrator there is: it gives each created resource
// to the next instance in turn, one transaction per notification.
type feeder struct {
	w       *World
	session *Session
	sub     *Subscriber
	epoch   int64
	next    int
	txns    uint64
	inst    []feederInstance
	owner   map[string]int
	free    []*fleet.Txn
	done    func(time.Duration, fleet.Kind, *fleet.Txn, fleet.Outcome)
	bad     []string
	trace   func(now time.Duration, format string, args ...any)
	seen    int // statuses
	beats   int
}

type feederInstance struct {
	version int32
	times   int64
	used    int
}

// startFeeder elects itself, creates the instances' nodes and pods, and begins
// to follow notifications.
func startFeeder(w *World, instances int, trace func(now time.Duration, format string, args ...any)) *feeder {
	f := &feeder{w: w, inst: make([]feederInstance, instances), owner: map[string]int{}, trace: trace}
	f.done = f.committed
	f.session = w.ZooKeeper.Open(func(now time.Duration, s SessionState) { f.log(now, "session %v", s) })
	f.session.Elect(thing, func(now time.Duration, epoch int64) {
		f.log(now, "leads with epoch %d", epoch)
		f.epoch = epoch
		f.session.WatchStatus(thing, f.status)
		txn := &fleet.Txn{Epoch: epoch}
		for i := range instances {
			txn.Changes = append(txn.Changes, fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(i), Capacity: 5000})
		}
		f.session.Submit(thing, txn, f.done)
		w.Kubernetes.WatchPods(thing, f.pod, f.gone)
		for i := range instances {
			w.Kubernetes.CreatePod(thing, fleet.InstanceID(i), uint64(i), func(now time.Duration, r PodReply) {
				f.log(now, "create pod %v: %v", r.Instance, r.Err)
			})
		}
		f.sub = w.MQTT.Subscribe("orchestrator", f.notified, func(now time.Duration, up bool) { f.log(now, "mqtt up %v", up) })
		w.Kafka.Join("iota-orchestrator-Thing", f.beat, func(now time.Duration, up bool) { f.log(now, "kafka up %v", up) })
	})
	return f
}

func (f *feeder) log(now time.Duration, format string, args ...any) {
	if f.trace != nil {
		f.trace(now, format, args...)
	}
}

func (f *feeder) beat(now time.Duration, h Heartbeat) {
	f.beats++
	if f.trace != nil {
		f.log(now, "heartbeat of %v sent %v offset %d", h.Instance, h.SentAt, h.Offset)
	}
}

func (f *feeder) status(now time.Duration, id fleet.InstanceID, s fleet.Status) {
	f.seen++
	if f.trace != nil {
		f.log(now, "status of %v: %v times %d", id, s.Present, s.Times)
	}
}

func (f *feeder) pod(now time.Duration, p fleet.Pod) {
	f.log(now, "pod %v %v %v terminating %v %s", p.Instance, p.UID, p.Phase, p.Terminating, p.Reason)
}

func (f *feeder) gone(now time.Duration, id fleet.InstanceID, uid string) {
	f.log(now, "pod %v %v gone", id, uid)
}

func (f *feeder) notified(now time.Duration, d Delivery) {
	f.sub.Ack(d.Token)
	r := d.Notification.Resources[0]
	to, known := f.owner[r.ID]
	remove := d.Notification.Op == fleet.OpDelete
	if known != remove {
		return
	}
	if !known {
		to = f.next
		f.next = (f.next + 1) % len(f.inst)
		f.owner[r.ID] = to
	} else {
		delete(f.owner, r.ID)
	}
	var txn *fleet.Txn
	if n := len(f.free); n > 0 {
		txn, f.free = f.free[n-1], f.free[:n-1]
	} else {
		txn = &fleet.Txn{Changes: []fleet.Change{{Add: make([]string, 0, 1), Remove: make([]string, 0, 1)}}}
	}
	in := &f.inst[to]
	f.txns++
	txn.ID, txn.Epoch = f.txns, f.epoch
	c := &txn.Changes[0]
	c.Add, c.Remove = c.Add[:0], c.Remove[:0]
	if remove {
		c.Remove = append(c.Remove, r.ID)
		in.used--
	} else {
		c.Add = append(c.Add, r.ID)
		in.used++
	}
	c.Instance, c.Capacity, c.Used, c.Times = fleet.InstanceID(to), 5000, in.used, in.times+1
	c.Versions = fleet.Versions{Node: in.version, Resources: in.version, Reload: in.version}
	in.version++
	in.times++
	f.session.Submit(thing, txn, f.done)
}

func (f *feeder) committed(now time.Duration, _ fleet.Kind, txn *fleet.Txn, o fleet.Outcome) {
	if f.trace != nil {
		f.log(now, "txn %d %v", txn.ID, o)
	}
	if o != fleet.OutcomeDone {
		f.bad = append(f.bad, fmt.Sprintf("%v: txn %d %v", now, txn.ID, o))
	}
	if len(txn.Changes) == 1 && txn.ID > 0 {
		f.free = append(f.free, txn)
	}
}

// ticker publishes one change each tenth of a second: while fewer than want rows
// exist a creation, else creations and deletions in turn.
type ticker struct {
	w       *World
	want    int
	made    int
	oldest  int
	left    int
	names   []string // by number, made once
	notes   []fleet.Notification
	rows    []fleet.Resource
	created bool
}

func newTicker(w *World, want, changes int) *ticker {
	t := &ticker{w: w, want: want, left: changes, notes: make([]fleet.Notification, changes), rows: make([]fleet.Resource, changes)}
	t.names = make([]string, changes+1)
	for i := range t.names {
		t.names[i] = fmt.Sprintf("7b1c-%08x-4f1e-9d2a-%012x", uint32(i)*2654435761, i)
	}
	return t
}

func (t *ticker) Handle(now time.Duration, _ uint32, _ int64, _ any) {
	if t.left == 0 {
		return
	}
	t.left--
	n := &t.notes[t.left]
	r := t.rows[t.left : t.left+1]
	*n = fleet.Notification{Op: fleet.OpCreate, Table: string(thing), Resources: r, GroupKnown: true}
	if t.made-t.oldest < t.want || !t.created {
		r[0].ID = t.names[t.made]
		t.made++
		t.created = true
	} else {
		n.Op = fleet.OpDelete
		r[0].ID = t.names[t.oldest]
		t.oldest++
		t.created = false
	}
	commit(t.w, n)
	t.w.Timeline.After(100*time.Millisecond, t, 0, 0, nil)
}

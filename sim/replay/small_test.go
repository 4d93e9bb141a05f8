package replay

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
)

// small is the least world in which a machine has something to do: everything is
// answered at once, and recorded.
type small struct {
	t       *testing.T
	w       *recording.Writer
	dir     *recording.Dir // instead of w, unless nil
	machine *reconcile.Machine
	now     time.Duration
	queue   []reconcile.Event
	rows    []fleet.Resource
	token   uint64
	tree    map[fleet.InstanceID]*fleet.TreeInstance
}

func config() reconcile.Config {
	c := reconcile.DefaultConfig("Thing")
	c.Limits.ResourcePerInstance, c.Limits.InitInstances = 5, 2
	return c
}

// record begins a recording in out.
func record(t *testing.T, out io.Writer, cfg reconcile.Config, rows int) *small {
	m, err := reconcile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := recording.Header{Program: "test", Seed: 1, Kinds: []recording.Kind{{Config: cfg}}}
	s := &small{t: t, w: recording.NewWriter(out, h), machine: m, tree: map[fleet.InstanceID]*fleet.TreeInstance{}}
	for i := range rows {
		s.rows = append(s.rows, fleet.Resource{ID: fmt.Sprintf("thing-%03d", i)})
	}
	return s
}

// told hands over an event, and all that follows from it.
func (s *small) told(ev reconcile.Event) {
	s.queue = append(s.queue, ev)
	for len(s.queue) > 0 {
		ev, s.queue = s.queue[0], s.queue[1:]
		s.now += time.Millisecond
		commands := s.step(ev)
		for _, c := range commands {
			s.do(c)
		}
	}
}

func (s *small) step(ev reconcile.Event) []reconcile.Command {
	if s.dir != nil {
		s.dir.Told("Thing", s.now, ev)
		commands := s.machine.Step(s.now, ev)
		s.dir.Answered("Thing", s.now, commands, s.machine)
		return commands
	}
	s.w.Event(s.now, 0, ev)
	commands := s.machine.Step(s.now, ev)
	s.w.Commands(s.now, 0, commands)
	return commands
}

func (s *small) do(c reconcile.Command) {
	answer := func(ev reconcile.Event) { s.queue = append(s.queue, ev) }
	switch c := c.(type) {
	case reconcile.ReadTree:
		t := fleet.Tree{ControlVersion: -1}
		for _, in := range s.tree {
			t.Instances = append(t.Instances, *in)
		}
		answer(reconcile.TreeRead{Req: c.Req, Tree: t})
	case reconcile.ListRows:
		ev := reconcile.Listed{Req: c.Req}
		for _, r := range s.rows {
			if c.IDs == nil {
				ev.Digest.Add(r)
			} else if !slices.Contains(c.IDs, r.ID) {
				continue
			}
			ev.Rows = append(ev.Rows, r)
		}
		answer(ev)
	case reconcile.ListPods:
		answer(reconcile.PodsListed{Req: c.Req})
	case reconcile.Commit:
		answer(reconcile.Committed{Txn: c.Txn.ID, Outcome: fleet.OutcomeDone})
	case reconcile.CreatePod:
		uid := fmt.Sprintf("uid-%v-%v", c.Instance, s.now)
		answer(reconcile.PodCreated{Instance: c.Instance, UID: uid})
		answer(reconcile.PodSeen{Pod: fleet.Pod{Instance: c.Instance, UID: uid, Phase: fleet.PhaseRunning}})
	case reconcile.DeletePod:
		answer(reconcile.PodDeleted{Instance: c.Instance, UID: c.UID})
		answer(reconcile.PodGone{Instance: c.Instance, UID: c.UID})
	}
}

// churn leads and has rows come and go.
func (s *small) churn(steps int) {
	s.told(reconcile.Led{Epoch: 7})
	s.told(reconcile.NotificationChannel{Up: true})
	s.told(reconcile.HeartbeatChannel{Up: true})
	for i := range steps {
		s.now += 500 * time.Millisecond
		s.token++
		r := fleet.Resource{ID: fmt.Sprintf("new-%03d", s.token)}
		n := &fleet.Notification{Op: fleet.OpCreate, Table: "Thing", Resources: []fleet.Resource{r}, GroupKnown: true}
		if s.rows = append(s.rows, r); i%3 == 2 {
			k := i % len(s.rows)
			n.Op, n.Resources = fleet.OpDelete, []fleet.Resource{s.rows[k]}
			s.rows = slices.Delete(s.rows, k, k+1)
		}
		s.told(reconcile.Notified{Token: s.token, Note: n})
		for id := range fleet.InstanceID(3) {
			s.told(reconcile.Heartbeat{Instance: id})
		}
		if at, ok := s.machine.Deadline(); ok && at <= s.now {
			s.told(reconcile.Tick{})
		}
	}
}

// next closes the segment and goes on in another one.
func (s *small) next(out io.Writer, number int) {
	if err := s.w.Close(recording.Closing{Continued: true}); err != nil {
		s.t.Fatal(err)
	}
	h := recording.Header{Program: "test", Seed: 1, Segment: number, Kinds: []recording.Kind{{Config: config()}}}
	s.w = recording.NewWriter(out, h)
	s.w.Snapshot(s.now, 0, s.machine.Snapshot(nil))
}

func (s *small) close() {
	if err := s.w.Close(recording.Closing{}); err != nil {
		s.t.Fatal(err)
	}
}

func load(t *testing.T, files ...*bytes.Buffer) *Recording {
	t.Helper()
	var list []File
	for i, f := range files {
		data := f.Bytes()
		list = append(list, File{fmt.Sprintf("%d.dacrec", i), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }})
	}
	rec, err := Load(list)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

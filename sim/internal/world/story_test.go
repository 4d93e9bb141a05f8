package world

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"github.com/cockroachdb/datadriven"
)

// fixedConfig gives every latency its mean: the stories' times are round, and
// the same on every machine. A kubelet tells at once, unless a story says
// otherwise.
func fixedConfig() Config {
	c := DefaultConfig()
	for _, l := range []*timeline.Latency{
		&c.Database.Query, &c.Database.Answer, &c.MQTT.Publish, &c.MQTT.Deliver, &c.MQTT.Ack, &c.MQTT.Detect,
		&c.Kafka.Produce, &c.Kafka.Fetch, &c.Kafka.Detect, &c.Kafka.Reconnect, &c.Kafka.Join,
		&c.ZooKeeper.Request, &c.ZooKeeper.Answer, &c.ZooKeeper.Watch, &c.ZooKeeper.ReadTree, &c.ZooKeeper.Reconnect,
		&c.Kubernetes.Request, &c.Kubernetes.Answer, &c.Kubernetes.Watch, &c.Kubernetes.Schedule,
		&c.Kubernetes.Start, &c.Kubernetes.Delete, &c.Kubernetes.Shutdown,
		&c.DAC.Load, &c.DAC.Apply, &c.DAC.Reopen,
	} {
		*l = timeline.Latency{Min: l.Mean, Mean: l.Mean, Max: l.Mean}
	}
	c.Kubernetes.Kubelet = timeline.Latency{}
	return c
}

// story is a world whose every callback is written down.
type story struct {
	t         *testing.T
	w         *World
	out       strings.Builder
	sessions  map[string]*Session
	subs      map[string]*Subscriber
	consumers map[string]*Consumer
	txns      uint64
	fault     SubmitFault
	lastToken map[string]uint64
}

func newStory(t *testing.T, cfg Config) *story {
	s := &story{
		t: t, w: newWorld(t, 1, cfg), sessions: map[string]*Session{}, subs: map[string]*Subscriber{},
		consumers: map[string]*Consumer{}, lastToken: map[string]uint64{},
	}
	w := s.w
	w.ZooKeeper.OnCommit = func(now time.Duration, kind fleet.Kind, txn *fleet.Txn) {
		s.log(now, "zookeeper: %s txn %d of epoch %d commits", kind, txn.ID, txn.Epoch)
	}
	w.ZooKeeper.OnSubmit = func(time.Duration, fleet.Kind, *fleet.Txn) (SubmitFault, time.Duration) { return s.fault, 0 }
	w.DACs.OnRun = func(now time.Duration, _ fleet.Kind, id fleet.InstanceID, uid, resource string, running bool) {
		s.log(now, "dac %v (%s): %s %s", id, uid, map[bool]string{true: "starts", false: "stops"}[running], resource)
	}
	w.DACs.OnReload = func(now time.Duration, _ fleet.Kind, id fleet.InstanceID, times int64) {
		s.log(now, "dac %v: applied times %d", id, times)
	}
	w.DACs.OnProcess = func(now time.Duration, _ fleet.Kind, id fleet.InstanceID, uid string, state ProcessState) {
		s.log(now, "dac %v (%s): process %v", id, uid, state)
	}
	w.Kubernetes.WatchPods(thing, func(now time.Duration, p fleet.Pod) {
		s.log(now, "watch: %s", describe(p))
	}, func(now time.Duration, id fleet.InstanceID, uid string) {
		s.log(now, "watch: pod %v (%s) gone", id, uid)
	})
	return s
}

func describe(p fleet.Pod) string {
	text := fmt.Sprintf("pod %v (%s) %v", p.Instance, p.UID, p.Phase)
	if p.Terminating {
		text += " terminating"
	}
	if p.NodeLost {
		text += " node-lost"
	}
	if p.Reason != "" {
		text += " " + p.Reason
	}
	return text
}

func (s *story) log(now time.Duration, format string, args ...any) {
	fmt.Fprintf(&s.out, "%9.4fs %s\n", now.Seconds(), fmt.Sprintf(format, args...))
}

func (s *story) id(word string) fleet.InstanceID {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.t.Fatalf("instance %q is no number", word)
	}
	return fleet.InstanceID(n)
}

func (s *story) duration(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// do executes one line of a story.
func (s *story) do(line string) {
	w := s.w
	f := strings.Fields(line)
	at := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "run":
		runUntil(w.Timeline, w.Timeline.Now()+s.duration(at(1)))
	case "kubelet":
		d := s.duration(at(1))
		w.Kubernetes.kubelet.latency = timeline.Latency{Min: d, Mean: d, Max: d}
	case "row":
		s.row(f[1:])
	case "list":
		w.Database.List(thing, nil, 7, func(now time.Duration, l *Listing) {
			s.log(now, "listed (ref %d) as of %.4fs: %v err %v", l.Ref, l.At.Seconds(), l.Rows, l.Err)
		})
	case "database":
		w.Database.SetDown(at(1) == "down")
	case "mqtt":
		s.mqtt(f[1:])
	case "kafka":
		s.kafka(f[1:])
	case "session":
		s.session(at(1), f[2:])
	case "pod":
		s.pod(f[1:])
	case "crash":
		s.say("crash: %v", w.CrashPod(thing, s.id(at(1))))
	case "hang":
		s.say("hang: %v", w.HangPod(thing, s.id(at(1))))
	case "dac":
		s.dac(f[1:])
	case "fault":
		s.fault = map[string]SubmitFault{"none": SubmitArrives, "refused": SubmitRefused, "lost": SubmitLost, "answer-lost": AnswerLost}[at(1)]
	default:
		s.t.Fatalf("unknown line %q", line)
	}
}

func (s *story) say(format string, args ...any) { s.log(s.w.Timeline.Now(), format, args...) }

func (s *story) row(f []string) {
	op := map[string]fleet.Op{"c": fleet.OpCreate, "d": fleet.OpDelete, "bc": fleet.OpBulkCreate}[f[0]]
	n := &fleet.Notification{Op: op, Table: string(thing)}
	for _, id := range f[1:] {
		n.Resources = append(n.Resources, fleet.Resource{ID: id})
	}
	s.say("rows changed: %d", commit(s.w, n))
}

func (s *story) mqtt(f []string) {
	m := s.w.MQTT
	switch f[0] {
	case "down":
		m.Down()
	case "up":
		m.Up()
	case "stats":
		s.say("mqtt %+v", m.Stats())
	case "subscribe":
		name := f[1]
		s.subs[name] = m.Subscribe(name, func(now time.Duration, d Delivery) {
			s.lastToken[name] = d.Token
			s.log(now, "%s: token %d dup %v %v %s", name, d.Token, d.Dup, d.Notification.Op, d.Notification.Resources[0].ID)
		}, func(now time.Duration, up bool) { s.log(now, "%s: mqtt up %v", name, up) })
	case "ack":
		s.subs[f[1]].Ack(s.lastToken[f[1]])
	case "break":
		s.subs[f[1]].Break()
	case "close":
		s.subs[f[1]].Close()
	}
}

func (s *story) kafka(f []string) {
	k := s.w.Kafka
	switch f[0] {
	case "down":
		k.Down()
	case "up":
		k.Up()
	case "stats":
		s.say("kafka %+v", k.Stats())
	case "join":
		name := f[1]
		s.consumers[name] = k.Join("group", func(now time.Duration, h Heartbeat) {
			s.log(now, "%s: offset %d: %s %v sent %.4fs", name, h.Offset, h.Kind, h.Instance, h.SentAt.Seconds())
			if len(f) > 2 {
				s.consumers[name].Commit(h.Offset + 1)
			}
		}, func(now time.Duration, up bool) { s.log(now, "%s: kafka up %v", name, up) })
	case "close":
		s.consumers[f[1]].Close()
	case "kill":
		s.consumers[f[1]].Kill()
	case "produce":
		k.Produce(thing, s.id(f[1]), s.w.Timeline.Now())
	}
}

func (s *story) session(name string, f []string) {
	z := s.w.ZooKeeper
	ses := s.sessions[name]
	switch f[0] {
	case "open":
		s.sessions[name] = z.Open(func(now time.Duration, st SessionState) { s.log(now, "%s: session %v", name, st) })
	case "close":
		ses.Close()
	case "kill":
		ses.Kill()
	case "cut":
		ses.Cut()
	case "restore":
		ses.Restore()
	case "expire":
		ses.Expire()
	case "elect":
		ses.Elect(thing, func(now time.Duration, epoch int64) { s.log(now, "%s: leads, epoch %d", name, epoch) })
	case "resign":
		ses.Resign(thing)
	case "watch":
		ses.WatchStatus(thing, func(now time.Duration, id fleet.InstanceID, st fleet.Status) {
			s.log(now, "%s: status of %v %+v", name, id, st)
		})
	case "read":
		ses.ReadTree(thing, 3, func(now time.Duration, ref uint64, tree fleet.Tree, err error) {
			s.log(now, "%s: tree (ref %d) err %v", name, ref, err)
			if err == nil {
				s.log(now, "  control: capacity %d closing %v version %d", tree.Control.Capacity, tree.Control.Closing, tree.ControlVersion)
			}
			for _, in := range tree.Instances {
				s.log(now, "  %v: capacity %d used %d ids %v times %d born %d versions %d %d %d status %v", in.ID, in.Capacity, in.Used, in.IDs,
					in.Times, in.Born, in.Versions.Node, in.Versions.Resources, in.Versions.Reload, in.Status.Present)
			}
		})
	case "submit":
		ses.Submit(thing, s.parseTxn(f[1:]), func(now time.Duration, _ fleet.Kind, txn *fleet.Txn, o fleet.Outcome) {
			s.log(now, "%s: txn %d %v", name, txn.ID, o)
		})
	}
}

// parseTxn reads "epoch=1 control=-1 create 0 a b / update 0 v=1 times=2 +c -a / delete 1 v=3".
func (s *story) parseTxn(f []string) *fleet.Txn {
	s.txns++
	txn := &fleet.Txn{ID: s.txns, Epoch: 1}
	var c *fleet.Change
	number := func(word string) int64 {
		n, err := strconv.ParseInt(word[strings.IndexByte(word, '=')+1:], 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	for i := 0; i < len(f); i++ {
		switch word := f[i]; {
		case word == "/":
		case strings.HasPrefix(word, "epoch="):
			txn.Epoch = number(word)
		case strings.HasPrefix(word, "control="):
			txn.Control, txn.ControlVersion = &fleet.Control{Capacity: 10, Closing: []fleet.InstanceID{1}}, int32(number(word))
		case word == "create" || word == "update" || word == "delete":
			kind := map[string]fleet.ChangeKind{"create": fleet.ChangeCreate, "update": fleet.ChangeUpdate, "delete": fleet.ChangeDelete}[word]
			i++
			txn.Changes = append(txn.Changes, fleet.Change{Kind: kind, Instance: s.id(f[i]), Capacity: 10})
			c = &txn.Changes[len(txn.Changes)-1]
		case strings.HasPrefix(word, "used="):
			c.Used = int(number(word))
		case strings.HasPrefix(word, "v="):
			v := int32(number(word))
			c.Versions = fleet.Versions{Node: v, Resources: v, Reload: v}
		case strings.HasPrefix(word, "times="):
			c.Times = number(word)
		case word[0] == '-':
			c.Remove = append(c.Remove, word[1:])
		default:
			c.Add = append(c.Add, strings.TrimPrefix(word, "+"))
		}
	}
	return txn
}

func (s *story) pod(f []string) {
	k := s.w.Kubernetes
	switch f[0] {
	case "create":
		k.CreatePod(thing, s.id(f[1]), 5, func(now time.Duration, r PodReply) {
			s.log(now, "create %v (ref %d): %q err %v", r.Instance, r.Ref, r.UID, r.Err)
		})
	case "delete":
		var grace time.Duration
		uid := ""
		for _, word := range f[2:] {
			if d, err := time.ParseDuration(word); err == nil {
				grace = d
			} else {
				uid = word
			}
		}
		k.DeletePod(thing, s.id(f[1]), uid, grace, 6, func(now time.Duration, r PodReply) {
			s.log(now, "delete %v (ref %d): err %v", r.Instance, r.Ref, r.Err)
		})
	case "list":
		k.ListPods(thing, 8, func(now time.Duration, l PodList) {
			s.log(now, "pods (ref %d): %d", l.Ref, len(l.Pods))
			for _, p := range l.Pods {
				s.log(now, "  %s node %q", describe(p), k.PodNode(thing, p.Instance))
			}
		})
	case "finish":
		phase := fleet.PhaseFailed
		if f[2] == "Succeeded" {
			phase = fleet.PhaseSucceeded
		}
		s.say("finish: %v", k.Finish(thing, s.id(f[1]), phase, f[3]))
	case "lose-node":
		s.say("lose node: %v", k.LoseNode(thing, s.id(f[1])))
	case "add-node":
		capacity, _ := strconv.Atoi(f[2])
		if err := k.AddNode(f[1], capacity); err != nil {
			s.say("%v", err)
		}
	case "partition-node":
		s.say("partition node: %v", k.PartitionNode(f[1]))
	case "fail-node":
		s.say("fail node: %v", k.FailNode(f[1]))
	case "return-node":
		s.say("return node: %v", k.ReturnNode(f[1]))
	case "drain-node":
		s.say("drain node: %v", k.DrainNode(f[1], s.duration(f[2])))
	case "uncordon":
		s.say("uncordon: %v", k.Uncordon(f[1]))
	case "remove-node":
		s.say("remove node: %v", k.RemoveNode(f[1], f[2]))
	}
}

func (s *story) dac(f []string) {
	switch f[1] {
	case "view":
		v, ok := s.w.DACs.View(thing, s.id(f[0]))
		s.say("dac: %v %+v", ok, v)
	case "cut":
		s.w.DACs.Session(thing, s.id(f[0])).Cut()
	case "restore":
		s.w.DACs.Session(thing, s.id(f[0])).Restore()
	case "expire":
		s.w.DACs.Session(thing, s.id(f[0])).Expire()
	}
}

// TestStories runs testdata/stories/*: each file is one world. A block's lines are
// executed in order; its output is every callback, with its time.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := newStory(t, fixedConfig())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			s.out.Reset()
			for _, line := range strings.Split(d.Input, "\n") {
				if strings.TrimSpace(line) != "" {
					s.do(line)
				}
			}
			return s.out.String()
		})
	})
}

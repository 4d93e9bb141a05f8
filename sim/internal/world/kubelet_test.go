package world

import (
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// endLedger is a podLedger that notes which programs ended by themselves, when,
// and what a watch was told of their pods.
type endLedger struct {
	*podLedger
	k     *Kubernetes
	ended map[string]time.Duration // by UID: of a pod that was not being deleted, unless it was evicted
	told  map[string]time.Duration // by UID: that it is Failed
	news  time.Duration            // when a node or the API server has last come back
}

func (l *endLedger) StopContainer(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, tidy bool) {
	l.podLedger.StopContainer(now, kind, id, uid, tidy)
	if p := l.k.Pod(kind, id); p.UID == uid && !p.Terminating {
		l.ended[uid] = now
	}
}

func (l *endLedger) pod(now time.Duration, p fleet.Pod) {
	l.podLedger.pod(now, p)
	if p.Phase == fleet.PhaseFailed && l.told[p.UID] == 0 {
		l.told[p.UID] = now
	}
	at, known := l.ended[p.UID]
	if cfg := l.k.cfg; known && p.Phase == fleet.PhaseFailed && now < at+cfg.Kubelet.Min+cfg.Watch.Min && l.news < at {
		l.t.Fatalf("%s ended at %v, and was told Failed at %v already", p.UID, at, now)
	}
}

// apart says whether the API server does not answer, or a node.
func apart(k *Kubernetes) bool {
	for _, n := range k.nodes {
		if n.state != nodeReady {
			return true
		}
	}
	return k.down
}

// A pod whose program has ended by itself is told Failed within Kubelet.Max, and
// not before Kubelet.Min, while its node answers and the API server is up; it ends
// once, whoever asks; and its room is another's only then.
func TestEndsAreNoticedLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl, l := timeline.New(), &endLedger{podLedger: newPodLedger(t), ended: map[string]time.Duration{}, told: map[string]time.Duration{}}
		cfg := DefaultConfig().Kubernetes
		cfg.Schedule.Max, cfg.Start = cfg.Schedule.Mean, timeline.Latency{Min: time.Second, Mean: time.Second, Max: time.Second}
		k := NewKubernetes(tl, drawSeed(t), cfg, l)
		l.k = k
		k.WatchPods(thing, l.pod, l.gone)
		k.OnPod = l.fact
		k.OnStart = func(time.Duration, fleet.Kind, fleet.InstanceID, string) StartFault {
			return rapid.SampledFrom([]StartFault{{}, {}, {}, {Crash: 2 * time.Second}}).Draw(t, "start")
		}
		for _, name := range []string{"n0", "n1"} {
			if err := k.AddNode(name, 2); err != nil {
				t.Fatal(err)
			}
		}
		ends := map[string]bool{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			id := fleet.InstanceID(rapid.IntRange(0, 4).Draw(t, "instance"))
			name := rapid.SampledFrom(k.NodeNames()).Draw(t, "node")
			uid, before := k.Pod(thing, id).UID, apart(k)
			switch rapid.SampledFrom([]string{"create", "create", "create", "delete", "crash", "crash", "crash", "partition", "fail", "return", "return", "api-down", "api-up", "api-up"}).Draw(t, "do") {
			case "create":
				k.CreatePod(thing, id, 0, func(time.Duration, PodReply) {})
			case "delete":
				k.DeletePod(thing, id, "", seconds(t, "grace", 5), 0, func(time.Duration, PodReply) {})
			case "crash":
				if k.Finish(thing, id, fleet.PhaseFailed, "Error") {
					if ends[uid] || l.running[id] != "" {
						t.Fatalf("%s ended before: %v; runs on: %q", uid, ends[uid], l.running[id])
					}
					ends[uid] = true
				}
			case "partition":
				k.PartitionNode(name)
			case "fail":
				k.FailNode(name)
			case "return":
				k.ReturnNode(name)
			case "api-down":
				k.APIDown()
			case "api-up":
				k.APIUp()
			}
			if before {
				l.news = tl.Now()
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 4))
			l.noticed(tl.Now())
		}
		mendPods(k)
		l.news = tl.Now()
		runUntil(tl, tl.Now()+cfg.Kubelet.Max+cfg.Watch.Max)
		l.noticed(tl.Now())
	})
}

// noticed checks that who should have been told has been, and the nodes' room.
func (l *endLedger) noticed(now time.Duration) {
	latest := l.k.cfg.Kubelet.Max + l.k.cfg.Watch.Max
	for id := range fleet.InstanceID(5) {
		p := l.k.Pod(thing, id)
		at, known := l.ended[p.UID]
		if known && !p.Terminating && !apart(l.k) && now >= max(at, l.news)+latest && l.told[p.UID] == 0 {
			l.t.Fatalf("at %v: the program of %s ended at %v, all can be reached since %v, and it stands as %+v", now, p.UID, at, l.news, p)
		}
	}
	for _, n := range l.k.nodes {
		if len(n.pods) > n.capacity {
			l.t.Fatalf("node %s holds %d pods, room for %d", n.name, len(n.pods), n.capacity)
		}
		for _, p := range n.pods {
			if p.final() {
				l.t.Fatalf("%s takes room on %s, though it is known to have ended", p.UID, n.name)
			}
		}
	}
}

package world

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"

	"pgregory.net/rapid"
)

// Whatever breaks: a watch tells each name's pods one after the other, an answer
// is one of those that were to come; and once all is mended, what a watch has
// told is what stands, every program that runs is a pod's that is said to run,
// and nobody waits for room, an image or a machine.
func TestPodsAreToldOfAfterFaults(t *testing.T) {
	words := []string{
		"create", "create", "create", "delete", "delete", "finish", "fail", "partition", "return", "return", "drain", "uncordon",
		"lose", "remove", "add", "api-down", "api-up", "cut", "mend", "expire", "slow", "retry",
	}
	rapid.Check(t, func(t *rapid.T) {
		tl, l := timeline.New(), newPodLedger(t)
		k := NewKubernetes(tl, drawSeed(t), DefaultConfig().Kubernetes, l)
		k.WatchPods(thing, l.pod, l.gone)
		k.OnPod = l.fact
		breakPods(t, k)
		add := func(name string) { _ = k.AddNode(name, 3) } // a name taken is refused
		add("n0")
		add("n1")
		calls, answers := 0, 0
		answered := func(_ time.Duration, r PodReply) {
			answers++
			if !slices.Contains([]error{nil, ErrAlreadyExists, ErrNotFound, ErrUnanswered, ErrThrottled, ErrInternal}, r.Err) {
				t.Fatalf("reply %+v", r)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := fleet.InstanceID(rapid.IntRange(0, 4).Draw(t, "instance"))
			name := rapid.SampledFrom([]string{"n0", "n1"}).Draw(t, "node")
			switch rapid.SampledFrom(words).Draw(t, "do") {
			case "create":
				calls++
				k.CreatePod(thing, id, 0, answered)
			case "delete":
				calls++
				k.DeletePod(thing, id, "", seconds(t, "grace", 5), 0, answered)
			case "finish":
				k.Finish(thing, id, fleet.PhaseFailed, "OOMKilled")
			case "fail":
				k.FailNode(name)
			case "partition":
				k.PartitionNode(name)
			case "return":
				k.ReturnNode(name)
			case "drain":
				k.DrainNode(name, seconds(t, "grace", 30))
			case "uncordon":
				k.Uncordon(name)
			case "lose":
				k.LoseNode(thing, id)
			case "remove":
				k.RemoveNode(name, "Preempting")
			case "add":
				add(name)
			case "api-down":
				k.APIDown()
			case "api-up":
				k.APIUp()
			case "cut":
				k.CutWatches()
			case "mend":
				k.MendWatches()
			case "expire":
				k.ExpireWatches()
			case "slow":
				k.SetWatchDelay(seconds(t, "slow", 5))
			case "retry":
				k.RetryImages()
			}
			runUntil(tl, tl.Now()+seconds(t, "wait", 15))
		}
		mendPods(k)
		runUntil(tl, tl.Now()+2*time.Minute)
		if answers != calls {
			t.Fatalf("%d calls, %d answers", calls, answers)
		}
		checkMended(t, k, l)
	})
}

// breakPods has calls and starts go wrong by chance.
func breakPods(t *rapid.T, k *Kubernetes) {
	k.OnCall = func(_ time.Duration, c Call) CallFault {
		return rapid.SampledFrom([]CallFault{
			{}, {}, {}, {}, {Delay: 3 * time.Second}, {Err: ErrThrottled}, {Err: ErrInternal}, {Err: ErrInternal, Executed: true, Delay: time.Second},
		}).Draw(t, "call")
	}
	k.OnStart = func(_ time.Duration, _ fleet.Kind, _ fleet.InstanceID, uid string) StartFault {
		return rapid.SampledFrom([]StartFault{
			{}, {}, {}, {Late: 20 * time.Second}, {NoImage: true}, {Crash: 5 * time.Second},
		}).Draw(t, "start")
	}
}

func mendPods(k *Kubernetes) {
	k.OnCall, k.OnStart = nil, nil
	k.APIUp()
	k.MendWatches()
	k.SetWatchDelay(0)
	for _, name := range k.NodeNames() {
		k.ReturnNode(name)
		k.Uncordon(name)
	}
	k.RetryImages()
}

func checkMended(t *rapid.T, k *Kubernetes, l *podLedger) {
	room := false
	for _, n := range k.nodes {
		room = room || n.takes()
		if len(n.pods) > n.capacity || len(n.strays) > 0 {
			t.Fatalf("node %s: %d pods, room for %d, %d strays", n.name, len(n.pods), n.capacity, len(n.strays))
		}
	}
	for id := range fleet.InstanceID(5) {
		p := k.Pod(thing, id)
		if last, told := l.last[id]; p.UID != last.UID || told && p != last {
			t.Fatalf("instance %v: %+v stands, the watch saw %+v", id, p, l.last[id])
		}
		if p.Terminating || p.Phase == fleet.PhasePending && room {
			t.Fatalf("after two minutes of peace: %+v, room %v", p, room)
		}
		if running := l.running[id] != ""; running != (p.Phase == fleet.PhaseRunning && !p.NodeLost) {
			t.Fatalf("program runs: %v, pod %+v", running, p)
		}
	}
	if len(l.strays) > 0 {
		t.Fatalf("strays run on: %v", l.strays)
	}
	for uid, away := range l.away {
		if away {
			t.Fatalf("%s is still out of reach", uid)
		}
	}
}

// cluster is a cluster of one node, its runtime a simulated one, with fixed
// latencies: what a watch is told is written down.
func cluster(t *testing.T) (*World, *[]string) {
	w := newWorld(t, 1, fixedConfig())
	if err := w.Kubernetes.AddNode("n0", 0); err != nil {
		t.Fatal(err)
	}
	var told []string
	w.Kubernetes.WatchPods(thing, func(_ time.Duration, p fleet.Pod) { told = append(told, describe(p)) },
		func(_ time.Duration, id fleet.InstanceID, uid string) {
			told = append(told, fmt.Sprintf("pod %v (%s) gone", id, uid))
		})
	return w, &told
}

func wait(w *World, d time.Duration) { runUntil(w.Timeline, w.Timeline.Now()+d) }

// expectTold compares what a watch was told since the last time.
func expectTold(t *testing.T, told *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*told, want) {
		t.Errorf("told %q, want %q", *told, want)
	}
	*told = nil
}

func create(w *World, id fleet.InstanceID) (reply *PodReply) {
	reply = &PodReply{Err: errors.New("not answered")}
	w.Kubernetes.CreatePod(thing, id, 0, func(_ time.Duration, r PodReply) { *reply = r })
	return reply
}

func TestCallsFail(t *testing.T) {
	w, told := cluster(t)
	k := w.Kubernetes
	var asked []Call
	fault := CallFault{Err: ErrQuota}
	k.OnCall = func(_ time.Duration, c Call) CallFault { asked = append(asked, c); return fault }
	r := create(w, 1)
	wait(w, 30*time.Second)
	if r.Err != ErrQuota || k.Stats().Created != 0 || !slices.Equal(asked, []Call{{Verb: CallCreate, Kind: thing, Instance: 1}}) {
		t.Errorf("%+v, asked %+v", r, asked)
	}
	fault = CallFault{Err: ErrInternal, Executed: true, Delay: 5 * time.Second}
	r = create(w, 1)
	wait(w, 4*time.Second)
	expectTold(t, told)
	wait(w, 30*time.Second)
	expectTold(t, told, "pod 1 (pod-1) Pending", "pod 1 (pod-1) Running")
	if r.Err != ErrInternal || r.UID != "" {
		t.Errorf("%+v", r)
	}
	fault = CallFault{Err: ErrThrottled}
	var list PodList
	k.ListPods(thing, 7, func(_ time.Duration, l PodList) { list = l })
	wait(w, time.Second)
	if list.Err != ErrThrottled || list.Pods != nil || list.Ref != 7 {
		t.Errorf("%+v", list)
	}
	k.OnCall = nil
	r = create(w, 2)
	wait(w, 15*time.Millisecond) // executed, and its answer on its way
	k.APIDown()
	k.ListPods(thing, 8, func(_ time.Duration, l PodList) { list = l })
	wait(w, 9*time.Second)
	if r.Err != ErrUnanswered || k.Stats().Created != 2 || list.Ref != 7 {
		t.Errorf("%+v, %+v", r, list)
	}
	wait(w, 2*time.Second)
	if list.Ref != 8 || list.Err != ErrUnanswered {
		t.Errorf("%+v", list)
	}
	expectTold(t, told)
	k.APIUp()
	wait(w, time.Second)
	expectTold(t, told, "pod 2 (pod-2) Running")
}

func TestWatchesAreCut(t *testing.T) {
	w, told := cluster(t)
	k := w.Kubernetes
	create(w, 1)
	create(w, 2)
	wait(w, 30*time.Second)
	*told = nil
	k.CutWatches()
	k.DeletePod(thing, 1, "", 0, 0, func(time.Duration, PodReply) {})
	wait(w, 30*time.Second)
	create(w, 1)
	create(w, 3)
	wait(w, 30*time.Second)
	k.DeletePod(thing, 3, "", 0, 0, func(time.Duration, PodReply) {})
	wait(w, 30*time.Second)
	expectTold(t, told)
	k.ExpireWatches() // changes nothing while they are cut
	wait(w, time.Second)
	expectTold(t, told)
	k.MendWatches()
	wait(w, time.Second)
	expectTold(t, told, "pod 1 (pod-1) gone", "pod 1 (pod-3) Running")
	k.ExpireWatches()
	wait(w, time.Second)
	expectTold(t, told, "pod 1 (pod-3) Running", "pod 2 (pod-2) Running")
	k.SetWatchDelay(5 * time.Second)
	w.CrashPod(thing, 2)
	wait(w, 4*time.Second)
	expectTold(t, told)
	k.ExpireWatches() // what was on its way is lost, and told all the same
	wait(w, 6*time.Second)
	expectTold(t, told, "pod 1 (pod-3) Running", "pod 2 (pod-2) Failed Error")
}

func TestStartsGoWrong(t *testing.T) {
	w, told := cluster(t)
	k := w.Kubernetes
	var fault StartFault
	k.OnStart = func(time.Duration, fleet.Kind, fleet.InstanceID, string) StartFault { return fault }
	fault = StartFault{NoImage: true}
	create(w, 1)
	wait(w, time.Minute)
	k.RetryImages()
	wait(w, time.Minute)
	expectTold(t, told, "pod 1 (pod-1) Pending", "pod 1 (pod-1) Pending ImagePullBackOff")
	fault = StartFault{Crash: 7 * time.Second}
	k.RetryImages()
	wait(w, 10*time.Second)
	expectTold(t, told, "pod 1 (pod-1) Pending", "pod 1 (pod-1) Running")
	wait(w, 2*time.Second)
	expectTold(t, told, "pod 1 (pod-1) Failed Error")
	fault = StartFault{Late: time.Minute}
	create(w, 2)
	wait(w, time.Minute)
	expectTold(t, told, "pod 2 (pod-2) Pending")
	wait(w, 10*time.Second)
	expectTold(t, told, "pod 2 (pod-2) Running")
}

func TestNodesBreak(t *testing.T) {
	w, told := cluster(t)
	k := w.Kubernetes
	create(w, 1)
	create(w, 2)
	wait(w, 30*time.Second)
	*told = nil
	if !k.PartitionNode("n0") || k.PartitionNode("n0") || k.FailNode("n0") || k.FailNode("n9") || k.ReturnNode("n9") {
		t.Error("a node that is there is cut off once")
	}
	wait(w, time.Minute)
	expectTold(t, told, "pod 1 (pod-1) Running node-lost", "pod 2 (pod-2) Running node-lost")
	k.DeletePod(thing, 2, "", 10*time.Second, 0, func(time.Duration, PodReply) {})
	w.CrashPod(thing, 1)
	wait(w, 10*time.Minute)
	expectTold(t, told, "pod 2 (pod-2) Running terminating node-lost",
		"pod 1 (pod-1) Unknown node-lost NodeLost", "pod 2 (pod-2) Unknown terminating node-lost NodeLost")
	create(w, 3)
	wait(w, time.Minute)
	expectTold(t, told, "pod 3 (pod-3) Pending", "pod 3 (pod-3) Pending Unschedulable")
	k.ReturnNode("n0")
	wait(w, time.Minute)
	expectTold(t, told, "pod 1 (pod-1) Failed Error", "pod 3 (pod-3) Pending", "pod 2 (pod-2) gone", "pod 3 (pod-3) Running")
	k.PartitionNode("n0")
	wait(w, 10*time.Minute)
	k.ReturnNode("n0")
	wait(w, 10*time.Minute)
	expectTold(t, told, "pod 3 (pod-3) Running node-lost", "pod 3 (pod-3) Unknown node-lost NodeLost", "pod 3 (pod-3) Running")
	k.FailNode("n0")
	wait(w, time.Minute)
	k.ReturnNode("n0")
	wait(w, time.Minute)
	expectTold(t, told, "pod 3 (pod-3) Running node-lost", "pod 3 (pod-3) Failed ContainerStatusUnknown")
	create(w, 4)
	wait(w, time.Minute)
	*told = nil
	k.DrainNode("n0", 30*time.Second)
	create(w, 5)
	wait(w, time.Minute)
	if got := k.NodeNames(); k.Pod(thing, 4).UID != "" || k.Pod(thing, 5).Reason != "Unschedulable" || !slices.Equal(got, []string{"n0"}) {
		t.Errorf("drained: %+v, %+v on %v", k.Pod(thing, 4), k.Pod(thing, 5), got)
	}
	k.Uncordon("n0")
	wait(w, time.Minute)
	if p := k.Pod(thing, 5); p.Phase != fleet.PhaseRunning {
		t.Errorf("%+v", p)
	}
}

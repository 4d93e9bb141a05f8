package world

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// The errors of a call to Kubernetes.
var (
	ErrAlreadyExists = errors.New("kubernetes: pod already exists") // 409; also while it terminates
	ErrNotFound      = errors.New("kubernetes: pod not found")      // 404; also for another UID
)

// Runtime is what runs in the containers.
type Runtime interface {
	// StartContainer is the start of a pod's program.
	StartContainer(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string)
	// Responds says whether a pod's program stops when it is asked to.
	Responds(kind fleet.Kind, id fleet.InstanceID, uid string) bool
	// ReachContainer cuts a pod's program off from everybody, or ends that.
	ReachContainer(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, reachable bool)
	// StopContainer is the end of a pod's program, by its own fault or not.
	// tidy says that it was asked to stop and had time to.
	StopContainer(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, tidy bool)
}

// Kubernetes is the API server, the scheduler and the kubelets, for bare pods
// named <instanceName>-<instance>.
type Kubernetes struct {
	tl      *timeline.Timeline
	cfg     KubernetesConfig
	runtime Runtime

	request, answer, watch, schedule, start, deletion, shutdown, kubelet delay

	kinds map[fleet.Kind]*podKind
	uids  uint64
	stats KubernetesStats

	limited bool // AddNode has been called: pods need room on a node
	nodes   []*node
	waiting []*pod // for room, oldest first
	images  []*pod // that have a node and no image, oldest first

	down, cut  bool          // the API server; its watches
	outage     int64         // of the API server: answers from before it are lost
	watchDelay time.Duration // on top of watch

	// OnCall, unless nil, decides what befalls a call. It is asked once, when the
	// call reaches the API server; not while that is down.
	OnCall func(now time.Duration, c Call) CallFault
	// OnStart, unless nil, decides what befalls a pod's start. It is asked when the
	// pod has found its node, and again at RetryImages.
	OnStart func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string) StartFault
	// OnPod, unless nil, hears of each fact of a pod's life at the moment it
	// becomes one, before any watch tells of it.
	OnPod func(now time.Duration, kind fleet.Kind, id fleet.InstanceID, uid string, fact PodFact)
}

// KubernetesStats counts since the start.
type KubernetesStats struct {
	Created       uint64 // pods
	AlreadyExists uint64 // creations refused because the name was taken
	Deleted       uint64 // pods that are gone
	Failed        uint64 // pods that ended in phase Failed
}

// podKind is a kind's pods and those who watch them. What is sent to clients
// about a kind stays in order.
type podKind struct {
	kind         fleet.Kind
	instanceName string
	pods         map[fleet.InstanceID]*pod
	watches      []*PodWatch
	down         pipe
}

type pod struct {
	fleet.Pod
	kind    *podKind
	node    *node
	started bool          // its container has been told to start, and has not ended
	running bool          // its program runs
	grace   time.Duration // of its deletion
	killed  bool          // the grace period is too short for its program
	crash   time.Duration // how long after its start its program crashes; 0: it does not

	losses int64       // of its node
	due    bool        // to start when its node is back
	stuck  bool        // to be deleted when its node is back
	ended  fleet.Phase // that the end of its program gives it, noticed or not
	why    string      // it ended
}

// PodReply answers CreatePod and DeletePod.
type PodReply struct {
	Kind     fleet.Kind
	Instance fleet.InstanceID
	UID      string // of the pod created, or as given to DeletePod
	Ref      uint64 // as given to the call
	Err      error  // nil, ErrAlreadyExists, ErrNotFound, ErrUnanswered, or what OnCall said
}

// podCall is a call under way.
type podCall struct {
	callState
	reply   PodReply
	created bool // reply has the UID of the pod created
	grace   time.Duration
	done    func(now time.Duration, r PodReply)
}

// PodList answers ListPods.
type PodList struct {
	Kind fleet.Kind
	Ref  uint64      // as given to the call
	Pods []fleet.Pod // by instance; the caller's
	Err  error       // nil, ErrUnanswered, or what OnCall said: then there are no Pods
}

type podListing struct {
	callState
	list PodList
	done func(now time.Duration, l PodList)
}

// PodWatch is a watch of a kind's pods.
type PodWatch struct {
	kube   *Kubernetes
	kind   *podKind
	onPod  func(now time.Duration, p fleet.Pod)
	onGone func(now time.Duration, id fleet.InstanceID, uid string)
	events queue[podEvent]
	closed bool
	gen    int64                          // what is on its way from an older one is lost
	known  map[fleet.InstanceID]fleet.Pod // as told last, or as they stood when it began
}

type podEvent struct {
	pod  fleet.Pod
	gone bool
}

// NewKubernetes is a cluster without pods and without nodes: as long as AddNode
// has not been called, there is room for any number of pods. The configuration
// must be valid.
func NewKubernetes(tl *timeline.Timeline, seed timeline.Seed, cfg KubernetesConfig, runtime Runtime) *Kubernetes {
	stream := func(name string) *timeline.Stream { return seed.Stream("world", "kubernetes", name) }
	return &Kubernetes{
		tl: tl, cfg: cfg, runtime: runtime, kinds: map[fleet.Kind]*podKind{},
		request:  delay{cfg.Request, stream("request")},
		answer:   delay{cfg.Answer, stream("answer")},
		watch:    delay{cfg.Watch, stream("watch")},
		schedule: delay{cfg.Schedule, stream("schedule")},
		start:    delay{cfg.Start, stream("start")},
		deletion: delay{cfg.Delete, stream("delete")},
		shutdown: delay{cfg.Shutdown, stream("shutdown")},
		kubelet:  delay{cfg.Kubelet, stream("kubelet")},
	}
}

const (
	opCreate uint32 = iota
	opDelete
	opReply
	opList
	opListed
	opSchedule
	opStart
	opGone
	opNodeUnknown
	opPodEvent
	opCrash
	opEndStray
	opEndNoticed
)

// Handle is Kubernetes' part of the timeline.
func (k *Kubernetes) Handle(now time.Duration, op uint32, arg int64, data any) {
	switch op {
	case opCreate:
		if c := data.(*podCall); k.admitPod(now, op, CallCreate, c) {
			k.create(now, c)
		}
	case opDelete:
		if c := data.(*podCall); k.admitPod(now, op, CallDelete, c) {
			k.delete(now, c)
		}
	case opReply:
		k.replied(now, arg, data.(*podCall))
	case opList:
		if l := data.(*podListing); k.admitList(now, l) {
			k.list(now, l)
		}
	case opListed:
		k.listed(now, arg, data.(*podListing))
	case opSchedule:
		k.place(now, data.(*pod))
	case opStart:
		k.run(now, data.(*pod))
	case opGone:
		k.gone(now, data.(*pod))
	case opNodeUnknown:
		k.nodeUnknown(now, arg, data.(*pod))
	case opPodEvent:
		data.(*PodWatch).deliver(now, arg)
	case opCrash:
		k.crash(now, data.(*pod))
	case opEndStray:
		k.stop(now, data.(*pod), false)
	case opEndNoticed:
		k.endNoticed(now, data.(*pod))
	}
}

// AddKind names a kind's pods, before any other use of the kind; an error when
// another kind uses the name. A kind that is not named calls its pods after itself.
func (k *Kubernetes) AddKind(kind fleet.Kind, instanceName string) error {
	for _, other := range k.kinds {
		if other.instanceName == instanceName || other.kind == kind {
			return fmt.Errorf("instanceName: %q of kind %s is not valid: want a name and a kind that no other uses", instanceName, kind)
		}
	}
	k.addKind(kind, instanceName)
	return nil
}

func (k *Kubernetes) addKind(kind fleet.Kind, instanceName string) *podKind {
	p := &podKind{kind: kind, instanceName: instanceName, pods: map[fleet.InstanceID]*pod{}}
	k.kinds[kind] = p
	return p
}

func (k *Kubernetes) pods(kind fleet.Kind) *podKind {
	if p := k.kinds[kind]; p != nil {
		return p
	}
	return k.addKind(kind, string(kind))
}

// Stats is what has been counted so far.
func (k *Kubernetes) Stats() KubernetesStats { return k.stats }

// PodName is the name of an instance's pod.
func (k *Kubernetes) PodName(kind fleet.Kind, id fleet.InstanceID) string {
	return k.pods(kind).instanceName + "-" + id.String()
}

// Pod is an instance's pod as it stands now; PhaseMissing when there is none.
func (k *Kubernetes) Pod(kind fleet.Kind, id fleet.InstanceID) fleet.Pod {
	if p := k.pods(kind).pods[id]; p != nil {
		return p.Pod
	}
	return fleet.Pod{Instance: id}
}

// CreatePod requests an instance's pod. done is called once with the answer.
func (k *Kubernetes) CreatePod(kind fleet.Kind, id fleet.InstanceID, ref uint64, done func(now time.Duration, r PodReply)) {
	c := &podCall{reply: PodReply{Kind: kind, Instance: id, Ref: ref}, done: done}
	k.tl.After(k.request.draw(), k, opCreate, 0, c)
}

// DeletePod requests the deletion of an instance's pod: the one with this UID,
// or with an empty uid whichever bears the name. done is called once with the
// answer to the request; the pod is gone later. A pod that terminates already is
// no error.
func (k *Kubernetes) DeletePod(kind fleet.Kind, id fleet.InstanceID, uid string, grace time.Duration, ref uint64, done func(now time.Duration, r PodReply)) {
	c := &podCall{reply: PodReply{Kind: kind, Instance: id, UID: uid, Ref: ref}, grace: grace, done: done}
	k.tl.After(k.request.draw(), k, opDelete, 0, c)
}

// ListPods reads a kind's pods at one moment. done is called once. A watch's
// events from before that moment come before the list, later ones after it.
func (k *Kubernetes) ListPods(kind fleet.Kind, ref uint64, done func(now time.Duration, l PodList)) {
	k.tl.After(k.request.draw(), k, opList, 0, &podListing{list: PodList{Kind: kind, Ref: ref}, done: done})
}

// WatchPods tells of every change of a kind's pods from now on, in order.
func (k *Kubernetes) WatchPods(kind fleet.Kind, onPod func(now time.Duration, p fleet.Pod), onGone func(now time.Duration, id fleet.InstanceID, uid string)) *PodWatch {
	w := &PodWatch{kube: k, kind: k.pods(kind), onPod: onPod, onGone: onGone}
	w.known = make(map[fleet.InstanceID]fleet.Pod, len(w.kind.pods))
	for id, p := range w.kind.pods {
		w.known[id] = p.Pod
	}
	w.kind.watches = append(w.kind.watches, w)
	return w
}

// Close ends the watch: its callbacks hear no more.
func (w *PodWatch) Close() {
	w.closed = true
	w.kind.watches = slices.DeleteFunc(w.kind.watches, func(x *PodWatch) bool { return x == w })
}

func (w *PodWatch) deliver(now time.Duration, gen int64) {
	e := w.events.pop()
	switch {
	case w.closed || gen != w.gen:
	case e.gone:
		delete(w.known, e.pod.Instance)
		w.onGone(now, e.pod.Instance, e.pod.UID)
	default:
		w.known[e.pod.Instance] = e.pod
		w.onPod(now, e.pod)
	}
}

// announce tells the watches what a pod is now.
func (k *Kubernetes) announce(now time.Duration, p *pod, gone bool) {
	if k.down || k.cut {
		return
	}
	for _, w := range p.kind.watches {
		w.send(now, podEvent{p.Pod, gone})
	}
}

func (w *PodWatch) send(now time.Duration, e podEvent) {
	k := w.kube
	w.events.push(e)
	k.tl.At(w.kind.down.arrival(now+k.watch.draw()+k.watchDelay), k, opPodEvent, w.gen, w)
}

func (k *Kubernetes) reply(now time.Duration, c *podCall, err error) {
	c.reply.Err = err
	k.tl.At(now+k.answer.draw(), k, opReply, k.outage, c)
}

func (k *Kubernetes) list(now time.Duration, l *podListing) {
	kind := k.pods(l.list.Kind)
	for _, p := range kind.pods {
		l.list.Pods = append(l.list.Pods, p.Pod)
	}
	slices.SortFunc(l.list.Pods, func(a, b fleet.Pod) int { return cmp.Compare(a.Instance, b.Instance) })
	k.tl.At(kind.down.arrival(now+k.answer.draw()), k, opListed, k.outage, l)
}

func (k *Kubernetes) create(now time.Duration, c *podCall) {
	kind, id := k.pods(c.reply.Kind), c.reply.Instance
	if kind.pods[id] != nil {
		k.stats.AlreadyExists++
		k.fact(now, kind.pods[id], PodWasRefused)
		k.reply(now, c, ErrAlreadyExists)
		return
	}
	k.uids++
	k.stats.Created++
	p := &pod{kind: kind, Pod: fleet.Pod{Instance: id, UID: "pod-" + strconv.FormatUint(k.uids, 10), Phase: fleet.PhasePending}}
	kind.pods[id] = p
	k.fact(now, p, PodWasCreated)
	k.announce(now, p, false)
	c.reply.UID, c.created = p.UID, true
	k.reply(now, c, nil)
	k.tl.After(k.schedule.draw(), k, opSchedule, 0, p)
}

func (k *Kubernetes) delete(now time.Duration, c *podCall) {
	p := k.pods(c.reply.Kind).pods[c.reply.Instance]
	if p == nil || c.reply.UID != "" && c.reply.UID != p.UID {
		k.reply(now, c, ErrNotFound)
		return
	}
	k.reply(now, c, nil)
	if p.Terminating {
		k.force(p, c.grace)
		return
	}
	k.terminate(now, p, c.grace)
}

// terminate begins a pod's deletion.
func (k *Kubernetes) terminate(now time.Duration, p *pod, grace time.Duration) {
	p.Terminating, p.grace = true, grace
	k.fact(now, p, PodIsTerminating)
	k.announce(now, p, false)
	if p.unreachable() {
		p.stuck = true
		k.force(p, grace)
		return
	}
	window := k.deletion.draw()
	if !p.started {
		window /= 10
		k.vacate(now, p)
	}
	if p.running && grace > 0 {
		shutdown := k.shutdown.draw()
		if shutdown > grace || !k.runtime.Responds(p.kind.kind, p.Instance, p.UID) {
			shutdown, p.killed = grace, true
		}
		window += shutdown
	}
	k.tl.After(window, k, opGone, 0, p)
}

func (k *Kubernetes) fact(now time.Duration, p *pod, fact PodFact) {
	if k.OnPod != nil {
		k.OnPod(now, p.kind.kind, p.Instance, p.UID, fact)
	}
}

func (k *Kubernetes) gone(now time.Duration, p *pod) {
	if p.unreachable() && !k.forget(p) {
		return
	}
	if p.node == nil || !p.node.holds(p) {
		k.stop(now, p, p.grace > 0 && !p.killed)
	}
	k.stats.Deleted++
	delete(p.kind.pods, p.Instance)
	k.fact(now, p, PodIsGone)
	k.announce(now, p, true)
	k.vacate(now, p)
}

// run is the start of a pod's container, image and all.
func (k *Kubernetes) run(now time.Duration, p *pod) {
	if p.Phase != fleet.PhasePending || !p.started || p.Terminating {
		return
	}
	if p.due = p.unreachable(); p.due {
		return
	}
	p.Phase, p.running = fleet.PhaseRunning, true
	k.announce(now, p, false)
	k.runtime.StartContainer(now, p.kind.kind, p.Instance, p.UID)
	if p.crash > 0 {
		k.tl.After(p.crash, k, opCrash, 0, p)
	}
}

// stop ends a pod's program if it runs.
func (k *Kubernetes) stop(now time.Duration, p *pod, tidy bool) {
	p.started = false
	if p.running {
		p.running = false
		k.runtime.StopContainer(now, p.kind.kind, p.Instance, p.UID, tidy)
	}
}

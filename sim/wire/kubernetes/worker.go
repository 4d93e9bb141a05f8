package kubernetes

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	exitFailed = 1
	exitKilled = 137

	longestBackoff = 5 * time.Minute
	calmAfter      = 10 * time.Minute // a program that ran so long restarts as if for the first time
	maxMessage     = 4096             // bytes of a terminated container's message, as the kubelet keeps
)

// outcome is how a program ended.
type outcome struct {
	code            int32
	reason, message string
	started, ended  time.Time
}

// worker carries one pod from its node's choice to its end.
type worker struct {
	*kubelet
	pod    *corev1.Pod // as it was scheduled
	ip     string
	hostIP string
	after  <-chan struct{} // what ran before for this pod has ended, nil for nothing

	stopping context.Context // ends when the pod is to end
	stop     context.CancelFunc
	killed   context.Context // ends when its time is over
	kill     context.CancelFunc
	gone     chan struct{} // closed when the worker and its programs are over
	running  sync.WaitGroup

	mu       sync.Mutex
	silent   bool // nobody hears of it any more: pod or node are gone. Guarded by the kubelet's mu
	deadline time.Time
	timer    *time.Timer
	crashRun context.CancelFunc // kills the program that runs, nil when none does
	log      *output            // the newest program's
	before   *output            // that of the one before
}

func newWorker(k *kubelet, p *corev1.Pod, after <-chan struct{}) *worker {
	w := &worker{kubelet: k, pod: p, after: after, gone: make(chan struct{})}
	w.killed, w.kill = context.WithCancel(k.ctx)
	w.stopping, w.stop = context.WithCancel(w.killed)
	return w
}

// live runs the pod's program until it has ended for good.
func (w *worker) live() {
	defer w.finish()
	if w.after != nil {
		select {
		case <-w.after:
		case <-w.killed.Done():
		}
	}
	restarts, ran := restartsOf(w.pod)
	if ran && w.pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
		w.last(outcome{code: exitKilled, reason: "ContainerStatusUnknown", ended: time.Now()})
		return
	}
	backoff := w.config.RestartBackoff
	for w.prepare() && wait(w.stopping, w.delay(restarts, backoff)) {
		out := w.program(restarts)
		if w.stopping.Err() != nil {
			wait(w.killed, w.config.StopDelay)
			w.last(out)
			return
		}
		if !w.restartable(out) {
			w.last(out)
			return
		}
		if backoff = min(2*backoff, longestBackoff); restarts == 0 || out.ended.Sub(out.started) > calmAfter {
			backoff = w.config.RestartBackoff
		}
		restarts++
		w.status(func(st *corev1.PodStatus) { crashed(st, out, restarts) })
		w.note(w.pod, "kubelet", corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container, exit code %d", out.code)
	}
	w.last(outcome{ended: time.Now()})
}

// imageRetry is how often a pod's image is looked for that is not there.
const imageRetry = 100 * time.Millisecond

// prepare waits for the pod's image, and for as long as its start takes besides.
// It says whether the pod is still to run.
func (w *worker) prepare() bool {
	s, is := w.config.Runner.(Starter)
	if !is {
		return true
	}
	for told := false; ; told = true {
		late, image := s.Starting(w.pod.DeepCopy())
		if image {
			return wait(w.stopping, late)
		}
		if !told {
			w.status(w.waitsForImage)
		}
		if !wait(w.stopping, imageRetry) {
			return false
		}
	}
}

// waitsForImage is the status of a pod whose image cannot be pulled.
func (w *worker) waitsForImage(st *corev1.PodStatus) {
	st.ContainerStatuses = make([]corev1.ContainerStatus, len(w.pod.Spec.Containers))
	for i := range st.ContainerStatuses {
		c := &w.pod.Spec.Containers[i]
		st.ContainerStatuses[i] = corev1.ContainerStatus{Name: c.Name, Image: c.Image, Started: new(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff",
				Message: "back-off pulling image " + c.Image}}}
	}
}

// restartsOf answers how often a pod's program has been restarted, counting the
// start to come, and whether there was one before.
func restartsOf(p *corev1.Pod) (int32, bool) {
	if len(p.Status.ContainerStatuses) == 0 {
		return 0, false
	}
	return p.Status.ContainerStatuses[0].RestartCount + 1, true
}

func (w *worker) delay(restarts int32, backoff time.Duration) time.Duration {
	if restarts == 0 {
		return w.config.StartDelay
	}
	return max(backoff, 0)
}

func (w *worker) restartable(out outcome) bool {
	switch policy := w.pod.Spec.RestartPolicy; {
	case w.config.RestartBackoff < 0:
		return false
	case policy == corev1.RestartPolicyOnFailure:
		return out.code != 0
	default:
		return policy == corev1.RestartPolicyAlways
	}
}

// program runs the program once, and answers how it ended.
func (w *worker) program(restarts int32) outcome {
	killed, kill := context.WithCancel(w.killed)
	defer kill()
	ctx, stop := context.WithCancel(context.WithValue(w.stopping, killedKey{}, killed))
	defer stop()
	unhook := context.AfterFunc(killed, stop)
	defer unhook()
	w.mu.Lock()
	w.before, w.log = w.log, newOutput(w.config.LogBytes)
	log := w.log
	w.crashRun = kill
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.crashRun = nil
		w.mu.Unlock()
		log.close()
	}()
	out := outcome{started: time.Now()}
	pod := w.status(func(st *corev1.PodStatus) { w.runs(st, restarts, out.started) })
	if pod == nil {
		return out
	}
	w.note(w.pod, "kubelet", corev1.EventTypeNormal, "Started", "Started container %s", w.pod.Spec.Containers[0].Name)
	done := make(chan error, 1)
	w.running.Go(func() { done <- w.config.Runner.Run(ctx, pod, log) })
	var err error
	select {
	case err = <-done:
	case <-w.killed.Done():
	}
	stopped := ctx.Err() != nil && errors.Is(err, context.Canceled)
	out.end(err, killed.Err() != nil, stopped)
	return out
}

// end notes how a program ended: by a kill, because it was stopped, or with what
// it returned.
func (out *outcome) end(err error, killed, stopped bool) {
	out.ended = time.Now()
	switch {
	case killed:
		out.code, out.reason = exitKilled, "Error"
	case err != nil && !stopped:
		out.code, out.reason, out.message = exitFailed, "Error", err.Error()
		out.message = out.message[:min(len(out.message), maxMessage)]
	default:
		out.reason = "Completed"
	}
}

// last writes how the pod ended. If it is being deleted, the kubelet removes it
// thereupon.
func (w *worker) last(out outcome) {
	w.status(func(st *corev1.PodStatus) { over(st, out) })
}

// finish waits for programs that were abandoned: only then is the worker over.
func (w *worker) finish() {
	w.running.Wait()
	w.kill()
	w.mu.Lock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	close(w.gone)
}

// terminate tells the program to stop within so many seconds.
func (w *worker) terminate(seconds int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	grace := time.Duration(seconds) * time.Second
	deadline := time.Now().Add(grace)
	if w.timer == nil {
		w.timer = time.AfterFunc(grace, w.kill)
	} else if deadline.Before(w.deadline) {
		w.timer.Reset(grace)
	} else {
		return
	}
	w.deadline = deadline
	w.stop()
}

// abandon kills the program, and nobody hears of it any more.
func (w *worker) abandon() {
	w.kubelet.mu.Lock()
	w.silent = true
	w.kubelet.mu.Unlock()
	w.kill()
}

// crash kills the program that runs, and says whether one did.
func (w *worker) crash() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.crashRun == nil {
		return false
	}
	w.crashRun()
	return true
}

// status changes the pod's status and answers the pod as it is then, a copy. It
// answers nil when the pod is gone, is over, or is no longer this worker's.
func (w *worker) status(f func(*corev1.PodStatus)) *corev1.Pod {
	var now *corev1.Pod
	w.store.mutate(pods, keyOf(w.pod), func(o object) object {
		old := o.(*corev1.Pod)
		w.kubelet.mu.Lock()
		silent := w.silent || w.parted(w)
		w.kubelet.mu.Unlock()
		if silent || w.ctx.Err() != nil || old.UID != w.pod.UID || ended(old) {
			return nil
		}
		now = withStatus(old, f)
		return now
	})
	return now.DeepCopy()
}

// withStatus answers a pod whose status f has changed.
func withStatus(old *corev1.Pod, f func(*corev1.PodStatus)) *corev1.Pod {
	p := *old
	p.Status = *old.Status.DeepCopy()
	f(&p.Status)
	return &p
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// runs is the status of a pod whose program has just started.
func (w *worker) runs(st *corev1.PodStatus, restarts int32, at time.Time) {
	now := stampOf(at)
	st.Phase = corev1.PodRunning
	st.HostIP, st.PodIP = w.hostIP, w.ip
	st.HostIPs, st.PodIPs = []corev1.HostIP{{IP: st.HostIP}}, []corev1.PodIP{{IP: st.PodIP}}
	if st.StartTime == nil {
		st.StartTime = &now
	}
	before := st.ContainerStatuses
	st.ContainerStatuses = make([]corev1.ContainerStatus, len(w.pod.Spec.Containers))
	for i := range st.ContainerStatuses {
		c := &w.pod.Spec.Containers[i]
		st.ContainerStatuses[i] = corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: "simulated://" + c.Image, Ready: true, Started: new(true),
			RestartCount: restarts, ContainerID: "simulated://" + string(w.pod.UID) + "-" + c.Name,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}
		if i < len(before) {
			st.ContainerStatuses[i].LastTerminationState = before[i].LastTerminationState
		}
	}
	for _, c := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized,
		corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		setCondition(st, c, corev1.ConditionTrue, "")
	}
}

// crashed is the status of a pod whose program waits to be started again.
func crashed(st *corev1.PodStatus, out outcome, restarts int32) {
	for i := range st.ContainerStatuses {
		c := &st.ContainerStatuses[i]
		terminate(c, out)
		c.LastTerminationState, c.RestartCount = c.State, restarts
		c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: "back-off restarting the program"}}
	}
	setCondition(st, corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady")
	setCondition(st, corev1.ContainersReady, corev1.ConditionFalse, "ContainersNotReady")
}

// over is the status of a pod whose program has ended for good.
func over(st *corev1.PodStatus, out outcome) {
	st.Phase = corev1.PodSucceeded
	reason := "PodCompleted"
	if out.code != 0 {
		st.Phase, reason = corev1.PodFailed, "PodFailed"
	}
	for i := range st.ContainerStatuses {
		terminate(&st.ContainerStatuses[i], out)
	}
	setCondition(st, corev1.PodReady, corev1.ConditionFalse, corev1.PodConditionType(reason))
	setCondition(st, corev1.ContainersReady, corev1.ConditionFalse, corev1.PodConditionType(reason))
}

func terminate(c *corev1.ContainerStatus, out outcome) {
	started := stampOf(out.started)
	if r := c.State.Running; r != nil {
		started = r.StartedAt
	}
	if out.ended.IsZero() {
		out.ended = time.Now()
	}
	c.Ready, c.Started = false, new(false)
	c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: out.code, Reason: out.reason, Message: out.message,
		StartedAt: started, FinishedAt: stampOf(out.ended), ContainerID: c.ContainerID}}
}

// setCondition sets a condition, and its time when it changes.
func setCondition(st *corev1.PodStatus, kind corev1.PodConditionType, is corev1.ConditionStatus, reason corev1.PodConditionType) {
	now := stampOf(time.Now())
	for i := range st.Conditions {
		if c := &st.Conditions[i]; c.Type == kind {
			if c.Status != is {
				c.LastTransitionTime = now
			}
			c.Status, c.Reason = is, string(reason)
			return
		}
	}
	st.Conditions = append(st.Conditions, corev1.PodCondition{
		Type: kind, Status: is, Reason: string(reason), LastTransitionTime: now})
}

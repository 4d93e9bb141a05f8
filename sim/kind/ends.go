package kind

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// ends are how the orchestrators' pods end. The run is told of an end that it has
// not asked for: the cluster starts a program again that has panicked, and nothing
// else would show it.
type ends struct {
	mu      sync.Mutex
	up      bool                    // the run wants them to run
	asked   map[types.UID]bool      // pods whose end it has asked for, or was told of
	paused  map[types.UID]time.Time // pods that it has stopped for a while, and when they went on; zero: not yet
	told    map[string]bool         // ends that it was told of
	telling []<-chan struct{}       // closed when it was told
}

func newEnds() ends {
	return ends{asked: map[types.UID]bool{}, paused: map[types.UID]time.Time{}, told: map[string]bool{}}
}

// want notes whether the run wants orchestrators to run.
func (e *ends) want(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up = up
}

// askedFor notes that the run ends pods.
func (e *ends) askedFor(pods []*corev1.Pod) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, pod := range pods {
		e.asked[pod.UID] = true
	}
}

// hold notes that the run stops a pod's programs, which then answer no probe, and
// with a time when they went on.
func (e *ends) hold(pod types.UID, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.paused[pod] = until
}

// held says that a pod stood still at a moment, or not long before: the cluster takes
// a minute to see that probes are not answered, and gives a program half of one to end.
func (e *ends) held(pod types.UID, at time.Time) bool {
	until, is := e.paused[pod]
	return is && (until.IsZero() || at.Before(until.Add(time.Minute+30*time.Second)))
}

// end is an end that the run has not asked for.
type end struct {
	id       string // no other end has it
	what     string
	pod      bool      // the pod is at its end, and not only a container of it
	previous bool      // the log is that of the container before the present one
	at       time.Time // of a program, by the node's clock
	killed   bool      // it looks as if the cluster had killed it
	excused  bool      // for it had to
}

// unasked are the ends that a replica's pod tells of for the first time, and that
// the run has not asked for. A program that stood still because the run had stopped
// it is not to blame that the cluster restarts it.
func (e *ends) unasked(pod *corev1.Pod, gone bool) (all []end) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.up { // it came too late, or goes
		e.asked[pod.UID] = true
	}
	if e.asked[pod.UID] {
		return nil
	}
	for _, is := range endsOf(pod, gone) {
		if e.told[is.id] {
			continue
		}
		e.told[is.id], e.asked[pod.UID] = true, is.pod
		is.excused = is.killed && e.held(pod.UID, is.at)
		all = append(all, is)
	}
	return all
}

// endsOf are the ends that a pod's state tells of.
func endsOf(pod *corev1.Pod, gone bool) (all []end) {
	for _, s := range pod.Status.ContainerStatuses {
		if last := s.LastTerminationState.Terminated; last != nil {
			all = append(all, end{id: last.ContainerID, previous: true, at: last.FinishedAt.Time,
				what:   fmt.Sprintf("ended by itself, or the cluster ended it: exit code %d (%s)", last.ExitCode, last.Reason),
				killed: slices.Contains([]int32{0, 128 + 9, 128 + 15}, last.ExitCode) && last.Reason != "OOMKilled"})
		}
		if w := s.State.Waiting; w != nil && slices.Contains(stuck, w.Reason) {
			all = append(all, end{id: string(pod.UID) + w.Reason, what: fmt.Sprintf("cannot start: %s: %s", w.Reason, w.Message)})
		}
	}
	switch phase := pod.Status.Phase; {
	case phase == corev1.PodFailed || phase == corev1.PodSucceeded:
		all = append(all, end{id: string(pod.UID), pod: true, what: strings.TrimSuffix(fmt.Sprintf("is %s: %s %s", phase, pod.Status.Reason, pod.Status.Message), ":  ")})
	case gone || pod.DeletionTimestamp != nil:
		all = append(all, end{id: string(pod.UID), pod: true, what: "was deleted by somebody else than the run"})
	}
	return all
}

// stuck are what a container waits for that will not come by itself.
var stuck = []string{"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError"}

// seen takes in what has happened to a pod, as pods.happened does.
func (c *crew) seen(was, is *corev1.Pod) {
	pod := is
	if pod == nil {
		pod = was
	}
	if !c.replica(pod.Name) {
		return
	}
	for _, e := range c.unasked(pod, is == nil) {
		done := make(chan struct{})
		c.mu.Lock()
		c.telling = append(c.telling, done)
		c.mu.Unlock()
		c.g.works.Go(func() {
			defer close(done)
			c.tell(pod.Name, e)
		})
	}
}

// tell tells the run of an end.
func (c *crew) tell(pod string, e end) {
	ctx, cancel := context.WithTimeout(c.g.ctx, answerWithin)
	defer cancel()
	said := c.keepLog(ctx, pod, e.previous)
	if e.excused {
		c.g.note(fmt.Sprintf("The cluster has restarted %s, which did not answer its probes while the run had stopped it.", pod))
		return
	}
	c.g.s.Told.Died(errors.New(pod + " " + e.what + said.String()))
}

// allTold waits until the run was told of all ends that were seen.
func (c *crew) allTold(ctx context.Context) error {
	c.mu.Lock()
	telling := slices.Clone(c.telling)
	c.mu.Unlock()
	for _, done := range telling {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// keepLog copies what a replica has said to the run's log, and answers its last
// words. The node keeps 10 MiB of it.
func (c *crew) keepLog(ctx context.Context, pod string, previous bool) (said words) {
	from, err := c.g.set.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Previous: previous}).Stream(ctx)
	if err == nil {
		defer from.Close()
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, longestLine)
		for lines.Scan() {
			said.hear(lines.Text())
			fmt.Fprintf(c.g.s.Log, "%s %s\n", pod, lines.Text())
		}
		err = lines.Err()
	}
	if err != nil && !apierrors.IsNotFound(err) {
		fmt.Fprintf(c.g.s.Log, "the log of %s: %v\n", pod, err)
	}
	return said
}

const (
	longestLine = 1 << 20
	lastLines   = 8 // of a log, that are told
)

// words are what a program has said last.
type words struct {
	last []string
	cry  []string // the beginning of what Go's runtime says of a program that it ends
}

func (w *words) hear(line string) {
	switch {
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "SIG"):
		w.cry = []string{line}
	case len(w.cry) > 0 && len(w.cry) < lastLines:
		w.cry = append(w.cry, line)
	}
	if w.last = append(w.last, line); len(w.last) > lastLines {
		w.last = w.last[1:]
	}
}

// String is the end of a sentence.
func (w words) String() string {
	lines := w.cry
	if len(lines) == 0 {
		lines = w.last
	}
	if len(lines) == 0 {
		return ", and said nothing"
	}
	return "; its last words:\n  " + strings.Join(lines, "\n  ")
}

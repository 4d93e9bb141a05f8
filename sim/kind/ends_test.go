package kind

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// replicaPod is a replica's pod: what it waits for, and how its last container ended.
func replicaPod(uid string, phase corev1.PodPhase, deleted bool, waits string, last *corev1.ContainerStateTerminated) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: release + "-0", UID: types.UID(uid)}, Status: corev1.PodStatus{Phase: phase}}
	if deleted {
		pod.DeletionTimestamp = &metav1.Time{}
	}
	status := corev1.ContainerStatus{LastTerminationState: corev1.ContainerState{Terminated: last}}
	if waits != "" {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: waits}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	return pod
}

func exit(id string, code int32, reason string) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ContainerID: id, ExitCode: code, Reason: reason}
}

func exitAt(id string, code int32, second int64) *corev1.ContainerStateTerminated {
	ended := exit(id, code, "Error")
	ended.FinishedAt = metav1.Unix(second, 0)
	return ended
}

// TestEnds tells the stories of orchestrators' pods: which ends the run is told of.
func TestEnds(t *testing.T) {
	const runs, pending = corev1.PodRunning, corev1.PodPending
	e := newEnds()
	for i, step := range []struct {
		do   func() // before the pod is seen
		pod  *corev1.Pod
		gone bool
		want string // a part of what is told; "" for nothing
	}{
		{pod: replicaPod("old", runs, false, "", exit("c0", 2, "Error"))}, // the run has not started them yet
		{do: func() { e.want(true) }, pod: replicaPod("u1", pending, false, "ContainerCreating", nil)},
		{pod: replicaPod("old", runs, true, "", nil), gone: true}, // of before
		{pod: replicaPod("u1", pending, false, "ImagePullBackOff", nil), want: "cannot start: ImagePullBackOff"},
		{pod: replicaPod("u1", pending, false, "ImagePullBackOff", nil)},
		{pod: replicaPod("u1", runs, false, "", nil)},
		{pod: replicaPod("u1", runs, false, "", exit("c1", 2, "Error")), want: "exit code 2 (Error)"},
		{pod: replicaPod("u1", runs, false, "CrashLoopBackOff", exit("c1", 2, "Error"))}, // the same end
		{pod: replicaPod("u1", runs, false, "", exit("c2", 137, "OOMKilled")), want: "exit code 137 (OOMKilled)"},
		// While it is paused the cluster may kill it, and it may still panic.
		{do: func() { e.hold("u1", time.Time{}) }, pod: replicaPod("u1", runs, false, "", exit("c3", 137, "Error")), want: "excused"},
		{pod: replicaPod("u1", runs, false, "", exit("c4", 2, "Error")), want: "exit code 2"},
		{pod: replicaPod("u1", runs, false, "", exit("c5", 137, "OOMKilled")), want: "OOMKilled"},
		{pod: replicaPod("u1", runs, true, "", nil), want: "was deleted by somebody else"},
		{pod: replicaPod("u1", runs, true, "", exit("c6", 0, "Completed"))}, // as it was asked to
		{pod: replicaPod("u1", runs, true, "", nil), gone: true},
		{pod: replicaPod("u2", corev1.PodFailed, false, "", nil), want: "is Failed"},
		{pod: replicaPod("u2", corev1.PodFailed, true, "", nil)},
		{pod: replicaPod("u3", runs, false, "", nil), gone: true, want: "was deleted"}, // without grace
		// The run kills u4, and the cluster makes u5 before it has heard of that.
		{do: func() { e.want(false); e.askedFor([]*corev1.Pod{replicaPod("u4", runs, false, "", nil)}) }, pod: replicaPod("u5", pending, false, "", nil)},
		{do: func() { e.want(true) }, pod: replicaPod("u4", runs, false, "", exit("c7", 137, "Error"))},
		{pod: replicaPod("u5", runs, false, "", nil), gone: true},
		{pod: replicaPod("u6", runs, false, "", exit("c8", 1, "Error")), want: "exit code 1"},
		// u7 goes on after a pause, for which it is killed soon, but not long after.
		{do: func() { e.hold("u7", time.Unix(1000, 0)) }, pod: replicaPod("u7", runs, false, "", exitAt("c9", 137, 1060)), want: "excused"},
		{pod: replicaPod("u7", runs, false, "", exitAt("c10", 137, 1200)), want: "exit code 137"},
	} {
		if step.do != nil {
			step.do()
		}
		var told []string
		for _, end := range e.unasked(step.pod, step.gone) {
			if end.excused {
				end.what = "excused"
			}
			told = append(told, end.what)
		}
		if got := strings.Join(told, ", "); (got == "") != (step.want == "") || !strings.Contains(got, step.want) {
			t.Errorf("step %d: told %q, want %q", i, got, step.want)
		}
	}
}

// TestWords: the last words of a program are what Go's runtime says of its end, and
// otherwise its last lines.
func TestWords(t *testing.T) {
	const dump = "goroutine 1 [running]:\nmain.main()\n\tmain.go:3\n"
	for _, c := range []struct{ log, first, not string }{
		{"", ", and said nothing", ""},
		{"one\ntwo\n", "; its last words:\n  one\n  two", ""},
		{strings.Repeat("early\n", 20) + "a\nb\nc\nd\ne\nf\ng\nh\n", "; its last words:\n  a\n", "early"},
		{"info\npanic: no such kind\n\n" + dump + strings.Repeat("created by\n", 300), "; its last words:\n  panic: no such kind\n  \n  goroutine 1", "info"},
		{"info\nSIGABRT: abort\nPC=0x47\n" + strings.Repeat(dump, 100), "; its last words:\n  SIGABRT: abort\n", "info"},
		{"fatal error: all goroutines are asleep - deadlock!\n" + dump, "; its last words:\n  fatal error: all", ""},
	} {
		var w words
		for line := range strings.Lines(c.log) {
			w.hear(strings.TrimSuffix(line, "\n"))
		}
		got := w.String()
		if !strings.HasPrefix(got, c.first) || c.not != "" && strings.Contains(got, c.not) || strings.Count(got, "\n") > lastLines {
			t.Errorf("of %.40q: %q", c.log, got)
		}
	}
}

package kubernetes

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxLine bounds a line of output in bytes; a longer one is broken.
const maxLine = 16 << 10

// output is what a program wrote: its newest lines, within a bound.
type output struct {
	mu      sync.Mutex
	max     int
	size    int // bytes of lines
	lines   []logLine
	dropped int    // lines that are no longer kept
	begun   []byte // a line that has no end yet
	closed  bool
	changed chan struct{} // closed at the next line, or at the end
}

type logLine struct {
	at   time.Time
	text []byte // with its newline
}

func newOutput(limit int) *output { return &output{max: limit, changed: make(chan struct{})} }

// Write takes output. It never fails: what a killed program still writes is
// thrown away.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			n = len(rest)
		}
		n = min(n, maxLine-len(o.begun))
		o.begun = append(o.begun, rest[:n]...)
		rest = rest[n:]
		if o.begun[len(o.begun)-1] == '\n' || len(o.begun) == maxLine {
			o.endLine()
		}
	}
	return len(p), nil
}

func (o *output) endLine() {
	if len(o.begun) == 0 {
		return
	}
	o.lines = append(o.lines, logLine{time.Now(), bytes.Clone(o.begun)})
	o.size += len(o.begun)
	o.begun = o.begun[:0]
	for o.size > o.max && len(o.lines) > 1 {
		o.size -= len(o.lines[0].text)
		o.lines[0].text = nil
		o.lines = o.lines[1:]
		o.dropped++
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.endLine()
	o.closed = true
	o.begun = nil
	close(o.changed)
}

// from answers the lines from a number on, the number after them, and what to
// wait for when there may be more.
func (o *output) from(number int) (lines []logLine, next int, more <-chan struct{}, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := min(max(number-o.dropped, 0), len(o.lines))
	return append([]logLine(nil), o.lines[at:]...), o.dropped + len(o.lines), o.changed, o.closed
}

// logOptions is what of a log is wanted.
type logOptions struct {
	follow, stamps bool
	tail, limit    int64 // -1 for all
	since          time.Time
}

func (c *call) logOptions() (logOptions, error) {
	o := logOptions{follow: c.flag("follow"), stamps: c.flag("timestamps"), tail: -1, limit: -1}
	for name, to := range map[string]*int64{"tailLines": &o.tail, "limitBytes": &o.limit} {
		if v := c.query.Get(name); v != "" {
			n, err := number(name, v)
			if err != nil || n < 0 {
				return o, cmp.Or(err, error(apierrors.NewBadRequest(name+" must not be negative")))
			}
			*to = n
		}
	}
	if v := c.query.Get("sinceSeconds"); v != "" {
		n, err := number("sinceSeconds", v)
		if err != nil {
			return o, err
		}
		o.since = time.Now().Add(-time.Duration(n) * time.Second)
	}
	if v := c.query.Get("sinceTime"); v != "" {
		t, err := time.Parse(time.RFC3339, v)
		if err != nil {
			return o, apierrors.NewBadRequest("sinceTime: " + err.Error())
		}
		o.since = t
	}
	return o, nil
}

// log answers what a pod's program wrote. All containers of a pod are one
// program, whose output is the first one's.
func (c *call) log() error {
	options, err := c.logOptions()
	if err != nil {
		return err
	}
	found, err := c.store.get(pods, c.key())
	if err != nil {
		return err
	}
	p := found.(*corev1.Pod)
	out, err := c.output(p)
	if err != nil {
		return err
	}
	ctx, end := c.stream(c.r)
	defer end()
	c.w.Header().Set("Content-Type", "text/plain")
	c.w.WriteHeader(http.StatusOK)
	lines, next, more, over := out.from(0)
	if options.tail >= 0 && int64(len(lines)) > options.tail {
		lines = lines[int64(len(lines))-options.tail:]
	}
	for {
		if !options.write(c.w, lines) || !options.follow || over {
			return nil
		}
		if f, is := c.w.(http.Flusher); is {
			f.Flush()
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
		c.faults.unstalled(ctx)
		lines, next, more, over = out.from(next)
	}
}

// write writes lines, and says whether there is room for more.
func (o *logOptions) write(w http.ResponseWriter, lines []logLine) bool {
	for _, l := range lines {
		if l.at.Before(o.since) {
			continue
		}
		text := l.text
		if o.stamps {
			text = fmt.Appendf(nil, "%s %s", l.at.UTC().Format(time.RFC3339Nano), text)
		}
		if o.limit >= 0 {
			text = text[:min(int64(len(text)), o.limit)]
			o.limit -= int64(len(text))
		}
		if _, err := w.Write(text); err != nil || o.limit == 0 {
			return false
		}
	}
	return true
}

// output finds the output of the container that is asked for.
func (c *call) output(p *corev1.Pod) (*output, error) {
	name := cmp.Or(c.query.Get("container"), p.Spec.Containers[0].Name)
	known := false
	for i := range p.Spec.Containers {
		known = known || p.Spec.Containers[i].Name == name
	}
	if !known {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, p.Name))
	}
	w := c.kubelet.worker(p)
	if w == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf(
			"container %q in pod %q is waiting to start: ContainerCreating", name, p.Name))
	}
	w.mu.Lock()
	out := w.log
	if c.flag("previous") {
		out = w.before
	}
	w.mu.Unlock()
	switch {
	case out == nil && c.flag("previous"):
		return nil, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", name, p.Name))
	case out == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf(
			"container %q in pod %q is waiting to start: ContainerCreating", name, p.Name))
	case name != p.Spec.Containers[0].Name:
		out = newOutput(0)
		out.close()
	}
	return out, nil
}

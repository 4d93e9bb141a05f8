package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/time/rate"
)

// The reasons of our events.
const (
	reasonCreated  = "Created"  // an instance has got a pod
	reasonReplaced = "Replaced" // it has got one in place of one that we deleted
	reasonDeleted  = "Deleted"  // its deletion was accepted
	reasonAdopted  = "Adopted"  // it has got our labels
)

const (
	maxQueued     = 1000             // events that wait to be sent; more are dropped and counted
	maxRemembered = 1000             // events whose repetition raises their count
	repeatedFor   = 10 * time.Minute // after its first; then it is a new event
	maxMessage    = 1024             // bytes, Kubernetes' own limit
	eventQPS      = 10               // they are for people, and come after everything else
	eventBurst    = 100
	lastEvents    = 2 * time.Second // for what is queued at Close
)

// recorder sends events on pods. It blocks nobody: what does not fit into its
// queue is dropped and counted. Equal events on a pod become one with a count.
type recorder struct {
	c      *Client
	queue  chan happening
	bucket *rate.Limiter
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	closed bool

	// The sender's alone.
	sent   map[happeningKey]*corev1.Event
	order  []happeningKey // of sent, oldest first
	serial int
}

type happening struct {
	happeningKey
	pod corev1.ObjectReference
	at  time.Time
}

type happeningKey struct {
	uid             types.UID
	reason, message string
}

func startRecorder(c *Client) *recorder {
	ctx, cancel := context.WithCancel(context.Background())
	r := &recorder{c: c, queue: make(chan happening, maxQueued), bucket: rate.NewLimiter(eventQPS, eventBurst),
		cancel: cancel, done: make(chan struct{}), sent: map[happeningKey]*corev1.Event{}}
	go r.run(ctx)
	return r
}

// reference names a pod as events do.
func reference(pod *corev1.Pod) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name,
		UID: pod.UID, ResourceVersion: pod.ResourceVersion}
}

// add queues an event.
func (r *recorder) add(pod corev1.ObjectReference, reason, message string) {
	h := happening{happeningKey{pod.UID, reason, shorten(message)}, pod, time.Now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		select {
		case r.queue <- h:
			return
		default:
		}
	}
	r.c.count.eventsDropped.Add(1)
}

// shorten cuts a message to what Kubernetes takes.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	end := maxMessage - len("…")
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}

// close takes no more events and waits until those queued are sent, or their
// time is over.
func (r *recorder) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	timer := time.AfterFunc(lastEvents, r.cancel)
	defer timer.Stop()
	<-r.done
	r.cancel()
}

func (r *recorder) run(ctx context.Context) {
	defer close(r.done)
	for h := range r.queue {
		if err := r.record(ctx, h); err != nil {
			r.c.count.eventsDropped.Add(1)
			r.c.log.Debug("event not recorded", "pod", h.pod.Name, "reason", h.reason, "message", h.message, "error", err)
			continue
		}
		r.c.count.eventsSent.Add(1)
	}
}

// record sends one event, once more if the first attempt broke off.
func (r *recorder) record(ctx context.Context, h happening) error {
	event := r.sent[h.happeningKey]
	repeated := event != nil && h.at.Sub(event.FirstTimestamp.Time) < repeatedFor
	if repeated {
		event.Count++
		event.LastTimestamp = metav1.NewTime(h.at)
	} else {
		event = r.event(h)
	}
	for attempt := 1; ; attempt++ {
		if err := r.bucket.Wait(ctx); err != nil {
			return err
		}
		if err := r.c.limiter.heed(ctx); err != nil {
			return err
		}
		err := r.c.attempt(ctx, func(ctx context.Context) error { return r.request(ctx, event, repeated) })
		switch {
		case repeated && apierrors.IsNotFound(err): // the server forgets events after an hour or so
			event, repeated = r.event(h), false
			continue
		case apierrors.IsAlreadyExists(err): // the answer to the first attempt was lost
			err = nil
		case err != nil && worthAnother(err) && attempt < 2 && ctx.Err() == nil:
			continue
		}
		if err == nil {
			r.remember(h.happeningKey, event, repeated)
		}
		return err
	}
}

func (r *recorder) request(ctx context.Context, event *corev1.Event, repeated bool) error {
	if !repeated {
		return r.c.rest.Post().MaxRetries(0).Namespace(event.Namespace).Resource("events").Body(event).Do(ctx).Error()
	}
	patch, err := json.Marshal(map[string]any{"count": event.Count, "lastTimestamp": event.LastTimestamp})
	if err != nil {
		return err
	}
	return r.c.rest.Patch(types.StrategicMergePatchType).MaxRetries(0).Namespace(event.Namespace).Resource("events").
		Name(event.Name).Body(patch).Do(ctx).Error()
}

// event is one that has not been sent.
func (r *recorder) event(h happening) *corev1.Event {
	r.serial++
	at := metav1.NewTime(h.at)
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.c.cfg.Namespace,
			Name:      fmt.Sprintf("%s.%x.%x", h.pod.Name, h.at.UnixNano(), r.serial),
		},
		InvolvedObject: h.pod,
		Reason:         h.reason,
		Message:        h.message,
		Type:           corev1.EventTypeNormal,
		Source:         corev1.EventSource{Component: r.c.cfg.Orchestrator},
		FirstTimestamp: at,
		LastTimestamp:  at,
		Count:          1,

		ReportingController: "dacorch.io/" + r.c.cfg.Orchestrator,
	}
}

// remember keeps an event, so that its repetition only raises its count.
func (r *recorder) remember(key happeningKey, event *corev1.Event, repeated bool) {
	if repeated {
		r.c.count.eventsRepeated.Add(1)
		return
	}
	if r.sent[key] == nil {
		r.order = append(r.order, key)
	}
	r.sent[key] = event
	if len(r.order) > maxRemembered {
		delete(r.sent, r.order[0])
		r.order = r.order[1:]
	}
}

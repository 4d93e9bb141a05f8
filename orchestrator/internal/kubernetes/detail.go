package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"dacorch/orchestrator/fleet"
)

// Detail is what a running Watch knows of a pod beyond what it tells. It is for
// people: nothing is decided by it.
type Detail struct {
	UID      string
	Node     string    // that it runs on; empty: none yet
	Image    string    // of its first container
	Restarts int       // of its containers
	Created  time.Time // by the API server's clock
}

// Detail answers what is known of an instance's pod: the one that the kind's
// Watch has seen last, as long as it runs. It asks nobody.
func (c *Client) Detail(kind fleet.Kind, id fleet.InstanceID) (Detail, bool) {
	return c.details.of(slot{kind, id})
}

// details are those that the running watches know.
type details struct {
	mu    sync.RWMutex
	known map[slot]Detail
}

func (d *details) of(at slot) (Detail, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	x, ok := d.known[at]
	return x, ok
}

func (d *details) set(at slot, pod *corev1.Pod) {
	x := Detail{UID: string(pod.UID), Node: pod.Spec.NodeName, Created: pod.CreationTimestamp.Time}
	if len(pod.Spec.Containers) > 0 {
		x.Image = pod.Spec.Containers[0].Image
	}
	for i := range pod.Status.ContainerStatuses {
		x.Restarts += int(pod.Status.ContainerStatuses[i].RestartCount)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[slot]Detail{}
	}
	d.known[at] = x
}

// drop forgets a pod, but not the one that may have come after it.
func (d *details) drop(at slot, uid string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[at].UID == uid {
		delete(d.known, at)
	}
}

// clear forgets a kind's pods.
func (d *details) clear(kind fleet.Kind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := range d.known {
		if at.kind == kind {
			delete(d.known, at)
		}
	}
}

// Event is something that Kubernetes, or we, noted about a pod.
type Event struct {
	Last    time.Time // when it was seen last, by the clock of who noted it
	Type    string    // Normal, Warning
	Reason  string    // one word
	Message string    // at most 1024 bytes
	Count   int       // times it was seen, 1 or more
	Source  string    // who noted it
}

const (
	maxEventsRead = 2000            // about a name; more are not read
	maxEventWait  = 3 * time.Second // for all of them
	lookQPS       = 5               // requests for people, who come after the pods
	lookBurst     = 20
)

// PodEvents reads the events about an instance's pod, and about those that had
// its name before, the latest first; Kubernetes forgets them after an hour or
// so. It takes at most 3 s and does not try again. With an error come those
// that were read until then.
func (c *Client) PodEvents(ctx context.Context, kind fleet.Kind, id fleet.InstanceID) ([]Event, error) {
	k, err := c.kind(kind)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxEventWait)
	defer cancel()
	name := k.name(id)
	opts := metav1.ListOptions{Limit: int64(c.cfg.PageSize),
		FieldSelector: fields.Set{"involvedObject.kind": "Pod", "involvedObject.name": name}.String()}
	var all []Event
	for {
		list, err := c.eventPage(ctx, opts)
		if err != nil {
			err = fmt.Errorf("read events of pod %s/%s: %w", c.cfg.Namespace, name, err)
			return latestFirst(all), err
		}
		for i := range list.Items {
			all = append(all, told(&list.Items[i]))
		}
		if opts.Continue = list.Continue; opts.Continue == "" {
			return latestFirst(all), nil
		}
		if len(all) >= maxEventsRead {
			return latestFirst(all), fmt.Errorf("pod %s/%s has more than %d events: the latest may be missing", c.cfg.Namespace, name, len(all))
		}
	}
}

var errManyLook = errors.New("many ask for events now: come again")

func (c *Client) eventPage(ctx context.Context, opts metav1.ListOptions) (*corev1.EventList, error) {
	if err := c.looks.Wait(ctx); err != nil {
		return nil, cmp.Or(ctx.Err(), errManyLook)
	}
	if err := c.limiter.heed(ctx); err != nil {
		return nil, fmt.Errorf("the API server has asked for a pause: %w", err)
	}
	page := &corev1.EventList{}
	err := c.attempt(ctx, func(ctx context.Context) error {
		return c.rest.Get().MaxRetries(0).Namespace(c.cfg.Namespace).Resource("events").VersionedParams(&opts, c.params).Do(ctx).Into(page)
	})
	return page, err
}

// told reads an event in either of the two forms that Kubernetes has for it: the
// older says when it was seen last, the newer when it came first, and how its
// series goes on.
func told(e *corev1.Event) Event {
	x := Event{Last: e.LastTimestamp.Time, Type: e.Type, Reason: e.Reason, Message: shorten(e.Message), Count: int(e.Count), Source: e.Source.Component}
	if x.Source == "" {
		x.Source = e.ReportingController
	}
	if s := e.Series; s != nil {
		x.Count = max(x.Count, int(s.Count))
		x.Last = latest(x.Last, s.LastObservedTime.Time)
	}
	x.Count = max(x.Count, 1)
	x.Last = latest(x.Last, e.EventTime.Time)
	if x.Last.IsZero() {
		x.Last = e.CreationTimestamp.Time
	}
	return x
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func latestFirst(events []Event) []Event {
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason))
	})
	return events
}

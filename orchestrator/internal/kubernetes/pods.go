package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"dacorch/orchestrator/fleet"
)

// annotationCreation holds a mark that is different for each call of Create. By
// it a call knows the pod as its own when the answer was lost.
const annotationCreation = "dacorch.io/creation"

// List reads the kind's pods from the server, ascending by instance. Pods to be
// adopted are adopted first, and are among them.
func (c *Client) List(ctx context.Context, kind fleet.Kind) ([]fleet.Pod, error) {
	k, err := c.kind(kind)
	if err != nil {
		return nil, err
	}
	if err := c.adoptAll(ctx, k); err != nil {
		return nil, fmt.Errorf("list pods of %s to adopt: %w", kind, err)
	}
	items, err := c.list(ctx, k.selector)
	if err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", kind, err)
	}
	pods := make([]fleet.Pod, 0, len(items))
	for i := range items {
		if p, ok := k.told(&items[i]); ok {
			pods = append(pods, p)
		} else {
			c.odd(&items[i])
		}
	}
	slices.SortFunc(pods, func(a, b fleet.Pod) int { return cmp.Compare(a.Instance, b.Instance) })
	return pods, nil
}

func (c *Client) odd(pod *corev1.Pod) {
	c.count.odd.Add(1)
	if !c.oddTold.first(string(pod.UID)) {
		return
	}
	c.log.Warn("a pod with this orchestrator's labels is left alone: its name and instanceId are no instance's",
		"pod", pod.Name, "instanceId", pod.Labels[labelInstance])
}

// Create makes the instance's pod from the kind's template and answers its UID.
// fleet.ErrPodExists while the name is taken, even by a pod that is being
// deleted or that has just been adopted; fleet.ErrPodForeign when the pod that
// has it is not this orchestrator's. When the connection breaks before the
// answer, the creation is repeated: by its mark the pod is known as this call's.
// Any other error leaves open whether the pod was created; if it was, List and
// Watch tell it. why becomes an event on the pod.
func (c *Client) Create(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, why string) (string, error) {
	k, err := c.kind(kind)
	if err != nil {
		return "", err
	}
	if id < 0 || id > maxInstanceID {
		return "", &fleet.FieldError{Field: "instance", Value: id.String(), Want: fmt.Sprintf("0 to %d", maxInstanceID)}
	}
	pod := k.pod(id)
	mark := uuid.NewString()
	pod.Annotations[annotationCreation] = mark
	var made *corev1.Pod
	err = c.send(ctx, func(ctx context.Context) error {
		made = &corev1.Pod{}
		return c.pods(c.rest.Post()).Body(pod).Do(ctx).Into(made)
	})
	if apierrors.IsAlreadyExists(err) {
		made, err = c.taken(ctx, k, pod.Name, mark, err)
	}
	if err != nil {
		return "", fmt.Errorf("create pod %s/%s: %w", c.cfg.Namespace, pod.Name, err)
	}
	c.count.created.Add(1)
	c.created(kind, id, made, why)
	return string(made.UID), nil
}

// taken looks at the pod that has the name: it may be the one that this very
// call has made.
func (c *Client) taken(ctx context.Context, k *podKind, name, mark string, refusal error) (*corev1.Pod, error) {
	pod, err := c.get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w, and has just gone: %w", fleet.ErrPodExists, refusal)
	case err != nil:
		return nil, fmt.Errorf("whose it is could not be read (%w): %w: %w", err, fleet.ErrPodExists, refusal)
	case pod.Annotations[annotationCreation] == mark:
		return pod, nil
	}
	switch k.owner(pod) {
	case ownerUs:
		return nil, fmt.Errorf("%w: %w", fleet.ErrPodExists, refusal)
	case ownerNobody:
		if err := c.adopt(ctx, k, pod); err != nil {
			return nil, fmt.Errorf("%w, and could not be adopted (%w): %w", fleet.ErrPodExists, err, refusal)
		}
		return nil, fmt.Errorf("%w, and is adopted: %w", fleet.ErrPodExists, refusal)
	}
	return nil, fmt.Errorf("%w (%s=%q, %s=%q): %w", fleet.ErrPodForeign, labelManagedBy, pod.Labels[labelManagedBy],
		labelOrchestrator, pod.Labels[labelOrchestrator], refusal)
}

// created remembers and records that an instance has a new pod.
func (c *Client) created(kind fleet.Kind, id fleet.InstanceID, pod *corev1.Pod, why string) {
	at := slot{kind, id}
	c.mu.Lock()
	before, replaces := c.last[at]
	delete(c.last, at)
	c.mu.Unlock()
	if replaces {
		c.events.add(reference(pod), reasonReplaced, why+"; the pod before was deleted: "+before)
		return
	}
	c.events.add(reference(pod), reasonCreated, why)
}

// Delete requests the deletion of the instance's pod with that UID and no other,
// with the kind's grace period. fleet.ErrPodNotFound when there is none, or when
// the pod with that name has another UID; fleet.ErrPodForeign when it is not
// this orchestrator's. A pod that terminates already is no error. why becomes an
// event on the pod.
func (c *Client) Delete(ctx context.Context, kind fleet.Kind, id fleet.InstanceID, uid, why string) error {
	k, err := c.kind(kind)
	if err != nil {
		return err
	}
	name := k.name(id)
	if uid == "" {
		return &fleet.FieldError{Field: "uid", Value: `""`, Want: "the UID of the pod " + name + ": a name alone may by now be another pod's"}
	}
	c.leaves(slot{kind, id}, uid, why)
	if err := c.delete(ctx, k, name, uid); err != nil {
		c.stays(slot{kind, id}, uid)
		return fmt.Errorf("delete pod %s/%s with UID %s: %w", c.cfg.Namespace, name, uid, err)
	}
	c.count.deleted.Add(1)
	c.events.add(corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: c.cfg.Namespace, Name: name, UID: types.UID(uid)},
		reasonDeleted, why)
	return nil
}

// leaves remembers that a pod's deletion is requested, and why. It does so before
// the request: the pod may be gone, and another created, before the answer is here.
func (c *Client) leaves(at slot, uid, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[at] = why
	if r := c.ours[uid]; r != nil {
		r.deleting = true
	}
}

// stays takes back what leaves has remembered.
func (c *Client) stays(at slot, uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, at)
	if r := c.ours[uid]; r != nil {
		r.deleting = false
	}
}

func (c *Client) delete(ctx context.Context, k *podKind, name, uid string) error {
	if !c.knows(uid) { // a watch has not shown that it is ours
		if err := c.checkOurs(ctx, k, name, uid); err != nil {
			return err
		}
	}
	opts := metav1.DeleteOptions{GracePeriodSeconds: &k.grace, Preconditions: metav1.NewUIDPreconditions(uid)}
	for attempt := 1; ; attempt++ {
		err := c.send(ctx, func(ctx context.Context) error {
			return c.pods(c.rest.Delete()).Name(name).Body(&opts).Do(ctx).Error()
		})
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("%w: %w", fleet.ErrPodNotFound, err)
		case !apierrors.IsConflict(err) || attempt == maxAttempts:
			return err
		}
		// Another UID, or the pod changed in that very moment: only the first is final.
		if err := c.checkOurs(ctx, k, name, uid); err != nil {
			return err
		}
	}
}

// knows says that a running watch has told the pod as ours.
func (c *Client) knows(uid string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ours[uid] != nil
}

// checkOurs reads the pod and answers why it cannot be deleted by us.
func (c *Client) checkOurs(ctx context.Context, k *podKind, name, uid string) error {
	pod, err := c.get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: %w", fleet.ErrPodNotFound, err)
	case err != nil:
		return err
	case string(pod.UID) != uid:
		return fmt.Errorf("%w: the pod of that name has UID %s", fleet.ErrPodNotFound, pod.UID)
	case k.owner(pod) != ownerUs:
		return fleet.ErrPodForeign
	}
	return nil
}

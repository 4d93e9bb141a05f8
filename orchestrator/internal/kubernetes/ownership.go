package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"dacorch/orchestrator/fleet"
)

// The labels of a pod that the orchestrator made. The last is the contract's.
const (
	labelManagedBy    = "app.kubernetes.io/managed-by"
	labelKind         = "dacorch.io/kind"
	labelOrchestrator = "dacorch.io/orchestrator"
	labelInstance     = "instanceId"

	managedBy = "dacorch"
)

const (
	// maxInstanceID is the greatest that the core takes from a pod's name.
	maxInstanceID = 1 << 20
	// maxInstanceName leaves room for "-" and the number in a DNS label.
	maxInstanceName = validation.DNS1123LabelMaxLength - len("-1048576")
)

// podKind is a kind's configuration, checked.
type podKind struct {
	kind         fleet.Kind
	instanceName string
	grace        int64 // seconds
	template     *corev1.Pod
	labels       map[string]string // of ownership
	selector     string            // the pods that have them
	unlabelled   string            // those that may be adopted; "" when none is
}

// kinds checks the kinds' configuration.
func (cfg *Config) kinds() (map[fleet.Kind]*podKind, error) {
	if len(cfg.Kinds) == 0 {
		return nil, &fleet.FieldError{Field: "kinds", Value: "nothing", Want: "at least one kind"}
	}
	kinds := map[fleet.Kind]*podKind{}
	names := map[string]fleet.Kind{}
	for _, kind := range slices.Sorted(maps.Keys(cfg.Kinds)) {
		k, err := cfg.newKind(kind, cfg.Kinds[kind])
		if err != nil {
			return nil, err
		}
		if other, taken := names[k.instanceName]; taken {
			return nil, &fleet.FieldError{Field: fmt.Sprintf("kinds.%s.instanceName", kind), Value: k.instanceName,
				Want: fmt.Sprintf("another name than kind %s's: their pods would bear the same", other)}
		}
		names[k.instanceName] = kind
		kinds[kind] = k
	}
	return kinds, nil
}

func (cfg *Config) newKind(kind fleet.Kind, kc KindConfig) (*podKind, error) {
	field := func(name string) string { return fmt.Sprintf("kinds.%s.%s", kind, name) }
	if err := checkLabelValue("kinds", string(kind)); err != nil {
		return nil, err
	}
	if problems := validation.IsDNS1123Label(kc.InstanceName); len(problems) > 0 || len(kc.InstanceName) > maxInstanceName {
		return nil, &fleet.FieldError{Field: field("instanceName"), Value: fmt.Sprintf("%q", kc.InstanceName),
			Want: fmt.Sprintf("1 to %d of a-z, 0-9 and -, no - at either end: a pod's name is this, - and a number", maxInstanceName)}
	}
	if kc.GracePeriod < 0 || kc.GracePeriod%time.Second != 0 {
		return nil, &fleet.FieldError{Field: field("gracePeriod"), Value: kc.GracePeriod.String(), Want: "0 or whole seconds"}
	}
	if kc.Template == nil {
		return nil, &fleet.FieldError{Field: field("template"), Value: "nothing", Want: "a pod template"}
	}
	if err := checkTemplate(kc.Template); err != nil {
		return nil, fmt.Errorf("%s: %w", field("template"), err)
	}
	if ns := kc.Template.Namespace; ns != "" && ns != cfg.Namespace {
		return nil, &fleet.FieldError{Field: field("template.metadata.namespace"), Value: ns, Want: cfg.Namespace + ", or none"}
	}
	k := &podKind{kind: kind, instanceName: kc.InstanceName, grace: int64(kc.GracePeriod / time.Second),
		labels: map[string]string{labelManagedBy: managedBy, labelKind: string(kind), labelOrchestrator: cfg.Orchestrator}}
	k.selector = metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: k.labels})
	if !cfg.IgnoreUnlabelled {
		k.unlabelled = fmt.Sprintf("%s,!%s,!%s,!%s", labelInstance, labelManagedBy, labelKind, labelOrchestrator)
	}
	if err := k.prepare(kc, cfg.Namespace, field("labels")); err != nil {
		return nil, err
	}
	return k, nil
}

// prepare makes the template such that only the instance is missing.
func (k *podKind) prepare(kc KindConfig, namespace, field string) error {
	t := kc.Template.DeepCopy()
	t.Namespace, t.GenerateName, t.Status = namespace, "", corev1.PodStatus{}
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	if t.Annotations == nil {
		t.Annotations = map[string]string{}
	}
	for key, value := range kc.Labels {
		if problems := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)); len(problems) > 0 {
			return &fleet.FieldError{Field: field, Value: key + "=" + value, Want: problems[0]}
		}
		if k.labels[key] != "" || key == labelInstance {
			return &fleet.FieldError{Field: field, Value: key, Want: "a label that the orchestrator does not set itself"}
		}
	}
	maps.Copy(t.Labels, kc.Labels)
	maps.Copy(t.Labels, k.labels)
	k.template = t
	return nil
}

// name of an instance's pod.
func (k *podKind) name(id fleet.InstanceID) string { return k.instanceName + "-" + id.String() }

// pod is an instance's pod, to be created; the caller's.
func (k *podKind) pod(id fleet.InstanceID) *corev1.Pod {
	pod := k.template.DeepCopy()
	pod.Name = k.name(id)
	pod.Labels[labelInstance] = id.String()
	pod.Spec.Containers[0].Env[0].Value = id.String()
	return pod
}

// owner is whose a pod is.
type owner uint8

const (
	ownerOther  owner = iota
	ownerUs           // it has this orchestrator's labels
	ownerNobody       // it has nobody's, and is to be adopted
)

func (k *podKind) owner(pod *corev1.Pod) owner {
	ours, nobodys := true, k.unlabelled != ""
	for key, want := range k.labels {
		value, labelled := pod.Labels[key]
		ours = ours && labelled && value == want
		nobodys = nobodys && !labelled
	}
	_, named := k.instance(pod)
	switch {
	case ours:
		return ownerUs
	case nobodys && named && metav1.GetControllerOf(pod) == nil:
		return ownerNobody
	}
	return ownerOther
}

// adoptAll adopts every pod of the kind that is nobody's. Nothing is done, and
// nothing asked, when none may be.
func (c *Client) adoptAll(ctx context.Context, k *podKind) error {
	if k.unlabelled == "" {
		return nil
	}
	found, err := c.list(ctx, k.unlabelled)
	if err != nil {
		return err
	}
	for i := range found {
		if k.owner(&found[i]) != ownerNobody {
			continue
		}
		if err := c.adopt(ctx, k, &found[i]); err != nil {
			// One that changes or goes is met again by the next listing.
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

// adopt gives a pod our labels, if it is still the pod that was read.
func (c *Client) adopt(ctx context.Context, k *podKind, pod *corev1.Pod) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "resourceVersion": pod.ResourceVersion, "labels": k.labels,
	}})
	if err != nil {
		return err
	}
	err = c.send(ctx, func(ctx context.Context) error {
		return c.pods(c.rest.Patch(types.MergePatchType)).Name(pod.Name).Body(patch).Do(ctx).Error()
	})
	if err != nil {
		return fmt.Errorf("adopt pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	c.count.adopted.Add(1)
	c.log.Info("pod adopted: it had nobody's labels and an instance's name", "pod", pod.Name, "kind", k.kind)
	c.events.add(reference(pod), reasonAdopted, "it had an instance's name and no owner")
	return nil
}

func checkLabelName(field, value string) error {
	if problems := validation.IsDNS1123Label(value); len(problems) > 0 {
		return &fleet.FieldError{Field: field, Value: fmt.Sprintf("%q", value), Want: problems[0]}
	}
	return nil
}

// checkLabelValue wants what can stand in a label, and something.
func checkLabelValue(field, value string) error {
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 || value == "" {
		return &fleet.FieldError{Field: field, Value: fmt.Sprintf("%q", value),
			Want: "1 to 63 of A-Z, a-z, 0-9, -, _ and ., a letter or digit at either end: it is the value of a label"}
	}
	return nil
}

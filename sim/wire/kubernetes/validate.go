package kubernetes

import (
	"maps"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxData bounds a config map's and a secret's data, as the API server does.
const maxData = 1 << 20

// prepareNew fills in what a new object does not choose, and holds it to the
// rules.
func (r *resource) prepareNew(o object) error {
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(generated(o.GetGenerateName()))
	}
	o.SetUID(types.UID(uuid.NewUUID()))
	o.SetCreationTimestamp(stampOf(time.Now()))
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
	r.prepare(o, nil)
	errs := r.validateMeta(o)
	return r.invalid(o, append(errs, r.validate(o, nil)...))
}

// prepareUpdate carries over from old what an update cannot change, and holds
// the rest to the rules. sub is the subresource that is written, "" for none.
func (r *resource) prepareUpdate(o, old object, sub string) (object, error) {
	name := old.GetName()
	if rv := o.GetResourceVersion(); rv != "" && rv != old.GetResourceVersion() {
		return nil, modified(r, name)
	}
	switch {
	case sub == "status":
		r.takeSpec(o, old)
	case r.status:
		r.takeStatus(o, old)
	}
	if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	o.SetGenerateName(old.GetGenerateName())
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	if at := old.GetDeletionTimestamp(); at != nil {
		o.SetDeletionTimestamp(at)
	}
	if grace := old.GetDeletionGracePeriodSeconds(); grace != nil && o.GetDeletionGracePeriodSeconds() == nil {
		o.SetDeletionGracePeriodSeconds(grace)
	}
	o.SetResourceVersion(old.GetResourceVersion())
	o.SetGeneration(old.GetGeneration())
	r.prepare(o, old)
	errs := append(r.validateMeta(o), metavalidation.ValidateObjectMetaAccessorUpdate(o, old, field.NewPath("metadata"))...)
	return o, r.invalid(o, append(errs, r.validate(o, old)...))
}

func (r *resource) invalid(o object, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(r.gvk.GroupKind(), o.GetName(), errs)
}

func (r *resource) validateMeta(o object) field.ErrorList {
	name := metavalidation.NameIsDNSSubdomain
	if r == namespaces {
		name = metavalidation.NameIsDNSLabel
	}
	path := field.NewPath("metadata")
	errs := metavalidation.ValidateObjectMetaAccessor(o, r.namespaced, name, path)
	for i, f := range o.GetFinalizers() {
		if !strings.Contains(f, "/") && !slices.Contains(standardFinalizers, f) {
			errs = append(errs, field.Invalid(path.Child("finalizers").Index(i), f,
				"name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

var standardFinalizers = []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}

// generated makes a name of a prefix, as the API server does: five random
// letters, within the length that a label allows.
func generated(prefix string) string {
	const random, longest = 5, validation.DNS1123LabelMaxLength
	if len(prefix) > longest-random {
		prefix = prefix[:longest-random]
	}
	return prefix + utilrand.String(random)
}

// stampOf is a time as the API carries it, in whole seconds.
func stampOf(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }

// preparePod fills in the defaults that show in a pod, so that applying the same
// manifest again changes nothing.
func preparePod(o, old object) {
	p := o.(*corev1.Pod)
	s := &p.Spec
	if old == nil {
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosOf(s)}
		p.Generation = 1
	}
	setDefault(&s.RestartPolicy, corev1.RestartPolicyAlways)
	setDefault(&s.DNSPolicy, corev1.DNSClusterFirst)
	setDefault(&s.SchedulerName, corev1.DefaultSchedulerName)
	setDefault(&s.ServiceAccountName, "default")
	s.DeprecatedServiceAccount = s.ServiceAccountName
	if p.Status.QOSClass == "" && old != nil {
		p.Status.QOSClass = old.(*corev1.Pod).Status.QOSClass
	}
	if g := s.TerminationGracePeriodSeconds; g == nil {
		s.TerminationGracePeriodSeconds = new(int64(corev1.DefaultTerminationGracePeriodSeconds))
	} else {
		s.TerminationGracePeriodSeconds = new(atLeastOne(*g))
	}
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	if s.EnableServiceLinks == nil {
		s.EnableServiceLinks = new(corev1.DefaultEnableServiceLinks)
	}
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			prepareContainer(&list[i])
		}
	}
	if old != nil && !apiequality.Semantic.DeepEqual(p.Spec, old.(*corev1.Pod).Spec) {
		p.Generation++
	}
}

func prepareContainer(c *corev1.Container) {
	setDefault(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setDefault(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	pull := corev1.PullIfNotPresent
	if tag := imageTag(c.Image); tag == "" || tag == "latest" {
		pull = corev1.PullAlways
	}
	setDefault(&c.ImagePullPolicy, pull)
	for i := range c.Ports {
		setDefault(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for name, limit := range c.Resources.Limits {
		if _, is := c.Resources.Requests[name]; !is {
			if c.Resources.Requests == nil {
				c.Resources.Requests = corev1.ResourceList{}
			}
			c.Resources.Requests[name] = limit
		}
	}
}

func setDefault[T comparable](to *T, value T) {
	var none T
	if *to == none {
		*to = value
	}
}

// imageTag answers what stands after an image's name: its tag or its digest.
func imageTag(image string) string {
	for i := len(image) - 1; i >= 0 && image[i] != '/'; i-- {
		if image[i] == ':' || image[i] == '@' {
			return image[i+1:]
		}
	}
	return ""
}

func qosOf(s *corev1.PodSpec) corev1.PodQOSClass {
	limited, asked := true, false
	for i := range s.Containers {
		r := &s.Containers[i].Resources
		asked = asked || len(r.Requests)+len(r.Limits) > 0
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, is := r.Limits[name]
			request, stated := r.Requests[name]
			limited = limited && is && (!stated || request.Equal(limit))
		}
	}
	switch {
	case asked && limited:
		return corev1.PodQOSGuaranteed
	case asked:
		return corev1.PodQOSBurstable
	}
	return corev1.PodQOSBestEffort
}

func prepareNamespace(o, old object) {
	n := o.(*corev1.Namespace)
	if old == nil {
		n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
		n.Spec = corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}}
	}
	if n.Labels[corev1.LabelMetadataName] != n.Name {
		n.Labels = maps.Clone(n.Labels)
		metav1.SetMetaDataLabel(&n.ObjectMeta, corev1.LabelMetadataName, n.Name)
	}
}

func prepareSecret(o, _ object) {
	s := o.(*corev1.Secret)
	setDefault(&s.Type, corev1.SecretTypeOpaque)
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}

func validateConfigMap(o, before object) field.ErrorList {
	c := o.(*corev1.ConfigMap)
	var errs field.ErrorList
	size := 0
	for k, v := range c.Data {
		errs = append(errs, validateDataKey(field.NewPath("data"), k)...)
		size += len(v)
	}
	for k, v := range c.BinaryData {
		if _, twice := c.Data[k]; twice {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(k), k, "duplicate of key present in binaryData"))
		}
		errs = append(errs, validateDataKey(field.NewPath("binaryData"), k)...)
		size += len(v)
	}
	if before != nil {
		old := before.(*corev1.ConfigMap)
		if old.Immutable != nil && *old.Immutable {
			errs = append(errs, fixed("immutable", c.Immutable, old.Immutable)...)
			errs = append(errs, fixed("data", c.Data, old.Data)...)
			errs = append(errs, fixed("binaryData", c.BinaryData, old.BinaryData)...)
		}
	}
	return append(errs, validateSize(size)...)
}

// fixed refuses to change a field of what is immutable.
func fixed(name string, now, old any) field.ErrorList {
	if apiequality.Semantic.DeepEqual(now, old) {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath(name), "field is immutable when `immutable` is set")}
}

func validateSecret(o, before object) field.ErrorList {
	var errs field.ErrorList
	if before != nil {
		now, old := o.(*corev1.Secret), before.(*corev1.Secret)
		if old.Immutable != nil && *old.Immutable {
			errs = append(fixed("immutable", now.Immutable, old.Immutable), fixed("data", now.Data, old.Data)...)
		}
	}
	size := 0
	for k, v := range o.(*corev1.Secret).Data {
		errs = append(errs, validateDataKey(field.NewPath("data"), k)...)
		size += len(v)
	}
	return append(errs, validateSize(size)...)
}

func validateDataKey(path *field.Path, k string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.IsConfigMapKey(k) {
		errs = append(errs, field.Invalid(path.Key(k), k, problem))
	}
	return errs
}

func validateSize(size int) field.ErrorList {
	if size > maxData {
		return field.ErrorList{field.TooLong(field.NewPath(""), "", maxData)}
	}
	return nil
}

func validateLease(o, _ object) field.ErrorList {
	spec, path := &o.(*coordinationv1.Lease).Spec, field.NewPath("spec")
	var errs field.ErrorList
	if n := spec.LeaseDurationSeconds; n != nil && *n <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *n, "must be greater than 0"))
	}
	if n := spec.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *n, "must be greater than or equal to 0"))
	}
	return errs
}

// validateEvent holds an event to the rules of the first API group, which are few.
func validateEvent(o, _ object) field.ErrorList {
	e := o.(*corev1.Event)
	of := e.InvolvedObject.Namespace
	elsewhere := field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), of, "does not match event.namespace")}
	if e.EventTime.IsZero() {
		if of == e.Namespace || of == "" && e.Namespace == metav1.NamespaceDefault {
			return nil
		}
		return elsewhere
	}
	var errs field.ErrorList
	if of == "" && e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem {
		errs = elsewhere
	}
	for name, value := range map[string]string{"reportingComponent": e.ReportingController,
		"reportingInstance": e.ReportingInstance, "action": e.Action, "reason": e.Reason} {
		if value == "" {
			errs = append(errs, field.Required(field.NewPath(name), ""))
		}
	}
	return errs
}

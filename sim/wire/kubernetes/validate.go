package kubernetes

import (
	"maps"
	"time"

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
	if o.GetResourceVersion() != "" {
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
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
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return nil, unmet(r, name, "UID", uid, old.GetUID())
	}
	switch {
	case sub == "status":
		status := o
		o = r.copyOf(old)
		r.takeStatus(o, status)
	case r.status:
		r.takeStatus(o, old)
	}
	o.SetUID(old.GetUID())
	o.SetGenerateName(old.GetGenerateName())
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	o.SetResourceVersion(old.GetResourceVersion())
	r.prepare(o, old)
	errs := r.validateMeta(o)
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
	return metavalidation.ValidateObjectMetaAccessor(o, r.namespaced, name, field.NewPath("metadata"))
}

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
	if s.TerminationGracePeriodSeconds == nil {
		s.TerminationGracePeriodSeconds = new(int64(corev1.DefaultTerminationGracePeriodSeconds))
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

func validatePod(o, before object) field.ErrorList {
	p := o.(*corev1.Pod)
	path := field.NewPath("spec")
	var errs field.ErrorList
	if len(p.Spec.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), ""))
	}
	names := map[string]bool{}
	for i := range p.Spec.Containers {
		errs = append(errs, validateContainer(&p.Spec.Containers[i], path.Child("containers").Index(i), names)...)
	}
	switch p.Spec.RestartPolicy {
	case corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever:
	default:
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), p.Spec.RestartPolicy, []string{
			string(corev1.RestartPolicyAlways), string(corev1.RestartPolicyNever), string(corev1.RestartPolicyOnFailure)}))
	}
	if g := *p.Spec.TerminationGracePeriodSeconds; g < 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), g, "must be non-negative"))
	}
	if before != nil && !sameButForWhatMayChange(&p.Spec, &before.(*corev1.Pod).Spec) {
		errs = append(errs, field.Forbidden(path, "pod updates may not change fields other than "+
			"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"+
			"`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "+
			"(allow it to be set to 1 if it was previously negative)"))
	}
	return errs
}

func validateContainer(c *corev1.Container, path *field.Path, names map[string]bool) field.ErrorList {
	var errs field.ErrorList
	switch problems := validation.IsDNS1123Label(c.Name); {
	case c.Name == "":
		errs = append(errs, field.Required(path.Child("name"), ""))
	case len(problems) > 0:
		errs = append(errs, field.Invalid(path.Child("name"), c.Name, problems[0]))
	case names[c.Name]:
		errs = append(errs, field.Duplicate(path.Child("name"), c.Name))
	}
	names[c.Name] = true
	if c.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), ""))
	}
	for i, e := range c.Env {
		if e.Name == "" {
			errs = append(errs, field.Required(path.Child("env").Index(i).Child("name"), ""))
		}
	}
	return errs
}

// sameButForWhatMayChange says whether an update of a pod leaves alone what a
// pod keeps for life.
func sameButForWhatMayChange(now, old *corev1.PodSpec) bool {
	a := now.DeepCopy()
	a.Tolerations, a.ActiveDeadlineSeconds = old.Tolerations, old.ActiveDeadlineSeconds
	for _, lists := range [][2][]corev1.Container{{a.Containers, old.Containers}, {a.InitContainers, old.InitContainers}} {
		if len(lists[0]) != len(lists[1]) {
			return false
		}
		for i := range lists[0] {
			lists[0][i].Image = lists[1][i].Image
		}
	}
	return apiequality.Semantic.DeepEqual(a, old)
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
		errs = append(errs, validateDataKey(field.NewPath("binaryData"), k)...)
		size += len(v)
	}
	if before != nil {
		old := before.(*corev1.ConfigMap)
		same := apiequality.Semantic.DeepEqual(c.Data, old.Data) && apiequality.Semantic.DeepEqual(c.BinaryData, old.BinaryData)
		if old.Immutable != nil && *old.Immutable && !same {
			errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
		}
	}
	return append(errs, validateSize(size)...)
}

func validateSecret(o, _ object) field.ErrorList {
	var errs field.ErrorList
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

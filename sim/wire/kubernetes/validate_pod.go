package kubernetes

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatePod(o, before object) field.ErrorList {
	spec, path := &o.(*corev1.Pod).Spec, field.NewPath("spec")
	errs := validatePodSpec(spec, path)
	if before == nil {
		return errs
	}
	old := &before.(*corev1.Pod).Spec
	if len(spec.Containers) != len(old.Containers) || len(spec.InitContainers) != len(old.InitContainers) {
		return append(errs, field.Forbidden(path.Child("containers"), "pod updates may not add or remove containers"))
	}
	errs = append(errs, validateDeadlineUpdate(spec.ActiveDeadlineSeconds, old.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	if !sameButForWhatMayChange(spec, old) {
		errs = append(errs, field.Forbidden(path, "pod updates may not change fields other than "+
			"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"+
			"`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "+
			"(allow it to be set to 1 if it was previously negative)"))
	}
	return errs
}

func validatePodSpec(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), ""))
	}
	names := map[string]bool{}
	for i := range s.Containers {
		errs = append(errs, validateContainer(&s.Containers[i], path.Child("containers").Index(i), names)...)
	}
	errs = append(errs, oneOf(path.Child("restartPolicy"), s.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(path.Child("dnsPolicy"), s.DNSPolicy,
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	if s.NodeName != "" {
		for _, problem := range metavalidation.NameIsDNSSubdomain(s.NodeName, false) {
			errs = append(errs, field.Invalid(path.Child("nodeName"), s.NodeName, problem))
		}
	}
	if d := s.ActiveDeadlineSeconds; d != nil && (*d < 1 || *d > math.MaxInt32) {
		errs = append(errs, field.Invalid(path.Child("activeDeadlineSeconds"), *d, validation.InclusiveRangeError(1, math.MaxInt32)))
	}
	return errs
}

// oneOf says whether a value is one of those that are known.
func oneOf[T ~string](path *field.Path, value T, known ...T) field.ErrorList {
	for _, k := range known {
		if value == k {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, value, known)}
}

// validateDeadlineUpdate: a deadline comes, or becomes shorter.
func validateDeadlineUpdate(now, old *int64, path *field.Path) field.ErrorList {
	switch {
	case old == nil:
		return nil
	case now == nil:
		return field.ErrorList{field.Invalid(path, now, "must not update from a positive integer to nil value")}
	case *now > *old:
		return field.ErrorList{field.Invalid(path, *now, "must be less than or equal to previous value")}
	}
	return nil
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
	switch {
	case c.Image == "":
		errs = append(errs, field.Required(path.Child("image"), ""))
	case c.Image != strings.TrimSpace(c.Image):
		errs = append(errs, field.Invalid(path.Child("image"), c.Image, "must not have leading or trailing whitespace"))
	}
	errs = append(errs, oneOf(path.Child("imagePullPolicy"), c.ImagePullPolicy,
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	for i, e := range c.Env {
		at := path.Child("env").Index(i).Child("name")
		if e.Name == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		for _, problem := range validation.IsRelaxedEnvVarName(e.Name) {
			errs = append(errs, field.Invalid(at, e.Name, problem))
		}
	}
	for i, p := range c.Ports {
		at := path.Child("ports").Index(i).Child("containerPort")
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		for _, problem := range validation.IsValidPortNum(int(p.ContainerPort)) {
			errs = append(errs, field.Invalid(at, p.ContainerPort, problem))
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

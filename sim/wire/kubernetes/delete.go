package kubernetes

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func (c *call) delete() error {
	options, err := c.deleteOptions()
	if err != nil {
		return err
	}
	return c.deleteWith(options)
}

func (c *call) deleteWith(options *metav1.DeleteOptions) error {
	dry, err := c.dryRun(options.DryRun)
	if err != nil {
		return err
	}
	o, err := c.deleteObject(c.res.home(), c.key(), options, dry)
	switch {
	case err != nil:
		return err
	case c.sub == "eviction":
		c.success(http.StatusCreated, http.StatusCreated, nil)
		return nil
	case c.res == pods || o.GetDeletionTimestamp() != nil:
		return c.answer(http.StatusOK, o)
	}
	c.success(http.StatusOK, 0, &metav1.StatusDetails{
		Name: c.name, Group: c.res.gvk.Group, Kind: c.res.plural, UID: o.GetUID()})
	return nil
}

// success answers a deletion. told is the status that the body repeats, 0 for none.
func (c *call) success(code, told int, details *metav1.StatusDetails) {
	c.form.as = ""
	status := &metav1.Status{Status: metav1.StatusSuccess, Code: int32(told), Details: details}
	status.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Status"})
	c.form.write(c.w, code, status)
}

// deleteOptions reads the options from the query and from the body, which has
// precedence.
func (c *call) deleteOptions() (*metav1.DeleteOptions, error) {
	options := &metav1.DeleteOptions{}
	if v := c.query.Get("gracePeriodSeconds"); v != "" {
		n, err := number("gracePeriodSeconds", v)
		if err != nil {
			return nil, err
		}
		options.GracePeriodSeconds = &n
	}
	media, err := bodyType(c.r)
	if err != nil {
		return nil, err
	}
	data, err := readBody(c.w, c.r)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return options, badOptions("DeleteOptions", metav1validation.ValidateDeleteOptions(options))
	}
	if _, ok := offers[media]; !ok {
		return nil, unsupported(media)
	}
	kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
	got, _, err := deletions().Decode(data, &kind, options)
	if err != nil || got != runtime.Object(options) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body must be DeleteOptions: %v", err))
	}
	return options, badOptions("DeleteOptions", metav1validation.ValidateDeleteOptions(options))
}

// deleteObject deletes an object, or begins to: it answers the object as it
// stands, or as it stood when it went. A pod is marked first, even one that goes
// at once: watches see both.
func (s *Server) deleteObject(res *resource, k key, options *metav1.DeleteOptions, dry bool) (object, error) {
	for {
		old, err := s.store.get(res, k)
		if err != nil {
			return nil, err
		}
		if err := preconditions(res, old, options.Preconditions); err != nil {
			return nil, err
		}
		kept := len(old.GetFinalizers()) > 0 || res == namespaces && s.populated(k.name)
		grace, marks := graceOf(old, options)
		marks = marks || kept && old.GetDeletionTimestamp() == nil
		o := old
		switch {
		case marks && dry:
			return doomed(res, old, grace), nil
		case dry || !marks && (kept || grace > 0):
			return old, nil // it is on its way, and sooner
		case !marks:
			o, err = s.store.remove(res, old)
		case kept || grace > 0:
			o = doomed(res, old, grace)
			err = s.store.update(res, old, o)
		default:
			o, err = s.store.expire(res, old, doomed(res, old, 0))
		}
		switch {
		case apierrors.IsConflict(err):
			continue
		case err == nil && res == namespaces && kept:
			s.empty(k.name)
		}
		return o, err
	}
}

// doomed answers an object marked for deletion in grace seconds. A namespace
// goes when it is empty, whenever that is.
func doomed(res *resource, old object, grace int64) object {
	o := res.copyOf(old)
	from := time.Now()
	if at, had := old.GetDeletionTimestamp(), old.GetDeletionGracePeriodSeconds(); at != nil && had != nil {
		from = at.Add(-time.Duration(*had) * time.Second) // a shorter time counts from the beginning too
	} else if n := o.GetGeneration(); n > 0 {
		o.SetGeneration(n + 1)
	}
	ends := stampOf(from.Add(time.Duration(grace) * time.Second))
	o.SetDeletionTimestamp(&ends)
	if n, is := o.(*corev1.Namespace); is {
		n.Status.Phase = corev1.NamespaceTerminating
	} else {
		o.SetDeletionGracePeriodSeconds(&grace)
	}
	return o
}

// graceOf is how many seconds an object gets to end, and whether it is to be
// marked with them. Only pods get any, of those the ones that run somewhere; a
// second deletion can only shorten what the first one gave.
func graceOf(o object, options *metav1.DeleteOptions) (grace int64, marks bool) {
	p, is := o.(*corev1.Pod)
	if !is {
		return 0, false
	}
	asked := options.GracePeriodSeconds
	if had := p.DeletionGracePeriodSeconds; p.DeletionTimestamp != nil {
		switch {
		case had == nil || *had == 0:
			return 0, false
		case asked == nil:
			return *had, false
		}
		grace = atLeastOne(*asked)
		return grace, grace < *had
	}
	if p.Spec.NodeName == "" || ended(p) {
		return 0, true
	}
	if asked == nil {
		asked = p.Spec.TerminationGracePeriodSeconds
	}
	return atLeastOne(*asked), true
}

// atLeastOne reads a negative number of seconds as the API server does.
func atLeastOne(seconds int64) int64 {
	if seconds < 0 {
		return 1
	}
	return seconds
}

func preconditions(res *resource, o object, want *metav1.Preconditions) error {
	if want == nil {
		return nil
	}
	unmet := func(what string, wanted, is any, because string) error {
		return apierrors.NewConflict(schema.GroupResource{Group: res.gvk.Group, Resource: res.gvk.Kind}, o.GetName(), fmt.Errorf(
			"the %s in the precondition (%v) does not match the %s in record (%v). The object might have been %s",
			what, wanted, what, is, because))
	}
	if want.UID != nil && *want.UID != o.GetUID() {
		return unmet("UID", *want.UID, o.GetUID(), "deleted and then recreated")
	}
	if want.ResourceVersion != nil && *want.ResourceVersion != o.GetResourceVersion() {
		return unmet("ResourceVersion", *want.ResourceVersion, o.GetResourceVersion(), "modified")
	}
	return nil
}

// deleteAll deletes what a list would answer.
func (c *call) deleteAll() error {
	options, err := c.deleteOptions()
	if err != nil {
		return err
	}
	dry, err := c.dryRun(options.DryRun)
	if err != nil {
		return err
	}
	ask, err := c.question()
	if err != nil {
		return err
	}
	all, version := c.store.now(c.res.home(), c.namespace)
	all = slices.DeleteFunc(all, func(o object) bool { return !ask.matches(c.res.view(o)) })
	for _, o := range all {
		if _, err := c.deleteObject(c.res.home(), keyOf(o), options, dry); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return c.answerList(all, metav1.ListMeta{ResourceVersion: formatVersion(version)})
}

// evict deletes a pod as an eviction does. There are no disruption budgets here.
func (c *call) evict() error {
	e := &policyv1.Eviction{}
	if err := c.body(e, policyv1.SchemeGroupVersion.WithKind("Eviction")); err != nil {
		return err
	}
	if e.Name != c.name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	options := e.DeleteOptions
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	dry, err := c.dryRun(options.DryRun)
	if err != nil {
		return err
	}
	o, err := c.store.get(pods, c.key())
	if err != nil {
		return err
	}
	if err := preconditions(pods, o, options.Preconditions); err != nil {
		return err
	}
	if !dry {
		c.store.mutate(pods, c.key(), disrupted)
	}
	return c.deleteWith(options)
}

// disrupted tells a pod why it is about to go, nil when it has been told.
func disrupted(o object) object {
	is := func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget }
	p := o.(*corev1.Pod)
	if slices.ContainsFunc(p.Status.Conditions, is) {
		return nil
	}
	return withStatus(p, func(st *corev1.PodStatus) {
		setCondition(st, corev1.DisruptionTarget, corev1.ConditionTrue, "EvictionByEvictionAPI")
		st.Conditions[len(st.Conditions)-1].Message = "Eviction API: evicting"
	})
}

// populated says whether a namespace still holds anything.
func (s *Server) populated(namespace string) bool {
	for _, res := range resources {
		if all, _ := s.store.now(res.home(), namespace); res.namespaced && len(all) > 0 {
			return true
		}
	}
	return false
}

// empty deletes what a namespace holds; the namespace goes with the last of it.
func (s *Server) empty(namespace string) {
	for _, res := range resources {
		if !res.namespaced {
			continue
		}
		all, _ := s.store.now(res.home(), namespace)
		for _, o := range all {
			_, _ = s.deleteObject(res.home(), keyOf(o), &metav1.DeleteOptions{}, false) // it is gone already
		}
	}
	s.kubelet.vanish(namespace)
}

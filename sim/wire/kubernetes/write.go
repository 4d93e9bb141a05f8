package kubernetes

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// tries bounds how often a write that does not name a version begins again,
// because another one came in between.
const tries = 10

// maxEvents bounds the stored events, where a real cluster forgets them by age.
const maxEvents = 10_000

func (c *call) create() error {
	o := c.res.new()
	if err := c.body(o, c.res.gvk); err != nil {
		return err
	}
	o, err := c.add(o)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, o)
}

// body decodes the request's body into an object of a kind.
func (c *call) body(o runtime.Object, kind schema.GroupVersionKind) error {
	media, err := bodyType(c.r)
	if err != nil {
		return err
	}
	data, err := readBody(c.w, c.r)
	if err != nil {
		return err
	}
	return decode(c.w, media, c.query.Get("fieldValidation"), data, kind, o)
}

// add stores a new object, as it was received, under this call's namespace.
func (c *call) add(o object) (object, error) {
	dry, err := c.dryRun(nil)
	if err == nil {
		err = c.placed(&o)
	}
	if err == nil {
		err = c.inNamespace()
	}
	if err != nil {
		return nil, err
	}
	home := c.res.home()
	asked := o.GetName()
	for range tries {
		o.SetName(asked)
		if err = home.prepareNew(o); err != nil {
			return nil, err
		}
		c.track(home, nil, o)
		if dry {
			return o, c.wouldClash(home, o)
		}
		var stored object
		stored, err = c.store.create(home, o)
		if err == nil {
			c.boundEvents(home)
			return stored, nil
		}
		if asked != "" {
			break // a name that was chosen stays taken
		}
	}
	return nil, err
}

// placed gives a received object its stored form and its namespace.
func (c *call) placed(o *object) error {
	(*o).GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	if c.res.stored != nil {
		*o = c.res.toStored(*o)
	}
	switch got := (*o).GetNamespace(); {
	case !c.res.namespaced && got != "":
		(*o).SetNamespace("")
	case got != "" && got != c.namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	default:
		(*o).SetNamespace(c.namespace)
	}
	return nil
}

// inNamespace says whether a new object may come into this call's namespace.
func (c *call) inNamespace() error {
	if !c.res.namespaced {
		return nil
	}
	n, err := c.store.get(namespaces, key{name: c.namespace})
	if err != nil {
		return err
	}
	if n.GetDeletionTimestamp() != nil {
		err := apierrors.NewForbidden(c.res.groupResource(), c.name, fmt.Errorf(
			"unable to create new content in namespace %s because it is being terminated", c.namespace))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", c.namespace),
			Field: "metadata.namespace"})
		return err
	}
	return nil
}

func (c *call) wouldClash(home *resource, o object) error {
	if _, err := c.store.get(home, keyOf(o)); err == nil {
		return apierrors.NewAlreadyExists(home.groupResource(), o.GetName())
	}
	return nil
}

// boundEvents removes the oldest event when there are too many.
func (c *call) boundEvents(home *resource) {
	if home == events {
		c.trimEvents()
	}
}

func (s *Server) trimEvents() {
	all, _ := s.store.now(events, "")
	if len(all) <= maxEvents {
		return
	}
	slices.SortFunc(all, func(a, b object) int { return a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time) })
	for _, o := range all[:len(all)-maxEvents*9/10] {
		_, _ = s.store.remove(events, o) // somebody else removed it, which is as good
	}
}

func (c *call) get() error {
	o, err := c.store.get(c.res.home(), c.key())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, o)
}

func (c *call) update() error {
	o := c.res.new()
	if err := c.body(o, c.res.gvk); err != nil {
		return err
	}
	if err := c.placed(&o); err != nil {
		return err
	}
	if o.GetName() != c.name {
		return apierrors.NewBadRequest(fmt.Sprintf(
			"the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), c.name))
	}
	if c.res.wantsRV && o.GetResourceVersion() == "" {
		return c.res.invalid(o, field.ErrorList{field.Invalid(
			field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")})
	}
	return c.replace(func(object) (object, error) { return c.res.home().copyOf(o), nil })
}

// replace stores what f makes of the object that stands, as an update. When
// another write comes in between, and what f made names no version, it begins
// again.
func (c *call) replace(f func(old object) (object, error)) error {
	dry, err := c.dryRun(nil)
	if err != nil {
		return err
	}
	home := c.res.home()
	for range tries {
		var old, o object
		if old, err = c.store.get(home, c.key()); err != nil {
			return err
		}
		if o, err = f(old); err != nil {
			return err
		}
		named := o.GetResourceVersion() != ""
		if o, err = home.prepareUpdate(o, old, c.sub); err != nil {
			return err
		}
		c.track(home, old, o)
		if dry || apiequality.Semantic.DeepEqual(o, old) {
			return c.answer(http.StatusOK, o)
		}
		if finished(o) {
			o, err = c.store.remove(home, old)
		} else {
			err = c.store.update(home, old, o)
		}
		if err == nil {
			return c.answer(http.StatusOK, o)
		}
		if named || !apierrors.IsConflict(err) {
			return err
		}
	}
	return err
}

// finished says whether nothing keeps a terminating object any more: its last
// finalizer went, and no kubelet has to stop it.
func finished(o object) bool {
	grace := o.GetDeletionGracePeriodSeconds()
	return o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 && grace != nil && *grace == 0
}

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
		c.success(http.StatusCreated, nil)
		return nil
	case c.res == pods || o.GetDeletionTimestamp() != nil:
		return c.answer(http.StatusOK, o)
	}
	c.success(http.StatusOK, &metav1.StatusDetails{
		Name: c.name, Group: c.res.gvk.Group, Kind: c.res.plural, UID: o.GetUID()})
	return nil
}

func (c *call) success(code int, details *metav1.StatusDetails) {
	c.form.as = ""
	status := &metav1.Status{Status: metav1.StatusSuccess, Details: details}
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
	if err != nil || len(data) == 0 {
		return options, err
	}
	if _, ok := offers[media]; !ok {
		return nil, unsupported(media)
	}
	kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
	got, _, err := deletions().Decode(data, &kind, options)
	if err != nil || got != runtime.Object(options) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body must be DeleteOptions: %v", err))
	}
	return options, nil
}

// deleteObject deletes an object, or begins to: it answers the object as it
// stands, or as it stood when it went.
func (s *Server) deleteObject(res *resource, k key, options *metav1.DeleteOptions, dry bool) (object, error) {
	for {
		old, err := s.store.get(res, k)
		if err != nil {
			return nil, err
		}
		if err := preconditions(res, old, options.Preconditions); err != nil {
			return nil, err
		}
		grace, at := graceOf(res, old, options), old.GetDeletionTimestamp()
		if grace == 0 && len(old.GetFinalizers()) == 0 && !(res == namespaces && s.populated(k.name)) {
			if dry {
				return old, nil
			}
			gone, err := s.store.remove(res, old)
			if apierrors.IsConflict(err) {
				continue
			}
			return gone, err
		}
		if had := old.GetDeletionGracePeriodSeconds(); at != nil && (had == nil || *had <= grace) {
			return old, nil // it is on its way, and sooner
		}
		o := doomed(res, old, grace)
		if dry {
			return o, nil
		}
		if err := s.store.update(res, old, o); apierrors.IsConflict(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		if res == namespaces {
			s.empty(k.name)
		}
		return o, nil
	}
}

// doomed answers an object marked for deletion in grace seconds. A namespace
// goes when it is empty, whenever that is.
func doomed(res *resource, old object, grace int64) object {
	o := res.copyOf(old)
	ends := stampOf(time.Now().Add(time.Duration(grace) * time.Second))
	o.SetDeletionTimestamp(&ends)
	if n, is := o.(*corev1.Namespace); is {
		n.Status.Phase = corev1.NamespaceTerminating
	} else {
		o.SetDeletionGracePeriodSeconds(&grace)
	}
	return o
}

// graceOf is how many seconds a pod gets to end. Only what runs somewhere gets
// any.
func graceOf(res *resource, o object, options *metav1.DeleteOptions) int64 {
	p, is := o.(*corev1.Pod)
	if !is || p.Spec.NodeName == "" || ended(p) {
		return 0
	}
	grace := *p.Spec.TerminationGracePeriodSeconds
	if options.GracePeriodSeconds != nil {
		grace = *options.GracePeriodSeconds
	}
	if grace < 0 {
		grace = 1
	}
	return grace
}

func preconditions(res *resource, o object, want *metav1.Preconditions) error {
	if want == nil {
		return nil
	}
	if want.UID != nil && *want.UID != o.GetUID() {
		return unmet(res, o.GetName(), "UID", *want.UID, o.GetUID())
	}
	if want.ResourceVersion != nil && *want.ResourceVersion != o.GetResourceVersion() {
		return unmet(res, o.GetName(), "ResourceVersion", *want.ResourceVersion, o.GetResourceVersion())
	}
	return nil
}

// unmet answers who wants an object only as it was.
func unmet(res *resource, name, what string, wanted, is any) error {
	return apierrors.NewConflict(res.groupResource(), name, fmt.Errorf(
		"%s failed: %s in precondition: %v, %s in object meta: %v", "Precondition", what, wanted, what, is))
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
	if e.Name != "" && e.Name != c.name {
		return apierrors.NewBadRequest(fmt.Sprintf("name in URL does not match name in Eviction object: %q, %q", c.name, e.Name))
	}
	options := e.DeleteOptions
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	return c.deleteWith(options)
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

package kubernetes

import (
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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
		if o.GetResourceVersion() != "" {
			return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
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
	if there, err := c.store.get(home, keyOf(o)); err == nil {
		return taken(home, there)
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
	if err := c.named(o); err != nil {
		return err
	}
	if _, err := c.store.get(c.res.home(), c.key()); err != nil && c.res.createsOnUpdate {
		if uid := o.GetUID(); uid != "" {
			return c.anotherUID(uid, "")
		}
		o.SetResourceVersion("") // whatever it says
		if o, err = c.add(o); err != nil {
			return err
		}
		return c.answer(http.StatusCreated, o)
	}
	return c.replace(func(old object) (object, error) {
		if c.res.wantsRV && o.GetResourceVersion() == "" {
			kind := schema.GroupKind{Group: c.res.gvk.Group, Kind: c.res.plural}
			return nil, apierrors.NewInvalid(kind, c.name, field.ErrorList{field.Invalid(
				field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")})
		}
		if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
			return nil, c.anotherUID(uid, old.GetUID())
		}
		return c.res.home().copyOf(o), nil
	})
}

// anotherUID refuses an update of an object that is not the one that is meant.
func (c *call) anotherUID(wanted, is types.UID) error {
	return apierrors.NewConflict(c.res.groupResource(), c.name, fmt.Errorf(
		"StorageError: invalid object, Code: 4, Key: /registry/%s/%s/%s, ResourceVersion: 0, AdditionalErrorMsg: "+
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", c.res.plural, c.namespace, c.name, wanted, is))
}

// named refuses an object of another name than the path's.
func (c *call) named(o object) error {
	if o.GetName() == c.name {
		return nil
	}
	return apierrors.NewBadRequest(fmt.Sprintf(
		"the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), c.name))
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
			_, err = c.store.remove(home, old)
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

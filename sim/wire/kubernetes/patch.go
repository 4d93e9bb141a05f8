package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// maxOperations bounds a JSON patch, as the API server does.
const maxOperations = 10_000

func (c *call) patch() error {
	data, err := readBody(c.w, c.r)
	if err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	kind := types.PatchType(media)
	if err == nil && kind == types.ApplyPatchType {
		return c.apply(data)
	}
	var change func(old []byte) ([]byte, error)
	switch {
	case err != nil:
		return unsupportedPatch(c.r.Header.Get("Content-Type"))
	case kind == types.JSONPatchType:
		change, err = jsonPatch(data)
	case kind != types.MergePatchType && kind != types.StrategicMergePatchType:
		return unsupportedPatch(media)
	case json.Unmarshal(data, new(map[string]any)) != nil:
		change = func([]byte) ([]byte, error) { return nil, apierrors.NewBadRequest("the patch must be a JSON object") }
	case kind == types.MergePatchType:
		change = func(old []byte) ([]byte, error) { return jsonpatch.MergePatch(old, data) }
	default:
		change = func(old []byte) ([]byte, error) {
			return strategicpatch.StrategicMergePatch(old, data, c.res.new())
		}
	}
	if err != nil {
		return err
	}
	return c.replace(func(old object) (object, error) { return c.patched(old, change) })
}

func unsupportedPatch(media string) error {
	return unserved(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, fmt.Sprintf(
		"the body of the request was in an unknown format - accepted media types include: %s, %s, %s, %s; not %q",
		types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyPatchType, media))
}

func jsonPatch(data []byte) (func([]byte) ([]byte, error), error) {
	patch, err := jsonpatch.DecodePatch(data)
	switch {
	case err != nil:
		return nil, apierrors.NewBadRequest("the JSON patch cannot be read: " + err.Error())
	case len(patch) > maxOperations:
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(patch)))
	}
	return patch.Apply, nil
}

// patched answers what a patch makes of an object. Without a version in the
// patch it applies to whatever stands.
func (c *call) patched(old object, change func([]byte) ([]byte, error)) (object, error) {
	before, err := json.Marshal(c.res.stamp(c.res.view(old)))
	if err != nil {
		return nil, err
	}
	after, err := change(before)
	if err != nil {
		return nil, unprocessable(err)
	}
	o := c.res.new()
	if err := decode(c.w, runtime.ContentTypeJSON, c.query.Get("fieldValidation"), after, c.res.gvk, o); err != nil {
		return nil, apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), string(after), err.Error())})
	}
	if err := c.placed(&o); err != nil {
		return nil, err
	}
	if err := c.named(o); err != nil {
		return nil, err
	}
	if rv := o.GetResourceVersion(); rv != "" && rv != old.GetResourceVersion() {
		return nil, modified(c.res, c.name)
	}
	o.SetResourceVersion("")
	return o, nil
}

func unprocessable(err error) error {
	if known := apierrors.APIStatus(nil); errors.As(err, &known) {
		return err
	}
	if strings.Contains(err.Error(), "invalid JSON") || strings.Contains(err.Error(), "Invalid JSON") {
		return apierrors.NewBadRequest(err.Error())
	}
	refused := refusal(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid,
		"the server rejected our request due to an error in our request: %v", err)
	refused.ErrStatus.Details = &metav1.StatusDetails{}
	return refused
}

// apply is server-side apply: it merges what the client wants with what others
// own, creates what is missing, and refuses what would take over another's field
// without force.
func (c *call) apply(data []byte) error {
	manager := c.query.Get("fieldManager")
	if manager == "" {
		return apierrors.NewInvalid(metav1.SchemeGroupVersion.WithKind("PatchOptions").GroupKind(), "", field.ErrorList{
			field.Required(field.NewPath("fieldManager"), "is required for apply patch")})
	}
	wanted := &unstructured.Unstructured{Object: map[string]any{}}
	if err := yaml.Unmarshal(data, &wanted.Object); err != nil {
		return apierrors.NewBadRequest("error decoding YAML: " + err.Error())
	}
	if gvk := wanted.GroupVersionKind(); gvk != c.res.gvk || wanted.GetName() != "" && wanted.GetName() != c.name {
		return apierrors.NewBadRequest(fmt.Sprintf("the patch is for %s %q, and this place is %s %q",
			gvk, wanted.GetName(), c.res.gvk, c.name))
	}
	if c.query.Get("fieldValidation") == metav1.FieldValidationStrict {
		text, err := json.Marshal(wanted.Object)
		if err != nil {
			return err
		}
		if err := decode(c.w, runtime.ContentTypeJSON, metav1.FieldValidationStrict, text, c.res.gvk, c.res.new()); err != nil {
			return err
		}
	}
	merge := func(old object) (object, error) { return c.merge(old, wanted, manager) }
	if _, err := c.store.get(c.res.home(), c.key()); err != nil && c.sub == "" {
		empty := c.res.new()
		empty.SetName(c.name)
		empty.SetNamespace(c.namespace)
		o, err := merge(empty)
		if err != nil {
			return err
		}
		if o, err = c.add(o); err != nil {
			return err
		}
		return c.answer(http.StatusCreated, o)
	}
	return c.replace(merge)
}

func (c *call) merge(old object, wanted *unstructured.Unstructured, manager string) (object, error) {
	fm, err := c.fieldManager()
	if err != nil {
		return nil, err
	}
	merged, err := fm.Apply(c.owned(c.res.view(old)), wanted.DeepCopy(), manager, c.flag("force"))
	if err != nil {
		return nil, err
	}
	o, is := merged.(object)
	if !is {
		return nil, fmt.Errorf("apply made a %T of a %s", merged, c.res.gvk.Kind)
	}
	if err := c.placed(&o); err != nil {
		return nil, err
	}
	if wanted.GetResourceVersion() == "" {
		o.SetResourceVersion("")
	}
	return o, nil
}

// track notes whose fields an update, or a creation, changed. It costs much, and
// only server-side apply asks for it: so it is done for objects that are tracked
// already, and for clients that name themselves, as kubectl does.
func (c *call) track(home *resource, old, o object) {
	manager := c.query.Get("fieldManager")
	tracked := old != nil && len(old.GetManagedFields()) > 0
	applied := strings.HasPrefix(c.r.Header.Get("Content-Type"), string(types.ApplyPatchType))
	if applied || home != c.res || manager == "" && !tracked {
		return
	}
	fm, err := c.fieldManager()
	if err != nil {
		return
	}
	if manager == "" {
		manager, _, _ = strings.Cut(c.r.UserAgent(), "/")
	}
	if old == nil {
		old = c.res.new()
	}
	if with, is := fm.UpdateNoErrors(c.owned(old), c.owned(o), manager).(object); is {
		o.SetManagedFields(with.GetManagedFields())
	}
}

// owned answers a copy for the field manager, down to the ground since it writes
// into what it gets. A status belongs to nobody, unless it is what is written.
func (c *call) owned(o object) runtime.Object {
	o = c.res.stamp(o)
	if c.res.status && c.sub == "" {
		c.res.takeStatus(o, c.res.new())
	}
	return o.DeepCopyObject()
}

// typeConverter is made at first need: it parses a large schema.
var typeConverter = sync.OnceValue(func() managedfields.TypeConverter {
	return applyconfigurations.NewTypeConverter(scheme.Scheme)
})

func (c *call) fieldManager() (*managedfields.FieldManager, error) {
	return managedfields.NewDefaultFieldManager(typeConverter(), scheme.Scheme, undefaulted{}, scheme.Scheme,
		c.res.gvk, c.res.gvk.GroupVersion(), c.sub, nil)
}

// undefaulted leaves defaults to where objects are stored.
type undefaulted struct{}

func (undefaulted) Default(runtime.Object) {}

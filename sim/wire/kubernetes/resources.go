package kubernetes

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resource is one kind of object as the API serves it: its names, and what is
// particular about it.
type resource struct {
	gvk        schema.GroupVersionKind
	plural     string
	short      []string
	namespaced bool
	status     bool // it has a status subresource; a plain update leaves the status alone
	wantsRV    bool // an update must name the version that it replaces
	// createsOnUpdate: an update of what is not there makes it.
	createsOnUpdate bool

	new    func() object
	copyOf func(object) object // a shallow copy
	list   func([]object) runtime.Object
	// takeStatus gives dst src's status, takeSpec all that a write of the status
	// leaves alone.
	takeStatus, takeSpec func(dst, src object)
	fields               func(object) fields.Set
	columns              []column
	cells                func(object) []any
	prepare              func(o, old object) // fills in what the API server does; old is nil at creation
	validate             func(o, old object) field.ErrorList

	// stored is the resource under which the objects lie when it is another one,
	// and toStored and fromStored convert.
	stored     *resource
	toStored   func(object) object
	fromStored func(object) object
}

func (r *resource) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.gvk.Group, Resource: r.plural}
}

// stamp answers a copy that carries its kind, as the wire wants it. What is
// stored goes without.
func (r *resource) stamp(o object) object {
	o = r.copyOf(o)
	o.GetObjectKind().SetGroupVersionKind(r.gvk)
	return o
}

// home is the resource under which the objects lie.
func (r *resource) home() *resource {
	if r.stored != nil {
		return r.stored
	}
	return r
}

// view turns a stored object into this resource's own form.
func (r *resource) view(o object) object {
	if r.stored != nil && o != nil {
		return r.fromStored(o)
	}
	return o
}

var (
	pods = describe[corev1.Pod](resource{
		gvk: corev1.SchemeGroupVersion.WithKind("Pod"), plural: "pods", short: []string{"po"}, namespaced: true, status: true,
		list:       func(o []object) runtime.Object { return &corev1.PodList{Items: items[corev1.Pod](o)} },
		takeStatus: func(dst, src object) { dst.(*corev1.Pod).Status = src.(*corev1.Pod).Status },
		takeSpec: func(dst, src object) {
			dst.(*corev1.Pod).Spec = src.(*corev1.Pod).Spec
			dst.SetOwnerReferences(src.GetOwnerReferences())
		},
		fields: podFields, columns: podColumns, cells: podCells, prepare: preparePod, validate: validatePod,
	})
	nodes = describe[corev1.Node](resource{
		gvk: corev1.SchemeGroupVersion.WithKind("Node"), plural: "nodes", short: []string{"no"}, status: true,
		list:       func(o []object) runtime.Object { return &corev1.NodeList{Items: items[corev1.Node](o)} },
		takeStatus: func(dst, src object) { dst.(*corev1.Node).Status = src.(*corev1.Node).Status },
		takeSpec:   func(dst, src object) { dst.(*corev1.Node).Spec = src.(*corev1.Node).Spec },
		fields:     nodeFields, columns: nodeColumns, cells: nodeCells,
	})
	namespaces = describe[corev1.Namespace](resource{
		gvk: corev1.SchemeGroupVersion.WithKind("Namespace"), plural: "namespaces", short: []string{"ns"}, status: true,
		list:       func(o []object) runtime.Object { return &corev1.NamespaceList{Items: items[corev1.Namespace](o)} },
		takeStatus: func(dst, src object) { dst.(*corev1.Namespace).Status = src.(*corev1.Namespace).Status },
		takeSpec:   func(dst, src object) { dst.(*corev1.Namespace).Spec = src.(*corev1.Namespace).Spec },
		fields:     namespaceFields, columns: namespaceColumns, cells: namespaceCells, prepare: prepareNamespace,
	})
	configMaps = describe[corev1.ConfigMap](resource{
		gvk: corev1.SchemeGroupVersion.WithKind("ConfigMap"), plural: "configmaps", short: []string{"cm"}, namespaced: true,
		list:    func(o []object) runtime.Object { return &corev1.ConfigMapList{Items: items[corev1.ConfigMap](o)} },
		columns: configMapColumns, cells: configMapCells, validate: validateConfigMap,
	})
	secrets = describe[corev1.Secret](resource{
		gvk: corev1.SchemeGroupVersion.WithKind("Secret"), plural: "secrets", namespaced: true,
		list:   func(o []object) runtime.Object { return &corev1.SecretList{Items: items[corev1.Secret](o)} },
		fields: secretFields, columns: secretColumns, cells: secretCells, prepare: prepareSecret, validate: validateSecret,
	})
	leases = describe[coordinationv1.Lease](resource{
		gvk: coordinationv1.SchemeGroupVersion.WithKind("Lease"), plural: "leases", namespaced: true, wantsRV: true, createsOnUpdate: true,
		list: func(o []object) runtime.Object {
			return &coordinationv1.LeaseList{Items: items[coordinationv1.Lease](o)}
		},
		columns: leaseColumns, cells: leaseCells, validate: validateLease,
	})
	events = describe[corev1.Event](resource{
		gvk: corev1.SchemeGroupVersion.WithKind("Event"), plural: "events", short: []string{"ev"}, namespaced: true, createsOnUpdate: true,
		list:   func(o []object) runtime.Object { return &corev1.EventList{Items: items[corev1.Event](o)} },
		fields: eventFields, columns: eventColumns, cells: eventCells, validate: validateEvent,
	})
	// newEvents is the same events as the later API group sees them.
	newEvents = describe[eventsv1.Event](resource{
		gvk: eventsv1.SchemeGroupVersion.WithKind("Event"), plural: "events", short: []string{"ev"}, namespaced: true,
		list:    func(o []object) runtime.Object { return &eventsv1.EventList{Items: items[eventsv1.Event](o)} },
		fields:  newEventFields,
		columns: eventColumns, cells: func(o object) []any { return eventCells(eventToCore(o)) },
		stored: events, toStored: eventToCore, fromStored: eventFromCore,
	})

	resources = []*resource{pods, nodes, namespaces, configMaps, secrets, leases, events, newEvents}
)

// describe completes a resource with what its type alone tells.
func describe[T any, P interface {
	*T
	object
}](r resource) *resource {
	r.new = func() object { return P(new(T)) }
	r.copyOf = func(o object) object {
		c := *o.(P)
		return P(&c)
	}
	if r.takeStatus == nil {
		r.takeStatus = func(object, object) {}
	}
	if r.prepare == nil {
		r.prepare = func(object, object) {}
	}
	if r.validate == nil {
		r.validate = func(object, object) field.ErrorList { return nil }
	}
	special := r.fields
	r.fields = func(o object) fields.Set {
		set := fields.Set{}
		if special != nil {
			set = special(o)
		}
		set["metadata.name"] = o.GetName()
		if r.namespaced {
			set["metadata.namespace"] = o.GetNamespace()
		}
		return set
	}
	return &r
}

func items[T any, P interface {
	*T
	object
}](objects []object) []T {
	all := make([]T, len(objects))
	for i, o := range objects {
		all[i] = *o.(P)
	}
	return all
}

// eventToCore and eventFromCore convert between the two forms of an event, which
// share their fields under different names.
func eventToCore(o object) object {
	e := o.(*eventsv1.Event)
	return &corev1.Event{
		ObjectMeta: e.ObjectMeta, InvolvedObject: e.Regarding, Related: e.Related,
		Reason: e.Reason, Message: e.Note, Type: e.Type, Action: e.Action, EventTime: e.EventTime,
		Source: e.DeprecatedSource, FirstTimestamp: e.DeprecatedFirstTimestamp,
		LastTimestamp: e.DeprecatedLastTimestamp, Count: e.DeprecatedCount,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		Series: seriesToCore(e.Series),
	}
}

func eventFromCore(o object) object {
	e := o.(*corev1.Event)
	return &eventsv1.Event{
		ObjectMeta: e.ObjectMeta, Regarding: e.InvolvedObject, Related: e.Related,
		Reason: e.Reason, Note: e.Message, Type: e.Type, Action: e.Action, EventTime: e.EventTime,
		DeprecatedSource: e.Source, DeprecatedFirstTimestamp: e.FirstTimestamp,
		DeprecatedLastTimestamp: e.LastTimestamp, DeprecatedCount: e.Count,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		Series: seriesFromCore(e.Series),
	}
}

func seriesToCore(s *eventsv1.EventSeries) *corev1.EventSeries {
	if s == nil {
		return nil
	}
	return &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
}

func seriesFromCore(s *corev1.EventSeries) *eventsv1.EventSeries {
	if s == nil {
		return nil
	}
	return &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
}

func podFields(o object) fields.Set {
	p := o.(*corev1.Pod)
	return fields.Set{
		"spec.nodeName": p.Spec.NodeName, "spec.restartPolicy": string(p.Spec.RestartPolicy),
		"spec.schedulerName": p.Spec.SchedulerName, "spec.serviceAccountName": p.Spec.ServiceAccountName,
		"status.phase": string(p.Status.Phase), "status.podIP": p.Status.PodIP,
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

func nodeFields(o object) fields.Set {
	cordoned := "false"
	if o.(*corev1.Node).Spec.Unschedulable {
		cordoned = "true"
	}
	return fields.Set{"spec.unschedulable": cordoned}
}

func namespaceFields(o object) fields.Set {
	return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
}

func secretFields(o object) fields.Set {
	return fields.Set{"type": string(o.(*corev1.Secret).Type)}
}

func eventFields(o object) fields.Set {
	e := o.(*corev1.Event)
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind": e.InvolvedObject.Kind, "involvedObject.namespace": e.InvolvedObject.Namespace,
		"involvedObject.name": e.InvolvedObject.Name, "involvedObject.uid": string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason, "reportingComponent": e.ReportingController,
		"source": source, "type": e.Type,
	}
}

// newEventFields adds the names that the later group has for the same fields.
func newEventFields(o object) fields.Set {
	set := eventFields(eventToCore(o))
	for name, value := range set {
		if of, is := strings.CutPrefix(name, "involvedObject."); is {
			set["regarding."+of] = value
		}
	}
	set["reportingController"] = set["reportingComponent"]
	return set
}

// listMeta gives a list its kind and its version.
func (r *resource) listMeta(l runtime.Object, m metav1.ListMeta) runtime.Object {
	l.GetObjectKind().SetGroupVersionKind(r.gvk.GroupVersion().WithKind(r.gvk.Kind + "List"))
	if l, is := l.(metav1.ListMetaAccessor); is {
		meta := l.GetListMeta()
		meta.SetResourceVersion(m.ResourceVersion)
		meta.SetContinue(m.Continue)
		meta.SetRemainingItemCount(m.RemainingItemCount)
	}
	return l
}

package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
)

// column is one column of a resource's table.
type column struct {
	name string
	kind string // string, integer or name
	wide bool   // only kubectl get -o wide shows it
}

func columnsOf(names ...string) []column {
	all := []column{{name: "Name", kind: "name"}}
	for _, n := range names {
		name, wide := strings.CutPrefix(n, "+")
		name, integer := strings.CutPrefix(name, "#")
		c := column{name: name, kind: "string", wide: wide}
		if integer {
			c.kind = "integer"
		}
		all = append(all, c)
	}
	return all
}

// A + marks a column that only a wide table shows, a # one of whole numbers.
var (
	podColumns = columnsOf("Ready", "Status", "Restarts", "Age",
		"+IP", "+Node", "+Nominated Node", "+Readiness Gates")
	nodeColumns = columnsOf("Status", "Roles", "Age", "Version",
		"+Internal-IP", "+External-IP", "+OS-Image", "+Kernel-Version", "+Container-Runtime")
	namespaceColumns = columnsOf("Status", "Age")
	configMapColumns = columnsOf("#Data", "Age")
	secretColumns    = columnsOf("Type", "#Data", "Age")
	leaseColumns     = columnsOf("Holder", "Age")
	eventColumns     = append([]column{{name: "Last Seen", kind: "string"}, {name: "Type", kind: "string"},
		{name: "Reason", kind: "string"}, {name: "Object", kind: "string"}, {name: "Subobject", kind: "string", wide: true},
		{name: "Source", kind: "string", wide: true}, {name: "Message", kind: "string"},
		{name: "First Seen", kind: "string", wide: true}, {name: "Count", kind: "string", wide: true}},
		column{name: "Name", kind: "name", wide: true})
)

// transform turns an object into what the client asked for: as it is, a table
// with or without its header and its row, or its metadata alone.
func (c *call) transform(o object, header, row bool) runtime.Object {
	switch c.form.as {
	case "Table":
		t := c.table(header)
		t.ResourceVersion = o.GetResourceVersion()
		if row {
			t.Rows = []metav1.TableRow{c.row(o)}
		}
		return t
	case "PartialObjectMetadata":
		return c.metadata(o)
	}
	return o
}

// transformList is transform for many.
func (c *call) transformList(all []object, meta metav1.ListMeta) runtime.Object {
	if c.form.as == "Table" {
		t := c.table(true)
		t.ListMeta = meta
		for _, o := range all {
			t.Rows = append(t.Rows, c.row(c.res.stamp(o)))
		}
		return t
	}
	list := &metav1.PartialObjectMetadataList{ListMeta: meta}
	list.SetGroupVersionKind(c.form.gv.WithKind("PartialObjectMetadataList"))
	for _, o := range all {
		list.Items = append(list.Items, *c.metadata(o))
	}
	return list
}

func (c *call) metadata(o object) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	if accessor, is := o.(metav1.ObjectMetaAccessor); is {
		if meta, is := accessor.GetObjectMeta().(*metav1.ObjectMeta); is {
			m.ObjectMeta = *meta
		}
	}
	m.SetGroupVersionKind(c.form.gv.WithKind("PartialObjectMetadata"))
	return m
}

func (c *call) table(header bool) *metav1.Table {
	t := &metav1.Table{Rows: []metav1.TableRow{}}
	t.SetGroupVersionKind(c.form.gv.WithKind("Table"))
	if !header {
		return t
	}
	for _, col := range c.res.columns {
		d := metav1.TableColumnDefinition{Name: col.name, Type: col.kind}
		if col.kind == "name" {
			d.Type, d.Format = "string", "name"
		}
		if col.wide {
			d.Priority = 1
		}
		t.ColumnDefinitions = append(t.ColumnDefinitions, d)
	}
	return t
}

// row answers an object's row, with as much of the object as the client asked
// for.
func (c *call) row(o object) metav1.TableRow {
	r := metav1.TableRow{Cells: c.res.cells(o)}
	switch metav1.IncludeObjectPolicy(c.query.Get("includeObject")) {
	case metav1.IncludeNone:
	case metav1.IncludeObject:
		r.Object.Object = o
	default:
		r.Object.Object = c.metadata(o)
	}
	return r
}

func age(o object) string { return since(o.GetCreationTimestamp().Time) }

func since(t time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t))
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func podCells(o object) []any {
	p := o.(*corev1.Pod)
	ready, restarts := 0, int32(0)
	var last time.Time
	for _, s := range p.Status.ContainerStatuses {
		if s.Ready {
			ready++
		}
		restarts += s.RestartCount
		if t := s.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(last) {
			last = t.FinishedAt.Time
		}
	}
	again := fmt.Sprint(restarts)
	if restarts > 0 && !last.IsZero() {
		again += fmt.Sprintf(" (%s ago)", since(last))
	}
	return []any{p.Name, fmt.Sprintf("%d/%d", ready, len(p.Spec.Containers)), podStatus(p), again, age(o),
		orNone(p.Status.PodIP), orNone(p.Spec.NodeName), orNone(p.Status.NominatedNodeName), "<none>"}
}

// podStatus is the one word for how a pod is, as kubectl shows it.
func podStatus(p *corev1.Pod) string {
	word := string(p.Status.Phase)
	if p.Status.Reason != "" {
		word = p.Status.Reason
	}
	for _, s := range slices.Backward(p.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			word = s.State.Waiting.Reason
		case s.State.Terminated != nil && s.State.Terminated.Reason != "":
			word = s.State.Terminated.Reason
		}
	}
	if p.DeletionTimestamp != nil && !ended(p) {
		return "Terminating"
	}
	return word
}

func nodeCells(o object) []any {
	n := o.(*corev1.Node)
	word := "NotReady"
	if nodeReady(n) {
		word = "Ready"
	}
	if n.Spec.Unschedulable {
		word += ",SchedulingDisabled"
	}
	inside := ""
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			inside = a.Address
		}
	}
	i := n.Status.NodeInfo
	return []any{n.Name, word, "<none>", age(o), i.KubeletVersion, orNone(inside), "<none>",
		i.OSImage, i.KernelVersion, i.ContainerRuntimeVersion}
}

func namespaceCells(o object) []any {
	return []any{o.GetName(), string(o.(*corev1.Namespace).Status.Phase), age(o)}
}

func configMapCells(o object) []any {
	c := o.(*corev1.ConfigMap)
	return []any{c.Name, len(c.Data) + len(c.BinaryData), age(o)}
}

func secretCells(o object) []any {
	s := o.(*corev1.Secret)
	return []any{s.Name, string(s.Type), len(s.Data), age(o)}
}

func leaseCells(o object) []any {
	holder := ""
	if h := o.(*coordinationv1.Lease).Spec.HolderIdentity; h != nil {
		holder = *h
	}
	return []any{o.GetName(), holder, age(o)}
}

func eventCells(o object) []any {
	e := o.(*corev1.Event)
	first, last, count := e.FirstTimestamp.Time, e.LastTimestamp.Time, e.Count
	if first.IsZero() {
		first = e.EventTime.Time
	}
	if e.Series != nil {
		last, count = e.Series.LastObservedTime.Time, e.Series.Count
	}
	if last.IsZero() {
		last = first
	}
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	if e.Source.Host != "" {
		source += ", " + e.Source.Host
	}
	object := strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name
	return []any{since(last), e.Type, e.Reason, object, e.InvolvedObject.FieldPath, source,
		strings.TrimSpace(e.Message), since(first), fmt.Sprint(max(count, 1)), e.Name}
}

package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	internalvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// question is what a list, a watch or a deletion of many asks for.
type question struct {
	res    *resource
	labels labels.Selector
	fields fields.Selector

	version uint64
	stated  bool // a version was given
	match   metav1.ResourceVersionMatch
	limit   int // 0 is none
	from    page
}

// page says where the rest of a list begins, and as of which version.
type page struct {
	Version   uint64 `json:"v"`
	Namespace string `json:"ns"`
	Name      string `json:"n"`
}

// question reads the query's selectors, version and page.
func (c *call) question() (question, error) {
	q := question{res: c.res, match: metav1.ResourceVersionMatch(c.query.Get("resourceVersionMatch"))}
	var err error
	if q.labels, err = labels.Parse(c.query.Get("labelSelector")); err != nil {
		return q, apierrors.NewBadRequest("labelSelector: " + err.Error())
	}
	if q.fields, err = fields.ParseSelector(c.query.Get("fieldSelector")); err != nil {
		return q, apierrors.NewBadRequest("fieldSelector: " + err.Error())
	}
	if err := c.listOptions(q.match); err != nil {
		return q, err
	}
	known := c.res.fields(c.res.new())
	for _, r := range q.fields.Requirements() {
		if !known.Has(r.Field) {
			return q, apierrors.NewBadRequest(fmt.Sprintf("field label not supported: %s", r.Field))
		}
	}
	if v := c.query.Get("resourceVersion"); v != "" {
		if q.version, err = strconv.ParseUint(v, 10, 64); err != nil {
			return q, apierrors.NewBadRequest(fmt.Sprintf("Invalid value: %q: the resource version is not a number", v))
		}
		q.stated = true
	}
	if v := c.query.Get("limit"); v != "" {
		n, err := number("limit", v)
		if err != nil {
			return q, err
		}
		q.limit = int(max(n, 0))
	}
	if v := c.query.Get("continue"); v != "" {
		data, err := base64.RawURLEncoding.DecodeString(v)
		if err != nil || json.Unmarshal(data, &q.from) != nil || q.from.Version == 0 {
			return q, apierrors.NewBadRequest("continue key is not valid: it must be what a list answered")
		}
	}
	return q, nil
}

// listOptions says whether what was asked for goes together.
func (c *call) listOptions(match metav1.ResourceVersionMatch) error {
	options := &internalversion.ListOptions{Watch: c.flag("watch"), ResourceVersion: c.query.Get("resourceVersion"),
		ResourceVersionMatch: match, Continue: c.query.Get("continue")}
	if c.query.Has("sendInitialEvents") {
		options.SendInitialEvents = new(c.flag("sendInitialEvents"))
	}
	return badOptions("ListOptions", internalvalidation.ValidateListOptions(options, true))
}

func number(name, v string) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("%s: %q is not a whole number", name, v))
	}
	return n, nil
}

func formatVersion(v uint64) string { return strconv.FormatUint(v, 10) }

// matches says whether an object, in its resource's own form, is asked for.
func (q *question) matches(o object) bool {
	if !q.labels.Empty() && !q.labels.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	return q.fields.Empty() || q.fields.Matches(q.res.fields(o))
}

// indexed says whether an object may match by what lists are looked up by: pages
// are made of what is found so.
func (q *question) indexed(o object) bool {
	if name, is := q.fields.RequiresExactMatch("metadata.name"); is && name != o.GetName() {
		return false
	}
	p, is := o.(*corev1.Pod)
	node, exact := q.fields.RequiresExactMatch("spec.nodeName")
	return !is || !exact || p.Spec.NodeName == node
}

func (c *call) list() error {
	q, err := c.question()
	if err != nil {
		return err
	}
	all, version, err := c.asOf(&q)
	if err != nil {
		return err
	}
	if from := (key{q.from.Namespace, q.from.Name}); q.from.Version != 0 {
		at, _ := slices.BinarySearchFunc(all, from, func(o object, k key) int { return compareKeys(keyOf(o), k) })
		all = all[at:]
	}
	all = slices.DeleteFunc(all, func(o object) bool { return !q.indexed(o) })
	meta := metav1.ListMeta{ResourceVersion: formatVersion(version)}
	var found []object
	for i, o := range all {
		if q.limit > 0 && len(found) == q.limit { // even if nothing more matches
			meta.Continue = c.rest(o, version)
			if left := int64(len(all) - i); q.labels.Empty() && q.fields.Empty() {
				meta.RemainingItemCount = &left
			}
			break
		}
		if q.matches(c.res.view(o)) {
			found = append(found, o)
		}
	}
	return c.answerList(found, meta)
}

// rest makes the token for the rest of a list, from its first object on.
func (c *call) rest(o object, version uint64) string {
	token, err := json.Marshal(page{version, o.GetNamespace(), o.GetName()})
	if err != nil {
		panic(err) // a number and two strings
	}
	return base64.RawURLEncoding.EncodeToString(token)
}

// asOf answers every object at the version that the list wants.
func (c *call) asOf(q *question) ([]object, uint64, error) {
	home := c.res.home()
	exact := q.version
	if q.match != metav1.ResourceVersionMatchExact {
		exact = 0
	}
	if q.from.Version != 0 {
		exact = q.from.Version
	}
	all, now := c.store.now(home, c.namespace)
	switch {
	case max(q.version, exact) > now:
		return nil, 0, tooLarge(max(q.version, exact), now)
	case exact != 0 && exact != now:
		all, err := c.store.at(home, c.namespace, exact)
		if err != nil && q.from.Version != 0 {
			err = apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent " +
				"list result. You can start a new list without the continue parameter.")
		}
		return all, exact, err
	}
	return all, now, nil
}

// tooLarge answers who asks for a version that there is not yet.
func tooLarge(asked, now uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", asked, now), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// answerList writes stored objects as a list, in the form that was asked for.
func (c *call) answerList(stored []object, meta metav1.ListMeta) error {
	if c.res.stored != nil {
		for i, o := range stored {
			stored[i] = c.res.view(o)
		}
	}
	if c.form.as != "" {
		c.form.write(c.w, http.StatusOK, c.transformList(stored, meta))
		return nil
	}
	c.form.write(c.w, http.StatusOK, c.res.listMeta(c.res.list(stored), meta))
	return nil
}

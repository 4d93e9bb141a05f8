package kubernetes

import (
	"bytes"
	"context"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ServeHTTP answers one request of the API, after whatever faults it meets.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.requests.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.requests.inside.Done()
	met := s.faults.meet(r)
	if met.down {
		panic(http.ErrAbortHandler)
	}
	s.faults.unstalled(r.Context())
	if !wait(r.Context(), met.before) {
		return
	}
	plain, _ := negotiate(r.Header.Get("Accept"), false)
	switch {
	case met.code != 0:
		if met.done {
			s.route(&heldAnswer{header: http.Header{}}, withoutStream(r))
		}
		plain.writeError(w, refused(met.code))
		return
	case !s.admits(r):
		plain.writeError(w, apierrors.NewUnauthorized("Unauthorized"))
		return
	case !met.cut && met.after == 0:
		s.route(w, r)
		return
	}
	held := &heldAnswer{header: http.Header{}, code: http.StatusOK}
	s.route(held, withoutStream(r))
	if met.cut {
		panic(http.ErrAbortHandler)
	}
	if wait(r.Context(), met.after) {
		held.release(w)
	}
}

// admits says whether a request carries the token, where one is wanted.
func (s *Server) admits(r *http.Request) bool {
	if s.config.Token == "" {
		return true
	}
	token, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return is && subtle.ConstantTimeCompare([]byte(token), []byte(s.config.Token)) == 1
}

// heldAnswer keeps an answer back.
type heldAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header         { return h.header }
func (h *heldAnswer) WriteHeader(code int)        { h.code = code }
func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heldAnswer) release(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(h.code)
	_, _ = w.Write(h.body.Bytes()) // the client is gone: there is nobody to tell
}

// withoutStream ends a watch and a followed log at once: an answer that is held
// back has an end.
func withoutStream(r *http.Request) *http.Request {
	if q := r.URL.Query(); q.Has("watch") || q.Has("follow") {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		return r.WithContext(ctx)
	}
	return r
}

// call is one request on a resource.
type call struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	query url.Values
	form  form

	res       *resource
	namespace string // "" for all, and for resources without
	name      string
	sub       string // subresource
}

// route finds who answers a path.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var gv schema.GroupVersion
	switch {
	case parts[0] == "api" && len(parts) > 2:
		gv, parts = schema.GroupVersion{Version: parts[1]}, parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		gv, parts = schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:]
	default:
		s.discover(w, r, parts)
		return
	}
	c := &call{Server: s, w: w, r: r, query: r.URL.Query()}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" {
		c.namespace, parts = parts[1], parts[2:]
	}
	parts = append(parts, "", "")
	c.name, c.sub = parts[1], parts[2]
	if gv == metricsVersion && parts[0] == "pods" && len(parts) <= 4 && c.sub == "" {
		c.metrics()
		return
	}
	for _, res := range resources {
		if res.gvk.GroupVersion() == gv && res.plural == parts[0] {
			c.res = res
		}
	}
	if c.res == nil || len(parts) > 5 || c.namespace != "" && !c.res.namespaced {
		jsonForm.writeError(w, nowhere())
		return
	}
	c.serve()
}

// has says whether the resource has a subresource; "" is the resource itself.
func (r *resource) has(sub string) bool {
	return sub == "" || sub == "status" && r.status || r == pods && slices.Contains([]string{"log", "eviction"}, sub)
}

func (c *call) serve() {
	var ok bool
	if c.form, ok = negotiate(c.r.Header.Get("Accept"), c.sub == ""); !ok && c.sub != "log" {
		c.form.writeError(c.w, unserved(http.StatusNotAcceptable, "NotAcceptable",
			"only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"))
		return
	}
	if !c.res.has(c.sub) {
		c.fail(nowhere())
		return
	}
	verb := c.verb()
	if verb == nil {
		c.fail(unserved(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed,
			"the server does not allow this method on the requested resource"))
		return
	}
	err := c.writes()
	if err == nil {
		err = verb()
	}
	if err != nil {
		c.fail(err)
	}
}

// writes looks at the options of a write, which come before its body. A
// deletion's may stand in the body.
func (c *call) writes() error {
	switch c.r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		_, err := c.dryRun(nil)
		return err
	}
	return nil
}

// unserved refuses what is asked for at a place where nobody serves it.
func unserved(code int, reason metav1.StatusReason, message string) error {
	err := refusal(code, reason, "%s", message)
	err.ErrStatus.Details = &metav1.StatusDetails{}
	return err
}

func nowhere() error {
	return unserved(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
}

// verb answers what the method and the path ask for, nil when there is none.
func (c *call) verb() func() error {
	whole := c.name == ""
	somewhere := c.namespace != "" || !c.res.namespaced // a single object has its place
	switch c.r.Method {
	case http.MethodGet:
		switch {
		case whole && c.flag("watch"):
			return c.watch
		case whole:
			return c.list
		case c.sub == "log":
			return c.log
		case somewhere && c.sub != "eviction":
			return c.get
		}
	case http.MethodPost:
		switch {
		case c.sub == "eviction":
			return c.evict
		case whole && somewhere:
			return c.create
		}
	case http.MethodPut:
		if !whole && somewhere && writable(c.sub) {
			return c.update
		}
	case http.MethodPatch:
		if !whole && somewhere && writable(c.sub) {
			return c.patch
		}
	case http.MethodDelete:
		switch {
		case whole && somewhere:
			return c.deleteAll
		case somewhere && c.sub == "":
			return c.delete
		}
	}
	return nil
}

func writable(sub string) bool { return sub == "" || sub == "status" }

func (c *call) flag(name string) bool {
	switch v := c.query.Get(name); v {
	case "", "0", "false", "False":
		return false
	}
	return true
}

func (c *call) fail(err error) {
	plain := c.form
	plain.as = ""
	plain.writeError(c.w, err)
}

// answer writes an object, in the form that was asked for.
func (c *call) answer(code int, o object) error {
	c.form.write(c.w, code, c.transform(c.res.stamp(c.res.view(o)), true, true))
	return nil
}

func (c *call) key() key { return key{c.namespace, c.name} }

// dryRun says whether nothing is to be changed.
func (c *call) dryRun(options []string) (bool, error) {
	options = append(options, c.query["dryRun"]...)
	kinds := map[string]string{http.MethodPost: "CreateOptions", http.MethodPut: "UpdateOptions",
		http.MethodPatch: "PatchOptions", http.MethodDelete: "DeleteOptions"}
	return len(options) > 0, badOptions(kinds[c.r.Method], metav1validation.ValidateDryRun(field.NewPath("dryRun"), options))
}

// badOptions refuses a request's options for what is wrong with them, if anything
// is.
func badOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

package kubernetes

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/porttest/real"
)

// pair is the stand-in and a real API server, which are asked the same. Neither
// has a scheduler or a kubelet: whatever happens to a pod, the test does.
type pair struct {
	t     *testing.T
	sides [2]*side // the stand-in, the real one
	tally map[int]int
	past  []string // the last requests and their statuses

	standIn *Server
	cluster *real.Cluster
}

// ask is one request. Strings in Path, Query and Body may hold references that
// each side resolves by what it has answered: ${uid:pods/a}, ${version:pods/a},
// ${before:pods/a} (the version before the last), ${continue:pods} and ${list:pods}
// (the last list's token and version), ${namespace}.
type ask struct {
	Method string
	Path   string            // below the namespace; from the root with a leading slash
	Query  map[string]string `json:",omitempty"`
	Header map[string]string `json:",omitempty"`
	Type   string            `json:",omitempty"` // of the body; JSON by default
	Body   any               `json:",omitempty"`
	Raw    string            `json:",omitempty"` // instead of Body
	Last   bool              `json:",omitempty"` // Body is laid over the object as it was last seen
}

func (a ask) String() string {
	text, _ := json.Marshal(a) // of strings and maps
	return string(text)
}

// newPair starts both sides. Where no real API server is to be had the test is
// skipped.
func newPair(t *testing.T, config Config) *pair {
	t.Helper()
	cluster := real.Kubernetes(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cluster.CA)
	config.Token = cluster.Token
	s, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.store.mu.Lock()
	s.store.onChange = func(change) {} // the kubelet hears of nothing
	s.store.mu.Unlock()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &pair{t: t, tally: map[int]int{}, standIn: s, cluster: cluster, sides: [2]*side{
		newSide("stand-in", s.URL(), cluster.Token, http.DefaultTransport), newSide("real", cluster.URL, cluster.Token, transport)}}
}

// in begins anew in a namespace that nobody has used.
func (p *pair) in(namespace string) {
	p.t.Helper()
	for _, s := range p.sides {
		*s = *newSide(s.name, s.url, s.token, s.http.Transport)
		s.namespace = namespace
	}
	p.past = nil
	p.do(ask{Method: "POST", Path: "/api/v1/namespaces", Body: object1("Namespace", namespace, nil)})
	// The stand-in knows no accounts; the real one wants one, whose token would be a
	// volume of every pod.
	account := object1("ServiceAccount", "default", tree{"automountServiceAccountToken": false})
	theirs := p.sides[1]
	if a := theirs.send(p.t, ask{Method: "POST", Path: "serviceaccounts", Body: account}); a.code != http.StatusCreated {
		p.t.Fatalf("the account default: %d %v", a.code, a.body)
	}
	for _, s := range p.sides {
		clear(s.symbols)
		clear(s.count)
	}
}

// do asks both sides and compares the answers. It says whether they were the same.
func (p *pair) do(a ask) bool {
	p.t.Helper()
	var got [2]answer
	if a.Method == http.MethodGet && a.Query["resourceVersion"] != "" && a.Query["watch"] == "" {
		p.sides[1].catchUp(p.t, a.Path)
	}
	for i, s := range p.sides {
		got[i] = s.send(p.t, a)
	}
	p.tally[got[1].code]++
	p.past = append(p.past, fmt.Sprintf("%d %v", got[1].code, a))
	if len(p.past) > 12 {
		p.past = p.past[1:]
	}
	return p.same(fmt.Sprint(a), got[0].tree(), got[1].tree())
}

// same compares two normalised trees after what is meant to differ is gone.
func (p *pair) same(what string, mine, theirs tree) bool {
	p.t.Helper()
	intended(mine, theirs)
	a, b := lines(mine), lines(theirs)
	if slices.Equal(a, b) {
		return true
	}
	var differ strings.Builder
	for _, l := range a {
		if !slices.Contains(b, l) {
			differ.WriteString("  stand-in: " + l + "\n")
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			differ.WriteString("  real:     " + l + "\n")
		}
	}
	if differ.Len() == 0 {
		differ.WriteString("  the order of\n  " + strings.Join(a, "\n  ") + "\n  is\n  " + strings.Join(b, "\n  ") + "\n")
	}
	p.t.Errorf("%s\n%s  after\n    %s", what, &differ, strings.Join(p.past, "\n    "))
	return false
}

// given is what the times begin with that requests name.
const given = "2026-01-02T"

type tree = map[string]any

// answer is what came back, with everything named alike on both sides.
type answer struct {
	code int
	kind string // media type
	body any
}

func (a answer) tree() tree { return tree{"code": a.code, "type": a.kind, "body": a.body} }

// side is one of the two, and what it has answered so far.
type side struct {
	name, url, token, namespace string
	http                        *http.Client

	objects map[string][]tree // what was seen at a path, as it was
	lists   map[string]tree   // the metadata of the last list at a path
	symbols map[string]string // of UIDs and versions
	count   map[string]int    // of the symbols for each
}

func newSide(name, url, token string, transport http.RoundTripper) *side {
	return &side{name: name, url: url, token: token, http: &http.Client{Transport: transport, Timeout: time.Minute},
		objects: map[string][]tree{}, lists: map[string]tree{}, symbols: map[string]string{}, count: map[string]int{}}
}

func (s *side) send(t *testing.T, a ask) answer {
	t.Helper()
	resp, err := s.http.Do(s.request(t, a))
	if err != nil {
		t.Fatalf("%s: %v: %v", s.name, a, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v: %v", s.name, a, err)
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	var body any
	if json.Unmarshal(data, &body) != nil {
		return answer{resp.StatusCode, kind, strings.TrimSpace(string(data))}
	}
	s.remember(s.resolve(a.Path), body)
	return answer{resp.StatusCode, kind, s.normal("", body)}
}

// catchUp waits until a real API server's cache has what was written last: who asks
// for something not older than a version may be answered what stood in between, which
// the stand-in never does. A list without a version waits for that.
func (s *side) catchUp(t *testing.T, path string) {
	t.Helper()
	resp, err := s.http.Do(s.request(t, ask{Method: http.MethodGet, Path: path}))
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, path, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("%s: %s: %v", s.name, path, err)
	}
}

func (s *side) request(t *testing.T, a ask) *http.Request {
	t.Helper()
	content := []byte(s.resolve(a.Raw))
	if a.Body != nil || a.Last {
		body := a.Body
		if seen := s.objects[s.resolve(a.Path)]; a.Last && len(seen) > 0 {
			body = overlaid(seen[len(seen)-1], a.Body)
		}
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = []byte(s.resolve(string(encoded)))
	}
	query := url.Values{}
	for k, v := range a.Query {
		query.Set(k, s.resolve(v))
	}
	req, err := http.NewRequestWithContext(t.Context(), a.Method, s.place(a.Path)+"?"+query.Encode(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if len(content) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.Type != "" {
		req.Header.Set("Content-Type", a.Type)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	for k, v := range a.Header {
		req.Header.Set(k, v)
	}
	return req
}

// place is a path's address.
func (s *side) place(path string) string {
	path = s.resolve(path)
	switch group, rest, _ := strings.Cut(path, "/"); {
	case group == "":
		return s.url + path
	case group == "leases":
		return s.url + "/apis/coordination.k8s.io/v1/namespaces/" + s.namespace + "/" + path
	case group == "later":
		return s.url + "/apis/events.k8s.io/v1/namespaces/" + s.namespace + "/" + rest
	}
	return s.url + "/api/v1/namespaces/" + s.namespace + "/" + path
}

var reference = regexp.MustCompile(`\$\{(uid|version|before|continue|list):([^}]*)\}`)

// resolve puts the side's own values in place of references, "0" or a UID that
// nobody has where it has none.
func (s *side) resolve(text string) string {
	text = strings.ReplaceAll(text, "${namespace}", s.namespace)
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		part := reference.FindStringSubmatch(found)
		path := part[2]
		seen := s.objects[path]
		at := func(back int, field, none string) string {
			if len(seen) < back {
				return none
			}
			value, _ := seen[len(seen)-back]["metadata"].(tree)[field].(string)
			return value
		}
		switch part[1] {
		case "uid":
			return at(1, "uid", "00000000-0000-0000-0000-000000000000")
		case "version":
			return at(1, "resourceVersion", "1")
		case "before":
			return at(2, "resourceVersion", "1")
		case "continue":
			token, _ := s.lists[path]["continue"].(string)
			return token
		default:
			version, _ := s.lists[path]["resourceVersion"].(string)
			return version
		}
	})
}

// remember keeps what later references name.
func (s *side) remember(path string, body any) {
	o, is := body.(tree)
	if !is || o["kind"] == "Status" {
		return
	}
	meta, _ := o["metadata"].(tree)
	if _, is := o["items"]; is {
		s.lists[path] = meta
		return
	}
	name, _ := meta["name"].(string)
	plural, _, _ := strings.Cut(strings.TrimSuffix(path, "/status"), "/")
	if plural != "" && name != "" {
		seen := append(s.objects[plural+"/"+name], o)
		if n := len(seen); n > 1 && seen[n-2]["metadata"].(tree)["resourceVersion"] == meta["resourceVersion"] {
			seen = slices.Delete(seen, n-2, n-1)
		}
		s.objects[plural+"/"+name] = seen
	}
}

// normal names UIDs and versions by the order in which they turned up, and leaves
// out times and whose field is whose.
func (s *side) normal(key string, value any) any {
	switch v := value.(type) {
	case tree:
		out := tree{}
		_, list := v["continue"]
		_, named := v["name"]
		for _, k := range sortedKeys(v) {
			switch {
			case k == "managedFields" || k == "selfLink":
			case k == "resourceVersion" && key == "metadata" && (list || !named):
				out[k] = "that of a list"
			default:
				out[k] = s.normal(k, v[k])
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = s.normal(key, v[i])
		}
		return out
	case string:
		switch key {
		case "uid", "resourceVersion":
			return s.symbol(key, v)
		case "creationTimestamp", "deletionTimestamp":
			return "a time"
		case "continue":
			return "a token"
		}
		return s.plain(v)
	}
	return value
}

func (s *side) symbol(key, value string) string {
	if s.symbols[value] == "" {
		s.count[key]++
		s.symbols[value] = fmt.Sprintf("%s %d", key, s.count[key])
	}
	return s.symbols[value]
}

var (
	uidLike  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeLike = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`)
	// The random requests' names are generated with this prefix.
	generatedLike = regexp.MustCompile(`\b(made-[0-9]+-|Not_a_prefix)[a-z0-9]{5}\b`)
	versionLike   = regexp.MustCompile(`\b[0-9]+\b`)
)

// plain puts symbols in place of what a text names.
func (s *side) plain(text string) string {
	text = uidLike.ReplaceAllStringFunc(text, func(found string) string { return s.symbol("uid", found) })
	text = timeLike.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, given) {
			return found
		}
		return "a time"
	})
	text = generatedLike.ReplaceAllString(text, "$1…")
	if strings.Contains(text, "resource version") || strings.Contains(text, "ResourceVersion") {
		text = versionLike.ReplaceAllString(text, "N")
	}
	return text
}

func sortedKeys(t tree) []string {
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// overlaid answers an object with some of its fields replaced, the removed ones
// being null.
func overlaid(below tree, over any) any {
	top, is := over.(tree)
	if !is {
		return below
	}
	out := tree{}
	for k, v := range below {
		out[k] = v
	}
	for k, v := range top {
		if under, is := out[k].(tree); is {
			v = overlaid(under, v)
		}
		out[k] = v
	}
	return out
}

// object1 is an object of a core kind with a name.
func object1(kind, name string, more tree) tree {
	o := tree{"apiVersion": "v1", "kind": kind, "metadata": tree{"name": name}}
	if name == "" {
		o["metadata"] = tree{}
	}
	return overlaid(o, more).(tree)
}

// lines writes a tree as one line for each leaf.
func lines(value any) []string {
	var all []string
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch v := value.(type) {
		case tree:
			for _, k := range sortedKeys(v) {
				walk(at+"."+k, v[k])
			}
			if len(v) == 0 {
				all = append(all, at+" = {}")
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), v[i])
			}
			if len(v) == 0 {
				all = append(all, at+" = []")
			}
		default:
			all = append(all, fmt.Sprintf("%s = %v", at, v))
		}
	}
	walk("", value)
	return all
}

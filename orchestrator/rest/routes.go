package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// place says which process answers a call.
type place uint8

const (
	here     place = iota // any process
	atLeader              // the kind's leader
	atStream              // the leader of the kind asked for, or of all
)

// limit says what a call is counted in.
type limit uint8

const (
	limitNone   limit = iota // answered even by a server that is full
	limitRead                // MaxAtOnce, ReadLimit
	limitOrder               // its own gate, OrderLimit
	limitStream              // MaxStreams, no limit in time
)

// param is a parameter of the query.
type param struct {
	name, typ, about string
}

// route is one call. What is not about answering it goes into the description.
type route struct {
	method, path string
	scope        Scope
	place        place
	limit        limit
	handle       func(*Server, *call) error

	about    string   // one sentence
	query    []param  // all that there are; any other is refused unless lenient
	lenient  bool     // other parameters are ignored: one of CONTRACT.md's reads
	body     string   // type of package api, or anyObject; empty for none
	needBody bool     // an empty body is refused
	preview  bool     // with dryRun=true it changes nothing, and counts as a read
	answers  []answer // that are no errors
	codes    []int    // statuses of errors that are this call's own
}

// answer is one way in which a call is answered.
type answer struct {
	status int
	typ    string // of package api, or a media type
	about  string
}

// anyObject is a body that is a JSON object of other fields.
const anyObject = "object"

const kindPath = "/v1/api/orchestrations/{resource}"

// routes is every call that there is.
//
// A resource's id may be any text, so no path of ours may be a resource's by
// CONTRACT.md: …/{resource}/{id}/instances. Ours below {resource} have one or
// three segments, or do not end in "instances".
var routes = []route{
	{method: "POST", path: kindPath + "/orchestrate", scope: ScopeWrite, place: atLeader, limit: limitOrder, handle: (*Server).orchestrate,
		about:   "Re-orchestrate: compute the orchestration anew and bring ZooKeeper and Kubernetes to it. Answers when done.",
		preview: true, query: orchestrateQuery, body: "OrchestrateRequest", answers: orchestrateAnswers, codes: []int{409}},
	{method: "POST", path: kindPath + "/orchestrations", scope: ScopeWrite, place: atLeader, limit: limitOrder, handle: (*Server).orchestrate,
		about:   "The same as …/orchestrate, under the name that the web UI uses.",
		preview: true, query: orchestrateQuery, body: "OrchestrateRequest", answers: orchestrateAnswers, codes: []int{409}},
	{method: "GET", path: kindPath, scope: ScopeRead, limit: limitRead, handle: (*Server).orchestration,
		about: "The orchestration: every instance and the resources on it.", lenient: true,
		query:   []param{{"ids", "boolean", "false leaves the lists of ids out; default true"}},
		answers: []answer{{200, "Orchestration", "The orchestration, as a stream."}}},
	{method: "GET", path: kindPath + "/{id}/instances", scope: ScopeRead, limit: limitRead, handle: (*Server).where,
		about: "Where a resource runs. The id is percent-encoded, a slash as %2F.", lenient: true,
		answers: []answer{{200, "Location", "Where it runs."}}},

	{method: "GET", path: "/v1/api/orchestrations", scope: ScopeRead, limit: limitRead, handle: (*Server).kinds,
		about: "All kinds, each with its leader and its totals.", answers: []answer{{200, "Kinds", "The kinds."}}},
	{method: "GET", path: kindPath + "/instances", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).instances,
		about: "The instances with load, phase and signs of life.", answers: []answer{{200, "Instances", "The instances."}}},
	{method: "GET", path: kindPath + "/resources", scope: ScopeRead, limit: limitRead, handle: (*Server).search,
		about: "Resources whose ids begin with a prefix, in pages.",
		query: []param{
			{"prefix", "string", "what the ids begin with; default empty: all"},
			{"after", "string", "only ids greater than this one: next of the page before"},
			{"limit", "integer", "of a page; 1 to 1000, default 100"}},
		answers: []answer{{200, "Search", "A page."}}},
	{method: "GET", path: kindPath + "/resources/{id}/moves", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).moves,
		about: "What is remembered of where a resource stood, and why it moved.", answers: []answer{{200, "Moves", "The moves."}}},
	{method: "POST", path: kindPath + "/instances/{instance}/drain", scope: ScopeWrite, place: atLeader, limit: limitOrder, handle: (*Server).drain,
		about:   "Move an instance's resources to the others, then let it go.",
		query:   []param{{"wait", "boolean", "true answers when it has gone; default false: as soon as the order is accepted"}},
		answers: []answer{{200, "Done", "It has gone."}, {202, "Done", "It is being drained."}}, codes: []int{409}},
	{method: "POST", path: kindPath + "/instances/{instance}/undrain", scope: ScopeWrite, place: atLeader, limit: limitOrder, handle: (*Server).undrain,
		about: "Take back a drain that has not finished.", answers: []answer{{200, "Done", "It is open again."}}, codes: []int{409}},
	{method: "POST", path: kindPath + "/instances/{instance}/replace", scope: ScopeWrite, place: atLeader, limit: limitOrder, handle: (*Server).replace,
		about: "Delete an instance's pod and create it anew; its list stays.", answers: []answer{{202, "Done", "It is being replaced."}}, codes: []int{409}},
	{method: "GET", path: kindPath + "/maintenance", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).maintenance,
		about: "Whether the mode is on in which nothing is done automatically.", answers: []answer{{200, "Maintenance", "The mode."}}},
	{method: "PUT", path: kindPath + "/maintenance", scope: ScopeWrite, place: atLeader, limit: limitOrder, handle: (*Server).setMaintenance,
		about: "Switch maintenance mode on or off.", body: "Maintenance", needBody: true,
		answers: []answer{{200, "Maintenance", "The mode as it is now."}}, codes: []int{409}},
	{method: "GET", path: kindPath + "/progress", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).progress,
		about: "How far the running re-orchestration is.", answers: []answer{{200, "Progress", "The progress."}}},
	{method: "GET", path: kindPath + "/status", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).status,
		about: "Leader, stage, alarms, what is pending and why, counters.", answers: []answer{{200, "Status", "The status."}}},

	{method: "GET", path: kindPath + "/instances/{instance}/pod", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).pod,
		about: "An instance's pod, and what Kubernetes says happened to the pods of its name.", answers: []answer{{200, "Pod", "The pod."}}},
	{method: "GET", path: kindPath + "/instances/{instance}/resources", scope: ScopeRead, limit: limitRead, handle: (*Server).resources,
		about: "The resources on an instance, in pages.",
		query: []param{
			{"after", "string", "only ids greater than this one: next of the page before"},
			{"limit", "integer", "of a page; 1 to 1000, default 100"}},
		answers: []answer{{200, "Search", "A page."}}},
	{method: "GET", path: kindPath + "/reorchestrations", scope: ScopeRead, place: atLeader, limit: limitRead, handle: (*Server).reorchestrations,
		about: "The latest runs of re-orchestrating.", answers: []answer{{200, "Reorchestrations", "The runs."}}},

	{method: "GET", path: "/v1/api/about", scope: ScopeRead, limit: limitRead, handle: (*Server).about,
		about: "Who answers, what the caller may do, and what is offered beyond every server's calls.", answers: []answer{{200, "About", "Who answers."}}},
	{method: "GET", path: "/v1/api/events/recent", scope: ScopeRead, place: atStream, limit: limitRead, handle: (*Server).recent,
		about: "The latest events, newest first.",
		query: []param{
			{"resource", "string", "only events of this kind; default: of all"},
			{"instance", "integer", "only events about this instance, and moves to it and from it"},
			{"resourceId", "string", "only moves of this resource"},
			{"type", "string", "only events of this type"},
			{"limit", "integer", "1 to 1000, default 100"}},
		answers: []answer{{200, "Recent", "The events."}}, codes: []int{409}},
	{method: "GET", path: "/v1/api/time", scope: ScopeRead, limit: limitRead, handle: (*Server).clock,
		about: "Which moment of a simulation or a recording is shown. Elsewhere: 404 not_offered.", answers: []answer{{200, "Clock", "The moment."}}},
	{method: "PUT", path: "/v1/api/time", scope: ScopeWrite, limit: limitRead, handle: (*Server).setClock,
		about: "Pause, go on, change the speed, or show another moment, to all who watch.", body: "ClockChange", needBody: true,
		answers: []answer{{200, "Clock", "The moment that is shown now."}}, codes: []int{409}},
	{method: "POST", path: "/v1/api/time/step", scope: ScopeWrite, limit: limitRead, handle: (*Server).step,
		about: "Go on, or back, by a number of events, and pause.", body: "Step", needBody: true,
		answers: []answer{{200, "Clock", "The moment that is shown now."}}, codes: []int{409}},
	{method: "GET", path: "/v1/api/timeline", scope: ScopeRead, limit: limitRead, handle: (*Server).timeline,
		about:   "Marks and figures over the whole time of a simulation or a recording.",
		query:   []param{{"buckets", "integer", "at most so many spans of time; 1 to 2000, default 200"}},
		answers: []answer{{200, "Timeline", "The timeline."}}},
	{method: "GET", path: "/v1/api/faults", scope: ScopeRead, limit: limitRead, handle: (*Server).faults,
		about: "What can be broken in a simulation, and what is broken at the moment shown.", answers: []answer{{200, "Faults", "The faults."}}},
	{method: "POST", path: "/v1/api/faults", scope: ScopeWrite, limit: limitOrder, handle: (*Server).inject,
		about: "Break something in a simulation: a fault as a scenario file has it, without \"at\".", body: anyObject, needBody: true,
		answers: []answer{{200, "Injected", "It is broken."}}, codes: []int{409}},

	{method: "GET", path: "/v1/api/events", scope: ScopeRead, place: atStream, limit: limitStream, handle: (*Server).stream,
		about:   "What happens, as server-sent events: event is the type, data an Event. Resumable with the header Last-Event-ID.",
		query:   []param{{"resource", "string", "only events of this kind; default: of all"}},
		answers: []answer{{200, "text/event-stream", "The stream; it does not end by itself."}}, codes: []int{409}},
	{method: "GET", path: "/v1/api/health", handle: (*Server).ready, lenient: true,
		about: "How the process is. Needs no token; what is wrong is told to those who may read.", answers: healthAnswers},
	{method: "GET", path: "/healthz", handle: (*Server).live, lenient: true,
		about: "Whether the process can go on: if not, restart it. Needs no token.", answers: healthAnswers},
	{method: "GET", path: "/readyz", handle: (*Server).ready, lenient: true,
		about: "Whether the process answers reads. Needs no token.", answers: healthAnswers},
	{method: "GET", path: "/metrics", scope: ScopeRead, limit: limitRead, handle: (*Server).metrics, lenient: true,
		about: "Metrics in the Prometheus text format.", answers: []answer{{200, "text/plain", "The metrics."}}},
	{method: "GET", path: "/openapi.json", scope: ScopeRead, limit: limitRead, handle: (*Server).description, lenient: true,
		about: "This description.", answers: []answer{{200, "application/json", "An OpenAPI 3 document."}}},
}

var (
	orchestrateQuery = []param{
		{"dryRun", "boolean", "true answers what would be done, and changes nothing: a token that may read is enough; default false"},
		{"limit", "integer", "of the moves that a dry run lists; 0 to 10000, default 1000"}}
	orchestrateAnswers = []answer{{200, "Orchestrated|Plan", "It is done; or, with dryRun=true, the plan."}}
	healthAnswers      = []answer{{200, "Health", "It is well."}, {503, "Health", "It is not."}}
)

// node is a place in the tree of paths, by segment.
type node struct {
	fixed map[string]*node
	param *node
	route map[string]*route // by method; nil where no path ends
}

func newTree(rs []route) *node {
	root := &node{}
	for i := range rs {
		at := root
		for seg := range strings.SplitSeq(rs[i].path[1:], "/") {
			next := &at.param
			if seg[0] != '{' {
				if at.fixed == nil {
					at.fixed = map[string]*node{}
				}
				n := at.fixed[seg]
				next = &n
			}
			if *next == nil {
				*next = &node{}
			}
			if seg[0] != '{' {
				at.fixed[seg] = *next
			}
			at = *next
		}
		if at.route == nil {
			at.route = map[string]*route{}
		}
		at.route[rs[i].method] = &rs[i]
	}
	return root
}

// args are the variable segments of a path, in order.
type args struct {
	v [2]string
	n int
}

// find answers the node of an escaped path without its first slash, nil when
// there is none. Segments are not empty. A fixed segment is preferred where it
// leads to the end.
func (n *node) find(path string, a *args) *node {
	seg, rest, more := strings.Cut(path, "/")
	if seg == "" {
		return nil
	}
	down := func(next *node) *node {
		if next == nil {
			return nil
		}
		if more {
			return next.find(rest, a)
		}
		if next.route == nil {
			return nil
		}
		return next
	}
	if end := down(n.fixed[seg]); end != nil {
		return end
	}
	if n.param == nil || a.n == len(a.v) {
		return nil
	}
	a.v[a.n] = seg
	a.n++
	end := down(n.param)
	if end == nil {
		a.n--
	}
	return end
}

// match finds the path of a request: its node and its variable segments,
// unescaped. One slash at the end is overlooked.
func (s *Server) match(u *url.URL) (n *node, a args, err error) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if n = s.tree.find(path, &a); n == nil {
		return nil, a, errNoPath
	}
	for i := range a.n {
		if a.v[i], err = unescape(a.v[i]); err != nil {
			return n, a, err
		}
	}
	return n, a, nil
}

// allow lists the methods of a path, as the header Allow has them.
func (n *node) allow() string {
	methods := make([]string, 0, len(n.route)+1)
	for m := range n.route {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

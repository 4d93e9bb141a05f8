package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// toldWithin is how long the rest of a watch may take. One that lacks the last event
// would tell no more, and the test would never end.
const toldWithin = 2 * time.Minute

// stream is one watch on both sides.
type stream struct {
	ask  ask
	from [2]*json.Decoder
	body [2]io.Closer
	end  [2]context.CancelFunc
}

// watched are what is watched during random requests: the closing object (see
// compareWatches) matches every one.
var watched = []ask{
	{Path: "pods"},
	{Path: "pods", Query: map[string]string{"labelSelector": "app in (x,y)"}},
	{Path: "pods", Query: map[string]string{"fieldSelector": "spec.nodeName=n-0"}},
	{Path: "pods", Query: map[string]string{"fieldSelector": "status.phase=Pending,metadata.name!=a"}},
	{Path: "/api/v1/pods", Query: map[string]string{"fieldSelector": "metadata.namespace=${namespace}"}},
	{Path: "configmaps"},
	{Path: "events"},
	{Path: "leases"},
}

// watchAll begins every watch from the version of a list.
func (p *pair) watchAll() []*stream {
	p.t.Helper()
	var all []*stream
	for _, a := range watched {
		a.Method = http.MethodGet
		p.do(a)
		query := map[string]string{"watch": "1", "resourceVersion": "${list:" + a.Path + "}", "allowWatchBookmarks": "true"}
		for k, v := range a.Query {
			query[k] = v
		}
		a.Query = query
		all = append(all, p.watch(a))
	}
	return all
}

// watch begins one on both sides, which ends with the test.
func (p *pair) watch(a ask) *stream {
	p.t.Helper()
	w := &stream{ask: a}
	for i, s := range p.sides {
		ctx, cancel := context.WithCancel(p.t.Context())
		resp, err := (&http.Client{Transport: s.http.Transport}).Do(s.request(p.t, a).WithContext(ctx))
		if err != nil {
			p.t.Fatalf("%s: %v: %v", s.name, a, err)
		}
		p.t.Cleanup(func() { resp.Body.Close() })
		w.from[i], w.body[i], w.end[i] = json.NewDecoder(resp.Body), resp.Body, cancel
	}
	return w
}

// compareWatches makes a last object of each resource, and compares what every
// watch told up to it.
func (p *pair) compareWatches(all []*stream) {
	p.t.Helper()
	if p.t.Failed() {
		return
	}
	const last = "zz-last"
	pod := object1("Pod", last, tree{"spec": tree{"nodeName": "n-0", "containers": []any{tree{"name": "c", "image": "i"}}}})
	pod["metadata"].(tree)["labels"] = tree{"app": "x"}
	p.do(ask{Method: "POST", Path: "pods", Body: pod})
	p.do(ask{Method: "POST", Path: "configmaps", Body: object1("ConfigMap", last, nil)})
	p.do(ask{Method: "POST", Path: "events", Body: object1("Event", last, tree{"involvedObject": tree{"namespace": "${namespace}"}})})
	p.do(ask{Method: "POST", Path: "leases", Body: tree{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": tree{"name": last}}})
	for _, w := range all {
		var told [2][]any
		for i, s := range p.sides {
			late := time.AfterFunc(toldWithin, w.end[i])
			told[i] = s.told(p, w.from[i], last)
			late.Stop()
			w.body[i].Close()
		}
		p.past = nil
		if !p.same(fmt.Sprintf("watch %v", w.ask), tree{"events": told[0]}, tree{"events": told[1]}) {
			return
		}
	}
}

// told reads a watch's events up to that of an object's name.
func (s *side) told(p *pair, from *json.Decoder, last string) []any {
	p.t.Helper()
	var all []any
	for {
		var event tree
		if err := from.Decode(&event); err != nil {
			p.t.Fatalf("%s: a watch ended after %d events, or told nothing of %s for %v: %v", s.name, len(all), last, toldWithin, err)
		}
		if event["type"] == "BOOKMARK" {
			continue
		}
		meta, _ := event["object"].(tree)["metadata"].(tree)
		all = append(all, s.normal("", event))
		if meta["name"] == last || event["type"] == "ERROR" {
			return all
		}
	}
}

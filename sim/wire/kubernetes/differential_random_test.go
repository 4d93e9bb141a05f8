package kubernetes

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestSameAsRealKubernetes asks the stand-in and a real API server the same
// random requests, fit and unfit, and compares every answer and every watch.
func TestSameAsRealKubernetes(t *testing.T) {
	p := newPair(t, Config{})
	programs, steps := 100, 0
	if testing.Short() {
		programs = 10
	}
	program := rapid.Custom(func(t *rapid.T) []ask {
		g := &drawer{T: t}
		var all []ask
		for range 100 {
			all = append(all, g.ask())
		}
		return all
	})
	for seed := range programs {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			p.t = t
			p.in(fmt.Sprintf("random-%d", seed))
			watches := p.watchAll()
			for _, a := range program.Example(seed) {
				steps++
				if !p.do(a) {
					break
				}
			}
			p.compareWatches(watches)
		}) {
			break
		}
	}
	t.Logf("%d requests, by status: %v", steps, p.tally)
}

// drawer draws requests.
type drawer struct {
	*rapid.T
	generated int
}

// Content types of bodies.
const (
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	jsonPatchType  = "application/json-patch+json"
)

func (g *drawer) one(values ...string) string { return rapid.SampledFrom(values).Draw(g.T, "one") }
func (g *drawer) chance(percent int) bool {
	return rapid.IntRange(0, 99).Draw(g.T, "chance") < percent
}

func (g *drawer) ask() ask {
	kinds := []func() ask{g.createPod, g.createPod, g.createPod, g.get, g.get, g.list, g.list, g.patchPod, g.patchPod, g.patchPod,
		g.putPod, g.putPod, g.status, g.status, g.remove, g.remove, g.remove, g.configMap, g.configMap, g.event, g.event,
		g.lease, g.odd, g.removeMany, g.evict}
	return rapid.SampledFrom(kinds).Draw(g.T, "kind")()
}

func (g *drawer) podName() string { return "pods/" + g.one("a", "b", "c", "d") }

func (g *drawer) labels() tree { return tree{"app": g.one("x", "y", "z"), "n": g.one("0", "1", "2")} }

func (g *drawer) createPod() ask {
	meta := tree{"name": g.one("a", "b", "c", "d"), "labels": g.labels()}
	container := tree{"name": "main", "image": g.one("dac:1", "dac", "dac:latest", "host:5000/dac@sha256:0")}
	spec := tree{"containers": []any{container}}
	if g.chance(60) {
		spec["nodeName"] = g.one("n-0", "n-1")
	}
	if g.chance(40) {
		spec["terminationGracePeriodSeconds"] = rapid.SampledFrom([]int{0, 1, 5, 600}).Draw(g.T, "grace")
	}
	if g.chance(20) {
		container["env"] = []any{tree{"name": "ID", "value": "1"}, tree{"name": "OTHER"}}
		container["ports"] = []any{tree{"containerPort": 80}}
		container["resources"] = tree{"limits": tree{"cpu": "1", "memory": "1Gi"}}
	}
	if g.chance(10) {
		meta["finalizers"] = []any{"example.com/kept"}
	}
	if g.chance(10) {
		g.generated++
		delete(meta, "name")
		meta["generateName"] = fmt.Sprintf("made-%d-", g.generated)
	}
	pod := tree{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
	a := ask{Method: "POST", Path: "pods", Body: pod}
	if g.chance(20) {
		g.spoil(pod, meta, spec, container)
	}
	if g.chance(5) {
		a.Query = map[string]string{"dryRun": g.one("All", "Some")}
	}
	return a
}

// spoil makes a pod that the API server refuses, for the most part.
func (g *drawer) spoil(pod, meta, spec, container tree) {
	switch g.one("name", "no name", "label", "containers", "container", "image", "policy", "grace", "env", "twice", "namespace",
		"version", "kind", "apiVersion", "annotation", "finalizer", "long", "port", "uid", "pull", "generateName", "key", "node", "dns") {
	case "name":
		meta["name"] = "Not_a_name"
	case "no name":
		delete(meta, "name")
	case "label":
		meta["labels"] = tree{"app": "not a label"}
	case "key":
		meta["labels"] = tree{"-app": "x"}
	case "containers":
		spec["containers"] = []any{}
	case "container":
		container["name"] = g.one("", "Not_a_name")
	case "image":
		container["image"] = g.one("", " dac")
	case "policy":
		spec["restartPolicy"] = "Sometimes"
	case "grace":
		spec["terminationGracePeriodSeconds"] = -1
	case "env":
		container["env"] = []any{tree{"name": g.one("", "a=b"), "value": "1"}}
	case "twice":
		spec["containers"] = []any{container, container}
	case "namespace":
		meta["namespace"] = "elsewhere"
	case "version":
		meta["resourceVersion"] = "7"
	case "kind":
		pod["kind"] = g.one("ConfigMap", "", "Nothing")
	case "apiVersion":
		pod["apiVersion"] = g.one("v2", "", "apps/v1")
	case "annotation":
		meta["annotations"] = tree{"not an annotation": "x"}
	case "finalizer":
		meta["finalizers"] = []any{"not a finalizer"}
	case "long":
		meta["name"] = fmt.Sprintf("%0300d", 1)
	case "port":
		container["ports"] = []any{tree{"containerPort": 0}}
	case "uid":
		meta["uid"] = "chosen"
	case "pull":
		container["imagePullPolicy"] = "Perhaps"
	case "generateName":
		delete(meta, "name")
		meta["generateName"] = "Not_a_prefix"
	case "node":
		spec["nodeName"] = "Not_a_node"
	case "dns":
		spec["dnsPolicy"] = "Unknown"
	}
}

func (g *drawer) get() ask {
	return ask{Method: "GET", Path: g.one(g.podName(), "configmaps/"+g.one("c", "k"), "events/e", "leases/l", "pods/a/status", "secrets/none")}
}

// selectors are what lists and watches are narrowed by.
func (g *drawer) selectors(query map[string]string) {
	if g.chance(40) {
		query["labelSelector"] = g.one("app=x", "app!=x", "app in (x,y)", "app notin (z),n=1", "app", "!app", "app=x,n=0", "app=", "a b", "app in (", "=x")
	}
	if g.chance(30) {
		query["fieldSelector"] = g.one("metadata.name=a", "metadata.name!=a", "spec.nodeName=n-0", "status.phase=Running",
			"spec.nodeName=n-0,status.phase!=Running", "metadata.namespace=elsewhere", "spec.restartPolicy=Always", "spec.unknown=1", "status.phase", "a==b=c")
	}
}

func (g *drawer) list() ask {
	query, path := map[string]string{}, g.one("pods", "pods", "pods", "configmaps", "events", "leases")
	g.selectors(query)
	if g.chance(30) {
		query["limit"] = g.one("1", "2", "100", "0", "many")
		if g.chance(60) {
			query["continue"] = "${continue:" + path + "}"
		}
	} else if g.chance(20) {
		query["resourceVersion"] = g.one("0", "${list:"+path+"}", "${version:pods/a}", "none", "1000000000")
		if g.chance(50) {
			query["resourceVersionMatch"] = g.one("Exact", "NotOlderThan", "Roughly")
		}
	}
	return ask{Method: "GET", Path: path, Query: query}
}

func (g *drawer) patchPod() ask {
	a := ask{Method: "PATCH", Path: g.podName(), Type: g.one(mergePatch, strategicPatch)}
	meta := tree{}
	switch g.one("label", "label", "unlabel", "image", "forbidden", "finalizers", "status", "name", "json", "garbage", "spec", "owner", "bad label") {
	case "label":
		meta["labels"] = tree{"app": g.one("x", "y", "z")}
		a.Body = tree{"metadata": meta}
	case "unlabel":
		a.Body = tree{"metadata": tree{"labels": tree{"app": nil}}}
	case "bad label":
		a.Body = tree{"metadata": tree{"labels": tree{"app": "not a label"}}}
	case "image":
		a.Body = tree{"spec": tree{"containers": []any{tree{"name": "main", "image": "dac:2"}}}}
	case "forbidden":
		a.Body = tree{"spec": tree{"nodeName": "n-7", "restartPolicy": g.one("Never", "Always")}}
	case "finalizers":
		meta["finalizers"] = rapid.SampledFrom([]any{nil, []any{}, []any{"example.com/kept"}}).Draw(g.T, "finalizers")
		a.Body = tree{"metadata": meta}
	case "status":
		a.Body = tree{"status": tree{"phase": "Running"}}
	case "name":
		a.Body = tree{"metadata": tree{g.one("name", "namespace"): "other"}}
	case "json":
		a.Type = jsonPatchType
		a.Body = []any{tree{"op": g.one("add", "replace", "test", "remove", "nothing"), "path": g.one("/metadata/labels/app", "/metadata/labels/new", "/none/of/these"), "value": "y"}}
	case "garbage":
		a.Raw = g.one("{", "[]", `"text"`, "null", "")
	case "spec":
		a.Body = tree{"spec": tree{"activeDeadlineSeconds": rapid.SampledFrom([]any{5, 0, nil}).Draw(g.T, "deadline")}}
	case "owner":
		a.Body = tree{"metadata": tree{"ownerReferences": []any{tree{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}}}}
	}
	body, _ := a.Body.(tree)
	if meta, is := body["metadata"].(tree); is && g.chance(40) {
		if g.chance(50) {
			meta["resourceVersion"] = g.one("${version:"+a.Path+"}", "${before:"+a.Path+"}")
		} else {
			meta["uid"] = g.one("${uid:"+a.Path+"}", "11111111-2222-3333-4444-555555555555")
		}
	}
	if g.chance(5) {
		a.Query = map[string]string{"fieldValidation": "Strict"}
		a.Body = tree{"metadata": tree{"unknown": 1}}
		a.Raw, a.Type = "", mergePatch
	}
	return a
}

func (g *drawer) putPod() ask {
	a := ask{Method: "PUT", Path: g.podName(), Last: true}
	meta := tree{}
	body := tree{"metadata": meta}
	switch g.one("label", "none", "image", "forbidden", "version", "no version", "name", "uid", "deletion") {
	case "label":
		meta["labels"] = g.labels()
	case "image":
		body["spec"] = tree{"containers": []any{tree{"name": "main", "image": "dac:3"}}}
	case "forbidden":
		body["spec"] = tree{"hostname": "other"}
	case "version":
		meta["resourceVersion"] = "${before:" + a.Path + "}"
	case "no version":
		meta["resourceVersion"] = nil
		meta["labels"] = g.labels()
	case "name":
		meta["name"] = "z"
	case "uid":
		meta["uid"] = "${uid:pods/a}"
	case "deletion":
		meta["deletionTimestamp"] = nil
	}
	a.Body = body
	return a
}

func (g *drawer) status() ask {
	a := ask{Method: "PATCH", Path: g.podName() + "/status", Type: strategicPatch}
	status := tree{"phase": g.one("Running", "Running", "Pending", "Failed", "Succeeded")}
	if g.chance(50) {
		status["conditions"] = []any{tree{"type": g.one("Ready", "ContainersReady"), "status": g.one("True", "False"), "lastTransitionTime": "2026-01-02T03:04:05Z"}}
	}
	if g.chance(20) {
		status["podIP"] = "10.0.0.1"
		status["podIPs"] = []any{tree{"ip": "10.0.0.1"}}
	}
	if g.chance(30) {
		a.Type = mergePatch
	}
	a.Body = tree{"status": status}
	if g.chance(20) { // what a status write leaves alone
		a.Body = tree{"status": status, "spec": tree{"nodeName": "n-9"}, "metadata": tree{"labels": tree{"app": "w"}, "annotations": tree{"a": "b"}}}
	}
	if g.chance(15) {
		a.Method, a.Type, a.Last = "PUT", "", true
	}
	return a
}

func (g *drawer) remove() ask {
	a := ask{Method: "DELETE", Path: g.one(g.podName(), g.podName(), g.podName(), "configmaps/c", "leases/l", "events/e")}
	options := tree{"apiVersion": "v1", "kind": "DeleteOptions"}
	switch g.one("plain", "query", "now", "grace", "uid", "wrong uid", "version", "negative", "policy", "dry", "garbage") {
	case "plain":
		return a
	case "query":
		a.Query = map[string]string{"gracePeriodSeconds": g.one("0", "1", "3", "x")}
		return a
	case "now":
		options["gracePeriodSeconds"] = 0
	case "grace":
		options["gracePeriodSeconds"] = rapid.IntRange(1, 60).Draw(g.T, "grace")
	case "uid":
		options["preconditions"] = tree{"uid": "${uid:" + a.Path + "}"}
	case "wrong uid":
		options["preconditions"] = tree{"uid": "11111111-2222-3333-4444-555555555555"}
		options["gracePeriodSeconds"] = 0
	case "version":
		options["preconditions"] = tree{"resourceVersion": g.one("${version:"+a.Path+"}", "${before:"+a.Path+"}")}
	case "negative":
		options["gracePeriodSeconds"] = -1
	case "policy":
		options["propagationPolicy"] = g.one("Background", "Perhaps")
	case "dry":
		options["dryRun"] = []any{"All"}
	case "garbage":
		a.Raw = g.one("{", "[]", `{"kind":"Pod","apiVersion":"v1"}`)
		return a
	}
	a.Body = options
	return a
}

func (g *drawer) removeMany() ask {
	if !g.chance(20) {
		return g.list()
	}
	query := map[string]string{"gracePeriodSeconds": g.one("0", "5")}
	g.selectors(query)
	return ask{Method: "DELETE", Path: g.one("pods", "configmaps"), Query: query}
}

func (g *drawer) evict() ask {
	name := g.one("a", "b", "c", "d")
	body := tree{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": tree{"name": name}}
	switch g.one("plain", "now", "other", "unnamed") {
	case "now":
		body["deleteOptions"] = tree{"gracePeriodSeconds": 0}
	case "other":
		body["metadata"] = tree{"name": "other"}
	case "unnamed":
		delete(body, "metadata")
	}
	return ask{Method: "POST", Path: "pods/" + name + "/eviction", Body: body}
}

func (g *drawer) configMap() ask {
	name := g.one("c", "k")
	cm := tree{"apiVersion": "v1", "kind": "ConfigMap", "metadata": tree{"name": name}, "data": tree{g.one("a", "b", "not/a/key"): "1"}}
	switch g.one("create", "create", "put", "patch", "immutable", "old", "last", "binary") {
	case "put":
		return ask{Method: "PUT", Path: "configmaps/" + name, Body: cm}
	case "patch":
		return ask{Method: "PATCH", Path: "configmaps/" + name, Type: mergePatch, Body: tree{"data": tree{"a": g.one("1", "2"), "b": nil}}}
	case "immutable":
		return ask{Method: "PATCH", Path: "configmaps/" + name, Type: mergePatch, Body: tree{"immutable": g.chance(70)}}
	case "old":
		return ask{Method: "PUT", Path: "configmaps/" + name, Last: true, Body: tree{"metadata": tree{"resourceVersion": "${before:configmaps/" + name + "}"}}}
	case "last":
		return ask{Method: "PUT", Path: "configmaps/" + name, Last: true, Body: tree{"data": tree{"a": g.one("3", "4")}}}
	case "binary":
		delete(cm, "data")
		cm["binaryData"] = tree{"a": g.one("AQI=", "not base64!")}
	}
	return ask{Method: "POST", Path: "configmaps", Body: cm}
}

func (g *drawer) event() ask {
	pod := g.one("a", "b")
	e := tree{"apiVersion": "v1", "kind": "Event", "metadata": tree{"name": g.one("e", "f")}, "reason": g.one("Created", "Deleted"),
		"message": "why", "type": "Normal", "count": 1, "source": tree{"component": "dacorch"},
		"firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:05Z",
		"involvedObject": tree{"apiVersion": "v1", "kind": "Pod", "name": pod, "namespace": "${namespace}", "uid": "${uid:pods/" + pod + "}"}}
	switch g.one("create", "create", "count", "list", "list", "later", "elsewhere", "nameless", "put", "bad type", "new") {
	case "count":
		return ask{Method: "PATCH", Path: "events/" + g.one("e", "f"), Type: g.one(mergePatch, strategicPatch),
			Body: tree{"count": rapid.IntRange(2, 9).Draw(g.T, "count"), "lastTimestamp": "2026-01-02T03:05:05Z"}}
	case "list":
		return ask{Method: "GET", Path: "events", Query: map[string]string{"fieldSelector": g.one("involvedObject.uid=${uid:pods/"+pod+"}",
			"reason=Created", "involvedObject.kind=Pod,involvedObject.name="+pod, "type!=Normal", "source=dacorch", "reportingComponent=", "message=why")}}
	case "later":
		return ask{Method: "GET", Path: "later/events"}
	case "elsewhere":
		e["involvedObject"].(tree)["namespace"] = "elsewhere"
	case "nameless":
		delete(e, "involvedObject")
	case "put":
		return ask{Method: "PUT", Path: "events/e", Last: true, Body: tree{"count": 5}}
	case "bad type":
		e["type"] = "Perhaps"
	case "new":
		delete(e, "firstTimestamp")
		delete(e, "lastTimestamp")
		delete(e, "count")
		e["eventTime"], e["reportingComponent"], e["reportingInstance"], e["action"] = "2026-01-02T03:04:05.000000Z", "example.com/dacorch", "d-0", "Looking"
	}
	return ask{Method: "POST", Path: "events", Body: e}
}

func (g *drawer) lease() ask {
	l := tree{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": tree{"name": "l"},
		"spec": tree{"holderIdentity": g.one("x", "y"), "leaseDurationSeconds": rapid.SampledFrom([]int{15, 15, 15, 0, -1}).Draw(g.T, "seconds")}}
	switch g.one("create", "put", "old", "unversioned", "transitions") {
	case "put":
		return ask{Method: "PUT", Path: "leases/l", Last: true, Body: l}
	case "old":
		return ask{Method: "PUT", Path: "leases/l", Last: true, Body: overlaid(l, tree{"metadata": tree{"resourceVersion": "${before:leases/l}"}})}
	case "unversioned":
		return ask{Method: "PUT", Path: "leases/l", Body: l}
	case "transitions":
		l["spec"].(tree)["leaseTransitions"] = -1
	}
	return ask{Method: "POST", Path: "leases", Body: l}
}

// odd asks in ways that no client of ours does.
func (g *drawer) odd() ask {
	return rapid.SampledFrom([]ask{
		{Method: "GET", Path: "nothings"},
		{Method: "GET", Path: "pods/a/nothing"},
		{Method: "GET", Path: "/api/v2/pods"},
		{Method: "GET", Path: "/nothing"},
		{Method: "PUT", Path: "pods", Body: tree{}},
		{Method: "POST", Path: "pods/a", Body: tree{}},
		{Method: "PATCH", Path: "pods", Type: mergePatch, Body: tree{}},
		{Method: "DELETE", Path: "pods/a/status"},
		{Method: "POST", Path: "pods", Type: "text/plain", Raw: "hello"},
		{Method: "POST", Path: "pods", Raw: "{"},
		{Method: "POST", Path: "pods", Raw: ""},
		{Method: "POST", Path: "pods", Type: "application/yaml", Raw: "apiVersion: v1\nkind: Pod\nmetadata: {name: y}\nspec: {containers: [{name: c, image: i}]}"},
		{Method: "POST", Path: "pods", Raw: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":7}}`},
		{Method: "PATCH", Path: "pods/a", Type: "text/plain", Raw: "{}"},
		{Method: "PATCH", Path: "pods/a", Type: "application/json", Raw: "{}"},
		{Method: "GET", Path: "pods", Header: map[string]string{"Accept": "text/html"}},
		{Method: "GET", Path: "pods/a", Header: map[string]string{"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}},
		{Method: "POST", Path: "/api/v1/namespaces/nowhere/pods", Body: tree{"apiVersion": "v1", "kind": "Pod", "metadata": tree{"name": "a"},
			"spec": tree{"containers": []any{tree{"name": "c", "image": "i"}}}}},
		{Method: "GET", Path: "/api/v1/namespaces/nowhere/pods"},
		{Method: "GET", Path: "/api/v1/namespaces/nowhere"},
		{Method: "GET", Path: "pods", Header: map[string]string{"Authorization": "Bearer guessed"}},
		{Method: "GET", Path: "pods", Header: map[string]string{"Authorization": ""}},
		{Method: "DELETE", Path: "configmaps/none"},
		{Method: "POST", Path: "/api/v1/pods", Body: tree{}},
		{Method: "GET", Path: "/api/v1/pods", Query: map[string]string{"fieldSelector": "metadata.name=none"}},
		{Method: "HEAD", Path: "pods"},
		{Method: "OPTIONS", Path: "pods"},
	}).Draw(g.T, "odd")
}

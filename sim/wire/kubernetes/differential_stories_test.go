package kubernetes

import (
	"fmt"
	"net/http"
	"testing"
)

// TestStoriesSameAsRealKubernetes plays what random requests seldom come to.
func TestStoriesSameAsRealKubernetes(t *testing.T) {
	p := newPair(t, Config{})
	pod := func(name string, more tree) ask {
		body := object1("Pod", name, tree{"spec": tree{"nodeName": "n-0", "containers": []any{tree{"name": "c", "image": "i:1"}}}})
		return ask{Method: "POST", Path: "pods", Body: overlaid(body, more)}
	}
	apply := func(manager, force string, spec tree) ask {
		return ask{Method: "PATCH", Path: "configmaps/applied", Type: "application/apply-patch+yaml",
			Query: map[string]string{"fieldManager": manager, "force": force}, Body: object1("ConfigMap", "applied", spec)}
	}
	del := func(path string, options tree) ask { return ask{Method: "DELETE", Path: path, Body: options} }
	list := func(query map[string]string) ask { return ask{Method: "GET", Path: "pods", Query: query} }
	finalizers := func(path string, value any) ask {
		return ask{Method: "PATCH", Path: path, Type: mergePatch, Body: tree{"metadata": tree{"finalizers": value}}}
	}
	var pages []ask
	for i := range 7 {
		pages = append(pages, pod(fmt.Sprintf("p-%d", i), nil))
	}
	pages = append(pages, list(map[string]string{"limit": "3"}), pod("p-00", nil), del("pods/p-5", tree{"gracePeriodSeconds": 0}))
	for range 2 { // as of the first page
		pages = append(pages, list(map[string]string{"limit": "3", "continue": "${continue:pods}"}))
	}
	for name, story := range map[string][]ask{
		"pages": pages,
		"a-name-stays-taken": {pod("a", nil), del("pods/a", nil), pod("a", nil), get("pods/a"), del("pods/a", tree{"gracePeriodSeconds": 60}),
			del("pods/a", tree{"gracePeriodSeconds": 5}), del("pods/a", tree{"gracePeriodSeconds": 0}), pod("a", nil)},
		"without-a-node": {pod("a", tree{"spec": tree{"nodeName": nil}}), del("pods/a", nil), get("pods/a")},
		"kept-by-a-finalizer": {pod("a", tree{"metadata": tree{"finalizers": []any{"example.com/a", "example.com/b"}}}),
			del("pods/a", tree{"gracePeriodSeconds": 0}), finalizers("pods/a", []any{"example.com/b", "example.com/c"}),
			finalizers("pods/a", []any{"example.com/b"}), del("pods/a", nil), finalizers("pods/a", nil), get("pods/a"),
			{Method: "POST", Path: "configmaps", Body: object1("ConfigMap", "c", tree{"metadata": tree{"name": "c", "finalizers": []any{"example.com/a"}}})},
			del("configmaps/c", nil), get("configmaps/c"), finalizers("configmaps/c", nil), get("configmaps/c")},
		"bound": {pod("a", tree{"spec": tree{"nodeName": nil}}),
			{Method: "PATCH", Path: "pods/a/status", Type: strategicPatch, Body: tree{"status": tree{"phase": "Succeeded"}}},
			del("pods/a", nil), get("pods/a")},
		"applied": {apply("one", "false", tree{"data": tree{"a": "1", "b": "1"}}), apply("one", "false", tree{"data": tree{"a": "1"}}),
			apply("two", "false", tree{"data": tree{"a": "2"}}), apply("two", "true", tree{"data": tree{"a": "2"}}),
			apply("one", "false", tree{"data": tree{}}), apply("", "false", tree{"data": tree{}}), get("configmaps/applied")},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			p.in("story-" + name)
			watches := p.watchAll()
			for _, a := range story {
				p.do(a)
			}
			p.compareWatches(watches)
		})
	}
}

// TestWatchesBeginSameAsRealKubernetes compares how watches begin: from what
// stands, from a version, and from one that is forgotten.
func TestWatchesBeginSameAsRealKubernetes(t *testing.T) {
	p := newPair(t, Config{})
	for i, query := range []map[string]string{
		{},
		{"resourceVersion": "0"},
		{"resourceVersion": "${list:pods}"},
		{"resourceVersion": "${version:pods/a}"},
		{"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"},
		{"sendInitialEvents": "true"},
		{"resourceVersionMatch": "NotOlderThan"},
		{"resourceVersion": "none"},
		{"labelSelector": "app=x"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			p.t = t
			p.in(fmt.Sprintf("begin-%d", i))
			a := ask{Method: http.MethodGet, Path: "pods", Query: query}
			for _, name := range []string{"a", "b"} {
				made := object1("Pod", name, tree{"spec": tree{"nodeName": "n-0", "containers": []any{tree{"name": "c", "image": "i:1"}}}})
				p.do(ask{Method: "POST", Path: "pods", Body: overlaid(made, tree{"metadata": tree{"name": name, "labels": tree{"app": "x"}}})})
			}
			p.do(get("pods"))
			a.Query["watch"] = "1"
			if a.Query["sendInitialEvents"] == "true" && a.Query["resourceVersionMatch"] == "" || a.Query["resourceVersion"] == "none" ||
				a.Query["resourceVersionMatch"] != "" && a.Query["sendInitialEvents"] == "" {
				p.do(a) // is refused, and so has an end
				return
			}
			p.do(ask{Method: "DELETE", Path: "pods/b", Body: tree{"gracePeriodSeconds": 0}})
			p.compareWatches([]*stream{p.watch(a)})
		})
	}
	t.Run("forgotten", func(t *testing.T) {
		p.t = t
		p.in("begin-forgotten")
		p.do(get("pods"))
		old := map[string]string{"watch": "1", "resourceVersion": "${list:pods}"}
		p.standIn.store.compact()
		p.cluster.Compact(t)
		p.compareWatches([]*stream{p.watch(ask{Method: http.MethodGet, Path: "pods", Query: old})})
	})
}

func get(path string) ask { return ask{Method: http.MethodGet, Path: path} }

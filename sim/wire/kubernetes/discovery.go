package kubernetes

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// Version is the version of Kubernetes that the server says it is.
const Version = "v1.34.3"

// discover answers what clients ask before they ask for objects.
func (s *Server) discover(w http.ResponseWriter, r *http.Request, parts []string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		jsonForm.writeError(w, refusal(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed,
			"%s is not allowed on %s", r.Method, r.URL.Path))
		return
	}
	f, _ := negotiate(r.Header.Get("Accept"), false)
	path := strings.Join(parts, "/")
	gv, versioned := versionOf(parts)
	switch {
	case path == "version":
		writeJSON(w, version.Info{Major: "1", Minor: "34", GitVersion: Version, GitTreeState: "clean",
			GoVersion: "go", Compiler: "gc", Platform: "linux/amd64"})
	case slices.Contains([]string{"healthz", "livez", "readyz"}, parts[0]):
		_, _ = w.Write([]byte("ok")) // the client is gone: there is nobody to tell
	case path == "api":
		o := &metav1.APIVersions{Versions: []string{"v1"}, ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{
			{ClientCIDR: "0.0.0.0/0", ServerAddress: s.Addr()}}}
		f.writeKind(w, o, "APIVersions")
	case path == "apis":
		o := &metav1.APIGroupList{}
		for _, gv := range groupVersions() {
			if gv.Group != "" {
				o.Groups = append(o.Groups, groupOf(gv))
			}
		}
		f.writeKind(w, o, "APIGroupList")
	case versioned && slices.Contains(groupVersions(), gv):
		f.writeKind(w, resourceList(gv), "APIResourceList")
	case len(parts) == 2 && parts[0] == "apis":
		for _, gv := range groupVersions() {
			if gv.Group == parts[1] {
				o := groupOf(gv)
				f.writeKind(w, &o, "APIGroup")
				return
			}
		}
		http.NotFound(w, r)
	case parts[0] == "openapi":
		openAPI(w, r, path)
	default:
		http.NotFound(w, r)
	}
}

// versionOf reads the group and version of a path that ends with them.
func versionOf(parts []string) (schema.GroupVersion, bool) {
	switch {
	case len(parts) == 2 && parts[0] == "api":
		return schema.GroupVersion{Version: parts[1]}, true
	case len(parts) == 3 && parts[0] == "apis":
		return schema.GroupVersion{Group: parts[1], Version: parts[2]}, true
	}
	return schema.GroupVersion{}, false
}

// groupVersions are the API's groups, each in its one version.
func groupVersions() []schema.GroupVersion {
	var all []schema.GroupVersion
	for _, r := range resources {
		if gv := r.gvk.GroupVersion(); !slices.Contains(all, gv) {
			all = append(all, gv)
		}
	}
	return append(all, metricsVersion)
}

func groupOf(gv schema.GroupVersion) metav1.APIGroup {
	v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
	return metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
}

func resourceList(gv schema.GroupVersion) *metav1.APIResourceList {
	list := &metav1.APIResourceList{GroupVersion: gv.String()}
	if gv == metricsVersion {
		list.APIResources = []metav1.APIResource{{Name: "pods", Namespaced: true, Kind: "PodMetrics",
			Verbs: metav1.Verbs{"get", "list"}}}
		return list
	}
	for _, r := range resources {
		if r.gvk.GroupVersion() != gv {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: r.plural, SingularName: strings.ToLower(r.gvk.Kind), Namespaced: r.namespaced, Kind: r.gvk.Kind,
			ShortNames: r.short, Categories: categories(r),
			Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}})
		if r.status {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.plural + "/status",
				Namespaced: r.namespaced, Kind: r.gvk.Kind, Verbs: metav1.Verbs{"get", "patch", "update"}})
		}
	}
	if gv == corev1.SchemeGroupVersion {
		list.APIResources = append(list.APIResources,
			metav1.APIResource{Name: "pods/log", Namespaced: true, Kind: "Pod", Verbs: metav1.Verbs{"get"}},
			metav1.APIResource{Name: "pods/eviction", Namespaced: true, Kind: "Eviction", Verbs: metav1.Verbs{"create"},
				Group: policyv1.GroupName, Version: "v1"})
	}
	return list
}

func categories(r *resource) []string {
	if r == pods {
		return []string{"all"}
	}
	return nil
}

func (f form) writeKind(w http.ResponseWriter, o runtime.Object, kind string) {
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	f.write(w, http.StatusOK, o)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone: there is nobody to tell
}

// openAPI answers just enough of the third version for kubectl to see that
// objects are validated here: for each kind, that it can be patched with a
// fieldValidation. The schemas themselves are not served.
func openAPI(w http.ResponseWriter, r *http.Request, path string) {
	base := map[string]any{"openapi": "3.0.0", "info": map[string]any{"title": "Kubernetes", "version": Version}}
	if path == "openapi/v3" {
		paths := map[string]any{}
		for _, gv := range groupVersions() {
			paths[apiPath(gv)] = map[string]any{"serverRelativeURL": "/openapi/v3/" + apiPath(gv)}
		}
		writeJSON(w, map[string]any{"paths": paths})
		return
	}
	of, _ := strings.CutPrefix(path, "openapi/v3/")
	gv, ok := versionOf(strings.Split(of, "/"))
	if !ok || !slices.Contains(groupVersions(), gv) {
		http.NotFound(w, r)
		return
	}
	paths := map[string]any{}
	for _, res := range resources {
		if res.gvk.GroupVersion() != gv {
			continue
		}
		parameters := []any{}
		for _, name := range []string{"dryRun", "fieldManager", "fieldValidation", "force"} {
			parameters = append(parameters, map[string]any{
				"name": name, "in": "query", "schema": map[string]any{"type": "string", "uniqueItems": true}})
		}
		at := "/" + apiPath(gv)
		if res.namespaced {
			at += "/namespaces/{namespace}"
		}
		paths[at+"/"+res.plural+"/{name}"] = map[string]any{"patch": map[string]any{
			"operationId": "patch" + res.gvk.Kind, "parameters": parameters,
			"responses":           map[string]any{"200": map[string]any{"description": "OK"}},
			"x-kubernetes-action": "patch",
			"x-kubernetes-group-version-kind": map[string]any{
				"group": res.gvk.Group, "version": res.gvk.Version, "kind": res.gvk.Kind}}}
	}
	base["paths"] = paths
	writeJSON(w, base)
}

func apiPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

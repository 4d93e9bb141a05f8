package kubernetes_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"dacorch/sim/wire/kubernetes"
)

// FuzzRequest sends whatever comes: every request has an answer, and the cluster
// lives on. A watch gets no time to wait.
func FuzzRequest(f *testing.F) {
	const json, pods = "application/json", "/api/v1/namespaces/iota/pods"
	protobuf := "application/vnd.kubernetes.protobuf"
	wire, err := runtime.Encode(scheme.Codecs.EncoderForVersion(encoder(f, protobuf), corev1.SchemeGroupVersion), pod("dac-1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", pods, "", protobuf, protobuf, wire)
	f.Add("POST", pods, "fieldManager=x&fieldValidation=Strict", json, json,
		[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-"},"spec":{"containers":[{"name":"c","image":"i"}]}}`))
	f.Add("GET", pods, "labelSelector=a%3Db&fieldSelector=status.phase%21%3DRunning&limit=1&continue=eyJ2IjoxfQ", json+";as=Table;v=v1;g=meta.k8s.io;q=0.5,*/*", "", []byte(nil))
	f.Add("GET", pods, "watch=1&resourceVersion=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1&timeoutSeconds=-1", protobuf, "", []byte(nil))
	f.Add("PATCH", pods+"/dac-0", "", json, "application/json-patch+json", []byte(`[{"op":"remove","path":"/spec"},{"op":"add","path":"/metadata/labels","value":3}]`))
	f.Add("PATCH", pods+"/dac-0", "", json, "application/merge-patch+json", []byte(`{"metadata":{"labels":{"x":"y"}},"spec":{"terminationGracePeriodSeconds":null}}`))
	f.Add("PATCH", pods+"/dac-0", "", json, "application/strategic-merge-patch+json", []byte(`{"spec":{"containers":[{"$patch":"delete","name":"dac"}]}}`))
	f.Add("PATCH", pods+"/dac-0", "fieldManager=f&force=1", json, "application/apply-patch+yaml", []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: dac-0}\nspec: {containers: [{name: dac, image: x}]}"))
	f.Add("PUT", pods+"/dac-0/status", "", json, json, []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"dac-0"},"status":{"phase":"Failed"}}`))
	f.Add("DELETE", pods+"/dac-0", "gracePeriodSeconds=0&propagationPolicy=Foreground", json, json, []byte(`{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/v1","preconditions":{"uid":"x"}}`))
	f.Add("POST", pods+"/dac-0/eviction", "", json, json, []byte(`{"apiVersion":"policy/v1","kind":"Eviction"}`))
	f.Add("GET", pods+"/dac-0/log", "follow=1&tailLines=3&sinceTime=2026-01-01T00:00:00Z&limitBytes=9&timestamps=1", "", "", []byte(nil))
	f.Add("GET", "/apis/metrics.k8s.io/v1beta1/pods", "fieldSelector=a", "", "", []byte(nil))
	f.Add("GET", "/openapi/v3/api/v1", "", "", "", []byte(nil))
	f.Add("GET", "//api/v1/namespaces//pods/", "watch", "", "", []byte(nil))

	s := start(f, kubernetes.Config{Nodes: 1, Events: true})
	f.Fuzz(func(t *testing.T, method, path, query, accept, content string, body []byte) {
		r, err := http.NewRequest(method, s.URL(), strings.NewReader(string(body)))
		if err != nil || method == "" {
			return // no server gets to see it
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if method == http.MethodGet {
			cancel()
		}
		r = r.WithContext(ctx)
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Accept", accept)
		r.Header.Set("Content-Type", content)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		// What a client's look needs is there, whatever was asked before.
		list, err := client(t, s).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatalf("after %s %s?%s: %v, %v", method, path, query, list, err)
		}
	})
}

func encoder(f *testing.F, media string) runtime.Encoder {
	f.Helper()
	info, ok := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), media)
	if !ok {
		f.Fatalf("no serializer for %s", media)
	}
	return info.Serializer
}

package rest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dacorch/orchestrator/api"
)

// FuzzRequest: whatever comes in, the answer is no fault of the server, and an
// error says what it is.
func FuzzRequest(f *testing.F) {
	for _, rt := range routes {
		f.Add(rt.method, strings.NewReplacer("{resource}", "Thing", "{id}", "a%2Fb", "{instance}", "1").Replace(rt.path), bodies[rt.body], "application/json", "")
	}
	f.Add("POST", kindURL+"/orchestrate?dryRun=true&limit=5", `{"maxInstances":5,"resourcePerInstance":-1}`, "application/json; charset=x", "x-1")
	f.Add("GET", kindURL+"/resources?prefix=%zz&limit=99999999999999999999", "", "", "\x00")
	f.Add("GET", kindURL+"/%2e%2e/%2finstances//", "null", "text/html", "stream-18446744073709551616")
	shows := newFake()
	s, err := New(Config{Tokens: bothTokens(), Time: shows, Faults: shows}, shows)
	if err != nil {
		f.Fatal(err)
	}
	close(s.closing) // so that a stream ends
	f.Fuzz(func(t *testing.T, method, target, body, media, last string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip("net/http refuses it")
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, u, target
		r.Header = http.Header{"Authorization": {"Bearer " + writeToken}, "Content-Type": {media}, "Last-Event-Id": {last}, "X-Request-Id": {last}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%q %q: %d %s", method, target, w.Code, w.Body)
		}
		if w.Code >= 400 {
			var e api.ErrorBody
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == nil || e.Error.Code.Status() != w.Code || e.Error.RequestID == "" {
				t.Errorf("%q %q: %d %s", method, target, w.Code, w.Body)
			}
		}
	})
}

// FuzzFind: the tree of paths finds what a plain comparison of the table finds.
func FuzzFind(f *testing.F) {
	for _, rt := range routes {
		f.Add(rt.path[1:])
	}
	f.Add("v1/api/orchestrations/Thing/instances/instances")
	f.Add("v1/api/orchestrations/Thing/resources/x/instances")
	f.Add("v1/api/orchestrations/Thing/instances/instances/drain")
	tree := newTree(routes)
	f.Fuzz(func(t *testing.T, path string) {
		var a args
		at := tree.find(path, &a)
		want, values := plainFind(path)
		if (at == nil) != (want == "") {
			t.Fatalf("%q: found %v, want %q", path, at, want)
		}
		if at == nil {
			return
		}
		for _, rt := range at.route {
			if rt.path != want {
				t.Errorf("%q: %q, want %q", path, rt.path, want)
			}
		}
		for i, v := range values {
			if i >= a.n || a.v[i] != v {
				t.Errorf("%q: arguments %q, want %q", path, a.v[:a.n], values)
			}
		}
	})
}

// plainFind goes through the table; of several paths that fit, the one with the
// earliest fixed segment counts.
func plainFind(path string) (found string, values []string) {
	segs := strings.Split(path, "/")
	best := ""
	for _, rt := range routes {
		pattern := strings.Split(rt.path[1:], "/")
		if len(pattern) != len(segs) {
			continue
		}
		var vals []string
		rank := ""
		for i, p := range pattern {
			switch {
			case segs[i] == "":
				rank = "x"
			case p[0] == '{':
				vals, rank = append(vals, segs[i]), rank+"1"
			case p == segs[i]:
				rank += "2"
			default:
				rank = "x"
			}
			if rank == "x" {
				break
			}
		}
		if len(rank) == len(segs) && !strings.Contains(rank, "x") && rank > best {
			best, found, values = rank, rt.path, vals
		}
	}
	return found, values
}

// FuzzString: what is written by hand reads as what it was.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c", "ünï\u2028", "\x00\x1f\x7f", "\xff", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && back != string([]rune(s)) {
			t.Errorf("%q: %q %v", s, back, err)
		}
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dacorch/orchestrator/api"
)

// runTUI runs "dacorch tui" with an environment of one token, and without a
// terminal.
func runTUI(t *testing.T, token string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := console{out: &stdout, err: &stderr, getenv: func(key string) string {
		if key == "DACORCH_TOKEN" {
			return token
		}
		return ""
	}}
	code = execute(t.Context(), append([]string{"tui"}, args...), c)
	return code, stdout.String(), stderr.String()
}

func TestTUIUsage(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"http://127.0.0.1:1", "--snapshot", "-"}, "connection refused"},
		{[]string{"http://127.0.0.1:1", "x"}, "tui takes one URL, scenario or recording, not 2"},
		{[]string{"--snapshot", "-", "--size", "0x3"}, "--size 0x3: want columns and rows such as 120x40"},
		{[]string{"--snapshot", "-", "--size", "wide"}, "--size wide: want"},
		{[]string{"--snapshot", "-", "--view", "nothing"}, `there is no view "nothing": want one of placement`},
		{[]string{"--snapshot", "-", "--theme", "pink"}, `there is no theme "pink": want one of auto`},
		{[]string{"http://127.0.0.1:1", "--speed", "3", "--snapshot", "-"}, "--speed goes with a scenario or a recording"},
		{[]string{"no-such-scenario", "--snapshot", "-"}, "no-such-scenario"},
		{[]string{"https://127.0.0.1:1", "--ca", noPEM, "--snapshot", "-"}, "there is no certificate in it: want PEM"},
		{[]string{"--token-file", filepath.Join(t.TempDir(), "none"), "--snapshot", "-"}, "token file"},
	} {
		code, out, errs := runTUI(t, "", c.args...)
		if code != exitUsage || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("tui %q: exit code %d, %q on standard output, %q on standard error; want %d and %q", c.args, code, out, errs, exitUsage, c.want)
		}
	}
}

// The token of the environment is sent, and --snapshot writes text or a picture.
func TestTUISnapshot(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/v1/api/about":
			_ = json.NewEncoder(w).Encode(api.About{Name: "one", Scope: "read"})
		case "/v1/api/orchestrations":
			_ = json.NewEncoder(w).Encode(api.Kinds{Kinds: []api.KindSummary{{Resource: "Thing", Totals: api.Totals{InstanceCount: 1, Used: 7}}}})
		case "/v1/api/orchestrations/Thing/instances":
			_ = json.NewEncoder(w).Encode(api.Instances{Resource: "Thing", Instances: []api.Instance{{ID: 0, Pod: "iota-dac-0", Used: 7, Capacity: 10, Phase: "Running", Up: true}}})
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	code, out, errs := runTUI(t, "secret", srv.URL, "--snapshot", "-", "--size", "120x30", "--view", "instances")
	if code != exitOK || !strings.Contains(out, "iota-dac-0") || !strings.Contains(out, "7 resources") || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d, standard error %q, the frame:\n%s", code, errs, out)
	}
	picture := filepath.Join(t.TempDir(), "frame.svg")
	if code, _, errs := runTUI(t, "secret", srv.URL, "--snapshot", picture); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if data, err := os.ReadFile(picture); err != nil || !bytes.HasPrefix(data, []byte("<svg")) {
		t.Errorf("the picture: %v, %.60q", err, data)
	}
	if code, out, errs := runTUI(t, "wrong", srv.URL, "--snapshot", "-"); code != exitUsage || out != "" || !strings.Contains(errs, "--token-file FILE") || strings.Contains(errs, "wrong") {
		t.Errorf("with a wrong token: exit code %d, %q, %q", code, out, errs)
	}
}

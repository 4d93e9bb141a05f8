package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"dacorch/sim"
)

// TestInterrupted holds that a run whose context ends says how far it came, that
// no half report stays, and that the log does.
func TestInterrupted(t *testing.T) {
	ownCache(t)
	dir := t.TempDir()
	report, log, scenario := filepath.Join(dir, "report.json"), filepath.Join(dir, "core.log"), filepath.Join(dir, "long.yaml")
	if err := os.WriteFile(scenario, []byte(`name: long
about: A year that nobody waits for.
duration: 366d
heal: 365d
kinds:
  - {kind: Thing, resources: 1000}
churn:
  - {kind: Thing, create: 5/s, delete: 5/s}
expect:
  - violations == 0
`), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	c := console{out: &out, err: &errs, getenv: func(string) string { return "" }}
	if code := execute(ctx, []string{"sim", "run", scenario, "--json", report, "--log", log}, c); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if want := regexp.MustCompile(`^dacorch: long: interrupted at \S+ of 366d, after \S+: no verdict\n$`); !want.MatchString(errs.String()) {
		t.Errorf("standard error %q, want %s", errs.String(), want)
	}
	if out.Len() > 0 {
		t.Errorf("standard output %q, want nothing", out.String())
	}
	if _, err := os.Stat(report); !os.IsNotExist(err) {
		t.Errorf("the report of a run without result: %v, want it removed", err)
	}
	if info, err := os.Stat(log); err != nil || info.Size() == 0 {
		t.Errorf("the log: %v, %v, want what was written until then", info, err)
	}
}

// TestBrokenOutput holds that a report that cannot be written whole is an error.
func TestBrokenOutput(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skipf("no device that is always full: %v", err)
	}
	ownCache(t)
	for _, flag := range []string{"--json", "--junit", "--log"} {
		var out, errs bytes.Buffer
		c := console{out: &out, err: &errs, getenv: func(string) string { return "" }}
		if code := execute(t.Context(), []string{"sim", "run", "first-light", "--quiet", flag, full}, c); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", flag, code, exitUsage)
		}
		if got := errs.String(); !strings.HasPrefix(got, "dacorch: "+flag+": ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: standard error %q, want one line that names the flag", flag, got)
		}
	}
}

func TestProgressLine(t *testing.T) {
	var out bytes.Buffer
	p := &progressLine{w: &out, columns: 10}
	at := func(ms int, text string) {
		p.show(time.Unix(0, 0).Add(time.Duration(ms)*time.Millisecond), func() string { return text })
	}
	at(0, "a line that is too long")
	at(99, "too early")
	at(100, "50%")
	p.clear()
	p.clear()
	if want := "\ra line th\r50%      \r   \r"; out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
	none := &progressLine{w: &out}
	none.show(time.Unix(1, 0), func() string { t.Error("asked for a line that nobody sees"); return "" })
	none.clear()
}

func TestProgressText(t *testing.T) {
	got := progressText(sim.Progress{Now: 15*time.Minute + time.Millisecond, Duration: time.Hour, Events: 1_250_000,
		Resources: 2000, Instances: 10, Unplaced: 3}, 500*time.Millisecond)
	want := " 25%  15m of 1h  1800 times real time  2000 resources on 10 instances, 3 unplaced  1.2 million events"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                 "0s",
		1499 * time.Millisecond:           "1s",
		90 * time.Second:                  "1m30s",
		time.Hour:                         "1h",
		90 * time.Minute:                  "1h30m",
		time.Hour + 10*time.Second:        "1h0m10s",
		24*time.Hour - time.Nanosecond:    "1d",
		27*time.Hour + 7*time.Second:      "1d3h0m7s",
		29 * 24 * time.Hour:               "29d",
		24*time.Hour + 10*time.Second:     "1d10s",
		366*24*time.Hour - 20*time.Minute: "365d23h40m",
	} {
		if got := clock(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestUTF8Locale(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "C.UTF-8"}, true},
		{map[string]string{"LANG": "de_DE.utf8"}, true},
		{map[string]string{"LANG": "de_DE.ISO-8859-1"}, false},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_CTYPE": "POSIX"}, false},
		{map[string]string{"LANG": "C", "LC_CTYPE": "C", "LC_ALL": "en_US.UTF-8"}, true},
	} {
		if got := utf8Locale(func(key string) string { return c.env[key] }); got != c.want {
			t.Errorf("%v: %v, want %v", c.env, got, c.want)
		}
	}
}

func TestWrapped(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
	}{
		{"", ""},
		{"one", "one"},
		{"one two  three\nfour", "one two\n    three\n    four"},
		{"unbreakable word", "unbreakable\n    word"},
		{"ééééé é", "ééééé é"},
	} {
		if got := wrapped(c.text, "    ", 11); got != c.want {
			t.Errorf("%q wrapped: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestOpening(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"A sentence of more than forty characters stands here. And one more.": "A sentence of more than forty characters stands here.",
		"Short. A sentence of more than forty characters. And one more.":      "Short. A sentence of more than forty characters.",
		"Only one,\nin two lines.": "Only one, in two lines.",
	} {
		if got := opening(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
		{Key: "vcs.modified", Value: "true"}}}
	info.Main.Version = "v1.2.3"
	if got, want := version(info, true), "dacorch v1.2.3, commit 0123456789ab of 2026-01-02T03:04:05Z with changes, go"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q…", got, want)
	}
	if got := version(nil, false); !strings.HasPrefix(got, "dacorch (devel), go") {
		t.Errorf("without build information: %q", got)
	}
}

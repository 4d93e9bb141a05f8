package report_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/reconcile"
	"dacorch/orchestrator/recording"
	"dacorch/sim/report"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden page")

// TestPageGolden holds the page of a small recording to the one that was looked
// at. go test ./sim/report -rewrite writes it anew.
func TestPageGolden(t *testing.T) {
	got := page(t, read(t, day()))
	if again := page(t, read(t, day())); again != got {
		t.Error("the same recording gives another page")
	}
	golden := filepath.Join("testdata", "day.html")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page differs from %s: look at it in a browser, and run with -rewrite", golden)
	}
}

var (
	elsewhere = regexp.MustCompile(`(?i)^\s*(?:[a-z][a-z0-9+.-]*:|//)`)
	loads     = regexp.MustCompile(`(?i)url\(\s*["']?[^#"']|@import`)
	svgs      = regexp.MustCompile(`(?s)<svg.*?</svg>`)
	number    = regexp.MustCompile(`NaN|[+-]Inf`)
)

// refers says that a tag's attribute, or a style, refers to something beside the
// page.
func refers(tag html.Token) error {
	for _, a := range tag.Attr {
		switch a.Key {
		case "src", "href", "xlink:href", "srcset", "action", "formaction", "data", "poster", "background":
			if elsewhere.MatchString(a.Val) {
				return fmt.Errorf("%s refers to %s", tag.Data, a.Val)
			}
		case "style":
			if loads.MatchString(a.Val) {
				return fmt.Errorf("%s is styled with %s", tag.Data, a.Val)
			}
		}
		if strings.HasPrefix(a.Key, "on") {
			return fmt.Errorf("%s has %s", tag.Data, a.Key)
		}
	}
	return nil
}

// wellFormed holds a page to what every page is: closed tags, SVG that is XML,
// nothing from outside, a name for each plot.
func wellFormed(text string) error {
	var open []string
	void := map[string]bool{"meta": true, "br": true, "link": true, "img": true}
	for z := html.NewTokenizer(strings.NewReader(text)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) {
				return z.Err()
			}
			if len(open) > 0 {
				return fmt.Errorf("not closed: %v", open)
			}
			return svgsAreXML(text)
		case html.TextToken:
			if len(open) > 0 && open[len(open)-1] == "style" && loads.MatchString(token.Data) {
				return fmt.Errorf("the style sheet loads something: %s", loads.FindString(token.Data))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			if err := refers(token); err != nil {
				return err
			}
			if kind == html.StartTagToken && !void[token.Data] {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				return fmt.Errorf("</%s> closes %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func svgsAreXML(text string) error {
	for _, svg := range svgs.FindAllString(text, -1) {
		if m := number.FindString(svg); m != "" {
			return fmt.Errorf("a plot has the number %s", m)
		}
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("a plot is no XML: %w", err)
			}
		}
		if strings.Contains(svg, `class="plot`) && !strings.Contains(svg, `role="img" aria-label="`) {
			return errors.New("a plot has no name")
		}
	}
	return nil
}

// hostile is what ids and errors may hold that others wrote.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=http://evil.example/x onerror=alert(1)>`, "</style><h1>", "</script><h1>", "'--><b>", "a\x00b\x1b[31m\n\r\u202Eevil",
	"\xff\xfe not UTF-8", strings.Repeat("long", 1000), "url(http://evil.example)", "{{.Title}}", "日本語 🙂", "$x^2$", "",
}

// TestHostileWords says that what others wrote stays text.
func TestHostileWords(t *testing.T) {
	for _, word := range hostile {
		tp := newTape(fleet.Kind(word), "Other")
		tp.header.Program, tp.header.Scenario = word, word
		tp.event(0, reconcile.Led{Epoch: 1})
		tp.event(time.Second, reconcile.Notified{Note: &fleet.Notification{Op: fleet.OpCreate, Table: word, Resources: []fleet.Resource{{ID: word}}}})
		tp.commands(time.Second, reconcile.Alarm{Code: word, On: true, Text: word}, reconcile.Note{Text: word}, reconcile.StepDown{Why: word},
			reconcile.DeletePod{Why: word}, reconcile.Reply{Req: 1, Err: word})
		tp.event(2*time.Second, reconcile.Deposed{Why: word})
		tp.commit(20*time.Second, 1, fleet.OutcomeDone, fleet.Change{Kind: fleet.ChangeCreate, Capacity: 1, Used: 1, Add: []string{word}})
		for _, what := range []recording.MarkKind{recording.FaultBegan, recording.Broken, recording.Settled, recording.OrderGiven} {
			tp.entries = append(tp.entries, recording.Entry{At: 25 * time.Second, Mark: &recording.Mark{What: what, Resource: word, For: time.Minute, Text: word}})
		}
		tp.entries = append(tp.entries, recording.Entry{At: 30 * time.Second, Closing: &recording.Closing{Lost: word, Report: []byte(word)}})
		tp.err = errors.New(word)
		text := page(t, read(t, tp))
		if err := wellFormed(text); err != nil {
			t.Errorf("%.40q: %v", word, err)
		}
		for _, tag := range []string{"<script>alert", "<img", "<h1>\"", "<b>'", "\x00", "\x1b", "\u202E"} {
			if strings.Contains(text, tag) {
				t.Errorf("%.40q: the page holds %q", word, tag)
			}
		}
		if strings.Count(text, "<script") != 1 || strings.Count(text, "</style") != 1 {
			t.Errorf("%.40q: the page has another script or style than its own", word)
		}
	}
}

// TestManyInstances says that a page about thousands stays small enough to send.
func TestManyInstances(t *testing.T) {
	for _, n := range []int{3, 48, 160, 161, 1000, 20_000} {
		tp := newTape("Thing")
		tp.event(0, reconcile.Led{Epoch: 1})
		for i := range n {
			tp.commit(time.Second, uint64(i), fleet.OutcomeDone, fleet.Change{Kind: fleet.ChangeCreate, Instance: fleet.InstanceID(i), Capacity: 100, Used: i % 100})
			tp.event(2*time.Second, reconcile.PodSeen{Pod: fleet.Pod{Instance: fleet.InstanceID(i), UID: "u", Phase: fleet.PhaseRunning}})
		}
		for s := range 1800 {
			at := time.Duration(s+3) * time.Second
			i := fleet.InstanceID(s * 7 % n)
			tp.commit(at, uint64(n+s), fleet.OutcomeDone, fleet.Change{Instance: i, Capacity: 100, Used: s % 101})
			if s%50 == 0 {
				tp.event(at, reconcile.PodSeen{Pod: fleet.Pod{Instance: i, UID: "u", Phase: fleet.PhaseFailed}})
				tp.commands(at, reconcile.DeletePod{Instance: i, UID: "u", Why: "Failed"})
			}
		}
		s := read(t, tp)
		text := page(t, s)
		if err := wellFormed(text); err != nil {
			t.Errorf("%d instances: %v", n, err)
		}
		t.Logf("%d instances: %d kB", n, len(text)/1000)
		if len(text) > 2_000_000 {
			t.Errorf("%d instances: the page has %d bytes, more than 2 MB", n, len(text))
		}
		if s.Kinds[0].Instances != n || len(s.Lanes) != min(n, report.MaxLanes) {
			t.Errorf("%d instances: the story counts %d and follows %d", n, s.Kinds[0].Instances, len(s.Lanes))
		}
	}
}

// TestAnyRecording says that whatever a recording holds, in whatever order, makes
// a story within its bounds and a page that is one.
func TestAnyRecording(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 120).Draw(rt, "entries")
		tp := newTape("Thing", "Rule")
		if rapid.Bool().Draw(rt, "production") {
			tp.header.Began = time.Unix(rapid.Int64Range(0, 1<<34).Draw(rt, "began"), 0)
		}
		for range n {
			tp.entries = append(tp.entries, drawEntry(rt))
		}
		s, err := report.Read(rows(tp)...)
		if err != nil {
			rt.Fatal(err)
		}
		for _, l := range s.Lanes {
			if len(l.Cells) > report.MaxBuckets {
				rt.Fatalf("a lane has %d cells", len(l.Cells))
			}
		}
		if b := s.Tracks.Unplaced.Values; len(b) > report.MaxBuckets {
			rt.Fatalf("a track has %d buckets", len(b))
		}
		if err := wellFormed(page(t, s)); err != nil {
			rt.Fatal(err)
		}
	})
}

func drawEntry(rt *rapid.T) recording.Entry {
	e := recording.Entry{
		At:   time.Duration(rapid.OneOf(rapid.Int64Range(0, int64(time.Hour)), rapid.Int64()).Draw(rt, "at")),
		Kind: rapid.IntRange(-1, 2).Draw(rt, "kind"), Process: rapid.IntRange(0, 2).Draw(rt, "process"),
	}
	in := fleet.InstanceID(rapid.Int32Range(-1, 3).Draw(rt, "instance"))
	id := func() string { return rapid.SampledFrom(append(ids(6), hostile...)).Draw(rt, "id") }
	n := rapid.Uint64Range(0, 3).Draw(rt, "number")
	row := []fleet.Resource{{ID: id()}, {ID: id()}}
	phase := fleet.Phase(rapid.Uint8Range(0, 9).Draw(rt, "phase"))
	txn := &fleet.Txn{ID: n, Changes: []fleet.Change{{
		Kind: fleet.ChangeKind(rapid.Uint8Range(0, 4).Draw(rt, "change")), Instance: in, Add: []string{id()}, Remove: []string{id()},
		Used: rapid.IntRange(-5, 1<<40).Draw(rt, "used"), Capacity: rapid.IntRange(-5, 1<<40).Draw(rt, "capacity")}}}
	events := []reconcile.Event{
		reconcile.Led{}, reconcile.Deposed{Why: id()}, reconcile.Committed{Txn: n, Outcome: fleet.Outcome(rapid.Uint8Range(0, 6).Draw(rt, "outcome"))},
		reconcile.TreeRead{Tree: fleet.Tree{Instances: []fleet.TreeInstance{{ID: in, IDs: []string{id(), id()}}}}},
		reconcile.Listed{Req: n, Rows: row}, reconcile.Notified{}, reconcile.PodGone{Instance: in, UID: id()},
		reconcile.Notified{Note: &fleet.Notification{Op: fleet.Op(rapid.Uint8Range(0, 8).Draw(rt, "op")), Table: "Thing", Resources: row}},
		reconcile.NotificationChannel{Up: n > 1}, reconcile.HeartbeatChannel{Up: n > 1}, reconcile.Ordered{Req: n},
		reconcile.PodSeen{Pod: fleet.Pod{Instance: in, Phase: phase, UID: id(), Terminating: n == 1, NodeLost: n == 2}},
		reconcile.PodsListed{Pods: []fleet.Pod{{Instance: in, Phase: phase}}}, nil,
	}
	commands := []reconcile.Command{
		reconcile.Commit{Txn: txn}, reconcile.Commit{}, reconcile.DeletePod{Instance: in, UID: id(), Purpose: reconcile.Purpose(n), Why: id()},
		reconcile.Alarm{Code: id(), On: n > 1, Text: id()}, reconcile.Note{Instance: in, Text: id()}, reconcile.Reply{Req: n, Err: id()},
		reconcile.ListRows{Req: n, IDs: []string{id()}}, reconcile.ListRows{Req: n}, reconcile.StepDown{}, nil,
	}
	switch rapid.IntRange(0, 6).Draw(rt, "sort") {
	case 0, 1:
		e.Event = rapid.SampledFrom(events).Draw(rt, "event")
	case 2, 3:
		e.Commands = []reconcile.Command{rapid.SampledFrom(commands).Draw(rt, "command")}
	case 4:
		e.Mark = &recording.Mark{What: recording.MarkKind(rapid.Uint8Range(0, 12).Draw(rt, "mark")), Instance: in, Resource: id(),
			For: time.Duration(rapid.Int64().Draw(rt, "for")), Text: id()}
	case 5:
		e.Restarted, e.Snapshot = n > 1, []byte(id())
	case 6:
		e.Closing = &recording.Closing{Report: []byte(rapid.SampledFrom([]string{"", "{", `{"virtual_s":1e300,"heal_s":-1}`,
			`{"virtual_s":60,"kinds":[{"kind":"<b>"}],"expectations":[{"text":"x","value":1e308}],"distributions":[{"measure":"settle_time","bounds_s":[-1,1e300],"counts":[1,18446744073709551615,3]}],"slowest":[{"took_ns":9223372036854775807,"from_ns":9223372036854775807}]}`}).Draw(rt, "report"))}
	}
	return e
}

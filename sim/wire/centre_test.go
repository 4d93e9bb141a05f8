package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator"
	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
)

// centreTest is a data centre whose broker is the test.
func centreTest(t *testing.T) (*DataCentre, *[]string) {
	t.Helper()
	said := &[]string{}
	c, err := openCentre("", t.TempDir(), []Kind{{Kind: "Thing"}, {Kind: `Odd"; DROP TABLE Thing`}}, func(payload []byte) error {
		*said = append(*said, string(payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, said
}

func do(t *testing.T, c *DataCentre, s Statement) []fleet.Resource {
	t.Helper()
	changed, err := c.Do(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func ids(rows []fleet.Resource) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.ID)
	}
	return out
}

// TestMessages: each announcement is as CONTRACT.md has it.
func TestMessages(t *testing.T) {
	one, two := []fleet.Resource{{ID: "a", Group: "g"}}, []fleet.Resource{{ID: "a", Group: "g"}, {ID: `b"`}}
	for _, s := range []struct {
		name string
		of   Statement
		want []string
	}{
		{"created", Statement{Verb: Create, Rows: one, Named: true}, []string{`{"o":"c","t":"Thing","k":{"id":"a"},"instance":{"id":"a","grp":"g"},"by":"data-centre"}`}},
		{"updated", Statement{Verb: Update, Rows: one, Named: true}, []string{`{"o":"u","t":"Thing","k":{"id":"a"},"instance":{"id":"a","grp":"g"},"by":"data-centre"}`}},
		{"deleted, each by itself", Statement{Verb: Delete, Rows: two, Named: true}, []string{
			`{"o":"d","t":"Thing","k":{"id":"a"},"instance":{"id":"a","grp":"g"},"by":"data-centre"}`,
			`{"o":"d","t":"Thing","k":{"id":"b\""},"instance":{"id":"b\""},"by":"data-centre"}`}},
		{"created in bulk", Statement{Verb: Create, Rows: two, Named: true, Bulk: true}, []string{`{"o":"bc","t":"Thing","keys":[{"id":"a"},{"id":"b\""}],"by":"data-centre"}`}},
		{"updated in bulk", Statement{Verb: Update, Rows: two, Named: true, Bulk: true}, []string{`{"o":"bu","t":"Thing","where":{"id":["a","b\""]},"by":"data-centre"}`}},
		{"deleted in bulk", Statement{Verb: Delete, Rows: two, Named: true, Bulk: true}, []string{`{"o":"bd","t":"Thing","where":{"id":["a","b\""]},"by":"data-centre"}`}},
		{"deleted by another condition", Statement{Verb: Delete, Rows: two, Bulk: true}, []string{`{"o":"bd","t":"Thing","where":{"state":"selected"},"by":"data-centre"}`}},
		{"created without names", Statement{Verb: Create, Rows: two, Bulk: true}, []string{`{"o":"changed","t":"Thing","by":"data-centre"}`}},
		{"bare", Statement{Verb: Update, Rows: one}, []string{`{"o":"changed","t":"Thing","by":"data-centre"}`}},
		{"silent", Statement{Verb: Create, Rows: one, Named: true, Silent: true}, nil},
	} {
		t.Run(s.name, func(t *testing.T) {
			c, said := centreTest(t)
			s.of.Kind = "Thing"
			if s.of.Verb != Create {
				do(t, c, Statement{Kind: "Thing", Verb: Create, Rows: s.of.Rows, Silent: true})
			}
			told := false
			s.of.Committed = func(changed []fleet.Resource) {
				told = true
				if len(*said) > 0 || !slices.Equal(ids(changed), ids(s.of.Rows)) {
					t.Errorf("told of %v, after %d messages", changed, len(*said))
				}
			}
			do(t, c, s.of)
			if !told || !slices.Equal(*said, s.want) {
				t.Errorf("it says\n%q, want\n%q", *said, s.want)
			}
		})
	}
}

// TestDataCentre: rows change once, whatever is asked twice, and what cannot be
// announced is committed all the same.
func TestDataCentre(t *testing.T) {
	c, said := centreTest(t)
	odd := fleet.Kind(`Odd"; DROP TABLE Thing`)
	rows := []fleet.Resource{{ID: "a"}, {ID: "b", Group: "g"}}
	if got := do(t, c, Statement{Kind: "Thing", Verb: Create, Rows: rows, Named: true}); len(got) != 2 {
		t.Errorf("created %v", got)
	}
	do(t, c, Statement{Kind: odd, Verb: Create, Rows: rows[:1], Silent: true})
	if got := do(t, c, Statement{Kind: "Thing", Verb: Create, Rows: append(rows, fleet.Resource{ID: "c"}), Silent: true}); !slices.Equal(ids(got), []string{"c"}) {
		t.Errorf("created again: %v, want c alone", got)
	}
	if got := do(t, c, Statement{Kind: "Thing", Verb: Delete, Rows: []fleet.Resource{{ID: "c"}, {ID: "z"}}, Silent: true}); !slices.Equal(ids(got), []string{"c"}) {
		t.Errorf("deleted %v, want c alone", got)
	}
	if got := do(t, c, Statement{Kind: "Thing", Verb: Update, Rows: []fleet.Resource{{ID: "a", Group: "h"}, {ID: "z"}}, Silent: true}); !slices.Equal(ids(got), []string{"a"}) {
		t.Errorf("updated %v, want a alone", got)
	}
	before := len(*said)
	c.Mute(true)
	if _, err := c.Do(t.Context(), Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: "quiet"}}, Named: true}); !errors.Is(err, errNotAnnounced) {
		t.Errorf("muted: %v", err)
	}
	c.Mute(false)
	if len(*said) != before {
		t.Errorf("muted, it says %q", (*said)[before:])
	}
	broken := errors.New("no broker")
	c.say = func([]byte) error { return broken }
	if _, err := c.Do(t.Context(), Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: "unheard"}}, Named: true}); !errors.Is(err, errNotAnnounced) || !errors.Is(err, broken) {
		t.Errorf("without a broker: %v", err)
	}
	got, err := c.Rows(t.Context(), "Thing")
	if want := []fleet.Resource{{ID: "a", Group: "h"}, {ID: "b", Group: "g"}, {ID: "quiet"}, {ID: "unheard"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("the table holds %v, %v, want %v", got, err, want)
	}
	if got, err := c.Rows(t.Context(), odd); err != nil || len(got) != 1 {
		t.Errorf("the other table holds %v, %v", got, err)
	}
	if _, err := c.Do(t.Context(), Statement{Kind: "Nothing", Verb: Create, Rows: rows}); err == nil {
		t.Error("a table that is not there takes rows")
	}
}

// TestStatements: on each database a statement of many rows does to each what one of
// it alone does, and answers those that it has changed in their order.
func TestStatements(t *testing.T) {
	for _, on := range []string{"SQLite", "PostgreSQL"} {
		t.Run(on, func(t *testing.T) {
			url := ""
			if on == "PostgreSQL" {
				url = real.PostgreSQL(t).URL
			}
			c, err := openCentre(url, t.TempDir(), []Kind{{Kind: "Thing"}}, func([]byte) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}()
			var rows []fleet.Resource
			for i := range 2*rowsAtOnce + 7 {
				rows = append(rows, fleet.Resource{ID: fmt.Sprintf("%05d'\"", 3*rowsAtOnce-i), Group: "g"})
			}
			other := slices.Clone(rows)
			for i := range other {
				other[i].Group = fmt.Sprint("h", i)
			}
			absent, twice := fleet.Resource{ID: "absent"}, rows[0]
			sorted := func(rows []fleet.Resource) []fleet.Resource {
				return slices.SortedFunc(slices.Values(rows), func(a, b fleet.Resource) int { return strings.Compare(a.ID, b.ID) })
			}
			for i, s := range []struct {
				verb        Verb
				rows        []fleet.Resource
				want, holds []fleet.Resource
			}{
				{Create, rows[:5], rows[:5], rows[:5]},
				{Create, append(slices.Clone(rows), twice), rows[5:], rows},
				{Update, append(slices.Clone(other), absent), other, other},
				{Update, []fleet.Resource{absent}, nil, other},
				{Delete, []fleet.Resource{absent, other[1], other[0], other[0]}, []fleet.Resource{other[1], other[0]}, other[2:]},
				{Delete, nil, nil, other[2:]},
				{Delete, other, other[2:], nil},
			} {
				if got := do(t, c, Statement{Kind: "Thing", Verb: s.verb, Rows: s.rows, Silent: true}); !slices.Equal(got, s.want) {
					t.Errorf("statement %d has changed %d rows, want %d", i, len(got), len(s.want))
				}
				if got, err := c.Rows(t.Context(), "Thing"); err != nil || !slices.Equal(sorted(got), sorted(s.holds)) {
					t.Errorf("after statement %d the table holds %d rows, %v, want %d", i, len(got), err, len(s.holds))
				}
			}
		})
	}
}

// TestHide: while the tables are out of sight everybody's statements fail, and the
// data centre goes on.
func TestHide(t *testing.T) {
	c, _ := centreTest(t)
	list := func() error {
		rows, err := c.db.QueryContext(t.Context(), `SELECT id FROM "Thing"`)
		if err != nil {
			return err
		}
		return errors.Join(rows.Err(), rows.Close())
	}
	for _, on := range []bool{true, true, false, false} {
		if err := c.Hide(t.Context(), on); err != nil {
			t.Fatal(err)
		}
		if err := list(); (err != nil) != on {
			t.Errorf("hidden %v: %v", on, err)
		}
		do(t, c, Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: fmt.Sprint(on)}}, Silent: true})
	}
	if got, err := c.Rows(t.Context(), "Thing"); err != nil || !slices.Equal(ids(got), []string{"false", "true"}) {
		t.Errorf("the table holds %v, %v", got, err)
	}
}

// TestHear: the data centre does what others announce, and nothing of what it has
// said itself or cannot understand.
func TestHear(t *testing.T) {
	for _, s := range []struct {
		message string
		want    []string // of a and b
		fails   bool
	}{
		{`{"o":"c","t":"Thing","k":{"id":"n"},"instance":{"id":"n","grp":"g"}}`, []string{"a", "b", "n"}, false},
		{`{"o":"bc","t":"Thing","keys":[{"id":"m"},{"id":"n"},{"id":7},{}]}`, []string{"a", "b", "m", "n"}, false},
		{`{"o":"d","t":"Thing","k":{"id":"a"}}`, []string{"b"}, false},
		{`{"o":"bd","t":"Thing","where":{"id":["a","b","z"]}}`, nil, false},
		{`{"o":"bd","t":"Thing","where":{"id":"a"}}`, []string{"b"}, false},
		{`{"o":"bd","t":"Thing","where":{"state":"old"}}`, []string{"a", "b"}, false},
		{`{"o":"u","t":"Thing","k":{"id":"a"},"instance":{"grp":"g"}}`, []string{"a", "b"}, false},
		{`{"o":"changed","t":"Thing"}`, []string{"a", "b"}, false},
		{`{"o":"d","t":"Thing","k":{"id":"a"},"by":"data-centre"}`, []string{"a", "b"}, false},
		{`{"o":"c","t":"Thing","k":{"id":""}}`, []string{"a", "b"}, false},
		{`{"o":"c","t":"Thing","k":null}`, []string{"a", "b"}, false},
		{`{"o":"c","t":"Unknown","k":{"id":"a"}}`, []string{"a", "b"}, true},
		{`{"o":1}`, []string{"a", "b"}, true},
		{`nonsense`, []string{"a", "b"}, true},
	} {
		c, said := centreTest(t)
		do(t, c, Statement{Kind: "Thing", Verb: Create, Rows: []fleet.Resource{{ID: "a"}, {ID: "b"}}, Silent: true})
		err := c.hear(t.Context(), []byte(s.message))
		rows, rowsErr := c.Rows(t.Context(), "Thing")
		if (err != nil) != s.fails || rowsErr != nil || !slices.Equal(ids(rows), s.want) || len(*said) > 0 {
			t.Errorf("%s: %v, %v; the table holds %v, want %v; it says %q", s.message, err, rowsErr, ids(rows), s.want, *said)
		}
	}
}

// FuzzHear: whatever somebody publishes, the data centre lives on.
func FuzzHear(f *testing.F) {
	f.Add([]byte(`{"o":"bd","t":"Thing","where":{"id":["a",1,null]}}`))
	f.Add([]byte(`{"o":"c","t":"Thing","k":{"id":{}},"instance":[]}`))
	c, err := openCentre("", f.TempDir(), []Kind{{Kind: "Thing"}}, func([]byte) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := c.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		_ = c.hear(t.Context(), payload)
		if _, err := c.Rows(t.Context(), "Thing"); err != nil {
			t.Errorf("after %q: %v", payload, err)
		}
	})
}

// TestConfigure: what the platform writes for an orchestrator is what that takes,
// and its templates are pods as the contract wants them.
func TestConfigure(t *testing.T) {
	emptyTemp(t)
	kinds := []Kind{{Kind: "Thing", InstanceName: "iota-dac", Heartbeat: true, HeartbeatInterval: time.Second}, {Kind: "Rule", InstanceName: "iota-rules-engine"}}
	p, err := Start(Config{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	sc := scenario(t, "first-light")
	r := newRun(t.Context(), sc, RunOptions{TimeScale: 120})
	defer r.cancel()
	for name, o := range map[string]Orchestrator{
		"defaults": {Name: "one", Listen: "127.0.0.1:1"},
		"all": {Name: "two", Listen: "127.0.0.1:2", Session: 1500 * time.Millisecond, Anonymous: "read", Level: "debug",
			Kinds: map[fleet.Kind]string{"Thing": r.entry(&sc.Kinds[0])}},
	} {
		file, err := p.Configure(o)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := orchestrator.LoadConfig(file, data, func(string) string { return "" })
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, data)
			continue
		}
		shown, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if !containsAll(string(shown), o.Name, o.Listen, p.ZooKeeperAddr(), p.Kafka.Addrs()[0], "iota-rules-engine") {
			t.Errorf("%s: the configuration is %s", name, shown)
		}
		if silence := cfg.Kinds[0].Timings.Silence; name == "all" && silence != 750*time.Millisecond {
			t.Errorf("90s of silence 120 times faster are %v", silence)
		}
	}
}

package scenarios

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func loadShipped(t *testing.T) []*Scenario {
	var all []*Scenario
	for _, name := range Names() {
		s, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name || s.File != "scenarios/"+name+".yaml" {
			t.Errorf("%s.yaml is named %s, from %s", name, s.Name, s.File)
		}
		all = append(all, s)
	}
	return all
}

// TestShipped: every scenario is whole, has a seed of its own, and expects
// enough: that no invariant breaks, that all settles, and what it is about.
func TestShipped(t *testing.T) {
	seeds := map[uint64]string{}
	for _, s := range loadShipped(t) {
		checkScenario(t, s)
		if other := seeds[s.Seed]; other != "" {
			t.Errorf("%s: seed %d is also that of %s", s.Name, s.Seed, other)
		}
		seeds[s.Seed] = s.Name
		var texts []string
		for _, e := range s.Expect {
			if slices.Contains(texts, e.Text) {
				t.Errorf("%s: %q stands twice", s.Name, e.Text)
			}
			texts = append(texts, e.Text)
		}
		for _, must := range []string{"violations == 0", "unsettled_end == 0"} {
			if !slices.Contains(texts, must) {
				t.Errorf("%s does not expect %q", s.Name, must)
			}
		}
		if len(texts) < 5 {
			t.Errorf("%s expects only %d things", s.Name, len(texts))
		}
	}
}

// TestShippedCanFail: there is a run that each expectation refuses.
func TestShippedCanFail(t *testing.T) {
	for _, s := range loadShipped(t) {
		for _, e := range s.Expect {
			failed := false
			for _, other := range []float64{0, 1e12} {
				for _, v := range []float64{0, e.Value, e.Value + 1, 1e15} {
					ok, _ := e.Check(func(name string) (float64, bool) {
						if name == e.Metric {
							return v, true
						}
						return other, true
					})
					failed = failed || !ok
				}
			}
			if !failed {
				t.Errorf("%s:%d: %q cannot fail", s.File, e.Line, e.Text)
			}
		}
	}
}

func TestShippedUnknown(t *testing.T) {
	if _, err := Shipped("kafka-outtage"); err == nil || !strings.Contains(err.Error(), "did you mean kafka-outage?") {
		t.Errorf("%v: want a hint", err)
	}
	if _, err := Shipped("../go.mod"); err == nil || !strings.Contains(err.Error(), "want one of") {
		t.Errorf("%v: want the list", err)
	}
}

// TestShippedTraces: the columns that a scenario names are in its file, and the
// first rows' times can be read.
func TestShippedTraces(t *testing.T) {
	for _, s := range loadShipped(t) {
		for _, c := range s.Churn {
			if c.Trace != nil {
				readTrace(t, s, c.Trace.Table, append(slices.Clone(c.Trace.ID), c.Trace.Group), c.Trace.Created, c.Trace.Deleted)
			}
		}
		if s.Nodes != nil && s.Nodes.Count == 0 {
			readTrace(t, s, s.Nodes.Table, []string{s.Nodes.Node, s.Nodes.Action}, s.Nodes.At)
		}
	}
}

func readTrace(t *testing.T, s *Scenario, table Table, columns []string, times ...string) {
	t.Run(s.Name, func(t *testing.T) {
		f, err := os.Open("../" + table.Path) // seen from the project's root
		if os.IsNotExist(err) {
			t.Skipf("%s is not here: it is the %s", table.Path, table.Source)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var r io.Reader = bufio.NewReader(f)
		if head, err := r.(*bufio.Reader).Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
			if r, err = gzip.NewReader(r); err != nil {
				t.Fatal(err)
			}
		}
		rows := csv.NewReader(r)
		rows.Comma = table.Comma
		first, err := rows.Read()
		if err != nil {
			t.Fatal(err)
		}
		at := func(column string) int {
			i := slices.Index(first, column)
			if !table.Header {
				n, err := strconv.Atoi(column)
				if err != nil || n > len(first) {
					t.Fatalf("%s has no column %q", table.Path, column)
				}
				i = n - 1
			}
			if i < 0 {
				t.Fatalf("%s has no column %q", table.Path, column)
			}
			return i
		}
		for _, c := range columns {
			if c != "" {
				at(c)
			}
		}
		for range 100 {
			row, err := rows.Read()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range times {
				if text := row[at(c)]; text != "" {
					if _, err := table.Time.Parse(text); err != nil {
						t.Fatalf("%s: %v", table.Path, err)
					}
				}
			}
		}
	})
}

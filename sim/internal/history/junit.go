package history

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of JUnit's XML, as CI servers read it.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr,omitempty"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as a JUnit test suite: a case for each expectation and
// one for each invariant; that of SettledName is called "settled after heal" and
// names what is pending. The suite's time is the wall time, where measured.
func (r *Report) JUnit(w io.Writer) error {
	suite := junitSuite{Name: r.Scenario}
	if r.WallS > 0 {
		suite.Time = fmt.Sprintf("%.3f", r.WallS)
	}
	add := func(class, name string, failure *junitFailure) {
		suite.Cases = append(suite.Cases, junitCase{Class: r.Scenario + "." + class, Name: name, Failure: failure})
		suite.Tests++
		if failure != nil {
			suite.Failures++
		}
	}
	for _, e := range r.Expectations {
		var failure *junitFailure
		if !e.Met {
			failure = &junitFailure{Message: fmt.Sprintf("expected %s, %s", e.Text, e.shown())}
		}
		add("expect", e.Text, failure)
	}
	for _, c := range r.Invariants {
		if c.Name == SettledName {
			add("heal", "settled after heal", r.settledFailure(c))
		} else {
			add("invariant", c.Name, r.invariantFailure(c))
		}
	}

	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suite); err != nil {
		return fmt.Errorf("junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r *Report) invariantFailure(c InvariantCount) *junitFailure {
	if c.Broken == 0 {
		return nil
	}
	var lines strings.Builder
	for _, v := range r.Violations {
		if v.Invariant == c.Name {
			fmt.Fprintf(&lines, "%v %s: %s\n", v.At, v.Kind, v.Reason)
		}
	}
	return &junitFailure{Message: "broke " + plural(c.Broken, "time"), Text: lines.String()}
}

// settledFailure fails when the invariant did, and names what is pending.
func (r *Report) settledFailure(c InvariantCount) *junitFailure {
	failure := r.invariantFailure(c)
	if failure == nil {
		return nil
	}
	var lines strings.Builder
	for _, p := range r.Pending {
		fmt.Fprintf(&lines, "pending at the end: %d %s since %s: %s (%s)\n", p.Count, p.Kind, shortDuration(p.Since), p.Why, examples(p))
	}
	failure.Text += lines.String()
	return failure
}

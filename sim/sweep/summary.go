package sweep

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"dacorch/scenarios"
)

// Summary is what a sweep has shown.
type Summary struct {
	Runs   int    `json:"runs"`
	Failed int    `json:"failed"`
	From   uint64 `json:"seed_from"`
	To     uint64 `json:"seed_to"` // the last seed played
	Swarm  bool   `json:"swarm"`
	Jobs   int    `json:"jobs"`

	WallS       float64 `json:"wall_s"`
	RunsPerHour float64 `json:"runs_per_hour_and_core"`
	VirtualS    float64 `json:"virtual_s"` // simulated, all together
	Events      uint64  `json:"events"`
	SlowestS    float64 `json:"slowest_s"` // real time
	Slowest     string  `json:"slowest"`

	Bases    []Count  `json:"scenarios"`
	Classes  []Count  `json:"classes"` // runs in which faults of the class were
	Faults   []Count  `json:"faults"`  // faults in all runs, by word
	Commands []Count  `json:"commands"`
	Groups   []*Group `json:"groups"` // the most frequent first
}

// Count is how often something was.
type Count struct {
	Name   string `json:"name"`
	N      int    `json:"n"`
	Failed int    `json:"failed,omitempty"` // of those, runs that failed
}

// Group is the runs that failed for one cause.
type Group struct {
	Failure     // of the smallest run
	Count   int `json:"runs"`
	// Smallest is the run with the fewest resources times its duration.
	Smallest *Run   `json:"-"`
	Base     string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	File     string `json:"file,omitempty"`
}

func newSummary(opts Options) *Summary {
	s := &Summary{From: opts.From, To: opts.From, Swarm: opts.Swarm, Jobs: opts.Jobs}
	for _, b := range opts.Bases {
		s.Bases = append(s.Bases, Count{Name: b.Name})
	}
	for _, c := range Classes {
		s.Classes = append(s.Classes, Count{Name: string(c)})
	}
	return s
}

// add counts a run.
func (s *Summary) add(r *Run) {
	s.Runs++
	s.To = max(s.To, r.Seed)
	s.VirtualS += r.Scenario.Duration.Seconds()
	if r.Report != nil {
		s.Events += r.Report.Events
	}
	if wall := r.Wall.Seconds(); wall > s.SlowestS {
		s.SlowestS, s.Slowest = wall, fmt.Sprintf("%s seed %d", r.Base, r.Seed)
	}
	failed := 0
	if len(r.Failures) > 0 {
		failed = 1
	}
	s.Failed += failed
	count(&s.Bases, r.Base, 1, failed)
	for _, c := range r.Classes {
		count(&s.Classes, string(c), 1, failed)
	}
	for i := range r.Scenario.Faults {
		f := &r.Scenario.Faults[i]
		count(&s.Faults, string(f.What), 1, 0)
		if f.Command != "" {
			count(&s.Commands, f.Command, 1, 0)
		}
	}
	if failed > 0 {
		s.group(r)
	}
}

// group puts a failed run to those of its first cause.
func (s *Summary) group(r *Run) {
	f := r.Failures[0]
	i := slices.IndexFunc(s.Groups, func(g *Group) bool { return g.Group == f.Group })
	if i < 0 {
		i = len(s.Groups)
		s.Groups = append(s.Groups, &Group{})
	}
	g := s.Groups[i]
	g.Count++
	if g.Smallest == nil || less(r, g.Smallest) {
		g.Failure, g.Smallest, g.Base, g.Seed = f, r, r.Base, r.Seed
	}
}

// less says that a run is smaller than another; of two alike, the first is.
func less(a, b *Run) bool {
	x, y := bulk(a.Scenario), bulk(b.Scenario)
	return x < y || x == y && a.Index < b.Index
}

// bulk is resources times duration.
func bulk(sc *scenarios.Scenario) float64 {
	n := 1
	for i := range sc.Kinds {
		n += sc.Kinds[i].Resources
	}
	return float64(n) * sc.Duration.Seconds()
}

func count(into *[]Count, name string, n, failed int) {
	i := slices.IndexFunc(*into, func(c Count) bool { return c.Name == name })
	if i < 0 {
		i = len(*into)
		*into = append(*into, Count{Name: name})
	}
	(*into)[i].N += n
	(*into)[i].Failed += failed
}

// finish puts everything in order.
func (s *Summary) finish(wall time.Duration) {
	s.WallS = wall.Seconds()
	s.RunsPerHour = Progress{Runs: s.Runs, Wall: wall, Jobs: s.Jobs}.PerHour()
	slices.SortFunc(s.Groups, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Group, b.Group))
	})
	for _, c := range []*[]Count{&s.Faults, &s.Commands} {
		slices.SortFunc(*c, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// Table writes the summary for people.
func (s *Summary) Table(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-20s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%d runs, %d failed, %d causes\n\n", s.Runs, s.Failed, len(s.Groups))
	if s.Runs > 0 {
		row("seeds", "%d to %d%s", s.From, s.To, map[bool]string{true: ", each a scenario of its own"}[s.Swarm])
	}
	row("real time", "%v on %d cores at a time", time.Duration(s.WallS*1e9).Round(100*time.Millisecond), s.Jobs)
	row("runs/h and core", "%.0f", s.RunsPerHour)
	row("simulated", "%v, %.1f million events", time.Duration(s.VirtualS*1e9).Round(time.Second), float64(s.Events)/1e6)
	row("slowest run", "%.1fs, %s", s.SlowestS, s.Slowest)
	b.WriteString("\nruns with faults of class, and the faults in them\n")
	for _, c := range s.Classes {
		if c.N > 0 {
			words := counted(s.Faults, c.Name+"-")
			fmt.Fprintf(&b, "  %-13s %7d%s  %s\n", c.Name, c.N, c.failed(), words)
		}
	}
	if len(s.Commands) > 0 {
		fmt.Fprintf(&b, "\ncrashes at commands\n  %s\n", counted(s.Commands, ""))
	}
	b.WriteString("\nruns by scenario\n")
	for _, c := range s.Bases {
		fmt.Fprintf(&b, "  %-28s %7d%s\n", c.Name, c.N, c.failed())
	}
	for _, g := range s.Groups {
		fmt.Fprintf(&b, "\nFAIL %s  %s, %d runs\n  %s\n", g.Group, g.Invariant, g.Count, first(g.Reason))
		fmt.Fprintf(&b, "  smallest: %s seed %d, at %v\n", g.Base, g.Seed, g.At)
		if g.File != "" {
			fmt.Fprintf(&b, "  %s\n", g.File)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Count) failed() string {
	if c.Failed == 0 {
		return ""
	}
	return fmt.Sprintf(", %d failed", c.Failed)
}

// counted is a line of those counts whose names begin so, without the beginning.
func counted(of []Count, prefix string) string {
	var words []string
	for _, c := range of {
		if name, ok := strings.CutPrefix(c.Name, prefix); ok {
			words = append(words, fmt.Sprintf("%s %d", name, c.N))
		}
	}
	return strings.Join(words, ", ")
}

// first is the first line of a text.
func first(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

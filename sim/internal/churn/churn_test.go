package churn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// start is a population of n rows and a generator on it.
func start(t interface{ Fatalf(string, ...any) }, seed timeline.Seed, n int, groups Groups, sources ...Source) (*Population, *Generator) {
	p, err := NewPopulation("Thing", groups, seed)
	if err != nil {
		t.Fatalf("%v", err)
	}
	p.Seed(n)
	g, err := NewGenerator(p, seed, sources...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p, g
}

// take is the next operations, at most n and none at or after until.
func take(g *Generator, n int, until time.Duration) []Op {
	var ops []Op
	for len(ops) < n {
		if at, ok := g.Peek(); !ok || at >= until {
			break
		}
		op, _ := g.Next()
		ops = append(ops, op)
	}
	return ops
}

const always = time.Duration(math.MaxInt64)

func readTrace(t interface{ Fatalf(string, ...any) }, rows string) *Trace {
	trace, _, err := ReadTrace(strings.NewReader("id,from,to\n"+rows), Format{ID: []string{"id"}, Created: "from", Deleted: "to", Time: "s"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return trace
}

func TestSyntheticIDs(t *testing.T) {
	p, err := NewPopulation("Thing", nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.Add(fleet.Resource{ID: "Thing-0000002"}) // as a trace may bring
	got := fmt.Sprint(p.Seed(2), " ", p.Seed(1), " ", syntheticID("Rule", 12345678))
	if want := "[{Thing-0000001 } {Thing-0000003 }] [{Thing-0000004 }] Rule-12345678"; got != want {
		t.Errorf("ids %s, want %s", got, want)
	}
	if p.Remove("Thing-0000003"); p.Seed(1)[0].ID != "Thing-0000005" {
		t.Error("an id came twice")
	}
}

// The population against a plain slice: the same rows whatever is done.
func TestPopulationAgreesWithASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := timeline.Seed(rapid.Uint64().Draw(t, "seed")).Stream("whom")
		p, _ := NewPopulation("T", Groups{{"a", 1}, {"b", 3}}, 1)
		var twin []fleet.Resource
		has := func(id string) int {
			return slices.IndexFunc(twin, func(r fleet.Resource) bool { return r.ID == id })
		}
		asks := rapid.Bool().Draw(t, "asks") // the index is made by the first who asks
		for range rapid.IntRange(1, 60).Draw(t, "actions") {
			id := fmt.Sprintf("T-%07d", rapid.IntRange(1, 30).Draw(t, "id"))
			switch rapid.SampledFrom([]string{"seed", "add", "remove", "sample", "take"}).Draw(t, "action") {
			case "seed":
				n := rapid.IntRange(0, 5).Draw(t, "n")
				made := p.Seed(n)
				if len(made) != n {
					t.Fatalf("%d rows made, want %d", len(made), n)
				}
				for _, r := range made {
					if has(r.ID) >= 0 || r.Group != "a" && r.Group != "b" {
						t.Fatalf("%+v is made", r)
					}
					twin = append(twin, r)
				}
			case "add":
				if added := p.Add(fleet.Resource{ID: id}); added != (has(id) < 0) {
					t.Fatalf("Add(%s) = %v", id, added)
				} else if added {
					twin = append(twin, fleet.Resource{ID: id})
				}
			case "remove":
				i := has(id)
				if row, ok := p.Remove(id); ok != (i >= 0) || ok && row != twin[i] {
					t.Fatalf("Remove(%s) = %v, %v with %v", id, row, ok, twin)
				}
				if i >= 0 {
					twin = slices.Delete(twin, i, i+1)
				}
			case "sample":
				n := rapid.IntRange(0, 40).Draw(t, "n")
				got := p.Sample(stream, n)
				slices.SortFunc(got, fleet.Resource.Compare)
				if len(got) != min(n, len(twin)) || len(slices.Compact(got)) != min(n, len(twin)) {
					t.Fatalf("a sample of %d from %d is %v", n, len(twin), got)
				}
				for _, r := range got {
					if has(r.ID) < 0 {
						t.Fatalf("%s is sampled, but not there", r.ID)
					}
				}
			case "take":
				n := rapid.IntRange(0, 5).Draw(t, "n")
				got := p.Take(stream, n)
				if want := min(n, len(twin)); len(got) != want {
					t.Fatalf("%d rows taken, want %d", len(got), want)
				}
				for _, r := range got {
					i := has(r.ID)
					if i < 0 || twin[i] != r {
						t.Fatalf("%v is taken, but not there", r)
					}
					twin = slices.Delete(twin, i, i+1)
				}
			}
			got, want := p.Rows(), slices.Clone(twin)
			slices.SortFunc(got, fleet.Resource.Compare)
			slices.SortFunc(want, fleet.Resource.Compare)
			if !slices.Equal(got, want) || p.Len() != len(twin) || asks && p.Has(id) != (has(id) >= 0) {
				t.Fatalf("the rows are %v, want %v", got, want)
			}
		}
	})
}

func TestEveryRowIsPickedEquallyOften(t *testing.T) {
	p, _ := NewPopulation("T", nil, 1)
	p.Seed(10)
	stream := timeline.Seed(5).Stream("whom")
	picked := map[string]int{}
	for range 20_000 {
		for _, r := range p.Sample(stream, 3) {
			picked[r.ID]++
		}
	}
	for _, r := range p.Rows() { // 6000 expected; five standard deviations are 324
		if n := picked[r.ID]; n < 5_676 || n > 6_324 {
			t.Errorf("%s was picked %d times of 20000, want about 6000", r.ID, n)
		}
	}
}

func TestGroupsAreDrawnByWeight(t *testing.T) {
	p, _ := NewPopulation("T", Groups{{"aws", 6}, {"azure", 3}, {"own", 1}}, 9)
	n := map[string]int{}
	for _, r := range p.Seed(100_000) {
		n[r.Group]++
	}
	for group, want := range map[string]int{"aws": 60_000, "azure": 30_000, "own": 10_000} {
		if math.Abs(float64(n[group]-want)) > 800 { // five standard deviations
			t.Errorf("%d rows of %s, want about %d", n[group], group, want)
		}
	}
}

// Whatever the sources are: times never fall, Peek tells them, a row is created
// once, and only a row that is there is updated or deleted.
func TestEveryOperationIsPossible(t *testing.T) {
	verb := rapid.Map(rapid.IntRange(0, 2), func(i int) Verb { return Verb(i) })
	seconds := func(most int) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.IntRange(0, most), func(s int) time.Duration { return time.Duration(s) * time.Second })
	}
	rapid.Check(t, func(t *rapid.T) {
		var sources []Source
		for range rapid.IntRange(1, 6).Draw(t, "sources") {
			v := verb.Draw(t, "verb")
			switch rapid.IntRange(0, 3).Draw(t, "source") {
			case 0:
				sources = append(sources, Rate{Verb: v, PerSecond: rapid.SampledFrom([]float64{0, 0.1, 1, 3}).Draw(t, "rate"), Arrivals: Arrivals(rapid.IntRange(0, 1).Draw(t, "arrivals")),
					From: seconds(20).Draw(t, "from"), Until: 20*time.Second + seconds(100).Draw(t, "until"), Unnamed: rapid.Bool().Draw(t, "unnamed")})
			case 1:
				sources = append(sources, Burst{Verb: v, At: seconds(50).Draw(t, "at"), Over: seconds(30).Draw(t, "over"),
					Count: rapid.IntRange(0, 40).Draw(t, "count"), Bulk: rapid.IntRange(0, 15).Draw(t, "bulk")})
			case 2:
				sources = append(sources, Day{Verb: v, Peak: 2, Trough: 0.5, Period: time.Minute, PeakAt: seconds(60).Draw(t, "peak")})
			case 3:
				sources = append(sources, readTrace(t, "Thing-0000003,0,9\nx,5,7\ny,1,\nThing-0000003,12,30\n"))
			}
		}
		initial := rapid.IntRange(0, 20).Draw(t, "initial")
		seed := timeline.Seed(rapid.Uint64().Draw(t, "seed"))
		p, g := start(t, seed, initial, Groups{{"a", 1}, {"b", 1}}, sources...)
		there := map[string]fleet.Resource{}
		for _, r := range p.Rows() {
			there[r.ID] = r
		}
		var counts Counts
		for last := time.Duration(0); counts.Ops < 300; counts.Ops++ {
			at, more := g.Peek()
			op, ok := g.Next()
			if ok != more || ok && (op.At != at || op.At < last || len(op.Resources) == 0) {
				t.Fatalf("%+v, %v after %v; peeked %v, %v", op, ok, last, at, more)
			}
			if !ok {
				break
			}
			last = op.At
			if len(op.Resources) > 1 && !op.Bulk {
				t.Fatalf("%+v names many rows, but is no bulk message", op)
			}
			for _, r := range op.Resources {
				was, exists := there[r.ID]
				if exists == (op.Verb == Create) || exists && was != r {
					t.Fatalf("%v %v at %v; there is %v, %v", op.Verb, r, op.At, was, exists)
				}
				switch op.Verb {
				case Create:
					there[r.ID] = r
					counts.Created++
				case Update:
					counts.Updated++
				case Delete:
					delete(there, r.ID)
					counts.Deleted++
				}
			}
		}
		got := g.Counts()
		got.NoneLeft, got.OutOfPlace = 0, 0
		if got != counts || p.Len() != len(there) {
			t.Fatalf("counts %+v with %d rows, want %+v with %d", got, p.Len(), counts, len(there))
		}
	})
}

func TestSameSeedSameChurn(t *testing.T) {
	run := func(seed timeline.Seed) string {
		_, g := start(t, seed, 50, Groups{{"a", 1}, {"b", 2}}, Rate{Verb: Create, PerSecond: 5}, Rate{Verb: Delete, PerSecond: 5},
			Day{Verb: Update, Peak: 3}, Burst{At: time.Minute, Verb: Delete, Count: 30, Bulk: 7})
		return fmt.Sprint(take(g, 2000, always))
	}
	first := run(1)
	if run(1) != first {
		t.Error("two runs of one seed differ")
	}
	if run(2) == first {
		t.Error("two seeds give the same churn")
	}
}

// A source that joins, before or after the others, leaves their times alone.
func TestAddingASourceMovesNoOther(t *testing.T) {
	times := func(sources ...Source) (at []time.Duration) {
		_, g := start(t, 4, 100, nil, sources...)
		for _, op := range take(g, math.MaxInt, 5*time.Minute) {
			if op.Verb == Create {
				at = append(at, op.At)
			}
		}
		return at
	}
	create, remove := Rate{Verb: Create, PerSecond: 2}, Rate{Verb: Delete, PerSecond: 2}
	want := times(create)
	if len(want) < 500 || !slices.Equal(times(create, remove), want) || !slices.Equal(times(remove, create), want) {
		t.Errorf("the %d creations move when deletions join", len(want))
	}
	if twice := times(create, create); slices.Equal(twice[:len(want)], want) {
		t.Error("two rates of one verb must not run in step")
	}
}

func TestDeletesOfAnEmptyTableAreCounted(t *testing.T) {
	_, g := start(t, 1, 3, nil, Rate{Verb: Delete, PerSecond: 1, Arrivals: Constant}, Burst{Verb: Create, At: time.Minute, Count: 1})
	if ops := take(g, 10, always); len(ops) != 5 || ops[3].At != time.Minute || ops[4].At != 60500*time.Millisecond {
		t.Errorf("operations %v", ops)
	}
	// 3.5 s to 59.5 s found nobody; after the last row is gone nothing can come.
	if c := g.Counts(); c != (Counts{Ops: 5, Created: 1, Deleted: 4, NoneLeft: 57}) {
		t.Errorf("counts %+v", c)
	}
}

func TestABulkDeleteTakesWhatIsThere(t *testing.T) {
	_, g := start(t, 1, 5, nil, Burst{Verb: Delete, Count: 20, Bulk: 3}, Burst{Verb: Update, At: 1, Count: 2})
	ops := take(g, 10, always)
	if len(ops) != 2 || len(ops[0].Resources) != 3 || len(ops[1].Resources) != 2 {
		t.Errorf("operations %v", ops)
	}
	if c := g.Counts(); c.Deleted != 5 || c.NoneLeft < 1 {
		t.Errorf("counts %+v", c)
	}
}

// A trace beside other sources: what they have done to its rows is counted.
func TestATraceBesideOtherSources(t *testing.T) {
	trace := readTrace(t, "Thing-0000001,0,50\nThing-0000002,0,60\nx,0,\n")
	p, g := start(t, 1, 1, nil, trace, Burst{Verb: Delete, At: 10 * time.Second, Count: 3})
	if got := fmt.Sprint(p.Rows()); got != "[{Thing-0000001 } {Thing-0000002 } {x }]" {
		t.Errorf("at the start there are %s", got)
	}
	take(g, 10, always)
	if c := g.Counts(); c != (Counts{Ops: 3, Deleted: 3, OutOfPlace: 3}) {
		t.Errorf("counts %+v", c)
	}
}

func TestWhatTheMessagesSay(t *testing.T) {
	_, g := start(t, 1, 100, nil,
		Burst{Verb: Create, Count: 5, Bulk: 2},
		Burst{Verb: Update, At: 1, Count: 1, Bulk: 9},
		Burst{Verb: Delete, At: 2, Count: 2, Bulk: 2, Unnamed: true},
		Burst{Verb: Create, At: 3, Count: 1},
		Rate{Verb: Update, From: 4, PerSecond: 1, Unnamed: true})
	var got []string
	for _, op := range take(g, 7, always) {
		got = append(got, fmt.Sprintf("%v bulk=%v named=%v rows=%d", op.Verb, op.Bulk, op.Named, len(op.Resources)))
	}
	want := []string{
		"create bulk=true named=true rows=2", "create bulk=true named=true rows=2", "create bulk=true named=true rows=1",
		"update bulk=true named=true rows=1", "delete bulk=true named=false rows=2", "create bulk=false named=true rows=1",
		"update bulk=false named=false rows=1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("operations\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSourcesThatMakeNoSense(t *testing.T) {
	for want, s := range map[string]Source{
		"churn 1 (rate create): perSecond: -1/s is not valid: want 0/s to 1000000/s":                                   Rate{PerSecond: -1},
		"churn 1 (rate update): perSecond: NaN/s is not valid: want 0/s to 1000000/s":                                  Rate{Verb: Update, PerSecond: math.NaN()},
		"churn 1 (rate create): until: 1s is not valid: want 0s (for ever) or at least from, 1m0s":                     Rate{From: time.Minute, Until: time.Second},
		"churn 1 (rate create): from: -1s is not valid: want at least 0s":                                              Rate{From: -time.Second},
		"churn 1 (rate create): until: -1s is not valid: want 0s (for ever) or at least from, 0s":                      Rate{Until: -time.Second},
		"churn 1 (rate create): arrivals: 9 is not valid: want poisson or constant":                                    Rate{Arrivals: 9},
		"churn 1 (rate Verb(7)): verb: Verb(7) is not valid: want create, update or delete":                            Rate{Verb: 7},
		"churn 1 (burst delete): count: -1 is not valid: want at least 0":                                              Burst{Verb: Delete, Count: -1},
		"churn 1 (burst create): bulk: -1 is not valid: want at least 0":                                               Burst{Bulk: -1},
		"churn 1 (burst create): at: -1s is not valid: want at least 0s":                                               Burst{At: -time.Second},
		"churn 1 (burst create): over: -1s is not valid: want at least 0s":                                             Burst{Over: -time.Second},
		"churn 1 (day create): peak: 1/s is not valid: want 2/s to 1000000/s":                                          Day{Peak: 1, Trough: 2},
		"churn 1 (day create): trough: -2/s is not valid: want 0/s to 1000000/s":                                       Day{Trough: -2},
		"churn 1 (day create): period: -1s is not valid: want at least 0s":                                             Day{Period: -time.Second},
		"churn 1 (day create): peakAt: -1s is not valid: want at least 0s":                                             Day{PeakAt: -time.Second},
		"churn 1 (day create): until: 1ns is not valid: want 0s (for ever) or at least from, 2562047h47m16.854775807s": Day{From: always, Until: 1},
	} {
		p, _ := NewPopulation("T", nil, 1)
		if _, err := NewGenerator(p, 1, s); err == nil || err.Error() != want {
			t.Errorf("%+v: %v\nwant %s", s, err, want)
		}
	}
}

func TestGroupsThatMakeNoSense(t *testing.T) {
	for want, g := range map[string]Groups{
		`groups[0].name: "" is not valid: want a name`:               {{"", 1}},
		`groups[1].name: "a" is not valid: want each group once`:     {{"a", 1}, {"a", 2}},
		`groups[0].weight: 0 is not valid: want a number above 0`:    {{"a", 0}},
		`groups[1].weight: NaN is not valid: want a number above 0`:  {{"a", 1}, {"b", math.NaN()}},
		`groups[0].weight: +Inf is not valid: want a number above 0`: {{"a", math.Inf(1)}},
	} {
		if _, err := NewPopulation("T", g, 1); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %s", g, err, want)
		}
	}
}

// Names come from outside: those that could not stand in an instance's list, or
// would fill memory, are counted like every row that cannot be used.
func TestNamesThatNoListCanHold(t *testing.T) {
	long := strings.Repeat("x", maxIDBytes+1)
	file := "id,from,g\n" + long + ",1,\n" + long[1:] + ",1,\n\xff,1,\na,1,\x00\nb,1," + long + "\nc,1,red\n"
	trace, stats, err := ReadTrace(strings.NewReader(file), Format{ID: []string{"id"}, Created: "from", Group: "g", Time: "s"})
	if err != nil {
		t.Fatal(err)
	}
	checkAccounts(t, stats)
	if rows := trace.Initial(); len(rows) != 2 || rows[0].ID != long[1:] || rows[1] != (fleet.Resource{ID: "c", Group: "red"}) {
		t.Errorf("used are %v", rows)
	}
	for i, want := range []string{
		"id that no list can hold: 2 rows, such as line 2, id \"" + long[:maxShown] + "…\": want at most 512 bytes, not 513; line 4, id \"\\xff\": want UTF-8",
		"malformed group: 2 rows, such as line 5, id \"a\": \"\\x00\", want no control characters; line 6, id \"b\": \"" + long[:maxShown] + "…\", want at most 512 bytes, not 513",
	} {
		if got := stats.Skipped[i].String(); got != want {
			t.Errorf("skipped %s\nwant    %s", got, want)
		}
	}
}

func TestScalesThatMakeNoSense(t *testing.T) {
	for _, s := range []Scale{{Trace: time.Second}, {Scenario: time.Second}, {Trace: -1, Scenario: 1}, {Trace: 1, Scenario: time.Second}} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "want two times above 0") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (Scale{}).Validate(); err != nil {
		t.Error(err)
	}
}

package porttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
)

// The kinds of a DatabaseFixture, by the type of their ids. Texts are ordered by
// their bytes; only they have groups.
const (
	TextIDs    fleet.Kind = "Text"
	UUIDs      fleet.Kind = "UUID"
	IntegerIDs fleet.Kind = "Integer"
)

// DatabaseFixture is a database with an empty table for each of the kinds, seen
// through the port, and a hand that writes to it past the port.
type DatabaseFixture struct {
	Port     loop.Database
	Kinds    []fleet.Kind // of TextIDs, UUIDs, IntegerIDs: those that it has
	PageSize int          // rows of the port's pages; 10 to 1000
	Insert   func(kind fleet.Kind, rows ...fleet.Resource)
	Delete   func(kind fleet.Kind, ids ...string)
	Restart  func() // stops and starts the server; nil where there is none
}

// Database holds a loop.Database to its contract. start makes a fixture that goes
// with the test.
func Database(t *testing.T, start func(t *testing.T) DatabaseFixture) {
	for name, check := range map[string]func(*testing.T, DatabaseFixture){
		"empty":           databaseEmpty,
		"pages":           databasePages,
		"odd ids":         databaseOddIDs,
		"lookup":          databaseLookup,
		"come and go":     databaseComeAndGo,
		"error ends":      databaseErrorEnds,
		"cancel":          databaseCancel,
		"concurrent":      databaseConcurrent,
		"restart":         databaseRestart,
		"100,000 rows":    databaseMany,
		"kind unknown":    databaseUnknown,
		"a map's answers": databaseTwin,
	} {
		t.Run(name, func(t *testing.T) { check(t, start(t)) })
	}
}

const databasePatience = 2 * time.Minute

func databaseContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), databasePatience)
	t.Cleanup(cancel)
	return ctx
}

// databaseID is the n-th id of the kind, in the kind's order.
func databaseID(kind fleet.Kind, n int) string {
	switch kind {
	case UUIDs:
		return fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
	case IntegerIDs:
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("thing-%07d", n)
}

func databaseRows(kind fleet.Kind, from, to int) []fleet.Resource {
	made := make([]fleet.Resource, 0, to-from)
	for n := from; n < to; n++ {
		r := fleet.Resource{ID: databaseID(kind, n)}
		if kind == TextIDs && n%3 > 0 {
			r.Group = fmt.Sprint("group ", n%3)
		}
		made = append(made, r)
	}
	return made
}

// listedRows lists, and holds the pages to what every listing promises.
func listedRows(ctx context.Context, f DatabaseFixture, kind fleet.Kind, ids []string) ([]fleet.Resource, error) {
	var all []fleet.Resource
	var pages [][]fleet.Resource
	err := f.Port.List(ctx, kind, ids, func(page []fleet.Resource) error {
		if len(page) == 0 || len(page) > f.PageSize {
			return fmt.Errorf("a page of %d rows: want 1 to %d", len(page), f.PageSize)
		}
		pages = append(pages, page)
		all = append(all, page...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if kept := slices.Concat(pages...); !slices.Equal(kept, all) {
		return nil, errors.New("a page has changed after it was handed over")
	}
	for i := 1; i < len(all); i++ {
		if compareIDs(kind, all[i-1].ID, all[i].ID) >= 0 {
			return nil, fmt.Errorf("row %d has the id %q, and row %d %q: not ascending", i-1, all[i-1].ID, i, all[i].ID)
		}
	}
	return all, nil
}

func compareIDs(kind fleet.Kind, a, b string) int {
	if kind == IntegerIDs {
		m, _ := strconv.ParseInt(a, 10, 64)
		n, _ := strconv.ParseInt(b, 10, 64)
		return cmp.Compare(m, n)
	}
	return strings.Compare(a, b)
}

func wantRows(t *testing.T, f DatabaseFixture, kind fleet.Kind, ids []string, want []fleet.Resource) {
	t.Helper()
	got, err := listedRows(databaseContext(t), f, kind, ids)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s: listed %d rows, want %d; %s", kind, len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(got, want []fleet.Resource) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("row %d is %.200q, want %.200q", i, got[i], want[i])
		}
	}
	return "they agree as far as both go"
}

func wantCount(t *testing.T, f DatabaseFixture, kind fleet.Kind, want int) {
	t.Helper()
	got, err := f.Port.Count(databaseContext(t), kind)
	if err != nil || got != want {
		t.Fatalf("%s: count %d, %v; want %d", kind, got, err, want)
	}
}

func databaseEmpty(t *testing.T, f DatabaseFixture) {
	for _, kind := range f.Kinds {
		wantCount(t, f, kind, 0)
		wantRows(t, f, kind, nil, nil)
		wantRows(t, f, kind, []string{databaseID(kind, 1)}, nil)
	}
}

// Around each page's end, nothing is lost and nothing comes twice.
func databasePages(t *testing.T, f DatabaseFixture) {
	for _, kind := range f.Kinds {
		have := 0
		for _, n := range []int{1, f.PageSize - 1, f.PageSize, f.PageSize + 1, 2 * f.PageSize, 2*f.PageSize + 1} {
			f.Insert(kind, databaseRows(kind, have, n)...)
			have = n
			wantCount(t, f, kind, n)
			wantRows(t, f, kind, nil, databaseRows(kind, 0, n))
		}
	}
}

// oddIDs are valid primary keys, though not all can stand in ZooKeeper.
var oddIDs = []string{
	"", " ", "'", `"`, `''; DROP TABLE "Text"; --`, `\`, `\x00`, "%", "_", "$1", "?1", "a\nb", "a\tb", "a\r\n", "A", "a", "Z", "ä", "ß", "é", "e\u0301",
	"日本語", "\u2028", "🙂", "\U0010FFFF", "0", "007", "1e3", "NULL", "null", "true", "{}", "[1]", `{"a":"b"}`, "trailing ", " leading",
	strings.Repeat("long ", 200),
}

func databaseOddIDs(t *testing.T, f DatabaseFixture) {
	want := make([]fleet.Resource, len(oddIDs))
	for i, o := range oddIDs {
		want[i] = fleet.Resource{ID: o, Group: o}
	}
	f.Insert(TextIDs, want...)
	slices.SortFunc(want, fleet.Resource.Compare)
	wantRows(t, f, TextIDs, nil, want)
	wantRows(t, f, TextIDs, oddIDs, want)
	for _, r := range want {
		wantRows(t, f, TextIDs, []string{r.ID}, []fleet.Resource{r})
	}
	if slices.Contains(f.Kinds, IntegerIDs) {
		numbers := []fleet.Resource{{ID: "-9223372036854775808"}, {ID: "-10"}, {ID: "-9"}, {ID: "0"}, {ID: "9"}, {ID: "10"},
			{ID: "9007199254740993"}, {ID: "9223372036854775807"}}
		f.Insert(IntegerIDs, numbers...)
		wantRows(t, f, IntegerIDs, nil, numbers)
	}
}

func databaseLookup(t *testing.T, f DatabaseFixture) {
	for _, kind := range f.Kinds {
		all := databaseRows(kind, 0, 3*f.PageSize)
		f.Insert(kind, all...)
		wantRows(t, f, kind, []string{}, nil)
		wantRows(t, f, kind, []string{all[7].ID, all[3].ID, all[7].ID, databaseID(kind, 1_000_000)}, []fleet.Resource{all[3], all[7]})
		// None of these is the id of a row, though some are other texts for one.
		wantRows(t, f, kind, []string{"", "not an id", "'", "007", "+7", "7.0", " 7", "7 ", "99999999999999999999999999", "1e1",
			strings.ToUpper(databaseID(UUIDs, 10)), "{" + databaseID(UUIDs, 10) + "}", strings.ReplaceAll(databaseID(UUIDs, 10), "-", ""),
			"a\x00b", "\xff\xfe", strings.Repeat("x", 10_000)}, nil)
		every := make([]string, 0, 2*len(all))
		for i := range all {
			every = append(every, all[len(all)-1-i].ID, databaseID(kind, 2_000_000+i))
		}
		wantRows(t, f, kind, every, all)
	}
}

// Rows come and go in front of the listing, behind it and in the page at hand:
// those that stay throughout all come, once.
func databaseComeAndGo(t *testing.T, f DatabaseFixture) {
	for _, kind := range f.Kinds {
		// Of ten numbers 0 and 5 stay, 3 goes in the middle, 7 comes.
		var stay, goes, comes []fleet.Resource
		for n, r := range databaseRows(kind, 0, 20*f.PageSize) {
			switch n % 10 {
			case 0, 5:
				stay = append(stay, r)
			case 3:
				goes = append(goes, r)
			case 7:
				comes = append(comes, r)
			}
		}
		f.Insert(kind, stay...)
		f.Insert(kind, goes...)
		seen := map[string]int{}
		page := 0
		err := f.Port.List(databaseContext(t), kind, nil, func(rows []fleet.Resource) error {
			for _, r := range rows {
				seen[r.ID]++
			}
			for i := page; i < len(goes); i += 5 {
				f.Delete(kind, goes[i].ID)
			}
			if part := len(comes) / 5; page < 5 {
				f.Insert(kind, comes[page*part:(page+1)*part]...)
			}
			page++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range stay {
			if seen[r.ID] != 1 {
				t.Fatalf("%s: the row %s was there throughout and came %d times", kind, r.ID, seen[r.ID])
			}
		}
		for id, times := range seen {
			if times != 1 {
				t.Fatalf("%s: %s came %d times", kind, id, times)
			}
		}
	}
}

func databaseErrorEnds(t *testing.T, f DatabaseFixture) {
	f.Insert(TextIDs, databaseRows(TextIDs, 0, 3*f.PageSize)...)
	enough := errors.New("enough")
	for _, ids := range [][]string{nil, {databaseID(TextIDs, 1)}} {
		calls := 0
		err := f.Port.List(databaseContext(t), TextIDs, ids, func([]fleet.Resource) error { calls++; return enough })
		if !errors.Is(err, enough) || calls != 1 {
			t.Fatalf("%d calls, error %v; want the first call's error to end it", calls, err)
		}
	}
}

func databaseCancel(t *testing.T, f DatabaseFixture) {
	f.Insert(TextIDs, databaseRows(TextIDs, 0, 3*f.PageSize)...)
	ctx, cancel := context.WithCancel(databaseContext(t))
	calls := 0
	err := f.Port.List(ctx, TextIDs, nil, func([]fleet.Resource) error { calls++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Fatalf("%d calls, error %v; want the context's after the first", calls, err)
	}
	never := func([]fleet.Resource) error { t.Error("called with a context that has ended"); return nil }
	for _, ids := range [][]string{nil, {}, {databaseID(TextIDs, 1)}} {
		if err := f.Port.List(ctx, TextIDs, ids, never); !errors.Is(err, context.Canceled) {
			t.Fatalf("List(%v): %v, want the context's error", ids, err)
		}
	}
	if _, err := f.Port.Count(ctx, TextIDs); !errors.Is(err, context.Canceled) {
		t.Fatalf("Count: %v, want the context's error", err)
	}
	wantCount(t, f, TextIDs, 3*f.PageSize) // it goes on for others
}

func databaseConcurrent(t *testing.T, f DatabaseFixture) {
	want := map[fleet.Kind][]fleet.Resource{}
	for _, kind := range f.Kinds {
		want[kind] = databaseRows(kind, 0, 3*f.PageSize)
		f.Insert(kind, want[kind]...)
	}
	ctx := databaseContext(t)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			kind := f.Kinds[worker%len(f.Kinds)]
			some := want[kind][worker : worker+f.PageSize]
			ids := make([]string, len(some))
			for i, r := range some {
				ids[i] = r.ID
			}
			for range 3 {
				if got, err := listedRows(ctx, f, kind, nil); err != nil || !slices.Equal(got, want[kind]) {
					t.Errorf("List: %d rows, %v", len(got), err)
				}
				if got, err := listedRows(ctx, f, kind, ids); err != nil || !slices.Equal(got, some) {
					t.Errorf("List of ids: %d rows, %v", len(got), err)
				}
				if n, err := f.Port.Count(ctx, kind); err != nil || n != len(want[kind]) {
					t.Errorf("Count: %d, %v", n, err)
				}
			}
		})
	}
	wg.Wait()
}

// A restart between two pages is not noticed, nor one between two calls.
func databaseRestart(t *testing.T, f DatabaseFixture) {
	if f.Restart == nil {
		t.Skip("nothing to restart")
	}
	want := databaseRows(TextIDs, 0, 4*f.PageSize)
	f.Insert(TextIDs, want...)
	var got []fleet.Resource
	err := f.Port.List(databaseContext(t), TextIDs, nil, func(page []fleet.Resource) error {
		if got = append(got, page...); len(got) == 2*f.PageSize {
			f.Restart()
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("listed %d rows, %v; want %d", len(got), err, len(want))
	}
	f.Restart()
	wantCount(t, f, TextIDs, len(want))
}

func databaseMany(t *testing.T, f DatabaseFixture) {
	const many = 100_000
	want := databaseRows(TextIDs, 0, many)
	for chunk := range slices.Chunk(want, 5000) {
		f.Insert(TextIDs, chunk...)
	}
	wantCount(t, f, TextIDs, many)
	wantRows(t, f, TextIDs, nil, want)
}

func databaseUnknown(t *testing.T, f DatabaseFixture) {
	_, err := f.Port.Count(databaseContext(t), "Nowhere")
	if err == nil || !strings.Contains(err.Error(), "Nowhere") {
		t.Fatalf("Count: %v, want an error that names the kind", err)
	}
	err = f.Port.List(databaseContext(t), "Nowhere", nil, func([]fleet.Resource) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "Nowhere") {
		t.Fatalf("List: %v, want an error that names the kind", err)
	}
}

// databaseTwin compares with a map, which does what the port should.
func databaseTwin(t *testing.T, f DatabaseFixture) {
	ctx := databaseContext(t)
	twin := map[string]string{}
	anID := rapid.OneOf(rapid.SampledFrom(oddIDs), rapid.StringMatching(`[a-cA-C]{1,2}`),
		rapid.StringOfN(rapid.Rune(), 1, 8, 32).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }))
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 12).Draw(rt, "changes") {
			id := anID.Draw(rt, "id")
			if _, exists := twin[id]; exists {
				f.Delete(TextIDs, id)
				delete(twin, id)
				continue
			}
			twin[id] = rapid.SampledFrom([]string{"", "g", "h"}).Draw(rt, "group")
			f.Insert(TextIDs, fleet.Resource{ID: id, Group: twin[id]})
		}
		asked := rapid.SliceOf(anID).Draw(rt, "asked")
		var all, some []fleet.Resource
		for id, group := range twin {
			all = append(all, fleet.Resource{ID: id, Group: group})
			if slices.Contains(asked, id) {
				some = append(some, fleet.Resource{ID: id, Group: group})
			}
		}
		slices.SortFunc(all, fleet.Resource.Compare)
		slices.SortFunc(some, fleet.Resource.Compare)
		if got, err := listedRows(ctx, f, TextIDs, nil); err != nil || !slices.Equal(got, all) {
			rt.Fatalf("List: %v; %s", err, firstDifference(got, all))
		}
		if got, err := listedRows(ctx, f, TextIDs, append([]string{}, asked...)); err != nil || !slices.Equal(got, some) {
			rt.Fatalf("List of %q: %v; %s", asked, err, firstDifference(got, some))
		}
		if n, err := f.Port.Count(ctx, TextIDs); err != nil || n != len(all) {
			rt.Fatalf("Count: %d, %v; want %d", n, err, len(all))
		}
	})
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// table is the benchmarks whose names differ in by= alone; without a title, those
// that have no by=.
type table struct {
	title string
	rows  []*row
}

// row is one benchmark; several values of a unit stem from repetitions.
type row struct {
	by     string // or the whole name, when it has no by=
	values map[string][]float64
}

// read parses measurements, in order of first appearance.
func read(in io.Reader) ([]*table, error) {
	var tables []*table
	reader := benchfmt.NewReader(in, "standard input")
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, rec
		case *benchfmt.Result:
			title, by := split(rec.Name)
			if by == "" {
				title, by = "", title
			}
			r := rowOf(&tables, title, by)
			for _, v := range rec.Values {
				r.values[v.Unit] = append(r.values[v.Unit], v.Value)
			}
		}
	}
	return tables, reader.Err()
}

// split takes a benchmark's name apart: "Scratch/op=scratch/n=1/by=map-2" is
// "scratch, n 1" and "map". Without op=, the function's name leads.
func split(name benchfmt.Name) (title, by string) {
	base, parts := name.Parts()
	words := []string{string(base)}
	for _, part := range parts {
		p := string(part)
		if p[0] == '-' { // GOMAXPROCS
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(p, "/"), "=")
		switch {
		case !ok:
			words = append(words, key)
		case key == "by":
			by = value
		case key == "op":
			words[0] = value
		default:
			words = append(words, thousands(value)+" "+key)
		}
	}
	return strings.Join(words, ", "), by
}

func rowOf(tables *[]*table, title, by string) *row {
	i := slices.IndexFunc(*tables, func(t *table) bool { return t.title == title })
	if i < 0 {
		i = len(*tables)
		*tables = append(*tables, &table{title: title})
	}
	t := (*tables)[i]
	for _, r := range t.rows {
		if r.by == by {
			return r
		}
	}
	r := &row{by: by, values: map[string][]float64{}}
	t.rows = append(t.rows, r)
	return r
}

// median is the middle of the row's values of a unit.
func (r *row) median(unit string) (float64, bool) {
	v := slices.Sorted(slices.Values(r.values[unit]))
	if len(v) == 0 {
		return 0, false
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2, true
}

// write writes the table as markdown: time, its ratio to the base row, bytes,
// allocations, then the benchmarks' own units by name.
func (t *table) write(w io.Writer, base string) {
	units, head := []string{"sec/op", "B/op", "allocs/op"}, []string{"time", "memory", "allocations"}
	var own []string
	for _, r := range t.rows {
		for unit := range r.values {
			if !slices.Contains(units, unit) && !slices.Contains(own, unit) {
				own = append(own, unit)
			}
		}
	}
	slices.Sort(own)
	units, head = append(units, own...), append(head, own...)
	var reference float64
	for _, r := range t.rows {
		if r.by == base && base != "" {
			reference, _ = r.median("sec/op")
		}
	}
	cells := []string{"by"}
	if t.title == "" {
		cells[0] = "benchmark"
		fmt.Fprintln(w)
	} else {
		fmt.Fprintf(w, "\n### %s\n\n", t.title)
	}
	for i, h := range head {
		cells = append(cells, h)
		if i == 0 && reference > 0 {
			cells = append(cells, "× "+base)
		}
	}
	line(w, cells)
	fmt.Fprintf(w, "|---|%s\n", strings.Repeat("---:|", len(cells)-1))
	for _, r := range t.rows {
		cells := []string{r.by}
		for i, unit := range units {
			v, ok := r.median(unit)
			cells = append(cells, format(v, unit, ok))
			if i == 0 && reference > 0 {
				cells = append(cells, format(v/reference, "", ok))
			}
		}
		line(w, cells)
	}
}

func line(w io.Writer, cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

// format writes a value to three digits with a unit that fits.
func format(v float64, unit string, ok bool) string {
	if !ok {
		return ""
	}
	switch unit {
	case "sec/op":
		return scaled(v*1e9, 1000, []string{"ns", "µs", "ms", "s"})
	case "B/op", "peak-bytes":
		return scaled(v, 1000, []string{"B", "kB", "MB", "GB"})
	}
	return digits(v)
}

func scaled(v, step float64, units []string) string {
	i := 0
	for v >= step && i < len(units)-1 {
		v /= step
		i++
	}
	return digits(v) + " " + units[i]
}

// digits writes whole numbers whole, and others with three digits.
func digits(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// thousands separates the thousands of a whole number; anything else is as it is.
func thousands(s string) string {
	if _, err := strconv.ParseUint(s, 10, 64); err != nil {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

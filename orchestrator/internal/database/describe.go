package database

import (
	"fmt"
	"slices"
	"strings"

	"dacorch/orchestrator/fleet"
)

const shownNames = 20 // that an error lists

// column is one of a table's columns, as the database tells it.
type column struct {
	name     string
	typ      string // as it is written in a cast; of a domain, what it stands for
	base     string // that type's plain name
	readable bool
	unique   bool // has an index that lets no value stand twice
}

func columnNamed(columns []column, name string) (column, bool) {
	i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return columns[i], true
}

// pick finds the table's id and group among its columns.
func pick(t Table, columns []column) (id, group column, err error) {
	for _, c := range []struct {
		field, name string
		into        *column
	}{{"idColumn", t.IDColumn, &id}, {"groupColumn", t.GroupColumn, &group}} {
		if c.name == "" {
			continue
		}
		found, ok := columnNamed(columns, c.name)
		switch {
		case !ok:
			names := make([]string, len(columns))
			for i := range columns {
				names[i] = columns[i].name
			}
			return id, group, fmt.Errorf("table %s has no column %s (%s): it has %s", t.shown(), quote(c.name), c.field, listed(names))
		case !found.readable:
			return id, group, fmt.Errorf("column %s of table %s may not be read: GRANT SELECT on the table to the user", quote(c.name), t.shown())
		}
		*c.into = found
	}
	return id, group, nil
}

// noTable says that there is none, and which ones there are that may be meant.
func noTable(t Table, similar []string) error {
	hint := "set table (and schema) to where the kind's rows are"
	if len(similar) > 0 {
		hint = "is it " + listed(similar) + "?"
	}
	return fmt.Errorf("no table %s: %s", t.shown(), hint)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	more := ""
	if len(names) > shownNames {
		more = fmt.Sprintf(" and %d more", len(names)-shownNames)
		names = names[:shownNames]
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ") + more
}

// shown is the table as SQL writes it.
func (t Table) shown() string {
	if t.Schema == "" {
		return quote(t.Name)
	}
	return quote(t.Schema) + "." + quote(t.Name)
}

// quote writes an identifier so that nothing in it is taken for SQL.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// full says that a page holds as much as it may.
func full(rows []fleet.Resource, bytes, limit int) bool {
	return len(rows) >= limit || bytes >= pageBytes
}

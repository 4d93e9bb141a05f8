package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"dacorch/orchestrator/fleet"
)

type postgresql struct {
	pool    *pgxpool.Pool
	at      string   // host:port/database, for errors
	secrets []string // stand in no error
}

func (p *postgresql) close() { p.pool.Close() }

func (p *postgresql) count(ctx context.Context, t *table) (n int, err error) {
	err = p.pool.QueryRow(ctx, t.number).Scan(&n)
	return n, err
}

// page reads behind the cursor, which is the last id as text; PostgreSQL turns it
// back into the column's type, so that it compares as its own.
func (p *postgresql) page(ctx context.Context, t *table, after any, limit int) ([]fleet.Resource, any, error) {
	statement, args := t.first, []any{limit}
	if after != nil {
		statement, args = t.next, []any{limit, after}
	}
	rows, err := p.rows(ctx, t, limit, statement, args...)
	if err != nil || !rows.more {
		return rows.read, nil, err
	}
	return rows.read, rows.read[len(rows.read)-1].ID, nil
}

func (p *postgresql) find(ctx context.Context, t *table, ids []string) ([]fleet.Resource, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := p.rows(ctx, t, 0, t.some, ids)
	return rows.read, err
}

type read struct {
	read []fleet.Resource
	more bool // there may be
}

// rows reads ids and groups, up to a page when there is a limit. Both are cast to
// text, whose bytes are the same in each of the protocol's formats.
func (p *postgresql) rows(ctx context.Context, t *table, limit int, statement string, args ...any) (read, error) {
	rows, err := p.pool.Query(ctx, statement, args...)
	if err != nil {
		return read{}, err
	}
	defer rows.Close()
	r := read{read: make([]fleet.Resource, 0, limit)}
	bytes := 0
	for rows.Next() {
		raw := rows.RawValues()
		row := fleet.Resource{ID: string(raw[0])}
		if t.GroupColumn != "" {
			row.Group = string(raw[1])
		}
		r.read = append(r.read, row)
		bytes += len(row.ID) + len(row.Group)
		if limit > 0 && full(r.read, bytes, limit) {
			r.more = true
			break
		}
	}
	rows.Close()
	return r, rows.Err()
}

const (
	findTable = `SELECT c.oid, has_schema_privilege(n.oid, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname::text = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND CASE WHEN $2 = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname::text = $2 END`
	findSimilar = `SELECT n.nspname::text || '.' || c.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname::text) IN (lower($1), lower($1) || 's') AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1`
	// -1 keeps a cast to a padded type from cutting it to one character; a domain's
	// base type refuses nothing. Where rows are in partitions or come from
	// elsewhere, no index can tell that ids are unique: there they are taken to be.
	findColumns = `SELECT a.attname::text, format_type(coalesce(b.oid, y.oid), -1), coalesce(b.typname, y.typname)::text,
has_column_privilege(c.oid, a.attnum, 'SELECT'),
c.relkind <> 'r' OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
 AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_type b ON b.oid = y.typbasetype
WHERE c.oid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
)

func (p *postgresql) describe(ctx context.Context, name Table) (*table, error) {
	var oid uint32
	var usable bool
	err := p.pool.QueryRow(ctx, findTable, name.Name, name.Schema).Scan(&oid, &usable)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		similar, err := texts(p.pool.Query(ctx, findSimilar, name.Name))
		if err != nil {
			return nil, err
		}
		return nil, noTable(name, similar)
	case err != nil:
		return nil, err
	case !usable:
		return nil, fmt.Errorf("table %s may not be read: GRANT USAGE on the schema to the user", name.shown())
	}
	found, err := p.pool.Query(ctx, findColumns, oid)
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (c column, err error) {
		return c, row.Scan(&c.name, &c.typ, &c.base, &c.readable, &c.unique)
	})
	if err != nil {
		return nil, err
	}
	id, _, err := pick(name, columns)
	if err != nil {
		return nil, err
	}
	return p.statements(name, id), nil
}

func texts(rows pgx.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// statements writes what is asked of the table. Every column is named with its
// table: ORDER BY "id" alone would mean the text that SELECT makes of it.
func (p *postgresql) statements(name Table, id column) *table {
	key := "t." + quote(name.IDColumn)
	list := "SELECT " + key + "::text"
	if name.GroupColumn != "" {
		list += ", coalesce(t." + quote(name.GroupColumn) + "::text, '')"
	}
	from := " FROM " + name.shown() + " AS t WHERE "
	order := " ORDER BY " + key
	t := &table{
		Table: name, unique: id.unique,
		first:  list + from + key + " IS NOT NULL" + order + " LIMIT $1",
		next:   list + from + key + " > $2::text::" + id.typ + order + " LIMIT $1",
		number: "SELECT count(" + key + ")" + from + "true",
	}
	// Ids are texts: 007 is not the id of the row 7. What its type would write
	// otherwise cannot be one, and need not be asked for.
	t.can = textOf(id.base)
	if t.can == nil {
		t.can = storable
		t.some = list + from + key + "::text = ANY ($1::text[])" + order
	} else {
		t.some = list + from + key + " = ANY ($1::text[]::" + id.typ + "[])" + order
	}
	return t
}

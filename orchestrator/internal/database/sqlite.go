package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"dacorch/orchestrator/fleet"
)

type sqlite struct {
	db *sql.DB
	at string // the file
}

// openSQLite opens a file that something else writes. It is opened read-only, and
// so not created when it is missing. Connections are renewed now and then: a file
// put in its place is noticed within fileLifetime.
func openSQLite(cfg Config, path, query string) (engine, error) {
	options, err := url.ParseQuery(query)
	if err != nil || path == "" {
		return nil, &fleet.FieldError{Field: "url", Value: shorten(cfg.URL), Want: "sqlite:path or file:path?option=value"}
	}
	if mode := options.Get("mode"); mode != "" && mode != "ro" || strings.Contains(path, ":memory:") {
		return nil, &fleet.FieldError{Field: "url", Value: shorten(cfg.URL), Want: "a file, which is opened with mode=ro"}
	}
	options.Set("mode", "ro")
	options["_pragma"] = []string{fmt.Sprintf("busy_timeout(%d)", min(cfg.StatementTimeout, 5*time.Second).Milliseconds()), "query_only(1)"}
	db, err := sql.Open("sqlite", "file:"+path+"?"+options.Encode())
	if err != nil {
		return nil, fmt.Errorf("SQLite file %s: %w", path, err)
	}
	db.SetMaxOpenConns(cfg.MaxConns)
	db.SetMaxIdleConns(cfg.MaxConns)
	db.SetConnMaxLifetime(fileLifetime)
	return &sqlite{db: db, at: path}, nil
}

const fileLifetime = time.Minute

func (s *sqlite) close() { _ = s.db.Close() } // nothing was written

func (s *sqlite) count(ctx context.Context, t *table) (n int, err error) {
	err = s.db.QueryRowContext(ctx, t.number).Scan(&n)
	return n, err
}

// page reads behind the cursor, which is the last id in the storage class that it
// has: SQLite compares an integer and a text otherwise than their texts.
func (s *sqlite) page(ctx context.Context, t *table, after any, limit int) ([]fleet.Resource, any, error) {
	if after == nil {
		return s.rows(ctx, t, limit, nil, t.first, limit)
	}
	return s.rows(ctx, t, limit, after, t.next, limit, after)
}

func (s *sqlite) find(ctx context.Context, t *table, ids []string) ([]fleet.Resource, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	array, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	found, _, err := s.rows(ctx, t, 0, nil, t.some, string(array))
	return found, err
}

// rows reads ids and groups, up to a page when there is a limit; last is the id
// in front of them. One table's ids are all integers or all texts: 7 and '7'
// would both be the id 7.
func (s *sqlite) rows(ctx context.Context, t *table, limit int, last any, statement string, args ...any) ([]fleet.Resource, any, error) {
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	read, bytes := make([]fleet.Resource, 0, limit), 0
	for rows.Next() {
		var key any
		var row fleet.Resource
		into := []any{&key, &row.Group}
		if t.GroupColumn == "" {
			into = into[:1]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		_, wasText := last.(string)
		text, isText := key.(string)
		number, isInteger := key.(int64)
		switch {
		case !isText && !isInteger || last != nil && isText != wasText:
			return nil, nil, fmt.Errorf("column %s of table %s holds ids of several types (%T is one): want all of them text, or all integer",
				quote(t.IDColumn), t.shown(), key)
		case isText:
			row.ID = text
		default:
			row.ID = strconv.FormatInt(number, 10)
		}
		last = key
		read = append(read, row)
		bytes += len(row.ID) + len(row.Group)
		if limit > 0 && full(read, bytes, limit) {
			return read, last, nil
		}
	}
	return read, nil, rows.Err()
}

const (
	sqliteTable = `SELECT count(*) FROM pragma_table_list(?) WHERE type IN ('table', 'view', 'virtual')
AND (? = '' OR schema = ? COLLATE NOCASE)`
	sqliteSimilar = `SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
AND lower(name) IN (lower(?) || 's', rtrim(lower(?), 's')) ORDER BY 1`
	// A column of a view, or of a module's table, is taken to be unique.
	sqliteColumns = `SELECT c.name, c.type, c.pk = 1 AND (SELECT count(*) FROM pragma_table_info(?, ?) WHERE pk > 0) = 1
OR NOT EXISTS (SELECT 1 FROM pragma_table_list(?) WHERE type = 'table')
OR EXISTS (SELECT 1 FROM pragma_index_list(?, ?) i WHERE i."unique" AND NOT i.partial
 AND (SELECT group_concat(x.cid) FROM pragma_index_info(i.name, ?) x) = c.cid)
FROM pragma_table_xinfo(?, ?) c ORDER BY c.cid`
)

func (s *sqlite) describe(ctx context.Context, name Table) (*table, error) {
	var there int
	if err := s.db.QueryRowContext(ctx, sqliteTable, name.Name, name.Schema, name.Schema).Scan(&there); err != nil {
		return nil, err
	}
	if there == 0 {
		similar, err := s.similar(ctx, name.Name)
		if err != nil {
			return nil, err
		}
		return nil, noTable(name, similar)
	}
	schema := name.Schema
	if schema == "" {
		schema = "main"
	}
	n := name.Name
	rows, err := s.db.QueryContext(ctx, sqliteColumns, n, schema, n, n, schema, schema, n, schema)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		c := column{readable: true}
		if err := rows.Scan(&c.name, &c.typ, &c.unique); err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, wanted := range []*string{&name.IDColumn, &name.GroupColumn} {
		for _, c := range columns { // names differ in more than case, as SQLite sees them
			if strings.EqualFold(c.name, *wanted) {
				*wanted = c.name
			}
		}
	}
	id, _, err := pick(name, columns)
	if err != nil {
		return nil, err
	}
	return s.statements(name, id), nil
}

func (s *sqlite) similar(ctx context.Context, name string) (names []string, err error) {
	rows, err := s.db.QueryContext(ctx, sqliteSimilar, name, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// statements writes what is asked of the table. Every column is named with its
// table: SQLite takes a quoted name that it does not know for a text. The plus
// keeps the driver from making times and booleans of columns declared so.
func (s *sqlite) statements(name Table, id column) *table {
	key := "t." + quote(name.IDColumn)
	list := "SELECT +" + key
	if name.GroupColumn != "" {
		list += ", coalesce(CAST(t." + quote(name.GroupColumn) + " AS TEXT), '')"
	}
	from := " FROM " + name.shown() + " AS t WHERE "
	order := " ORDER BY " + key
	t := &table{
		Table: name, unique: id.unique, can: storable,
		first:  list + from + key + " IS NOT NULL" + order + " LIMIT ?1",
		next:   list + from + key + " > ?2" + order + " LIMIT ?1",
		number: "SELECT count(" + key + ")" + from + "true",
		some:   list + from + key + " IN (SELECT value FROM json_each(?1))" + order,
	}
	if !comparesAsText(id.typ) {
		t.some = list + from + "CAST(" + key + " AS TEXT) IN (SELECT value FROM json_each(?1))" + order
	}
	return t
}

// comparesAsText says whether a column declared so makes of a text what it would
// store for it, before it compares (https://sqlite.org/datatype3.html, 3.1): all
// do but those without a type, of BLOB, and of floating point.
func comparesAsText(declared string) bool {
	d := strings.ToUpper(declared)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(d, w) {
				return true
			}
		}
		return false
	}
	return has("INT", "CHAR", "CLOB", "TEXT") || d != "" && !has("BLOB", "REAL", "FLOA", "DOUB")
}

// passing: nothing stands between us and a file; a writer that blocks it for
// longer than busy_timeout is worth another try.
func (s *sqlite) passing(err error) bool {
	coded, ok := errors.AsType[interface {
		error
		Code() int
	}](err)
	const busy, locked = 5, 6
	return ok && (coded.Code()&0xff == busy || coded.Code()&0xff == locked)
}

func (s *sqlite) outdated(err error) bool {
	return strings.Contains(err.Error(), "no such column") || strings.Contains(err.Error(), "no such table")
}

func (s *sqlite) scrub(err error) error { return fmt.Errorf("SQLite file %s: %w", s.at, err) }

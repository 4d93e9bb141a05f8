package database

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/loop"
	"dacorch/orchestrator/porttest"
	"dacorch/orchestrator/porttest/real"
)

var _ loop.Database = (*DB)(nil)

const testPage = 10

var testTables = map[fleet.Kind]Table{
	porttest.TextIDs: {GroupColumn: "group"}, porttest.UUIDs: {}, porttest.IntegerIDs: {Name: "numbers", IDColumn: "Nr."},
}

func TestContractSQLite(t *testing.T) {
	porttest.Database(t, func(t *testing.T) porttest.DatabaseFixture {
		path, write := sqliteFile(t, `CREATE TABLE "Text" (id TEXT PRIMARY KEY, "group" TEXT);
			CREATE TABLE "UUID" (id uuid PRIMARY KEY); CREATE TABLE numbers ("Nr." INTEGER PRIMARY KEY)`)
		exec := func(statement string, args ...any) error {
			_, err := write.Exec(statement, args...)
			return err
		}
		f := fixture(t, open(t, Config{URL: "sqlite:" + path, PageSize: testPage, Tables: testTables}), func(many func() error) error {
			if err := exec("BEGIN"); err != nil {
				return err
			}
			defer func() {
				if err := exec("COMMIT"); err != nil {
					t.Error(err)
				}
			}()
			return many()
		}, exec)
		return f
	})
}

func TestContractPostgreSQL(t *testing.T) {
	server := real.PostgreSQL(t)
	write := pool(t, server.URL)
	n := 0 // of fixtures, each with its own schema
	porttest.Database(t, func(t *testing.T) porttest.DatabaseFixture {
		n++
		schema := fmt.Sprintf(`Schema "%d"`, n)
		exec := func(statement string, args ...any) error {
			parts := strings.Split(statement, "?")
			for i := range args { // texts, whatever the column's type
				parts[i] += fmt.Sprintf("$%d::text::%s", i+1, idType(parts[0], i))
			}
			_, err := write.Exec(t.Context(), strings.Join(parts, ""), args...)
			return err
		}
		execAll(t, write, `CREATE SCHEMA `+quote(schema))
		tables := map[fleet.Kind]Table{}
		for kind, table := range testTables {
			table.Schema = schema
			tables[kind] = table
		}
		prefix := quote(schema) + "."
		execAll(t, write, `CREATE TABLE `+prefix+`"Text" (id text PRIMARY KEY, "group" varchar(1000))`,
			`CREATE TABLE `+prefix+`"UUID" (id uuid PRIMARY KEY)`, `CREATE TABLE `+prefix+`numbers ("Nr." bigint PRIMARY KEY)`)
		f := fixture(t, open(t, Config{URL: server.URL, PageSize: testPage, Tables: tables}), func(many func() error) error { return many() },
			func(statement string, args ...any) error {
				for _, name := range []string{`"Text"`, `"UUID"`, `numbers`} {
					statement = strings.Replace(statement, name, prefix+name, 1)
				}
				return exec(statement, args...)
			})
		f.Restart = func() { server.Stop(); write.Reset(); server.Start() }
		return f
	})
}

func idType(statement string, arg int) string {
	switch {
	case arg%2 == 1 && strings.Contains(statement, `"Text"`):
		return "text"
	case strings.Contains(statement, `"UUID"`):
		return "uuid"
	case strings.Contains(statement, "numbers"):
		return "bigint"
	}
	return "text"
}

// fixture writes through exec, whose statements have a ? for each argument.
func fixture(t *testing.T, db *DB, batch func(func() error) error, exec func(string, ...any) error) porttest.DatabaseFixture {
	names := map[fleet.Kind][2]string{porttest.TextIDs: {`"Text"`, "id"}, porttest.UUIDs: {`"UUID"`, "id"}, porttest.IntegerIDs: {"numbers", `"Nr."`}}
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return porttest.DatabaseFixture{
		Port: db, PageSize: testPage, Kinds: []fleet.Kind{porttest.TextIDs, porttest.UUIDs, porttest.IntegerIDs},
		Insert: func(kind fleet.Kind, rows ...fleet.Resource) {
			t.Helper()
			check(batch(func() error {
				const most = 1000
				for len(rows) > 0 {
					chunk := rows[:min(most, len(rows))]
					rows = rows[len(chunk):]
					one, args := "(?)", []any{}
					if kind == porttest.TextIDs {
						one = "(?, ?)"
					}
					for _, r := range chunk {
						args = append(args, r.ID)
						if kind == porttest.TextIDs {
							args = append(args, nullWhenEmpty(r.Group))
						}
					}
					values := strings.TrimSuffix(strings.Repeat(one+",", len(chunk)), ",")
					if err := exec("INSERT INTO "+names[kind][0]+" VALUES "+values, args...); err != nil {
						return err
					}
				}
				return nil
			}))
		},
		Delete: func(kind fleet.Kind, ids ...string) {
			t.Helper()
			check(batch(func() error {
				for _, id := range ids {
					if err := exec("DELETE FROM "+names[kind][0]+" WHERE "+names[kind][1]+" = ?", id); err != nil {
						return err
					}
				}
				return nil
			}))
		},
	}
}

func nullWhenEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func open(t testing.TB, cfg Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// sqliteFile makes a database, and answers a connection that writes to it.
func sqliteFile(t testing.TB, schema string) (path string, write *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a ?#%20 name.db")
	write, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=synchronous(0)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	write.SetMaxOpenConns(1)
	t.Cleanup(func() { write.Close() })
	if _, err := write.Exec(schema); err != nil {
		t.Fatal(err)
	}
	return path, write
}

func pool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func execAll(t testing.TB, p *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := p.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// rowsOf lists everything.
func rowsOf(t testing.TB, db *DB, kind fleet.Kind, ids []string) []fleet.Resource {
	t.Helper()
	var all []fleet.Resource
	if err := db.List(t.Context(), kind, ids, func(page []fleet.Resource) error { all = append(all, page...); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

package database

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
)

func ids(rows []fleet.Resource) []string {
	all := make([]string, len(rows))
	for i, r := range rows {
		all[i] = r.ID
	}
	return all
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q: want %q in it", err, p)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("two\nlines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no url":         {Config{}, []string{"url", "postgres://user@host:port/name or sqlite:path"}},
		"other database": {Config{URL: "mysql://u:hunter2@h/d"}, []string{"url", `"mysql"`}},
		"port":           {Config{URL: "postgres://u:hunter2@h:port/d"}, []string{"url", "port"}},
		"unescaped":      {Config{URL: "postgres://u:hun/ter2@h/d"}, []string{"url", "%40"}},
		"sslmode":        {Config{URL: "postgres://u:hunter2@h/d?sslmode=maybe"}, []string{"url", "sslmode"}},
		"certificate":    {Config{URL: "postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such"}, []string{"url", "/no/such"}},
		"page":           {Config{URL: "sqlite:x", PageSize: -1}, []string{"pageSize: -1", "1 to 100,000"}},
		"timeout":        {Config{URL: "sqlite:x", StatementTimeout: -1}, []string{"statementTimeout", "1ms"}},
		"connections":    {Config{URL: "sqlite:x", MaxConns: 1000}, []string{"maxConns: 1000", "1 to 100"}},
		"memory":         {Config{URL: "file:x?mode=memory"}, []string{"url", "mode=ro"}},
		"no path":        {Config{URL: "sqlite:"}, []string{"url", "sqlite:path"}},
		"table":          {Config{URL: "sqlite:x", Tables: map[fleet.Kind]Table{"Thing": {Name: "a\x00b"}}}, []string{"table", `"a\x00b"`}},
		"no such secret": {Config{URL: "postgres://h/d", PasswordFile: "/no/such"}, []string{"passwordFile", "/no/such"}},
		"no one secret":  {Config{URL: "postgres://h/d", PasswordFile: secret}, []string{"passwordFile", "one line"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), c.cfg)
			wantError(t, err, c.want...)
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
				t.Errorf("error %q holds the password", err)
			}
			if _, ok := errors.AsType[*fleet.FieldError](err); !ok {
				t.Errorf("error %q names no field", err)
			}
		})
	}
}

func TestTLSIsRequiredOffLoopback(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for url, encrypted := range map[string]bool{
		"postgres://db.example/x":                   true,
		"postgres://db.example/x?connect_timeout=3": true,
		"postgres://127.0.0.1,db.example/x":         true,
		"postgres://db.example/x?sslmode=require":   true,
		"postgres://db.example/x?sslmode=disable":   false,
		"postgres://127.0.0.1/x":                    false,
		"postgres://localhost/x":                    false,
		"postgres://[::1]/x":                        false,
		"postgres:///x?host=/run":                   false,
	} {
		cfg, err := parsePostgreSQL(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		always := cfg.ConnConfig.TLSConfig != nil
		for _, f := range cfg.ConnConfig.Fallbacks {
			always = always && f.TLSConfig != nil
		}
		if always && encrypted && cfg.ConnConfig.TLSConfig.InsecureSkipVerify != strings.Contains(url, "=require") {
			t.Errorf("%s: whoever answers is taken for the server", url)
		}
		if always != encrypted {
			t.Errorf("%s: always encrypted: %v, want %v", url, always, encrypted)
		}
	}
}

func TestSQLiteSaysWhatIsWrong(t *testing.T) {
	path, write := sqliteFile(t, `CREATE TABLE Things (id TEXT PRIMARY KEY, name TEXT); CREATE TABLE loose (id TEXT);
		CREATE TABLE mixed (id); INSERT INTO mixed VALUES (1), ('1'); CREATE TABLE pair (a TEXT, b TEXT, PRIMARY KEY (a, b));
		CREATE TABLE part (id TEXT); CREATE UNIQUE INDEX part_id ON part (id) WHERE id > 'm';
		CREATE TABLE blobs (id BLOB PRIMARY KEY); INSERT INTO blobs VALUES (x'00ff')`)
	check := func(table Table) error {
		return open(t, Config{URL: "sqlite:" + path, Tables: map[fleet.Kind]Table{"Thing": table}}).Check(t.Context())
	}
	wantError(t, check(Table{}), "kind Thing", `no table "Thing"`, `is it "Things"?`, path[len(path)-3:])
	wantError(t, check(Table{Name: "nothing like it"}), `no table "nothing like it"`, "set table")
	wantError(t, check(Table{Name: "Things", IDColumn: "key"}), `has no column "key" (idColumn)`, `it has "id", "name"`)
	wantError(t, check(Table{Name: "Things", GroupColumn: "site"}), `has no column "site" (groupColumn)`)
	wantError(t, check(Table{Name: "Things", Schema: "public"}), `no table "public"."Things"`)
	wantError(t, check(Table{Name: "loose"}), "no unique index")
	wantError(t, check(Table{Name: "part"}), "no unique index")
	wantError(t, check(Table{Name: "pair", IDColumn: "a"}), "no unique index")
	if err := check(Table{Name: "Things", GroupColumn: "Name", Schema: "main"}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"mixed", "blobs"} {
		db := open(t, Config{URL: "sqlite:" + path, Tables: map[fleet.Kind]Table{"Thing": {Name: name}}})
		err := db.List(t.Context(), "Thing", nil, func([]fleet.Resource) error { return nil })
		wantError(t, err, "list Thing", `"`+name+`"`, "several types")
	}
	missing := open(t, Config{URL: "sqlite:" + path + "x", Tables: map[fleet.Kind]Table{"Thing": {}}})
	wantError(t, missing.Check(t.Context()), "unable to open", "x")
	if _, err := os.Stat(path + "x"); !os.IsNotExist(err) {
		t.Error("a missing file was created")
	}
	// A table that comes, changes and goes while we run.
	db := open(t, Config{URL: "sqlite:" + path, Tables: map[fleet.Kind]Table{"Thing": {}}})
	for _, change := range []string{`CREATE TABLE Thing (id TEXT PRIMARY KEY)`, `DROP TABLE Thing; CREATE TABLE Thing (id INTEGER PRIMARY KEY)`} {
		if _, err := write.Exec(change + `; INSERT INTO Thing VALUES ('7')`); err != nil {
			t.Fatal(err)
		}
		if got := ids(rowsOf(t, db, "Thing", []string{"7", "007"})); !slices.Equal(got, []string{"7"}) {
			t.Fatalf("after %s: %v", change, got)
		}
	}
	if _, err := write.Exec(`DROP TABLE Thing`); err != nil {
		t.Fatal(err)
	}
	_, err := db.Count(t.Context(), "Thing")
	wantError(t, err, `no table "Thing"`)
}

// Ids come in the order of the column's own collation, and pages meet in it.
func TestSQLiteCollationsAndTypes(t *testing.T) {
	path, write := sqliteFile(t, `CREATE TABLE nocase (id TEXT COLLATE NOCASE PRIMARY KEY); INSERT INTO nocase VALUES ('b'), ('A'), ('c'), ('D'), ('e'), ('_');
		CREATE TABLE declared (id DATETIME PRIMARY KEY, "group" BOOLEAN); INSERT INTO declared VALUES ('2020-01-01 00:00:00', 1), ('2021-01-01', NULL), (5, 0);
		DELETE FROM declared WHERE id = 5;
		CREATE TABLE bare (id PRIMARY KEY) WITHOUT ROWID; INSERT INTO bare VALUES (2), (10), (1);
		CREATE TABLE nulls (id TEXT PRIMARY KEY); INSERT INTO nulls VALUES (NULL), (NULL), ('a'), ('b'), ('c');
		CREATE VIEW doubled AS SELECT id FROM nulls UNION ALL SELECT id FROM nulls`)
	_ = write
	for _, c := range []struct {
		table Table
		want  []string
	}{
		{Table{Name: "nocase"}, []string{"_", "A", "b", "c", "D", "e"}},
		{Table{Name: "declared", GroupColumn: "group"}, []string{"2020-01-01 00:00:00", "2021-01-01"}},
		{Table{Name: "bare"}, []string{"1", "2", "10"}},
		{Table{Name: "nulls"}, []string{"a", "b", "c"}},
		{Table{Name: "doubled"}, []string{"a", "b", "c"}},
	} {
		for _, size := range []int{1, 2, 3, 100} {
			db := open(t, Config{URL: "sqlite:" + path, PageSize: size, Tables: map[fleet.Kind]Table{"Thing": c.table}})
			if err := db.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ids(rowsOf(t, db, "Thing", nil)); !slices.Equal(got, c.want) {
				t.Errorf("%s in pages of %d: %q, want %q", c.table.Name, size, got, c.want)
			}
			if got := ids(rowsOf(t, db, "Thing", append(c.want, "a no id", "B"))); !slices.Equal(got, c.want) {
				t.Errorf("%s, looked up: %q, want %q", c.table.Name, got, c.want)
			}
		}
	}
}

// The session itself refuses to write, whatever statement reaches it.
func TestSQLiteIsReadOnly(t *testing.T) {
	path, _ := sqliteFile(t, `CREATE TABLE Thing (id TEXT PRIMARY KEY)`)
	for _, url := range []string{"sqlite:" + path, "file:" + strings.NewReplacer("?", "%3F", "#", "%23", "%", "%25", " ", "%20").Replace(path) + "?_pragma=query_only(0)"} {
		db := open(t, Config{URL: url, Tables: map[fleet.Kind]Table{"Thing": {}}})
		for _, statement := range []string{`INSERT INTO Thing VALUES ('x')`, `CREATE TABLE other (id)`, `PRAGMA query_only = 0; INSERT INTO Thing VALUES ('x')`} {
			_, err := db.engine.(*sqlite).db.ExecContext(t.Context(), statement)
			wantError(t, err, "readonly")
		}
		if n, err := db.Count(t.Context(), "Thing"); err != nil || n != 0 {
			t.Fatalf("count %d, %v", n, err)
		}
	}
}

// A listing that is stopped by its reader's context ends at once, also amid a
// statement that would take for ever.
func TestSQLiteStatementTimeout(t *testing.T) {
	path, _ := sqliteFile(t, `CREATE VIEW slow AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n`)
	db := open(t, Config{URL: "sqlite:" + path, StatementTimeout: 50 * time.Millisecond, Tables: map[fleet.Kind]Table{"Thing": {Name: "slow"}}})
	_, err := db.Count(t.Context(), "Thing")
	wantError(t, err, "count Thing", "statementTimeout (50ms)")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("the statement's deadline looks like the caller's")
	}
}

func BenchmarkList(b *testing.B) {
	const n = 100_000
	b.Run("sqlite", func(b *testing.B) {
		path, write := sqliteFile(b, `CREATE TABLE Thing (id TEXT PRIMARY KEY);
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO Thing SELECT printf('%08d-0000-4000-8000-000000000000', i) FROM n`)
		benchmark(b, n, "sqlite:"+path, func(b *testing.B) (read int) {
			rows, err := write.Query(`SELECT id FROM Thing`)
			if err != nil {
				b.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					b.Fatal(err)
				}
				read++
			}
			return read
		})
	})
	b.Run("postgresql", func(b *testing.B) {
		server := real.PostgreSQL(b)
		raw := pool(b, server.URL)
		execAll(b, raw, `CREATE TABLE "Thing" AS SELECT gen_random_uuid() AS id FROM generate_series(1, 100000)`,
			`ALTER TABLE "Thing" ADD PRIMARY KEY (id)`, `VACUUM ANALYZE "Thing"`)
		benchmark(b, n, server.URL, func(b *testing.B) (read int) {
			rows, err := raw.Query(b.Context(), `SELECT id::text FROM "Thing"`)
			if err != nil {
				b.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					b.Fatal(err)
				}
				read++
			}
			return read
		})
	})
}

func benchmark(b *testing.B, n int, url string, raw func(*testing.B) int) {
	db := open(b, Config{URL: url, Tables: map[fleet.Kind]Table{"Thing": {}}})
	for name, read := range map[string]func(*testing.B) int{
		"raw": raw, "pages": func(b *testing.B) int { return len(rowsOf(b, db, "Thing", nil)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := read(b); got != n {
					b.Fatalf("%d rows, want %d", got, n)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

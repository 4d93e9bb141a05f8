package database

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/porttest/real"
)

// as is the server's URL for another user.
func as(t *testing.T, server *real.Server, user, password string) string {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

func TestPostgreSQLSaysWhatIsWrong(t *testing.T) {
	server := real.PostgreSQL(t)
	admin := pool(t, server.URL)
	execAll(t, admin, `CREATE TABLE things (id uuid PRIMARY KEY, site text)`, `CREATE TABLE loose (id uuid)`,
		`CREATE TABLE pair (a text, b text, PRIMARY KEY (a, b))`, `CREATE SCHEMA closed`, `CREATE TABLE closed.t (id text PRIMARY KEY)`,
		`CREATE ROLE reader LOGIN PASSWORD 'hunter2'`, `GRANT SELECT (id) ON things TO reader`)
	reader := as(t, server, "reader", "hunter2")
	check := func(url string, table Table) error {
		return open(t, Config{URL: url, Tables: map[fleet.Kind]Table{"Thing": table}}).Check(t.Context())
	}
	wantError(t, check(server.URL, Table{}), "kind Thing", server.Addr, `no table "Thing"`, `is it "public.things"?`)
	wantError(t, check(server.URL, Table{Name: "nothing"}), `no table "nothing"`, "set table")
	wantError(t, check(server.URL, Table{Name: strings.Repeat("long", 100)}), "no table")
	wantError(t, check(server.URL, Table{Name: "things", IDColumn: "key"}), `has no column "key" (idColumn)`, `it has "id", "site"`)
	wantError(t, check(server.URL, Table{Name: "loose"}), "no unique index")
	wantError(t, check(server.URL, Table{Name: "pair", IDColumn: "a"}), "no unique index")
	wantError(t, check(reader, Table{Name: "things", GroupColumn: "site"}), `column "site" of table "things" may not be read`, "GRANT SELECT")
	wantError(t, check(reader, Table{Schema: "closed", Name: "t"}), `"closed"."t" may not be read`, "GRANT USAGE")
	for _, err := range []error{
		check(server.URL, Table{Name: "things", GroupColumn: "site"}), check(reader, Table{Name: "things"}),
		check(server.URL, Table{Schema: "closed", Name: "t"}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	wantError(t, check(as(t, server, "reader", "hunter3"), Table{Name: "things"}), "password", "check user and passwordFile")
	wantError(t, check(strings.Replace(server.URL, "/postgres?", "/other?", 1), Table{}), `"other" does not exist`, "at the end of url")
	server.Stop()
	err := check(reader, Table{Name: "things"})
	wantError(t, err, server.Addr, "refused")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %q holds the password", err)
	}
}

// Every type and collation has an order of its own: pages meet in it, and ids are
// looked up by the text that the listing shows.
func TestPostgreSQLTypesAndCollations(t *testing.T) {
	server := real.PostgreSQL(t)
	write := pool(t, server.URL)
	execAll(t, write, `CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
		`CREATE DOMAIN short AS varchar CHECK (length(VALUE) < 9)`, `CREATE TYPE colour AS ENUM ('red', 'green', 'blue')`)
	sized := map[int]*DB{}
	for _, size := range []int{1, 2, 100} {
		sized[size] = open(t, Config{URL: server.URL, PageSize: size, Tables: map[fleet.Kind]Table{"Thing": {}}})
	}
	for typ, want := range map[string][]string{
		`text`:                       {"B", "Z", "_", "a", "ä"},
		`text COLLATE "en-x-icu"`:    {"_", "a", "ä", "B", "Z"},
		`text COLLATE folded`:        {"_", "A", "ä", "b", "Z"},
		`varchar(5)`:                 {"B", "_", "a"},
		`char(5)`:                    {"a", "bbbbb", "c"},
		`short`:                      {"B", "_", "a"},
		`colour`:                     {"red", "green", "blue"},
		`smallint`:                   {"-7", "2", "10"},
		`integer`:                    {"-7", "2", "10"},
		`bigint`:                     {"-9223372036854775808", "-10", "-9", "9", "10"},
		`numeric`:                    {"-1.50", "2", "10", "1e30", "NaN"},
		`double precision`:           {"-0.1", "1e-300", "2", "1e+100"},
		`uuid`:                       {"00000000-0000-4000-8000-000000000001", "0a000000-0000-4000-8000-000000000000", "a0000000-0000-4000-8000-000000000000"},
		`timestamptz`:                {"2020-01-01 00:00:00.000001+00", "2020-01-01 00:00:00.000002+00"},
		`boolean`:                    {"false", "true"},
		`inet`:                       {"9.0.0.1", "10.0.0.1"},
		`bytea`:                      {`\x00`, `\xff`},
		`text COLLATE "POSIX"`:       {"Z", "a", "ä"},
		`varchar COLLATE "de-x-icu"`: {"a", "ä", "z"},
	} {
		execAll(t, write, `DROP TABLE IF EXISTS "Thing"`, `CREATE TABLE "Thing" (id `+typ+` PRIMARY KEY)`)
		for i := range want { // in another order than theirs
			if _, err := write.Exec(t.Context(), `INSERT INTO "Thing" VALUES ('`+want[len(want)-1-i]+`')`); err != nil {
				t.Fatal(err)
			}
		}
		if typ == "numeric" {
			want[3] = "1" + strings.Repeat("0", 30)
		}
		for size, db := range sized {
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("%s: %v", typ, err)
				continue
			}
			got := ids(rowsOf(t, db, "Thing", nil))
			if typ == "inet" {
				for i := range got {
					got[i] = strings.TrimSuffix(got[i], "/32")
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: %q, want %q", typ, size, got, want)
			}
			if typ != "inet" {
				if got := ids(rowsOf(t, db, "Thing", append(slices.Clone(want), "no id", "too long for every type", "Z\x00", "99999"))); !slices.Equal(got, want) {
					t.Errorf("%s, looked up: %q, want %q", typ, got, want)
				}
			}
		}
	}
}

// Views have no index, and may show a row twice, or none for an id.
func TestPostgreSQLViewsAndPartitions(t *testing.T) {
	server := real.PostgreSQL(t)
	execAll(t, pool(t, server.URL), `CREATE TABLE t (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
		`CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)`, `CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)`,
		`INSERT INTO t SELECT n, n % 20 FROM generate_series(1, 50) n`,
		`CREATE VIEW v AS SELECT id FROM t UNION ALL SELECT id FROM t UNION ALL SELECT NULL`)
	for _, name := range []string{"t", "v"} {
		db := open(t, Config{URL: server.URL, PageSize: 7, Tables: map[fleet.Kind]Table{"Thing": {Name: name}}})
		if err := db.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows := rowsOf(t, db, "Thing", nil); len(rows) != 50 || rows[0].ID != "1" || rows[49].ID != "50" {
			t.Errorf("%s: %v", name, rows)
		}
	}
}

// The session itself refuses to write, even the superuser's.
func TestPostgreSQLIsReadOnly(t *testing.T) {
	server := real.PostgreSQL(t)
	execAll(t, pool(t, server.URL), `CREATE TABLE "Thing" (id text PRIMARY KEY)`,
		`CREATE FUNCTION writes() RETURNS text LANGUAGE sql AS $$ INSERT INTO "Thing" VALUES ('x') RETURNING id $$`,
		`CREATE VIEW "Sly" AS SELECT writes() AS id`)
	db := open(t, Config{URL: server.URL, Tables: map[fleet.Kind]Table{"Thing": {}, "Sly": {}}})
	for _, statement := range []string{`INSERT INTO "Thing" VALUES ('x')`, `CREATE TABLE other (id text)`, `SELECT writes()`} {
		_, err := db.engine.(*postgresql).pool.Exec(t.Context(), statement)
		wantError(t, err, "read-only transaction")
	}
	wantError(t, db.List(t.Context(), "Sly", nil, func([]fleet.Resource) error { return nil }), "list Sly", "read-only transaction")
	if n, err := db.Count(t.Context(), "Thing"); err != nil || n != 0 {
		t.Fatalf("count %d, %v", n, err)
	}
}

func TestPostgreSQLStatementTimeout(t *testing.T) {
	server := real.PostgreSQL(t)
	execAll(t, pool(t, server.URL), `CREATE VIEW "Thing" AS SELECT 1 AS id FROM pg_sleep(3600)`)
	db := open(t, Config{URL: server.URL, StatementTimeout: 500 * time.Millisecond, Tables: map[fleet.Kind]Table{"Thing": {}}})
	_, err := db.Count(t.Context(), "Thing")
	wantError(t, err, "count Thing", "statementTimeout")
	err = db.List(t.Context(), "Thing", nil, func([]fleet.Resource) error { return nil })
	wantError(t, err, "list Thing", "statementTimeout")
}

// A new password in the file is used for the next connection.
func TestPostgreSQLPasswordFile(t *testing.T) {
	server := real.PostgreSQL(t)
	admin := pool(t, server.URL)
	execAll(t, admin, `CREATE TABLE "Thing" (id text PRIMARY KEY)`, `CREATE ROLE reader LOGIN PASSWORD 'first'`, `GRANT SELECT ON "Thing" TO reader`)
	secret := filepath.Join(t.TempDir(), "password")
	put := func(word string) {
		t.Helper()
		if err := os.WriteFile(secret, []byte(word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	db := open(t, Config{URL: as(t, server, "somebody", ""), User: "reader", PasswordFile: secret, Tables: map[fleet.Kind]Table{"Thing": {}}})
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	execAll(t, admin, `ALTER ROLE reader PASSWORD 'second'`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'`)
	wantError(t, db.Check(t.Context()), "passwordFile")
	put("second")
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if db := open(t, Config{URL: server.URL, User: "reader", Password: "second", Tables: map[fleet.Kind]Table{"Thing": {}}}); db.Check(t.Context()) != nil {
		t.Error("the password of the configuration does not replace the URL's")
	}
}

// The table may be made anew with ids of another type while we run.
func TestPostgreSQLTableChanges(t *testing.T) {
	server := real.PostgreSQL(t)
	write := pool(t, server.URL)
	db := open(t, Config{URL: server.URL, PageSize: 2, Tables: map[fleet.Kind]Table{"Thing": {}}})
	for _, typ := range []string{"text", "uuid", "bigint", "text"} {
		if typ == "text" || typ == "uuid" {
			execAll(t, write, `DROP TABLE IF EXISTS "Thing"`, `CREATE TABLE "Thing" (id `+typ+` PRIMARY KEY)`,
				`INSERT INTO "Thing" SELECT ('00000000-0000-4000-8000-00000000000' || n)::`+typ+` FROM generate_series(1, 5) n`)
		} else {
			execAll(t, write, `DROP TABLE "Thing"`, `CREATE TABLE "Thing" AS SELECT n::bigint AS id FROM generate_series(1, 5) n`, `ALTER TABLE "Thing" ADD PRIMARY KEY (id)`)
		}
		rows := rowsOf(t, db, "Thing", nil)
		if len(rows) != 5 {
			t.Fatalf("%s: %v", typ, rows)
		}
		if found := rowsOf(t, db, "Thing", []string{rows[3].ID, "nothing"}); len(found) != 1 || found[0] != rows[3] {
			t.Fatalf("%s: looked up %v", typ, found)
		}
	}
	execAll(t, write, `DROP TABLE "Thing"`)
	err := db.List(t.Context(), "Thing", nil, func([]fleet.Resource) error { return errors.New("called") })
	wantError(t, err, `no table "Thing"`)
}

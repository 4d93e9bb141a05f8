// Package database reads the resources of every kind from PostgreSQL or SQLite:
// it counts and lists, and never writes. What is configured can be any table or
// view with a column of ids, of any type that has an order and a text: text,
// uuid, integers.
//
// Listing goes in pages by key (WHERE id > the last one ORDER BY id LIMIT n), in
// the database's own order, so that a row that stays is never missed and never
// comes twice, however many come and go meanwhile; each page is a statement of
// its own, and nothing is held open in between.
package database

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"dacorch/orchestrator/fleet"
)

// Config says where the database is and what in it is a kind.
type Config struct {
	// URL is postgres://user@host:port/name?sslmode=…, or sqlite:path (also
	// file:path). What PostgreSQL's URL leaves open, the PG… variables say. Without
	// a sslmode it is verify-full, on loopback what libpq takes (prefer).
	URL string
	// User and Password replace what URL says, when not empty.
	User, Password string
	// PasswordFile holds the password, a newline at its end left out. It is read at
	// every connection, so that a new password needs no restart.
	PasswordFile string

	PageSize         int           // rows of a page, at most 100,000; default 5,000
	StatementTimeout time.Duration // of a page or a count; default 30 s
	MaxConns         int           // connections at once, at most 100; default 4

	Tables map[fleet.Kind]Table
}

// Table says where a kind's rows are. Names are taken as they are, upper and
// lower case as written.
type Table struct {
	Schema      string // default: PostgreSQL's search path; main
	Name        string // default: the kind's name
	IDColumn    string // default id; unique
	GroupColumn string // default none: every Group is ""
}

// DB is a database. Its methods are safe for concurrent use.
type DB struct {
	cfg    Config
	engine engine

	mu     sync.Mutex
	tables map[fleet.Kind]*table // what is known of them, as last seen
}

// engine is one kind of database.
type engine interface {
	// describe looks the table up; its errors say what would be right.
	describe(ctx context.Context, name Table) (*table, error)
	count(ctx context.Context, t *table) (int, error)
	// page reads the rows behind the cursor, at most limit and pageBytes of them;
	// the first ones with nil. It answers the cursor behind what it has read, nil
	// when there are no more.
	page(ctx context.Context, t *table, after any, limit int) (rows []fleet.Resource, next any, err error)
	// find reads the rows with these ids, ascending; it may find more than asked,
	// where the database takes different texts for the same id.
	find(ctx context.Context, t *table, ids []string) ([]fleet.Resource, error)
	// passing says that the connection failed and not the statement.
	passing(err error) bool
	// outdated says that the table is not any more what it was described as.
	outdated(err error) bool
	// scrub makes an error fit to be shown.
	scrub(err error) error
	close()
}

// table is a kind's table as it was found.
type table struct {
	Table
	unique bool // no id can stand in it twice
	// The statements: all rows, those behind a cursor, those of some ids, their
	// number.
	first, next, some, number string
	// can says whether the column's type can hold the id at all.
	can func(id string) bool
}

const (
	pageBytes = 8 << 20 // of ids and groups in a page
	lookupIDs = 50_000  // in a statement
	tries     = 4       // of a statement that the connection failed
	firstWait = 50 * time.Millisecond
)

// Open prepares the database that cfg names. It connects when something is asked
// (Check asks); an error says which field of the configuration is wrong.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, tables: map[fleet.Kind]*table{}}
	scheme, rest, _ := strings.Cut(cfg.URL, ":")
	switch scheme {
	case "postgres", "postgresql":
		db.engine, err = openPostgreSQL(ctx, cfg)
	case "sqlite":
		db.engine, err = openSQLite(cfg, (&url.URL{Path: rest}).EscapedPath(), "")
	case "file":
		path, query, _ := strings.Cut(rest, "?")
		db.engine, err = openSQLite(cfg, path, query)
	default:
		err = &fleet.FieldError{Field: "url", Value: fmt.Sprintf("one that begins with %q", shorten(scheme)),
			Want: "postgres://user@host:port/name or sqlite:path"}
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.PageSize == 0 {
		cfg.PageSize = 5000
	}
	if cfg.StatementTimeout == 0 {
		cfg.StatementTimeout = 30 * time.Second
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 4
	}
	switch {
	case cfg.PageSize < 1 || cfg.PageSize > 100_000:
		return cfg, &fleet.FieldError{Field: "pageSize", Value: fmt.Sprint(cfg.PageSize), Want: "1 to 100,000 rows"}
	case cfg.StatementTimeout < time.Millisecond:
		return cfg, &fleet.FieldError{Field: "statementTimeout", Value: cfg.StatementTimeout.String(), Want: "1ms or more"}
	case cfg.MaxConns < 1 || cfg.MaxConns > 100:
		return cfg, &fleet.FieldError{Field: "maxConns", Value: fmt.Sprint(cfg.MaxConns), Want: "1 to 100"}
	}
	cfg.Tables = maps.Clone(cfg.Tables)
	for kind, t := range cfg.Tables {
		if t.Name == "" {
			t.Name = string(kind)
		}
		if t.IDColumn == "" {
			t.IDColumn = "id"
		}
		for field, name := range map[string]string{
			"schema": t.Schema, "table": t.Name, "idColumn": t.IDColumn, "groupColumn": t.GroupColumn,
		} {
			if strings.ContainsRune(name, 0) || !utf8.ValidString(name) {
				return cfg, &fleet.FieldError{Field: field, Value: fmt.Sprintf("%q", shorten(name)), Want: "a name without control characters"}
			}
		}
		cfg.Tables[kind] = t
	}
	return cfg, nil
}

// Close ends every connection. Nothing may be asked any more.
func (db *DB) Close() { db.engine.close() }

// Check asks the database for every kind's table, and answers all that is wrong
// with them: a table or a column that does not exist or may not be read, ids that
// can stand in it twice.
func (db *DB) Check(ctx context.Context) error {
	var wrong []error
	for _, kind := range slices.Sorted(maps.Keys(db.cfg.Tables)) {
		t, err := db.table(ctx, kind)
		if err == nil && !t.unique {
			err = fmt.Errorf("column %s of table %s has no unique index, so an id could stand there twice and each page would sort the whole table: create one, or name the primary key as idColumn",
				quote(t.IDColumn), t.shown())
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("kind %s: %w", kind, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(wrong...)
}

// Count answers how many rows the kind has.
func (db *DB) Count(ctx context.Context, kind fleet.Kind) (int, error) {
	n := 0
	err := db.ask(ctx, kind, func(ctx context.Context, t *table) (err error) {
		n, err = db.engine.count(ctx, t)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", kind, err)
	}
	return n, nil
}

// List hands the kind's rows to each in pages, ascending by id in the database's
// own order, no id twice; with ids that is not nil, only those of them that
// exist, written exactly so. (More than 50,000 ids are asked for in several
// statements: only the rows of each ascend.) A row that existed before the call
// and throughout it is among them. The page is each's to keep. An error of each
// ends the listing and is answered. A connection that fails is made anew a few
// times; then its error is answered.
func (db *DB) List(ctx context.Context, kind fleet.Kind, ids []string, each func(page []fleet.Resource) error) error {
	list := db.listAll
	if ids != nil {
		list = func(ctx context.Context, kind fleet.Kind, each func([]fleet.Resource) error) error {
			return db.listSome(ctx, kind, ids, each)
		}
	}
	if err := list(ctx, kind, each); err != nil {
		return fmt.Errorf("list %s: %w", kind, err)
	}
	return nil
}

func (db *DB) listAll(ctx context.Context, kind fleet.Kind, each func([]fleet.Resource) error) error {
	var after any
	last, some := "", false
	for {
		var rows []fleet.Resource
		var next any
		err := db.ask(ctx, kind, func(ctx context.Context, t *table) (err error) {
			rows, next, err = db.engine.page(ctx, t, after, db.cfg.PageSize)
			return err
		})
		if err != nil {
			return err
		}
		// Where nothing makes ids unique, as in a view, equal ones are neighbours.
		rows = slices.CompactFunc(rows, func(a, b fleet.Resource) bool { return a.ID == b.ID })
		if some && len(rows) > 0 && rows[0].ID == last {
			rows = rows[1:]
		}
		if len(rows) > 0 {
			last, some = rows[len(rows)-1].ID, true
			if err := each(rows); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		after = next
	}
}

// listSome asks for ids, each once. An id that the column's type cannot hold does
// not exist.
func (db *DB) listSome(ctx context.Context, kind fleet.Kind, ids []string, each func([]fleet.Resource) error) error {
	wanted := slices.Clone(ids)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	for chunk := range slices.Chunk(wanted, lookupIDs) {
		var rows []fleet.Resource
		err := db.ask(ctx, kind, func(ctx context.Context, t *table) (err error) {
			can := chunk
			if t.can != nil {
				can = slices.DeleteFunc(slices.Clone(chunk), func(id string) bool { return !t.can(id) })
			}
			rows, err = db.engine.find(ctx, t, can)
			return err
		})
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r fleet.Resource) bool {
			_, asked := slices.BinarySearch(chunk, r.ID)
			return !asked
		})
		rows = slices.CompactFunc(rows, func(a, b fleet.Resource) bool { return a.ID == b.ID })
		for page := range slices.Chunk(rows, db.cfg.PageSize) {
			if err := each(page); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// ask runs one statement about the kind's table, again when the connection
// failed or the table has changed its shape.
func (db *DB) ask(ctx context.Context, kind fleet.Kind, run func(context.Context, *table) error) error {
	wait, again := firstWait, false
	for try := 1; ; try++ {
		err := db.once(ctx, kind, run)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case db.engine.outdated(err) && !again:
			again = true
			db.forget(kind)
			continue
		case !db.engine.passing(err) || try >= tries:
			return db.engine.scrub(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait *= 4
	}
}

// once bounds the statement's time from here too: a server that has gone silent
// does not end it.
func (db *DB) once(ctx context.Context, kind fleet.Kind, run func(context.Context, *table) error) error {
	limit := db.cfg.StatementTimeout + db.cfg.StatementTimeout/8
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t, err := db.known(bounded, kind)
	if err == nil {
		err = run(bounded, t)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer within statementTimeout (%v)", db.cfg.StatementTimeout)
	}
	return err
}

// table is what is known of the kind's table, looked up where nothing is.
func (db *DB) table(ctx context.Context, kind fleet.Kind) (found *table, err error) {
	db.forget(kind)
	err = db.ask(ctx, kind, func(_ context.Context, t *table) error {
		found = t
		return nil
	})
	return found, err
}

func (db *DB) known(ctx context.Context, kind fleet.Kind) (*table, error) {
	name, configured := db.cfg.Tables[kind]
	if !configured {
		return nil, fmt.Errorf("no table is configured for the kind %q: want one of %s", shorten(string(kind)),
			strings.Join(slices.Sorted(func(yield func(string) bool) {
				for k := range db.cfg.Tables {
					if !yield(string(k)) {
						return
					}
				}
			}), ", "))
	}
	db.mu.Lock()
	t := db.tables[kind]
	db.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t, err := db.engine.describe(ctx, name)
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	db.tables[kind] = t
	db.mu.Unlock()
	return t, nil
}

func (db *DB) forget(kind fleet.Kind) {
	db.mu.Lock()
	delete(db.tables, kind)
	db.mu.Unlock()
}

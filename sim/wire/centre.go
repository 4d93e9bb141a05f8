package wire

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"dacorch/orchestrator/fleet"

	_ "github.com/jackc/pgx/v5/stdlib" // a PostgreSQL that runs elsewhere
	_ "modernc.org/sqlite"             // the data centre's own database
)

// topic is where the data centre announces what it has committed.
const topic = "cm/notify"

// DataCentre is the platform's data centre: it owns the tables, commits rows to
// them, and then announces them over MQTT, as CONTRACT.md says.
type DataCentre struct {
	URL string // of the database, as the orchestrator's configuration has it

	db     *sql.DB
	tables map[fleet.Kind]string // what each kind's is called
	number string                // what stands before a parameter's number
	say    func(payload []byte) error
	muted  atomic.Bool
	names  sync.RWMutex // guards hidden; held while a statement runs that names a table
	hidden bool         // the tables are out of sight
	// carry, unless nil, publishes a message in publish's stead. It is set before
	// the first statement.
	carry func(kind fleet.Kind, payload []byte, publish func([]byte) error) error
	mu    sync.Mutex // one statement and its message at a time, so that their orders agree
}

// openCentre makes the tables of the kinds in a database: PostgreSQL at a URL, or
// an SQLite file in dir when that is empty.
func openCentre(url, dir string, kinds []Kind, publish func([]byte) error) (*DataCentre, error) {
	c := &DataCentre{URL: url, number: "$", say: publish}
	driver, source, options := "pgx", url, ""
	if url == "" {
		path := filepath.Join(dir, "centre.sqlite")
		c.URL, c.number = "sqlite:"+path, "?"
		driver, source, options = "sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)", " WITHOUT ROWID"
	}
	var err error
	if c.db, err = sql.Open(driver, source); err != nil {
		return nil, fmt.Errorf("the data centre's database: %w", err)
	}
	return c.furnish(kinds, options)
}

// NewCentre is the data centre of a platform that runs elsewhere, on a PostgreSQL
// of which it makes the tables, and which Close closes. What it announces it has
// published.
func NewCentre(db *sql.DB, kinds []Kind, publish func(payload []byte) error) (*DataCentre, error) {
	return (&DataCentre{db: db, number: "$", say: publish}).furnish(kinds, "")
}

// furnish makes the tables.
func (c *DataCentre) furnish(kinds []Kind, options string) (*DataCentre, error) {
	c.tables = map[fleet.Kind]string{}
	for _, k := range kinds {
		c.tables[k.Kind] = cmp.Or(k.Table, string(k.Kind))
		if _, err := c.db.Exec("CREATE TABLE IF NOT EXISTS " + c.table(k.Kind) + " (id TEXT PRIMARY KEY, grp TEXT)" + options); err != nil {
			return nil, errors.Join(fmt.Errorf("the data centre's table %s: %w", c.tables[k.Kind], err), c.db.Close())
		}
	}
	return c, nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Close closes the database.
func (c *DataCentre) Close() error { return c.db.Close() }

// Verb is what a statement does to rows.
type Verb uint8

// The verbs.
const (
	Create Verb = iota
	Update
	Delete
)

// Statement is one statement of the data centre.
type Statement struct {
	Kind fleet.Kind
	Verb Verb
	Rows []fleet.Resource
	Bulk bool // announced as bc, bu or bd; else each row by itself: c, u or d
	// Named says that the announcement names the rows. Else it is a condition that
	// is not about ids, or a bare message.
	Named bool
	// Silent statements are not announced.
	Silent bool
	// Committed, unless nil, is told of the rows that changed, before anybody else
	// is.
	Committed func(changed []fleet.Resource)
}

// Do commits a statement and answers the rows that it has changed. Then it
// announces it; a failure of that is errNotAnnounced, and the rows stay.
func (c *DataCentre) Do(ctx context.Context, s Statement) ([]fleet.Resource, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names.RLock()
	changed, err := c.commit(ctx, s)
	c.names.RUnlock()
	if err == nil && s.Committed != nil {
		s.Committed(changed)
	}
	if err != nil || s.Silent {
		return changed, err
	}
	if c.muted.Load() {
		return changed, fmt.Errorf("%w: %w", errNotAnnounced, errMuted)
	}
	for _, m := range messages(s, c.tables[s.Kind]) {
		payload, err := json.Marshal(m)
		switch {
		case err != nil:
		case c.carry != nil:
			err = c.carry(s.Kind, payload, c.publish)
		default:
			err = c.publish(payload)
		}
		if err != nil {
			return changed, fmt.Errorf("%w: %w", errNotAnnounced, err)
		}
	}
	return changed, nil
}

// Mute cuts the data centre off from the broker while on: what it commits is
// never announced, as with the platform's own, which keeps nothing to say later.
// It does not wait for the statement that is being announced.
func (c *DataCentre) Mute(on bool) { c.muted.Store(on) }

// publish publishes a message, unless the broker is out of reach.
func (c *DataCentre) publish(payload []byte) error {
	if c.muted.Load() {
		return errMuted
	}
	return c.say(payload)
}

// errMuted says that the data centre is cut off from the broker.
var errMuted = errors.New("the broker is out of reach")

// Hide keeps everybody else from the tables while on, so that each of their
// statements fails; the data centre itself goes on.
func (c *DataCentre) Hide(ctx context.Context, on bool) error {
	c.names.Lock()
	defer c.names.Unlock()
	if on == c.hidden {
		return nil
	}
	var errs []error
	for _, table := range c.tables {
		from, to := quote(table), quote(table+HiddenSuffix)
		if !on {
			from, to = to, from
		}
		_, err := c.db.ExecContext(ctx, "ALTER TABLE "+from+" RENAME TO "+to)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the data centre's tables: %w", err)
	}
	c.hidden = on
	return nil
}

// HiddenSuffix ends the name of a table that is out of sight.
const HiddenSuffix = " (hidden)"

// table is a kind's table as it is called now. It needs the lock.
func (c *DataCentre) table(kind fleet.Kind) string {
	table := c.tables[kind]
	if c.hidden {
		table += HiddenSuffix
	}
	return quote(table)
}

// errNotAnnounced says that rows changed and nobody was told.
var errNotAnnounced = errors.New("the rows are committed, but not announced")

// rowsAtOnce bounds the rows of one SQL statement, which has two parameters for
// each: SQLite takes 32,766 of them, PostgreSQL 65,535.
const rowsAtOnce = 5000

// commit changes rows in one SQL statement, or where they are too many in several
// of one transaction; and answers those that were changed.
func (c *DataCentre) commit(ctx context.Context, s Statement) (changed []fleet.Resource, err error) {
	if len(s.Rows) <= rowsAtOnce {
		return c.change(ctx, c.db, s, s.Rows)
	}
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rolledBack(tx)) }()
	for rows := range slices.Chunk(s.Rows, rowsAtOnce) {
		some, err := c.change(ctx, tx, s, rows)
		if err != nil {
			return nil, err
		}
		changed = append(changed, some...)
	}
	return changed, tx.Commit()
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// change changes rows in one SQL statement, which is one round trip.
func (c *DataCentre) change(ctx context.Context, on queryer, s Statement, rows []fleet.Resource) (changed []fleet.Resource, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var values strings.Builder
	var args []any
	for i, r := range rows {
		if i > 0 {
			values.WriteString(", ")
		}
		args = append(args, r.ID)
		if s.Verb == Delete {
			fmt.Fprintf(&values, "%s%d", c.number, len(args))
			continue
		}
		args = append(args, r.Group)
		fmt.Fprintf(&values, "(CAST(%s%d AS TEXT), CAST(%s%d AS TEXT))", c.number, len(args)-1, c.number, len(args))
	}
	table := c.table(s.Kind)
	text := map[Verb]string{
		Create: "INSERT INTO " + table + " (id, grp) VALUES " + values.String() + " ON CONFLICT DO NOTHING RETURNING id",
		Update: "UPDATE " + table + " SET grp = v.column2 FROM (VALUES " + values.String() + ") AS v WHERE id = v.column1 RETURNING id",
		Delete: "DELETE FROM " + table + " WHERE id IN (" + values.String() + ") RETURNING id",
	}[s.Verb]
	met, err := texts(on.QueryContext(ctx, text, args...))
	if err != nil {
		return nil, fmt.Errorf("%d rows of %s, from %q on: %w", len(rows), s.Kind, rows[0].ID, err)
	}
	for _, r := range rows { // in their order
		if met[r.ID] {
			changed = append(changed, r)
			delete(met, r.ID)
		}
	}
	return changed, nil
}

// texts reads rows of one text, to their end.
func texts(rows *sql.Rows, err error) (map[string]bool, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all[text] = true
	}
	return all, rows.Err()
}

// rolledBack ends a transaction that was not committed.
func rolledBack(tx *sql.Tx) error {
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// Rows lists a kind's table.
func (c *DataCentre) Rows(ctx context.Context, kind fleet.Kind) ([]fleet.Resource, error) {
	c.names.RLock()
	rows, err := c.db.QueryContext(ctx, "SELECT id, coalesce(grp, '') FROM "+c.table(kind)+" ORDER BY id")
	c.names.RUnlock()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []fleet.Resource
	for rows.Next() {
		var r fleet.Resource
		if err := rows.Scan(&r.ID, &r.Group); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// message is an announcement, as CONTRACT.md has it.
type message struct {
	Op       string         `json:"o"`
	Table    string         `json:"t"`
	Key      *key           `json:"k,omitempty"`
	Instance *row           `json:"instance,omitempty"`
	Keys     []key          `json:"keys,omitempty"`
	Where    map[string]any `json:"where,omitempty"`
	By       string         `json:"by"` // tells the centre its own messages; nobody else reads it
}

// centreName stands in By.
const centreName = "data-centre"

type key struct {
	ID string `json:"id"`
}

type row struct {
	ID    string `json:"id"`
	Group string `json:"grp,omitempty"`
}

// messages are the announcements of a statement.
func messages(s Statement, table string) []message {
	single := [...]string{Create: "c", Update: "u", Delete: "d"}[s.Verb]
	if !s.Bulk && s.Named {
		out := make([]message, len(s.Rows))
		for i, r := range s.Rows {
			out[i] = message{Op: single, Table: table, Key: &key{r.ID}, Instance: &row{r.ID, r.Group}, By: centreName}
		}
		return out
	}
	m := message{Op: "b" + single, Table: table, By: centreName}
	switch {
	case !s.Named && (s.Verb == Create || !s.Bulk):
		m.Op = "changed" // bare: only that something did
	case !s.Named:
		m.Where = map[string]any{"state": "selected"}
	case s.Verb == Create:
		for _, r := range s.Rows {
			m.Keys = append(m.Keys, key{r.ID})
		}
	default:
		ids := make([]string, len(s.Rows))
		for i, r := range s.Rows {
			ids[i] = r.ID
		}
		m.Where = map[string]any{"id": ids}
	}
	return []message{m}
}

// hear does what somebody else has announced: in development a person publishes
// a row that no data centre has.
func (c *DataCentre) hear(ctx context.Context, payload []byte) error {
	var m struct {
		Op    string           `json:"o"`
		Table string           `json:"t"`
		Key   map[string]any   `json:"k"`
		Row   map[string]any   `json:"instance"`
		Keys  []map[string]any `json:"keys"`
		Where struct {
			ID any `json:"id"`
		} `json:"where"`
		By string `json:"by"`
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return fmt.Errorf("a message that is no JSON: %w", err)
	}
	if m.By == centreName {
		return nil
	}
	if c.tables[fleet.Kind(m.Table)] == "" {
		return fmt.Errorf("an announcement for table %.100q, which the data centre does not have", m.Table)
	}
	s := Statement{Kind: fleet.Kind(m.Table), Silent: true}
	add := func(id, group any) {
		if id, ok := id.(string); ok && id != "" {
			g, _ := group.(string)
			s.Rows = append(s.Rows, fleet.Resource{ID: id, Group: g})
		}
	}
	switch m.Op {
	case "c", "bc":
		s.Verb = Create
	case "d", "bd":
		s.Verb = Delete
	case "u":
		s.Verb = Update
	default:
		return nil
	}
	if m.Key != nil {
		add(m.Key["id"], m.Row["grp"])
	}
	for _, k := range m.Keys {
		add(k["id"], nil)
	}
	switch where := m.Where.ID.(type) {
	case string:
		add(where, nil)
	case []any:
		for _, id := range where {
			add(id, nil)
		}
	}
	if len(s.Rows) == 0 {
		return nil
	}
	_, err := c.Do(ctx, s)
	return err
}

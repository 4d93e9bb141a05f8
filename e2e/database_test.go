package e2e_test

import (
	"context"
	"errors"
	"fmt"

	"dacorch/e2e/rig"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectDatabase is the data centre's connection: it owns the tables.
func connectDatabase(ctx context.Context, r *rig.Rig) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig("pool_max_conns=8")
	if err != nil {
		return nil, err
	}
	if cfg.ConnConfig, err = r.DatabaseConfig(rig.UserPlatform); err != nil {
		return nil, err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (k *kind) table() string { return pgx.Identifier{k.name}.Sanitize() }

// makeTable makes the kind's table. The orchestrator may read every table of the
// data centre's.
func (w *world) makeTable(ctx context.Context, k *kind) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + k.table(),
		"CREATE TABLE " + k.table() + " (id text PRIMARY KEY, site text)",
	} {
		if _, err := w.db.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (w *world) dropTable(k *kind) error {
	ctx, done := context.WithTimeout(context.Background(), callWithin)
	defer done()
	_, err := w.db.Exec(ctx, "DROP TABLE IF EXISTS "+k.table())
	return err
}

// rows are the ids that exist.
func (w *world) rows(ctx context.Context, k *kind) (map[string]bool, error) {
	found, err := w.db.Query(ctx, "SELECT id FROM "+k.table())
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, nil
}

// commit writes rows and tells nobody: the data centre publishes after it.
func (w *world) commit(ctx context.Context, statement string, args ...any) error {
	_, err := w.db.Exec(ctx, statement, args...)
	return err
}

func (w *world) insertRows(ctx context.Context, k *kind, site string, ids ...string) error {
	return w.commit(ctx, "INSERT INTO "+k.table()+" SELECT unnest($1::text[]), $2", ids, site)
}

// deleteRows tells the watcher first: from here on the ids may stand nowhere.
func (w *world) deleteRows(ctx context.Context, k *kind, ids ...string) error {
	k.release(ids...)
	return w.commit(ctx, "DELETE FROM "+k.table()+" WHERE id = ANY($1)", ids)
}

// errNotPublished is that of a message that no broker took: a row that is
// committed all the same.
var errNotPublished = errors.New("not published")

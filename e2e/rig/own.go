package rig

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The rig's own release, for people to look at and try things on.
const (
	ownNamespace = "iota"
	ownThings    = 40
	ownRules     = 10
)

// ownRelease has the platform's two kinds, small.
func ownRelease() Release {
	return Release{Namespace: ownNamespace, Kinds: []ReleaseKind{
		{Kind: "Thing", Settings: map[string]any{"limits": map[string]any{"initInstances": 3}}},
		{Kind: "Rule"},
	}}
}

// installOwn gives empty tables some rows and installs the rig's own release. An
// image that is given may be another under the name of before: its id makes the
// pods new. Those of the DACs stay until they are replaced for some other reason.
func (r *Rig) installOwn(ctx context.Context, given Images) (StepState, string, error) {
	rel := ownRelease()
	if given.Dacorch != "" {
		res, err := r.docker.ImageInspect(ctx, given.Dacorch)
		if err != nil {
			return StepFailed, "", err
		}
		rel.Values = map[string]any{"podAnnotations": map[string]any{rigLabel + "/image": res.ID}}
	}
	err := r.withPostgreSQL(ctx, UserPlatform, Database, func(conn *pgx.Conn) error {
		for table, rows := range map[string]int{"Thing": ownThings, "Rule": ownRules} {
			table = pgx.Identifier{table}.Sanitize()
			_, err := conn.Exec(ctx, `INSERT INTO `+table+` (id, name) SELECT format('%s-%s', $1::text, n), format('%s %s', $1::text, n)
				FROM generate_series(1, $2) n WHERE NOT EXISTS (SELECT FROM `+table+`)`, "first", rows)
			if err != nil {
				return fmt.Errorf("rows of %s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return StepFailed, "", err
	}
	in, err := r.Install(ctx, rel)
	if err != nil {
		return StepFailed, "", err
	}
	return StepDone, in.URL, nil
}

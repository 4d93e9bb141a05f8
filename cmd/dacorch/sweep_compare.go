package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/scenarios"
	"dacorch/sim/sweep"
)

// compareFlags are the flags of sim compare.
type compareFlags struct {
	policy string
	vary   string
	seeds  int
	from   uint64
	jobs   int
	json   string
	set    []string
	quiet  bool
}

func simCompareCommand(c console) *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare FILE|NAME",
		Short: "Play variants of a scenario under the same seeds, and set them beside each other",
		Long: `Play a scenario several times over, each time with another value of one key, under
the same seeds, and print one table: a row for each metric, a column for each value,
the median and the spread over the seeds. --policy is short for --vary of every
kind's policy.

Exit codes: 0 it was compared; 1 an invariant broke in a run; 2 the scenario or the
usage is wrong; 130 interrupted.`,
		Example: `  dacorch sim compare bulk-import --policy fill,balance --seeds 20
  dacorch sim compare pod-crash-storm --vary kinds.Thing.replacing=1,5,20`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("sim compare takes one scenario, not %d: %s", len(args), strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.simCompare(cmd.Context(), args[0], f) },
	}
	cmd.Use += " [flags]"
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "`policies` to compare, such as fill,balance,group")
	flags.StringVar(&f.vary, "vary", "", "`key=values` to compare, the values separated by commas, such as kinds.0.resync=1m,5m")
	flags.IntVar(&f.seeds, "seeds", 20, "`runs` of each variant")
	flags.Uint64Var(&f.from, "from", 1, "the first `seed`")
	flags.IntVar(&f.jobs, "jobs", 0, "`runs` at a time (default: one for each core)")
	flags.StringVar(&f.json, "json", "", "write the table as JSON to this `file` (- for standard output)")
	flags.StringArrayVar(&f.set, "set", nil, "override a `key=value` of the scenario in all variants; see sim run")
	flags.BoolVar(&f.quiet, "quiet", false, "print no table")
	return cmd
}

// variants loads the scenario once for each value.
func (f compareFlags) variants(name string) ([]sweep.Variant, error) {
	if (f.policy == "") == (f.vary == "") {
		return nil, errors.New("sim compare needs one of --policy fill,balance and --vary key=value,value")
	}
	base, err := loadScenario(name, runFlags{set: f.set})
	if err != nil {
		return nil, err
	}
	keys, values := []string{}, strings.Split(f.policy, ",")
	for i := range base.Kinds {
		keys = append(keys, "kinds."+base.Kinds[i].Kind+".policy")
	}
	if f.vary != "" {
		s, err := scenarios.ParseSetting(f.vary)
		if err != nil {
			return nil, fmt.Errorf("--vary%s", strings.TrimPrefix(err.Error(), "--set"))
		}
		keys, values = []string{s.Key}, strings.Split(s.Value, ",")
	}
	var out []sweep.Variant
	for _, v := range values {
		if v = strings.TrimSpace(v); slices.ContainsFunc(out, func(o sweep.Variant) bool { return o.Name == v }) {
			return nil, fmt.Errorf("%s is to be compared with itself: want each value once", v)
		}
		set := slices.Clone(f.set)
		for _, key := range keys {
			set = append(set, key+"="+v)
		}
		sc, err := loadScenario(name, runFlags{set: set})
		if err != nil {
			return nil, fmt.Errorf("%s cannot have %s: %w", base.Name, v, err)
		}
		if err := playable(sc, false); err != nil {
			return nil, err
		}
		out = append(out, sweep.Variant{Name: v, Scenario: sc})
	}
	return out, nil
}

func (c console) simCompare(ctx context.Context, name string, f compareFlags) error {
	switch {
	case f.seeds < 1:
		return fmt.Errorf("--seeds %d: want at least 1", f.seeds)
	case f.jobs < 0:
		return fmt.Errorf("--jobs %d: want at least 1", f.jobs)
	}
	variants, err := f.variants(name)
	if err != nil {
		return err
	}
	var outs outputs
	defer outs.discard()
	jsonTo, err := outs.open(c, "--json", f.json)
	if err != nil {
		return err
	}
	c.collectSeldom()
	line := c.newProgressLine(f.quiet)
	table, err := sweep.Compare(ctx, sweep.CompareOptions{
		Play: sweep.Play{Open: openFile}, Variants: variants, Seeds: f.seeds, From: f.from, Jobs: f.jobs,
		Watch: func(done, of int) {
			line.show(time.Now(), func() string { return fmt.Sprintf("%d of %d runs", done, of) })
		},
	})
	line.clear()
	if errors.Is(err, context.Canceled) {
		return interruptedError("interrupted: there is no table")
	}
	if err != nil {
		return err
	}
	if jsonTo != nil {
		enc := json.NewEncoder(jsonTo)
		enc.SetIndent("", "  ")
		if err := enc.Encode(table); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if err := outs.keep(); err != nil {
		return err
	}
	if !f.quiet && f.json != "-" {
		if err := table.Table(c.out); err != nil {
			return err
		}
	}
	if slices.Max(table.Failed) > 0 {
		return errFailed
	}
	return nil
}

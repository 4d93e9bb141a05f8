package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dacorch/e2e/rig"
)

func rigCommand(c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rig",
		Short: "Bring up a real Kubernetes with ZooKeeper, Kafka, Mosquitto and PostgreSQL, on this machine's Docker",
		Long: `The rig is everything that the orchestrator works with, for real: a kind cluster,
ZooKeeper, Kafka, Mosquitto and PostgreSQL in containers that the cluster's pods
reach, with TLS and passwords of its own, and the orchestrator itself installed
from its Helm chart. The end-to-end tests and "sim run --on kind" need one.

It needs Docker 20.10 or newer with about 4 GB of memory to give, and helm (in the
source tree: Go). Everything is reached on loopback alone. ZooKeeper's transaction
log, which "sim run --on kind" reads, is kept whole: it grows until "rig down".`,
		Example: `  dacorch rig up
  dacorch rig status
  dacorch rig down

  # where no image registry can be reached (in the source tree)
  dacorch rig images --air-gapped
  dacorch rig up --air-gapped`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(rigUpCommand(c), rigDownCommand(c), rigStatusCommand(c), rigImagesCommand(c))
	return cmd
}

// rigFlags are those that several commands share.
type rigFlags struct {
	name   string
	asJSON bool
	images []string
	offset int
	opts   rig.Options
}

func (f *rigFlags) named(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", rig.Name, "`NAME` of the rig, for another beside it")
}

func (f *rigFlags) json(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&f.asJSON, "json", false, what)
}

func (f *rigFlags) imaged(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.opts.AirGapped, "air-gapped", false, "take the images that \"rig images --air-gapped\" builds, and no registry's ($DACORCH_AIR_GAPPED=1); with =false, take a registry's")
	cmd.Flags().StringArrayVar(&f.images, "image", nil, "another image, as `NAME=IMAGE`; repeatable. NAME is node, zookeeper, kafka, mosquitto, postgres, dacorch or dac ($DACORCH_RIG_IMAGES, with commas)")
}

// options are what flags and environment say together.
func (f *rigFlags) options(c console, cmd *cobra.Command) (rig.Options, error) {
	o := f.opts
	o.Name = f.name
	o.Published = cmd.Flags().Changed("air-gapped") && !o.AirGapped
	if cmd.Flags().Changed("port-offset") {
		o.PortOffset = &f.offset
	}
	if value := c.getenv("DACORCH_AIR_GAPPED"); value != "" && !cmd.Flags().Changed("air-gapped") {
		switch value {
		case "1", "true", "on":
			o.AirGapped = true
		case "0", "false", "off": // as if it were not there: a variable takes nothing away
		default:
			return o, fmt.Errorf("DACORCH_AIR_GAPPED=%q: want 1 or 0", value)
		}
	}
	var given []string
	if value := c.getenv("DACORCH_RIG_IMAGES"); value != "" {
		given = strings.Split(value, ",")
	}
	for _, image := range append(given, f.images...) {
		name, ref, _ := strings.Cut(strings.TrimSpace(image), "=")
		if err := o.Images.Set(name, ref); err != nil {
			return o, err
		}
	}
	return o, nil
}

func rigUpCommand(c console) *cobra.Command {
	var f rigFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the rig up, or repair it",
		Long: `Bring the rig up: network, certificates and passwords, the services, the kind
cluster, the images of dacorch and of the simulated DAC, and the chart, with some
resources to orchestrate. What is there and right is kept, so it may be run again:
to go on after an interrupt, to repair, or to roll out a newer dacorch.

Images come from registries, or with --air-gapped from "rig images --air-gapped".
A rig that is there keeps the images that it was made of, unless this command names
others. What is to be of another image, or is set up otherwise by a newer dacorch,
is made anew, and its data are gone: the step says so. Ports and the configuration
of kind stay until "rig down"; to name others is an error.

Exit codes: 0 everything is up; 2 it is not, and why was said; 130 interrupted.`,
		Example: `  dacorch rig up
  dacorch rig up --air-gapped
  dacorch rig up --image postgres=postgres:16`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := f.options(c, cmd)
			if err != nil {
				return err
			}
			return rigUp(cmd.Context(), c, opts, f.asJSON)
		},
	}
	f.named(cmd)
	f.imaged(cmd)
	f.json(cmd, "print a JSON object for each step, and one that says how to reach everything")
	cmd.Flags().StringVar(&f.opts.Binary, "binary", "", "static Linux `FILE` of dacorch for the images (default: this program)")
	cmd.Flags().StringVar(&f.opts.KindConfig, "kind-config", "", "kind's configuration `FILE` (default: kind-config.yaml here, or the one built in)")
	cmd.Flags().IntVar(&f.offset, "port-offset", 0, "add `N` to every port on this machine, for a rig beside another: 0 to 12000, kept until it is taken down")
	cmd.Flags().BoolVar(&f.opts.NoInstall, "no-install", false, "leave the orchestrator out, or as it is: cluster and services alone")
	return cmd
}

func rigUp(ctx context.Context, c console, opts rig.Options, asJSON bool) error {
	opts.Progress = showSteps(c, asJSON, "there already")
	began := time.Now()
	r, err := rig.Up(ctx, opts)
	if ctx.Err() != nil {
		return interruptedError("interrupted: the same command goes on from here, " + rig.Command("down", opts.Name) + " removes what there is")
	}
	if err != nil {
		var step *rig.StepError
		var missing *rig.MissingImagesError
		var none *rig.NoDockerError
		if errors.As(err, &step) && !step.Unchanged && !errors.As(err, &missing) && !errors.As(err, &none) {
			return fmt.Errorf("rig up: %w\nThe same command goes on from here once that is mended; %s removes what there is", err, rig.Command("down", opts.Name))
		}
		return fmt.Errorf("rig up: %w", err)
	}
	if err := r.Close(); err != nil {
		return err
	}
	report, err := rig.Status(ctx, opts.Name)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(c.out).Encode(report)
	}
	fmt.Fprintf(c.out, "\nThe rig is up, after %s.\n\n", seconds(time.Since(began)))
	printReport(c, report)
	printWays(c, report)
	return nil
}

// showSteps prints each step as it ends. there is the word for one that had
// nothing to do.
func showSteps(c console, asJSON bool, there string) func(rig.Step) {
	if asJSON {
		enc := json.NewEncoder(c.out)
		return func(s rig.Step) {
			_ = enc.Encode(struct {
				Step    string        `json:"step"`
				State   rig.StepState `json:"state"`
				Seconds float64       `json:"seconds"`
				Note    string        `json:"note,omitempty"`
			}{s.Name, s.State, s.Took.Seconds(), s.Note})
		}
	}
	running := map[string]bool{}
	line := c.newProgressLine(false)
	return func(s rig.Step) {
		line.clear()
		if s.State == rig.StepBegun {
			running[s.Name] = true
		} else {
			delete(running, s.Name)
			state := map[rig.StepState]string{rig.StepDone: "done", rig.StepThere: there, rig.StepFailed: "FAILED"}[s.State]
			fmt.Fprintf(c.out, "%-13s %-14s %8s  %s\n", s.Name, state, seconds(s.Took), s.Note)
		}
		if len(running) > 0 {
			line.last = time.Time{} // there is no other step to bound
			line.show(time.Now(), func() string { return "... " + strings.Join(slices.Sorted(maps.Keys(running)), ", ") })
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func rigDownCommand(c console) *cobra.Command {
	var f rigFlags
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the rig, with all data in it",
		Long: `Remove the rig: the cluster, the services with their data, the network, the images
of dacorch, certificates and passwords. Images from registries, and those of
"rig images --air-gapped", stay. It is no mistake when there is none.

Exit codes: 0 nothing of it is left; 2 something is, and why was said.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := rig.Down(cmd.Context(), f.name, showSteps(c, f.asJSON, "-"))
			if cmd.Context().Err() != nil {
				return interruptedError("interrupted: " + rig.Command("down", f.name) + " goes on from here")
			}
			if err != nil {
				return fmt.Errorf("rig down: %w", err)
			}
			return nil
		},
	}
	f.named(cmd)
	f.json(cmd, "print a JSON object for each step")
	return cmd
}

func rigStatusCommand(c console) *cobra.Command {
	var f rigFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what of the rig is up, and how to reach it",
		Long: `Say what of the rig is up, and how to reach it. Passwords are not shown: the file
that holds them is named.

Exit codes: 0 everything is up; 1 some of it is; 2 it cannot be told, as without
Docker; 3 there is no rig.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := rig.Status(cmd.Context(), f.name)
			if errors.Is(err, rig.ErrNotUp) {
				fmt.Fprintln(c.err, "dacorch:", err)
				return errNoRig
			}
			if err != nil {
				return fmt.Errorf("rig status: %w", err)
			}
			if f.asJSON {
				enc := json.NewEncoder(c.out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(report); err != nil {
					return err
				}
			} else {
				printReport(c, report)
				printWays(c, report)
			}
			if !report.AllUp() {
				return errFailed
			}
			return nil
		},
	}
	f.named(cmd)
	f.json(cmd, "print it as JSON")
	return cmd
}

// printReport is the table of the parts.
func printReport(c console, report rig.Report) {
	rows := [][]string{{"PART", "STATE", "FROM HERE", "FROM PODS", ""}}
	for _, p := range report.Parts {
		first, _, _ := strings.Cut(p.Note, "\n")
		rows = append(rows, []string{p.Name, map[bool]string{true: "up", false: "not up"}[p.Up],
			cmp.Or(p.Address, "-"), cmp.Or(p.Inside, "-"), first})
	}
	printTable(c, rows)
	if !report.Up {
		fmt.Fprintf(c.out, "\nIt is not whole: the last \"rig up\" or \"rig down\" has not come to its end. %s goes on with it, %s removes what there is.\n",
			rig.Command("up", report.Name), rig.Command("down", report.Name))
	}
}

// printTable aligns the columns.
func printTable(c console, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		fmt.Fprintln(c.out, strings.TrimRight(line.String(), " "))
	}
}

// printWays says with which commands one looks around.
func printWays(c console, report rig.Report) {
	fmt.Fprintf(c.out, "\nauthority   %s\npasswords   %s\nkubeconfig  %s\n", report.CAFile, report.SecretsFile, report.Kubeconfig)
	if report.TokenFile != "" {
		fmt.Fprintf(c.out, "token       %s\n", report.TokenFile)
	}
	fmt.Fprintf(c.out, "\nTo look around:\n  kubectl --kubeconfig %s --namespace iota get pods\n", report.Kubeconfig)
	for _, p := range report.Parts {
		if p.Up && strings.HasPrefix(p.Address, "https://") && p.Name == rig.Name {
			fmt.Fprintf(c.out, "  dacorch tui %s --ca %s --token-file %s\n", p.Address, report.CAFile, report.TokenFile)
			// Through a pipe: ps shows everybody what stands on a command line.
			fmt.Fprintf(c.out, "  printf 'Authorization: Bearer %%s' \"$(cat %s)\" | curl --cacert %s -H @- %s/v1/api/orchestrations/Thing\n", report.TokenFile, report.CAFile, p.Address)
		}
	}
	if report.Name == rig.Name && report.Up {
		fmt.Fprintln(c.out, "  make e2e")
	}
	fmt.Fprintln(c.out, "  "+rig.Command("down", report.Name))
}

func rigImagesCommand(c console) *cobra.Command {
	var f rigFlags
	var list bool
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List the images of the rig, or build them without a registry",
		Long: `List the images that a rig is made of, and which of them are on this machine.

With --air-gapped, build those that are missing or whose sources have changed from
Debian packages, Go modules and Maven artifacts alone, through the mirrors that
this machine is set up with. That needs the source tree, root on Debian, Go,
debootstrap and mvn, and takes about 15 minutes the first time. AIRGAP_NODE_SETUP
names a script for what this machine alone needs of the node, see
e2e/airgap/README.md.

Exit codes: 0 listed or built; 2 they could not be; 130 interrupted.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := f.options(c, cmd)
			if err != nil {
				return err
			}
			if opts.AirGapped && !list {
				err := rig.BuildImages(cmd.Context(), func(line string) { fmt.Fprintln(c.err, line) })
				if cmd.Context().Err() != nil {
					return interruptedError("interrupted: what is built is kept")
				}
				if err != nil {
					return fmt.Errorf("rig images: %w", err)
				}
			}
			return rigImages(cmd.Context(), c, opts, f.asJSON)
		},
	}
	f.named(cmd)
	f.imaged(cmd)
	f.json(cmd, "print the list as JSON")
	cmd.Flags().BoolVar(&list, "list", false, "list only, also with --air-gapped")
	return cmd
}

func rigImages(ctx context.Context, c console, opts rig.Options, asJSON bool) error {
	images, err := rig.ImageTable(ctx, opts)
	if asJSON {
		if err != nil {
			return fmt.Errorf("rig images: %w", err)
		}
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(images)
	}
	rows := [][]string{{"NAME", "HERE", "SIZE", "IMAGE"}}
	for _, i := range images {
		row := []string{i.Name, "no", "-", i.Image}
		switch {
		case err != nil:
			row[1] = "?"
		case i.Present:
			row[1], row[2] = "yes", fmt.Sprintf("%.0f MB", float64(i.Bytes)/1e6)
		}
		rows = append(rows, row)
	}
	printTable(c, rows)
	if err != nil {
		return fmt.Errorf("rig images: which of them are here cannot be told: %w", err)
	}
	return nil
}

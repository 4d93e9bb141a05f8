// Command dacorch is the orchestrator and its simulator in one binary.
//
// Exit codes: 0 everything asked for was done and held; 1 an expectation was not
// met or an invariant broke; 2 the scenario or the usage is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], console{out: os.Stdout, err: os.Stderr, getenv: os.Getenv})
	stop()
	os.Exit(code)
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the run shows that something did not hold
	exitUsage  = 2 // the scenario or the usage is wrong
)

// errFailed ends the program with exitFailed. All has been said already.
var errFailed = errors.New("not everything held")

// execute runs the command line and answers the exit code.
func execute(ctx context.Context, args []string, c console) int {
	root := &cobra.Command{
		Use:           "dacorch",
		Short:         "Orchestrates the data acquisition of an industrial IoT platform, and simulates it",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.AddCommand(simCommand(c))
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	default:
		fmt.Fprintf(c.err, "dacorch: %v\n", err)
		return exitUsage
	}
}

// subcommand refuses a word that is none of the command's subcommands.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q: want one of %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
}

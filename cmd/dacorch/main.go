// Command dacorch is the orchestrator and its simulator in one binary.
//
// Exit codes: 0 everything asked for was done and held; 1 an expectation was not
// met or an invariant broke; 2 the scenario, the configuration or the usage is
// wrong, or a server or the rig cannot be run; 3 rig status found no rig; 130 a run
// was interrupted.
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
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := execute(ctx, os.Args[1:], console{out: os.Stdout, err: os.Stderr, getenv: os.Getenv})
	stop()
	os.Exit(code)
}

// endings are the signals that end the program in order: also that of a terminal
// which is closed, unless nohup has it ignored.
func endings() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // the run shows that something did not hold
	exitUsage       = 2   // the scenario or the usage is wrong
	exitNoRig       = 3   // rig status found none
	exitInterrupted = 130 // what shells report of a program that Ctrl-C ended
)

// errFailed ends the program with exitFailed. All has been said already.
var errFailed = errors.New("not everything held")

// errNoRig ends the program with exitNoRig. All has been said already.
var errNoRig = errors.New("there is no rig")

// interruptedError ends the program with exitInterrupted.
type interruptedError string

func (e interruptedError) Error() string { return string(e) }

// execute runs the command line and answers the exit code.
func execute(ctx context.Context, args []string, c console) int {
	root := &cobra.Command{
		Use:   "dacorch",
		Short: "Orchestrates the data acquisition of an industrial IoT platform, and simulates it",
		Long: `dacorch keeps every resource of an IoT platform running on exactly one data
acquisition instance. Its simulator runs the very same core through scenarios in
virtual time: a day in seconds, every run repeatable from its seed.`,
		Example: `  dacorch serve --dev
  dacorch sim list
  dacorch sim run first-light
  dacorch sim run scenarios/kafka-outage.yaml --seed 42
  dacorch tui control-room`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          help,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.SetArgs(args)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.AddCommand(serveCommand(c), simCommand(c), tuiCommand(c), rigCommand(c), versionCommand(c))
	var interrupted interruptedError
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, errFailed):
		return exitFailed
	case errors.Is(err, errNoRig):
		return exitNoRig
	case errors.As(err, &interrupted):
		fmt.Fprintf(c.err, "dacorch: %v\n", err)
		return exitInterrupted
	default:
		fmt.Fprintf(c.err, "dacorch: %v\n", err)
		return exitUsage
	}
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

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
	want := "want one of " + strings.Join(names, ", ")
	for _, cmd.SuggestionsMinimumDistance = range []int{1, 2} { // the nearest
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			want = "did you mean " + near[0] + "?"
			break
		}
	}
	return fmt.Errorf("unknown command %q for %q: %s", args[0], cmd.CommandPath(), want)
}

// noArguments refuses arguments after a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, not %q", strings.TrimPrefix(cmd.CommandPath(), "dacorch "), args[0])
	}
	return nil
}

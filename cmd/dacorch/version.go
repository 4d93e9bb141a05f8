package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(c console) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.out, version(debug.ReadBuildInfo()))
			return err
		},
	}
}

// version is one line: the version, the commit it was built from when the build
// knows it, and the Go version and platform it was built with.
func version(info *debug.BuildInfo, ok bool) string {
	number, commit := "(devel)", ""
	if ok {
		if info.Main.Version != "" {
			number = info.Main.Version
		}
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if revision := settings["vcs.revision"]; revision != "" {
			commit = ", commit " + revision[:min(len(revision), 12)]
			if at := settings["vcs.time"]; at != "" {
				commit += " of " + at
			}
			if settings["vcs.modified"] == "true" {
				commit += " with changes"
			}
		}
	}
	return fmt.Sprintf("dacorch %s%s, %s %s/%s", number, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

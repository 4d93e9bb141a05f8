package scenarios

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

// The README is embedded so that there is something to embed without a file.
//
//go:embed regressions
var regressions embed.FS

// Regressions lists the scenarios that once failed, sorted: one for each bug that
// was found.
func Regressions() []string {
	entries, err := regressions.ReadDir("regressions")
	if err != nil {
		panic("scenarios: " + err.Error()) // an embedded directory can be read
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Regression loads the scenario of that name of Regressions. Its file is
// scenarios/regressions/<name>.yaml.
func Regression(name string, settings ...Setting) (*Scenario, error) {
	if !slices.Contains(Regressions(), name) {
		return nil, fmt.Errorf("no regression %q is known: want one of scenarios/regressions", name)
	}
	data, err := regressions.ReadFile(path.Join("regressions", name+".yaml"))
	if err != nil {
		return nil, err
	}
	return Parse(path.Join("scenarios", "regressions", name+".yaml"), data, settings...)
}

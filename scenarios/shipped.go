package scenarios

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed *.yaml
var shipped embed.FS

// Names lists the scenarios that are part of the program, sorted.
func Names() []string {
	entries, err := shipped.ReadDir(".")
	if err != nil {
		panic("scenarios: " + err.Error()) // an embedded directory can be read
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(names)
	return names
}

// Shipped loads the scenario of that name that is part of the program. Its file
// is scenarios/<name>.yaml, and trace paths start there: from the project's root
// they are found.
func Shipped(name string, settings ...Setting) (*Scenario, error) {
	names := Names()
	if !slices.Contains(names, name) {
		want := "want one of " + strings.Join(names, ", ")
		if n := nearest(name, names); n != "" {
			want = "did you mean " + n + "?"
		}
		return nil, fmt.Errorf("no scenario %q is shipped: %s", name, want)
	}
	data, err := shipped.ReadFile(name + ".yaml")
	if err != nil {
		return nil, err
	}
	return Parse(path.Join("scenarios", name+".yaml"), data, settings...)
}

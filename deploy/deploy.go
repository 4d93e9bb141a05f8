// Package deploy is what an installation of the orchestrator is made of: the Helm
// chart, the Dockerfile, and the templates of the simulated DAC's pods.
// docs/deploy.md tells how it is used.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// chart is the directory of that name. Chart has it without the name.
//
//go:embed all:chart
var chart embed.FS

// Chart is the Helm chart: Chart.yaml stands at its top. Its values.yaml says what
// can be set, values.schema.json holds them to that.
var Chart = must(fs.Sub(chart, "chart"))

// Dockerfile makes both images of one static binary, which stands at bin/dacorch
// in the build's context: target orchestrator, the default, and target dac. Docker
// 20.10 without BuildKit can build it.
//
//go:embed Dockerfile
var Dockerfile []byte

// PodTemplate is the shipped template (YAML) of the simulated DAC's pods:
// "iota-dac", which sends heartbeats, or "iota-rules-engine", which sends none. Its
// image is dacorch-dac:latest.
func PodTemplate(instanceName string) ([]byte, error) {
	data, err := fs.ReadFile(Chart, "pod-templates/"+instanceName+"/pod-template.yml")
	if err != nil {
		return nil, fmt.Errorf("no pod template is shipped for %q: want iota-dac or iota-rules-engine", instanceName)
	}
	return data, nil
}

// WriteChart writes the chart into a directory, for the helm program. The
// directory is made when it is not there; it must be empty, or a chart of another
// version may stay behind.
func WriteChart(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("write chart: %s holds %s already: want an empty directory", dir, filepath.Base(entries[0].Name()))
	}
	return os.CopyFS(dir, Chart)
}

func must(sub fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the name above is right
	}
	return sub
}

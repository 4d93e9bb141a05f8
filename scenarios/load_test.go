package scenarios

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestStories loads what stands in testdata and compares what comes out: the
// scenario as it was understood, or its mistakes. "load" takes a whole file;
// "with" takes lines that replace or join a minimal one. set=(k=v, …) are settings.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			text := d.Input
			if d.Cmd == "with" {
				text = minimalWith(d.Input)
			}
			var settings []Setting
			for _, arg := range d.CmdArgs {
				for _, v := range arg.Vals {
					s, err := ParseSetting(v)
					if err != nil {
						return err.Error() + "\n"
					}
					settings = append(settings, s)
				}
			}
			s, err := Load("story.yaml", strings.NewReader(text), settings...)
			if err != nil {
				return err.Error() + "\n"
			}
			return describe(s)
		})
	})
}

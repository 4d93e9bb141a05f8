package deploy

import (
	"os"
	"regexp"
	"testing"
)

// valuesBlock is an example of values in the documentation.
var valuesBlock = regexp.MustCompile("(?s)```yaml\n(# values\n.*?)```")

// TestDocs renders every example of values in the documentation.
func TestDocs(t *testing.T) {
	chart := loadChart(t)
	for file, least := range map[string]int{"../docs/deploy.md": 3, "../docs/migration.md": 1} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := valuesBlock.FindAllStringSubmatch(string(data), -1)
		if len(blocks) < least {
			t.Errorf("%s: %d examples of values, want at least %d", file, len(blocks), least)
		}
		for _, b := range blocks {
			values := valuesOf(t, b[1])
			if secrets, ok := values["secrets"].(map[string]any); !ok || secrets["api"] == nil { // a part
				values = over(valuesFile(t, "least"), values)
			}
			if _, err := render(chart, values, "monitoring.coreos.com/v1"); err != nil {
				t.Errorf("%s: %v\n%s", file, err, b[1])
			}
		}
	}
}

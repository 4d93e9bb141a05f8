package orchestrator

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

const configDocsHead = `# Configuration

` + "`dacorch serve --config FILE`" + ` reads one YAML file. Every field has a default but the database's URL, so a file holds what differs;
[deploy/dacorch.yaml](../deploy/dacorch.yaml) is one with every field. ` + "`dacorch serve --check-config`" + ` says what is wrong, each
mistake with line and column, and prints what is in force. Keys that are not known are mistakes.

Durations have a unit: ` + "`100ms`, `90s`, `5m`, `1h30m`" + `. Whole numbers may have underscores between digits; shares may be written in percent.

Every field outside of ` + "`kinds`" + ` can be given by a variable of the environment, which stands over the file; the tables name it. Lists are
separated by commas there. The platform's own names work too; ours stand over them:

`

const configSecretsText = `
## Secrets

Passwords never stand in the file, which many may read; one that does is refused, also in a URL. They come from a file of their own
(` + "`passwordFile`, `database.urlFile`, `api.tokenFile`" + `: one line, or a line for each token) or from the environment. A file that everybody on the
machine may read is warned of. Errors, logs and ` + "`--check-config`" + ` never show a secret.
`

const configExampleHead = `# The configuration of the platform's two kinds, with every field and its default.
# Fields without one are commented out. docs/configuration.md says the same in
# tables; "dacorch serve --check-config" says what is in force.
# Passwords stand in files of their own or in the environment, never here.

`

// TestConfigDocs holds docs/configuration.md and deploy/dacorch.yaml to the
// fields. Like the stories they are rewritten by -rewrite.
func TestConfigDocs(t *testing.T) {
	for path, want := range map[string]string{"../docs/configuration.md": configDocs(t), "../deploy/dacorch.yaml": configExample()} {
		data, err := os.ReadFile(path)
		if err == nil && string(data) == want {
			continue
		}
		if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		now := strings.Split(want, "\n")
		for i, line := range strings.Split(string(data), "\n") {
			if i >= len(now) || line != now[i] {
				t.Errorf("%s:%d is not what config_fields.go says (go test -rewrite writes it): %v\n%s", path, i+1, err, line)
				break
			}
		}
	}
}

// Every field is told of once, in the order of the file, and each section is.
func TestConfigFieldsAreComplete(t *testing.T) {
	var paths, told []string
	eachField(reflect.ValueOf(oneKind()).Elem(), "", func(path string, _ reflect.StructField, _ reflect.Value) {
		paths = append(paths, strings.Replace(path, "[0]", "", 1))
	})
	for _, f := range configFields {
		told = append(told, f.path)
		if !strings.HasSuffix(f.about, ".") {
			t.Errorf("%s: %q is no sentence", f.path, f.about)
		}
		if section, _ := splitPath(f.path); configSections[section] == "" && section != "" {
			t.Errorf("section %s is not told of", section)
		}
	}
	if !reflect.DeepEqual(paths, told) {
		for i := range min(len(paths), len(told)) {
			if paths[i] != told[i] {
				t.Fatalf("field %d is %s, and told of is %s", i, paths[i], told[i])
			}
		}
		t.Fatalf("%d fields, %d are told of", len(paths), len(told))
	}
}

// The example is the default, with the database's example.
func TestExampleConfig(t *testing.T) {
	data, err := os.ReadFile("../deploy/dacorch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadConfig("deploy/dacorch.yaml", data, noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Database.URL = fieldNamed("database.url").example
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the example is\n%s\nand the default\n%s", described(t, got), described(t, want))
	}
	// What is commented out is right too, as far as it does not exclude other things.
	for _, line := range strings.Split(string(data), "\n") {
		if key, example, ok := strings.Cut(strings.TrimLeft(line, " "), ": "); ok && strings.HasPrefix(key, "# ") && !strings.Contains(key[2:], " ") && example == "" {
			t.Errorf("%q has no example", line)
		}
	}
}

func oneKind() *Config {
	c := defaults()
	c.Kinds = c.Kinds[:1]
	return c
}

func fieldNamed(path string) configField {
	for _, f := range configFields {
		if f.path == path {
			return f
		}
	}
	panic("no field " + path)
}

func splitPath(path string) (section, key string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

func configDocs(t *testing.T) string {
	var b strings.Builder
	b.WriteString(configDocsHead + "| variable | field |\n| --- | --- |\n")
	section := "none yet"
	eachField(reflect.ValueOf(oneKind()).Elem(), "", func(path string, _ reflect.StructField, _ reflect.Value) {
		if v := platformVariables[path]; v != "" {
			fmt.Fprintf(&b, "| `%s` | `%s` |\n", v, path)
		}
	})
	b.WriteString(configSecretsText)
	eachField(reflect.ValueOf(oneKind()).Elem(), "", func(path string, field reflect.StructField, v reflect.Value) {
		path = strings.Replace(path, "[0]", "", 1)
		now, key := splitPath(path)
		if now != section {
			section = now
			title := "`" + section + "`"
			if section == "" {
				title = "At the top"
			}
			fmt.Fprintf(&b, "\n## %s\n\n", title)
			if about := configSections[section]; about != "" {
				b.WriteString(about + "\n\n")
			}
			b.WriteString("| key | value | default | variable | |\n| --- | --- | --- | --- | --- |\n")
		}
		f, fallback, variable := fieldNamed(path), "", "`"+EnvironmentOf(path)+"`"
		if !v.IsZero() || v.Kind() != reflect.String && v.Kind() != reflect.Slice {
			fallback = "`" + written(v) + "`"
		}
		if strings.HasPrefix(path, "kinds") {
			variable = ""
		}
		if path == "kinds.kind" || path == "kinds.instanceName" || path == "kinds.heartbeat" {
			fallback = "" // told in words
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", key, valueOf(f, field, v), fallback, variable, f.about)
	})
	return b.String()
}

// valueOf is the type, unit and range of a field.
func valueOf(f configField, field reflect.StructField, v reflect.Value) string {
	low, high := field.Tag.Get("min"), field.Tag.Get("max")
	if words := field.Tag.Get("oneOf"); words != "" {
		return strings.ReplaceAll(words, " ", ", ")
	}
	what := f.unit
	switch v.Kind() {
	case reflect.Bool:
		what = "true, false"
	case reflect.Slice:
		what = "list of " + f.unit
	}
	if low != "" {
		what += ", " + low + " to " + high
	}
	return what
}

func configExample() string {
	var b strings.Builder
	b.WriteString(configExampleHead)
	c := defaults()
	section := ""
	eachField(reflect.ValueOf(c).Elem(), "", func(path string, field reflect.StructField, v reflect.Value) {
		if field.Tag.Get("secret") != "" {
			return
		}
		now, key := splitPath(path)
		kind := strings.HasPrefix(path, "kinds")
		path = strings.NewReplacer("[0]", "", "[1]", "").Replace(path)
		indent := strings.Repeat("  ", strings.Count(path, "."))
		if kind {
			indent += "  "
		}
		if now != section {
			exampleSection(&b, now, indent)
			section = now
		}
		f := fieldNamed(path)
		if path == "kinds.kind" {
			fmt.Fprintf(&b, "  - kind: %s\n", written(v))
			return
		}
		if !strings.HasPrefix(now, "kinds[1]") { // the first has told it
			b.WriteString(wrapped(indent+"# ", f.about))
		}
		value, comment := written(v), ""
		if v.IsZero() && (v.Kind() == reflect.String || v.Kind() == reflect.Slice) {
			value, comment = f.example, "# "
			if strings.HasPrefix(now, "kinds[1]") {
				return
			}
			if path == "database.url" {
				comment = ""
			}
		}
		fmt.Fprintf(&b, "%s%s%s: %s\n", indent, comment, key, value)
	})
	return b.String()
}

func exampleSection(b *strings.Builder, now, indent string) {
	plain := strings.NewReplacer("[0]", "", "[1]", "").Replace(now)
	_, name := splitPath(plain)
	above := strings.TrimSuffix(indent, "  ")
	switch {
	case now == "kinds[0]":
		b.WriteString("\n" + wrapped("# ", configSections["kinds"]) + "kinds:\n")
	case now == "kinds[1]":
		b.WriteString("\n")
	case !strings.Contains(plain, "."):
		b.WriteString("\n" + wrapped("# ", configSections[plain]) + name + ":\n")
	default:
		if !strings.HasPrefix(now, "kinds[1]") {
			b.WriteString(wrapped(above+"# ", configSections[plain]))
		}
		b.WriteString(above + name + ":\n")
	}
}

func wrapped(prefix, text string) string {
	var b strings.Builder
	line := prefix
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > 100 {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = prefix
		}
		line += word + " "
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}

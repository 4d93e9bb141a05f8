package scenarios

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// MaxFileBytes bounds a scenario file; MaxErrors how many mistakes are listed.
const (
	MaxFileBytes = 1 << 20
	MaxErrors    = 100
)

// Setting overrides one value of a scenario file, as --set key=value does. Key
// is a path: duration, kinds.0.resources, kinds.Thing.resources (a kind by its
// name), churn.0.trace.file. Value is written as in YAML.
type Setting struct{ Key, Value string }

// ParseSetting reads "key=value".
func ParseSetting(s string) (Setting, error) {
	key, value, found := strings.Cut(s, "=")
	key = strings.TrimSpace(key)
	if !found || key == "" {
		return Setting{}, fmt.Errorf("--set %s: no key and value: want key=value, such as duration=2h or kinds.0.resources=1000", s)
	}
	return Setting{Key: key, Value: value}, nil
}

// Error is one mistake in a scenario: where it is, what is wrong, and what would
// be right.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 when the mistake is in a setting, or in the file as a whole
	Set          string // the setting's key, when the mistake is in one
	Key          string // of the entry, when one was read alone (ParseFault); empty: the entry as a whole
	Problem      string // what is wrong
	Want         string // what would be right
}

// Error reads "file:line:column: problem: want", or "--set key: problem: want".
// Of an entry that was read alone it is "problem: want".
func (e *Error) Error() string {
	where := e.File
	switch {
	case e.File == "" && e.Set == "":
		return e.Problem + ": " + e.Want
	case e.Set != "":
		where = "--set " + e.Set
	case e.Line > 0:
		where = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	return where + ": " + e.Problem + ": " + e.Want
}

// Errors are the mistakes of a scenario in the order of the file, at most
// MaxErrors of them.
type Errors []*Error

// Error is one line for each mistake.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads a scenario of at most MaxFileBytes, applies the settings in order,
// and validates it. name is the file's path: errors begin with it, and relative
// trace paths start from its directory (a set one from the working directory).
// A mistake answers Errors; a failure to read, that error with the name.
func Load(name string, r io.Reader, settings ...Setting) (*Scenario, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %w", name, err)
	}
	return Parse(name, data, settings...)
}

// Parse is Load for a file that is in memory. It does not keep data.
func Parse(name string, data []byte, settings ...Setting) (*Scenario, error) {
	root, err := parseYAML(name, data)
	if err != nil {
		return nil, Errors{err}
	}
	d := &decoder{file: name}
	for _, s := range settings {
		if err := apply(root, s); err != nil {
			d.errs = append(d.errs, err)
		}
	}
	scenario := d.scenario(root)
	if len(d.errs) > 0 {
		return nil, d.sorted()
	}
	return scenario, nil
}

// sorted is what the decoder found wrong: the file's mistakes in its order, then
// those of settings.
func (d *decoder) sorted() Errors {
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := slices.CompactFunc(d.errs, func(a, b *Error) bool { return *a == *b })
	return errs[:min(len(errs), MaxErrors)]
}

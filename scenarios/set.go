package scenarios

import (
	"fmt"
	"strconv"
	"strings"
)

// apply puts a setting into the tree, so that one validator serves the file and
// the settings. Mappings on the way are made; list elements must exist.
func apply(root *value, s Setting) *Error {
	wrong := func(problem, want string) *Error {
		return &Error{Set: s.Key, Problem: problem, Want: want}
	}
	v, err := parseText("", s.Value)
	if err != nil {
		return wrong(fmt.Sprintf("%q: %s", s.Value, err.Problem), err.Want)
	}
	if v == nil {
		v = &value{}
	}
	v.mark(s.Key)
	at, path := root, strings.Split(s.Key, ".")
	for i, step := range path {
		if step == "" {
			return wrong("an empty step in the path", "want names and numbers with dots between them, such as kinds.0.resources")
		}
		slot, err := at.slot(step, s.Key, strings.Join(path[:i], "."))
		if err != nil {
			return err
		}
		if i == len(path)-1 {
			*slot = v
			return nil
		}
		if (*slot).shape == nothing {
			*slot = &value{shape: mapping, set: s.Key}
		}
		at = *slot
	}
	return nil
}

// mark says of every value that it comes from a setting.
func (v *value) mark(set string) {
	v.set, v.line, v.column = set, 0, 0
	for _, item := range v.items {
		item.mark(set)
	}
	for _, e := range v.entries {
		e.name.mark(set)
		e.value.mark(set)
	}
}

// slot is where step's value stands in v; path leads to v.
func (v *value) slot(step, set, path string) (**value, *Error) {
	switch v.shape {
	case mapping:
		for i := range v.entries {
			if v.entries[i].key == step {
				return &v.entries[i].value, nil
			}
		}
		v.entries = append(v.entries, entry{key: step, name: &value{shape: scalar, text: step, set: set}, value: &value{set: set}})
		return &v.entries[len(v.entries)-1].value, nil
	case list:
		var names []string
		for i, item := range v.items {
			if kind := item.get("kind"); path == "kinds" && kind != nil && kind.shape == scalar {
				if kind.text == step {
					return &v.items[i], nil
				}
				names = append(names, kind.text)
			}
		}
		n, err := strconv.Atoi(step)
		if err == nil && n >= 0 && n < len(v.items) {
			return &v.items[n], nil
		}
		want := fmt.Sprintf("want a number from 0 to %d", len(v.items)-1)
		if len(v.items) == 0 {
			want = "want a key outside of the empty list"
		}
		if len(names) > 0 {
			want += " or one of " + strings.Join(names, ", ")
		}
		return nil, &Error{Set: set, Problem: fmt.Sprintf("%s has no %q", path, step), Want: want}
	}
	return nil, &Error{Set: set, Problem: path + " is a single value, with nothing inside", Want: "want the path to end there"}
}

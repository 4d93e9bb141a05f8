package scenarios

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"
)

// ParseFault reads one fault that is to begin at a moment of a run of the
// scenario: an entry of faults without its at, as a JSON object or as a scenario
// file has it. It may last beyond heal. A mistake answers Errors, each with the Key that it is about.
func (s *Scenario) ParseFault(data []byte, at time.Duration) (Fault, error) {
	root, err := parseEntry(data)
	if err != nil {
		return Fault{}, Errors{err}
	}
	d := &decoder{duration: maxRun, heal: maxRun, kinds: s.Kinds, machines: s.Nodes}
	if given := root.get("at"); given != nil {
		d.fail(given, "at has no meaning here", "want no at: it begins at the moment at which it is given")
	}
	var f Fault
	if len(d.errs) == 0 {
		now := &value{shape: scalar, text: FormatDuration(0)}
		root.entries = append(root.entries, entry{key: "at", name: now, value: now})
		f = d.fault(root)
	}
	if len(d.errs) > 0 {
		errs := d.sorted()
		for _, e := range errs {
			if e.Line > 0 {
				e.Key = root.entries[e.Line-1].key
			}
			e.Line, e.Column = 0, 0
		}
		slices.SortStableFunc(errs, func(a, b *Error) int { // a wrong key explains why another one is missing
			return cmp.Compare(min(1, len(b.Key)), min(1, len(a.Key)))
		})
		return Fault{}, errs
	}
	f.At = at
	return f, nil
}

// What the text of one entry may hold.
const (
	maxEntryBytes = 64 << 10
	maxEntryDepth = 4
)

// wantEntry is what would be right where a text is no fault at all.
const wantEntry = `want one, such as {"pod": "crash", "kind": "Thing", "instance": 3}`

// parseEntry reads a mapping. Everything in its first entry stands on line 1, in
// its second on line 2, and so on; itself on none.
func parseEntry(data []byte) (*value, *Error) {
	wrong := func(problem string) (*value, *Error) { return nil, &Error{Problem: problem, Want: wantEntry} }
	data = bytes.TrimSpace(data)
	switch {
	case len(data) > maxEntryBytes:
		return wrong(fmt.Sprintf("more than %d bytes", maxEntryBytes))
	case len(data) == 0:
		return wrong("no fault in it")
	case !utf8.Valid(data):
		return wrong("not UTF-8")
	}
	var root *value
	if json.Valid(data) || bytes.HasPrefix(data, []byte(`{"`)) {
		var err error
		if root, err = parseJSON(data); err != nil {
			return wrong("not JSON: " + firstLine(err.Error()))
		}
	} else {
		var err *Error
		if root, err = parseText("", string(data)); err != nil {
			err.Line, err.Column = 0, 0 // of a text that nobody sees
			return nil, err
		}
	}
	if root == nil || root.shape != mapping {
		return wrong("a fault is keys and values")
	}
	root.place(0)
	for i := range root.entries {
		root.entries[i].name.place(i + 1)
		root.entries[i].value.place(i + 1)
	}
	return root, nil
}

// place puts a value, and all in it, on a line; line 0 is none.
func (v *value) place(line int) {
	v.line, v.column = line, min(line, 1)
	for _, item := range v.items {
		item.place(line)
	}
	for _, e := range v.entries {
		e.name.place(line)
		e.value.place(line)
	}
}

func parseJSON(data []byte) (*value, error) {
	r := json.NewDecoder(bytes.NewReader(data))
	r.UseNumber()
	root, err := readJSON(r, 0)
	if err == nil {
		if _, more := r.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	} else if errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	}
	return root, err
}

func readJSON(r *json.Decoder, depth int) (*value, error) {
	t, err := r.Token()
	if err != nil {
		return nil, err
	}
	v := &value{}
	switch t := t.(type) {
	case nil:
		v.shape = nothing
	case bool:
		v.shape, v.text = scalar, fmt.Sprint(t)
	case json.Number:
		v.shape, v.text = scalar, t.String()
	case string:
		v.shape, v.text, v.quoted = scalar, t, true
	case json.Delim:
		if depth == maxEntryDepth {
			return nil, errors.New("nested too deep")
		}
		if err := v.readInside(r, t, depth); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// readInside reads what an object or a list holds, and its end.
func (v *value) readInside(r *json.Decoder, begin json.Delim, depth int) error {
	v.shape = list
	if begin == '{' {
		v.shape = mapping
	}
	for r.More() {
		name := &value{shape: scalar, quoted: true}
		if v.shape == mapping {
			t, err := r.Token()
			if err != nil {
				return err
			}
			name.text = t.(string) // else Token answers an error
			if v.get(name.text) != nil {
				return fmt.Errorf("%q is given twice", shorten(name.text))
			}
		}
		inner, err := readJSON(r, depth+1)
		if err != nil {
			return err
		}
		if v.shape == mapping {
			v.entries = append(v.entries, entry{key: name.text, name: name, value: inner})
		} else {
			v.items = append(v.items, inner)
		}
	}
	_, err := r.Token()
	return err
}

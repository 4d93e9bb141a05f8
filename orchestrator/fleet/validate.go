package fleet

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// FieldError says which field is wrong, what it holds, and what would be right.
type FieldError struct {
	Field string // the field's name as the user writes it
	Value string // what was given
	Want  string // what would be right
}

// Error reads "field: value is not valid: want …".
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %s is not valid: want %s", e.Field, e.Value, e.Want)
}

// CheckPolicy answers a *FieldError unless the policy is known.
func CheckPolicy(field string, p Policy) error {
	if slices.Contains(Policies, p) {
		return nil
	}
	names := make([]string, len(Policies))
	for i, q := range Policies {
		names[i] = string(q)
	}
	return &FieldError{Field: field, Value: fmt.Sprintf("%q", p), Want: "one of " + strings.Join(names, ", ")}
}

// CheckHandoff answers a *FieldError unless the handoff is known.
func CheckHandoff(field string, h Handoff) error {
	if h == HandoffFast || h == HandoffStrict {
		return nil
	}
	return &FieldError{Field: field, Value: fmt.Sprintf("%q", h), Want: "fast or strict"}
}

// CheckResourceID answers a *FieldError unless id can stand in an instance's
// list: valid UTF-8, not empty, at most maxBytes bytes, no control characters.
func CheckResourceID(id string, maxBytes int) error {
	shown := id
	if len(shown) > 60 {
		shown = shown[:60] + "…"
	}
	bad := func(want string) error {
		return &FieldError{Field: "id", Value: fmt.Sprintf("%q", shown), Want: want}
	}
	switch {
	case id == "":
		return bad("at least one character")
	case len(id) > maxBytes:
		return bad(fmt.Sprintf("at most %d bytes, not %d", maxBytes, len(id)))
	case !utf8.ValidString(id):
		return bad("UTF-8")
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] == 0x7f {
			return bad("no control characters")
		}
	}
	return nil
}

// ListBytes bounds the JSON bytes that id takes in an instance's list: itself,
// two quotes and a comma, each quote and backslash escaped.
func ListBytes(id string) int {
	n := len(id) + 3
	n += 3 * (strings.Count(id, "\u2028") + strings.Count(id, "\u2029")) // escaped too
	for i := range len(id) {
		switch c := id[i]; {
		case c == '"' || c == '\\':
			n++
		case c == '<' || c == '>' || c == '&': // escaped as \u003c by encoding/json
			n += 5
		}
	}
	return n
}

package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"dacorch/orchestrator/fleet"
)

const (
	// MaxPayload bounds a message's bytes. A longer one is an error.
	MaxPayload = 16 << 20
	// MaxDepth bounds how deep objects and arrays stand in each other. A deeper
	// message is an error.
	MaxDepth = 64
	// MaxIDs bounds the rows that one message may name. One that names more counts
	// as naming none: to compare with the database is the smaller work.
	MaxIDs = 100_000
)

// Parser understands the messages of cm/notify (CONTRACT.md, MQTT).
type Parser struct {
	// GroupColumn names, per kind, the column of the row that holds the group.
	GroupColumn map[fleet.Kind]string
}

// Parse answers what a message says. An error says where the message is wrong, by
// byte or by field, and what would be right. It keeps nothing of the payload.
//
// An id is what stands under "id" in a key: a string, or a whole number, which
// becomes its decimal digits. A message names rows only when it is certain that
// it means these and no others; else Resources is empty.
func (p Parser) Parse(payload []byte) (*fleet.Notification, error) {
	msg, err := open(payload)
	if err != nil {
		return nil, err
	}
	o, err := word(msg, "o", `an operation such as "c", "u", "d", "bc", "bu" or "bd"`)
	if err != nil {
		return nil, err
	}
	n := &fleet.Notification{Op: operation(o)}
	if n.Table, err = word(msg, "t", `the table's name, such as "Thing"`); err != nil {
		return nil, err
	}
	var ids []string
	switch n.Op {
	case fleet.OpCreate, fleet.OpUpdate, fleet.OpDelete:
		ids, err = key(msg["k"], "k")
	case fleet.OpBulkCreate:
		ids, err = keys(msg["keys"])
	case fleet.OpBulkUpdate, fleet.OpBulkDelete:
		ids, _ = condition(msg["where"])
	}
	if err != nil {
		return nil, err
	}
	n.Resources = resources(ids)
	if len(n.Resources) == 1 && (n.Op == fleet.OpCreate || n.Op == fleet.OpUpdate) {
		n.Resources[0].Group, n.GroupKnown = p.group(fleet.Kind(n.Table), msg["instance"])
	}
	return n, nil
}

// open checks the whole payload and takes its outermost object apart.
func open(payload []byte) (map[string]json.RawMessage, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%d bytes: want at most %d", len(payload), MaxPayload)
	}
	if err := checkText(payload); err != nil {
		return nil, err
	}
	var msg map[string]json.RawMessage
	err := json.Unmarshal(payload, &msg)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("byte %d: %w: want a JSON object", syntax.Offset, err)
	case err != nil || msg == nil:
		return nil, fmt.Errorf("byte 0: %s: want a JSON object with at least o and t", excerpt(payload))
	}
	return msg, nil
}

// checkText refuses what a JSON decoder would silently mend or dive into.
func checkText(payload []byte) error {
	for i := 0; i < len(payload); {
		r, size := utf8.DecodeRune(payload[i:])
		if r == utf8.RuneError && size <= 1 {
			return fmt.Errorf("byte %d: 0x%02x: want UTF-8", i, payload[i])
		}
		i += size
	}
	depth, quoted := 0, false
	for i := 0; i < len(payload); i++ {
		switch b := payload[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("byte %d: more than %d objects and arrays in each other: want fewer", i, MaxDepth)
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}

func operation(o string) fleet.Op {
	for op := fleet.OpCreate; op <= fleet.OpBulkDelete; op++ {
		if o == op.String() {
			return op
		}
	}
	return fleet.OpOther
}

// word is a field that must be a string with something in it.
func word(msg map[string]json.RawMessage, field, want string) (string, error) {
	raw, ok := msg[field]
	if !ok {
		return "", &fleet.FieldError{Field: field, Value: "missing", Want: want}
	}
	if s, ok := text(raw); ok && s != "" {
		return s, nil
	}
	return "", &fleet.FieldError{Field: field, Value: excerpt(raw), Want: want}
}

const wantKey = `the primary key, such as {"id": "…"}`

// key is the id of one primary key: an object with an id. One without, of a table
// whose key bears another name, names nothing.
func key(raw json.RawMessage, field string) ([]string, error) {
	if raw == nil {
		return nil, &fleet.FieldError{Field: field, Value: "missing", Want: wantKey}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) == 0 {
		return nil, &fleet.FieldError{Field: field, Value: excerpt(raw), Want: wantKey}
	}
	value, ok := members["id"]
	if !ok {
		return nil, nil
	}
	id, ok := scalar(value)
	if !ok {
		return nil, &fleet.FieldError{Field: field + ".id", Value: excerpt(value), Want: "a string that is not empty, or a whole number in decimal digits"}
	}
	return []string{id}, nil
}

// keys are the ids of many primary keys.
func keys(raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, &fleet.FieldError{Field: "keys", Value: "missing", Want: "an array of primary keys"}
	}
	list, ok := array(raw)
	if !ok {
		return nil, &fleet.FieldError{Field: "keys", Value: excerpt(raw), Want: `an array of primary keys, such as [{"id": "…"}]`}
	}
	ids := make([]string, 0, min(len(list), MaxIDs))
	for i, element := range list {
		if id, ok := scalar(element); ok { // the bare value of a key
			ids = append(ids, id)
			continue
		}
		one, err := key(element, "keys["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		if one == nil {
			return nil, nil // it cannot be said which rows
		}
		ids = append(ids, one...)
	}
	return ids, nil
}

// condition answers the ids that a query's condition names; not ok unless it
// speaks of ids alone, so that these rows and no others are meant.
func condition(raw json.RawMessage) (ids []string, ok bool) {
	name, value, ok := only(raw)
	if !ok {
		return nil, false
	}
	switch name {
	case "id":
		return values(value)
	case "or", "$or", "and", "$and":
		list, ok := array(value)
		if !ok || len(list) == 0 || strings.HasSuffix(name, "and") && len(list) > 1 {
			return nil, false
		}
		for _, element := range list {
			more, ok := condition(element)
			if !ok {
				return nil, false
			}
			ids = append(ids, more...)
		}
		return ids, true
	}
	return nil, false
}

// values are the ids that one field may have: a value, an array of them, or an
// operator that means either.
func values(raw json.RawMessage) (ids []string, ok bool) {
	if id, ok := scalar(raw); ok {
		return []string{id}, true
	}
	if name, value, ok := only(raw); ok {
		switch name {
		case "in", "$in", "inq", "$inq":
			if _, ok := array(value); ok {
				return values(value)
			}
		case "eq", "$eq", "=", "==":
			if id, ok := scalar(value); ok {
				return []string{id}, true
			}
		}
		return nil, false
	}
	list, ok := array(raw)
	if !ok {
		return nil, false
	}
	ids = make([]string, 0, min(len(list), MaxIDs))
	for _, element := range list {
		id, ok := scalar(element)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// only is the one member of an object that has one.
func only(raw json.RawMessage) (name string, value json.RawMessage, ok bool) {
	if len(raw) == 0 || raw[0] != '{' {
		return "", nil, false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) != 1 {
		return "", nil, false
	}
	for name, value = range members {
		ok = true
	}
	return name, value, ok
}

func array(raw json.RawMessage) ([]json.RawMessage, bool) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false
	}
	var list []json.RawMessage
	return list, json.Unmarshal(raw, &list) == nil
}

// scalar is an id's value: a string with something in it, or a whole number in
// decimal digits, exact whatever its size.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	if raw[0] == '"' {
		s, ok := text(raw)
		return s, ok && s != ""
	}
	digits := strings.TrimPrefix(string(raw), "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	if digits == "0" {
		return "0", true // there is no -0
	}
	return string(raw), true
}

// text is a JSON string's value. One with half a surrogate pair has none: the
// decoder would put another character in its place.
func text(raw json.RawMessage) (string, bool) {
	var s string
	switch {
	case len(raw) < 2 || raw[0] != '"':
		return "", false
	case bytes.IndexByte(raw, '\\') < 0: // as it stands: checkText and the decoder have seen it
		return string(raw[1 : len(raw)-1]), true
	case json.Unmarshal(raw, &s) != nil:
		return "", false
	}
	if strings.ContainsRune(s, utf8.RuneError) && bytes.Contains(bytes.ToLower(raw), []byte(`\ud`)) {
		return "", false
	}
	return s, true
}

// group reads the group of a resource out of its row.
func (p Parser) group(kind fleet.Kind, row json.RawMessage) (group string, known bool) {
	column := p.GroupColumn[kind]
	if column == "" || len(row) == 0 {
		return "", false
	}
	var columns map[string]json.RawMessage
	if json.Unmarshal(row, &columns) != nil {
		return "", false
	}
	value, ok := columns[column]
	switch {
	case !ok:
		return "", false
	case string(value) == "null" || string(value) == `""`:
		return "", true
	}
	return scalar(value)
}

// resources are the rows with these ids, each once, in the message's order.
func resources(ids []string) []fleet.Resource {
	if len(ids) == 0 || len(ids) > MaxIDs {
		return nil
	}
	rs := make([]fleet.Resource, 0, len(ids))
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			rs = append(rs, fleet.Resource{ID: id})
		}
	}
	return rs
}

// excerpt quotes the start of something for a message.
func excerpt(raw []byte) string {
	const most = 80
	if len(raw) > most {
		return strconv.Quote(string(raw[:most])) + "…"
	}
	return strconv.Quote(string(raw))
}

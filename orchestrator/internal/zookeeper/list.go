package zookeeper

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// A list of ids is kept as the bytes that stand in the node, in one canonical
// form: {"ids":["a","b"]} without white space, of each string only the quote, the
// backslash and control characters escaped, each in one way. Hence an id stands
// in it as exactly one sequence of bytes, and a change is a cut or an append.
const (
	listHead = `{"ids":[`
	listTail = `]}`
)

// decodeList reads a list: its ids, and its canonical bytes, which are data
// itself when it is canonical.
func decodeList(data []byte) (ids []string, canonical []byte, err error) {
	if ids, ok := scanList(data); ok {
		return ids, data, nil
	}
	var list struct {
		IDs []json.RawMessage `json:"ids"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, nil, fmt.Errorf(`%s is not valid: want {"ids": [string, …]}: %w`, excerpt(data), err)
	}
	if list.IDs == nil {
		return nil, nil, fmt.Errorf(`%s is not valid: want {"ids": [string, …]}`, excerpt(data))
	}
	ids = make([]string, len(list.IDs))
	for i, raw := range list.IDs {
		if ids[i], err = decodeID(raw); err != nil {
			return nil, nil, fmt.Errorf(`%s is not valid: want {"ids": [string, …]}, not %s at %d`, excerpt(data), excerpt(raw), i)
		}
	}
	return ids, encodeList(ids), nil
}

// decodeID takes a string, and a number as its digits.
func decodeID(raw json.RawMessage) (string, error) {
	var id string
	if err := json.Unmarshal(raw, &id); err == nil && string(raw) != "null" {
		return id, nil
	}
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil || n == "" {
		return "", fmt.Errorf("no id")
	}
	return n.String(), nil
}

// scanList reads a canonical list without escapes, as almost all are, in one go.
func scanList(data []byte) ([]string, bool) {
	body, ok := bytes.CutPrefix(data, []byte(listHead))
	if !ok {
		return nil, false
	}
	if body, ok = bytes.CutSuffix(body, []byte(listTail)); !ok {
		return nil, false
	}
	if len(body) == 0 {
		return []string{}, true
	}
	if bytes.IndexByte(body, '\\') >= 0 || !utf8.Valid(body) || bytes.IndexFunc(body, isControl) >= 0 {
		return nil, false
	}
	ids := make([]string, 0, bytes.Count(body, []byte{'"'})/2)
	for {
		if len(body) < 2 || body[0] != '"' {
			return nil, false
		}
		end := bytes.IndexByte(body[1:], '"')
		if end < 0 {
			return nil, false
		}
		ids = append(ids, string(body[1:1+end]))
		body = body[end+2:]
		if len(body) == 0 {
			return ids, true
		}
		if body[0] != ',' {
			return nil, false
		}
		body = body[1:]
	}
}

func isControl(r rune) bool { return r < 0x20 }

// encodeList writes ids in canonical form.
func encodeList(ids []string) []byte {
	size := len(listHead) + len(listTail)
	for _, id := range ids {
		size += len(id) + 3
	}
	b := append(make([]byte, 0, size), listHead...)
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendID(b, id)
	}
	return append(b, listTail...)
}

// appendID writes an id as a JSON string.
func appendID(b []byte, id string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	if !escapes(id) {
		return append(append(b, id...), '"')
	}
	for i := range len(id) {
		switch ch := id[i]; {
		case ch == '"' || ch == '\\':
			b = append(b, '\\', ch)
		case ch < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
		default:
			b = append(b, ch)
		}
	}
	return append(b, '"')
}

func escapes(id string) bool {
	for i := range len(id) {
		if ch := id[i]; ch < 0x20 || ch == '"' || ch == '\\' {
			return true
		}
	}
	return false
}

// changeList is a canonical list with ids added at the end and others removed. It
// answers an error when one to be added is there or one to be removed is not, or
// an id is no UTF-8. The list itself stays as it is.
func changeList(list []byte, add, remove []string) ([]byte, error) {
	size := len(list)
	for _, id := range add {
		if !utf8.ValidString(id) {
			return nil, fmt.Errorf("id %.60q is not valid: want UTF-8", id)
		}
		size += len(id) + 3
	}
	cuts, err := findAll(list, add, remove)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, size), listHead...)
	at := len(listHead)
	for _, cut := range cuts {
		b = append(b, list[at:cut.from]...)
		at = cut.to
	}
	b = append(b, list[at:len(list)-len(listTail)]...)
	if n := len(b); n > len(listHead) && b[n-1] == ',' {
		b = b[:n-1] // the last element was cut out
	}
	for _, id := range add {
		if len(b) > len(listHead) {
			b = append(b, ',')
		}
		b = appendID(b, id)
	}
	return append(b, listTail...), nil
}

// span is an element of a list with the comma behind it, if there is one.
type span struct{ from, to int }

// element is the element that begins at a place; false at the end of the list.
// Quotes in a canonical list are the bounds of its strings, unless a backslash
// escapes them that is not escaped itself.
func element(list []byte, at int) (span, bool) {
	if at >= len(list) || list[at] != '"' {
		return span{}, false
	}
	for end := at + 1; ; end++ {
		end += bytes.IndexByte(list[end:], '"')
		slashes := end
		for list[slashes-1] == '\\' {
			slashes--
		}
		if (end-slashes)%2 == 1 {
			continue
		}
		if end++; list[end] == ',' {
			end++
		}
		return span{at, end}, true
	}
}

// wanted are encoded ids that are looked for in a list: few one by one, many in a
// map.
type wanted struct {
	few  [][]byte
	many map[string]int // its number among few
}

func (w *wanted) find(quoted []byte) (int, bool) {
	const few = 8
	if len(w.few) > few {
		if w.many == nil {
			w.many = make(map[string]int, len(w.few))
			for i, q := range w.few {
				w.many[string(q)] = i
			}
		}
		i, ok := w.many[string(quoted)]
		return i, ok
	}
	for i, q := range w.few {
		last := len(q) - 2 // ids often begin alike
		if len(q) == len(quoted) && q[last] == quoted[last] && bytes.Equal(q, quoted) {
			return i, true
		}
	}
	return 0, false
}

// findAll answers where the ids to be removed stand, ascending, in one reading.
func findAll(list []byte, add, remove []string) ([]span, error) {
	var want wanted
	for _, id := range slices.Concat(add, remove) {
		want.few = append(want.few, appendID(nil, id))
	}
	seen := make([]bool, len(want.few))
	for i, q := range want.few {
		if which, _ := want.find(q); which != i { // it finds the first or the last of equals
			return nil, fmt.Errorf("id %.60s stands twice in the change", q)
		}
	}
	cuts := make([]span, 0, len(remove))
	for at := len(listHead); ; {
		s, more := element(list, at)
		if !more {
			break
		}
		at = s.to
		quoted := bytes.TrimSuffix(list[s.from:s.to], []byte{','})
		switch i, ok := want.find(quoted); {
		case !ok || seen[i]:
		case i < len(add):
			return nil, fmt.Errorf("id %.60s is to be added, and is in the list", quoted)
		default:
			seen[i] = true
			cuts = append(cuts, s)
		}
	}
	for i := range remove {
		if !seen[len(add)+i] {
			return nil, fmt.Errorf("id %.60q is to be removed, and is not in the list", remove[i])
		}
	}
	return cuts, nil
}

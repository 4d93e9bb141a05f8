package zookeeper

import (
	"bytes"
	"encoding/binary"
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

// list is a canonical list. When all its ids take as many bytes, as UUIDs do, and
// none has an escape, it is known where each stands.
type list struct {
	data  []byte
	width int // of each id with its quotes; 0 when they differ or there are none
}

// listOf takes canonical bytes.
func listOf(data []byte) list {
	s, ok := element(data, len(listHead))
	if !ok || bytes.IndexByte(data, '\\') >= 0 {
		return list{data: data}
	}
	width := s.to - s.from
	if data[s.to-1] == ',' {
		width--
	}
	n := (len(data) - len(listHead) - len(listTail) + 1) / (width + 1)
	if len(listHead)+n*(width+1)-1+len(listTail) != len(data) || bytes.Count(data, []byte{'"'}) != 2*n+2 { // two are the head's
		return list{data: data}
	}
	for i := range n {
		at := len(listHead) + i*(width+1)
		if data[at] != '"' || data[at+width-1] != '"' {
			return list{data: data}
		}
	}
	return list{data, width}
}

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

// change answers the list with ids added at the end and others removed, in the
// bytes of into if they suffice. It answers an error when one to be added is there
// or one to be removed is not, or an id is no UTF-8. The list itself stays as it is.
func (l list) change(into []byte, add, remove []string) (list, error) {
	for _, id := range add {
		if !utf8.ValidString(id) {
			return list{}, fmt.Errorf("id %.60q is not valid: want UTF-8", id)
		}
	}
	want, err := newWanted(add, remove)
	if err != nil {
		return list{}, err
	}
	cuts, err := l.find(want, len(add))
	if err != nil {
		return list{}, err
	}
	b := append(into[:0], listHead...)
	at := len(listHead)
	for _, cut := range cuts {
		b = append(b, l.data[at:cut.from]...)
		at = cut.to
	}
	b = append(b, l.data[at:len(l.data)-len(listTail)]...)
	if n := len(b); n > len(listHead) && b[n-1] == ',' {
		b = b[:n-1] // the last element was cut out
	}
	width := l.width
	if len(b) == len(listHead) {
		width = 0
	}
	for i, id := range add {
		q := want.quoted[i]
		switch {
		case len(q) != len(id)+2: // it has an escape
			width = 0
		case len(b) == len(listHead):
			width = len(q)
		case width != len(q):
			width = 0
		}
		if len(b) > len(listHead) {
			b = append(b, ',')
		}
		b = append(b, q...)
	}
	return list{append(b, listTail...), width}, nil
}

// sizeAfter bounds the bytes of a list that ids have been added to, unless they
// have escapes.
func (l list) sizeAfter(add []string) int {
	size := len(l.data)
	for _, id := range add {
		size += len(id) + 3
	}
	return size
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

// wanted are encoded ids that are looked for in a list. Most of those that stand
// there are none of them, which their last bytes tell.
type wanted struct {
	quoted [][]byte
	number map[string]int // of each; nil when they are few
	filter [64]uint64     // of 4,096 bits, those that tailOf names of the wanted
}

// tailOf is a number below 4,096 that depends on the last bytes of an encoded id.
func tailOf(quoted []byte) uint64 {
	n := len(quoted)
	if n < 8 {
		return uint64(n)<<8 | uint64(quoted[n-2]) // its last byte, or the quote before none
	}
	return binary.LittleEndian.Uint64(quoted[n-8:]) * 0x9e3779b97f4a7c15 >> 52
}

// newWanted answers an error when an id stands twice among them.
func newWanted(add, remove []string) (*wanted, error) {
	n := len(add) + len(remove)
	w := &wanted{quoted: make([][]byte, 0, n)}
	const few = 8
	if n > few {
		w.number = make(map[string]int, n)
	}
	size := 0
	for _, ids := range [...][]string{add, remove} {
		for _, id := range ids {
			size += len(id) + 2
		}
	}
	room := make([]byte, 0, size)
	for _, ids := range [...][]string{add, remove} {
		for _, id := range ids {
			from := len(room)
			room = appendID(room, id)
			q := room[from:]
			if _, twice := w.find(q); twice {
				return nil, fmt.Errorf("id %.60s stands twice in the change", q)
			}
			w.add(q)
		}
	}
	return w, nil
}

func (w *wanted) add(quoted []byte) {
	if w.number != nil {
		w.number[string(quoted)] = len(w.quoted)
	}
	w.quoted = append(w.quoted, quoted)
	m := tailOf(quoted)
	w.filter[m>>6] |= 1 << (m & 63)
}

// find is the number of one that is wanted.
func (w *wanted) find(quoted []byte) (int, bool) {
	if m := tailOf(quoted); w.filter[m>>6]&(1<<(m&63)) == 0 {
		return 0, false
	}
	if w.number == nil {
		i := slices.IndexFunc(w.quoted, func(q []byte) bool { return bytes.Equal(q, quoted) })
		return i, i >= 0
	}
	i, ok := w.number[string(quoted)]
	return i, ok
}

// find answers where the ids to be removed stand, ascending, in one reading. Those
// before that number are to be added, and must not be there.
func (l list) find(want *wanted, add int) ([]span, error) {
	cuts := make([]span, 0, len(want.quoted)-add)
	seen := make([]bool, len(want.quoted))
	meet := func(s span, quoted []byte) error {
		switch i, ok := want.find(quoted); {
		case !ok || seen[i]:
		case i < add:
			return fmt.Errorf("id %.60s is to be added, and is in the list", quoted)
		default:
			seen[i] = true
			cuts = append(cuts, s)
		}
		return nil
	}
	var err error
	if l.width > 0 {
		err = l.eachEven(want, meet)
	} else {
		err = l.each(meet)
	}
	for i := add; i < len(seen) && err == nil; i++ {
		if !seen[i] {
			err = fmt.Errorf("id %.60s is to be removed, and is not in the list", want.quoted[i])
		}
	}
	return cuts, err
}

func (l list) each(meet func(s span, quoted []byte) error) error {
	for at := len(listHead); ; {
		s, more := element(l.data, at)
		if !more {
			return nil
		}
		at = s.to
		quoted := l.data[s.from:s.to]
		if last := len(quoted) - 1; quoted[last] == ',' {
			quoted = quoted[:last]
		}
		if err := meet(s, quoted); err != nil {
			return err
		}
	}
}

// eachEven meets those ids of an even list that may be wanted.
func (l list) eachEven(want *wanted, meet func(s span, quoted []byte) error) error {
	for at := len(listHead); at+l.width < len(l.data); at += l.width + 1 {
		quoted := l.data[at : at+l.width]
		if m := tailOf(quoted); want.filter[m>>6&63]&(1<<(m&63)) == 0 {
			continue
		}
		s := span{at, at + l.width}
		if l.data[s.to] == ',' {
			s.to++
		}
		if err := meet(s, quoted); err != nil {
			return err
		}
	}
	return nil
}

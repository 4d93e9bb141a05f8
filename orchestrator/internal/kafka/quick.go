package kafka

import (
	"time"

	"dacorch/orchestrator/fleet"
)

// quick reads the heartbeats that DACs really send: flat objects of plain strings
// and whole numbers, in ASCII and without escapes. What is anything else is left
// to slow, which is ten times slower: a burst of heartbeats must not be what the
// orchestrator is busy with. What both take, they take for the same. known spares
// an allocation where it is the kind.
func quick(value []byte, known fleet.Kind) (b Beat, ok bool) {
	s := scanner{rest: value}
	var kind, instance, timestamp []byte
	for first := true; ; first = false {
		open := byte(',')
		if first {
			open = '{'
		}
		if !s.is(open) {
			break
		}
		key, isString := s.token()
		if !isString || !s.is(':') {
			return b, false
		}
		token, isString := s.token()
		if len(token) == 0 {
			return b, false
		}
		var field *[]byte
		switch {
		case folds(key, "resource") && isString:
			field = &kind
		case folds(key, "instanceid"):
			field = &instance
		case folds(key, "timestamp"):
			field = &timestamp
		case folds(key, "resource"):
			return b, false
		default:
			continue
		}
		if *field != nil {
			return b, false
		}
		*field = token
	}
	if !s.is('}') {
		return b, false
	}
	if s.space(); len(s.rest) > 0 || kind == nil {
		return b, false
	}
	id, ok1 := whole(instance, 1<<31-1)
	seconds, ok2 := whole(timestamp, maxTimestamp)
	if !ok1 || !ok2 {
		return b, false
	}
	b = Beat{known, fleet.InstanceID(id), time.Unix(seconds, 0)}
	if string(kind) != string(known) {
		b.Kind = fleet.Kind(kind)
	}
	return b, true
}

// scanner goes through a value.
type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\r', '\n':
			s.rest = s.rest[1:]
		default:
			return
		}
	}
}

// is goes past a byte, if it comes next.
func (s *scanner) is(b byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// token goes past a plain string, and answers what is in it, or past a whole
// number. It is empty when neither comes next, or an empty string.
func (s *scanner) token() (token []byte, isString bool) {
	s.space()
	if len(s.rest) > 0 && s.rest[0] == '"' {
		for i := 1; i < len(s.rest); i++ {
			switch b := s.rest[i]; {
			case b == '"':
				token, s.rest = s.rest[1:i], s.rest[i+1:]
				return token, true
			case b < 0x20 || b > 0x7e || b == '\\':
				return nil, false
			}
		}
		return nil, false
	}
	n := 0
	for n < len(s.rest) && '0' <= s.rest[n] && s.rest[n] <= '9' {
		n++
	}
	if n > 1 && s.rest[0] == '0' { // JSON has no such numbers
		return nil, false
	}
	token, s.rest = s.rest[:n], s.rest[n:]
	return token, false
}

// folds says whether an ASCII key is the name, which is in lower case.
func folds(key []byte, name string) bool {
	if len(key) != len(name) {
		return false
	}
	for i, b := range key {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != name[i] {
			return false
		}
	}
	return true
}

// whole reads digits.
func whole(digits []byte, most int64) (int64, bool) {
	if len(digits) == 0 || len(digits) > 12 {
		return 0, false
	}
	var n int64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int64(d-'0')
	}
	return n, n <= most
}

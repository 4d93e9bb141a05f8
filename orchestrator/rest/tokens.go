package rest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Scope is what a token allows.
type Scope uint8

// The scopes. Each includes those before it.
const (
	ScopeNone  Scope = iota
	ScopeRead        // every call that changes nothing, previews and the event stream among them
	ScopeWrite       // orders
)

var scopeNames = [...]string{"none", "read", "write"}

// String is the scope's name in the token file and in the configuration.
func (s Scope) String() string { return scopeNames[s] }

// ParseScope reads none, read or write.
func ParseScope(name string) (Scope, error) {
	for i, n := range scopeNames {
		if n == name {
			return Scope(i), nil
		}
	}
	return ScopeNone, fmt.Errorf("scope %q is not known: want none, read or write", name)
}

// Token is a bearer token. Only its hash is kept.
type Token struct {
	Name  string // whose it is, for the log
	Scope Scope
	Hash  [sha256.Size]byte // SHA-256 of the token
}

// NewToken makes a Token of its plain text.
func NewToken(name string, scope Scope, plain string) Token {
	return Token{Name: name, Scope: scope, Hash: sha256.Sum256([]byte(plain))}
}

const (
	maxTokens     = 10_000
	maxTokenBytes = 4096 // of a line, and of a token in a request
	minPlainBytes = 8
)

// ParseTokens reads a token file: one token a line, as
//
//	<name> <read|write> <token>
//	<name> <read|write> sha256:<64 hex digits>
//
// separated by blanks or tabs; "#" begins a comment line; empty lines are
// skipped. A token in plain text has at least 8 bytes and no blanks; its
// SHA-256, as `printf %s "$token" | sha256sum` prints it, keeps it out of the
// file. Names occur once. At most 10,000 tokens, 4096 bytes a line. An error
// names the line and never shows a token.
func ParseTokens(data []byte) ([]Token, error) {
	var tokens []Token
	names := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxTokenBytes)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		t, err := parseToken(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if first, twice := names[t.Name]; twice {
			return nil, fmt.Errorf("line %d: the name %q stands in line %d already", n, t.Name, first)
		}
		if names[t.Name] = n; len(tokens) == maxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", n, maxTokens)
		}
		tokens = append(tokens, t)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w: want at most %d bytes", n+1, err, maxTokenBytes)
	}
	return tokens, nil
}

func parseToken(line string) (Token, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return Token{}, fmt.Errorf("%d words: want name, scope (read or write) and token", len(fields))
	}
	scope, err := ParseScope(fields[1])
	if err != nil || scope == ScopeNone {
		return Token{}, fmt.Errorf("the second word is no scope: want read or write")
	}
	digits, hashed := strings.CutPrefix(fields[2], "sha256:")
	if !hashed {
		if len(fields[2]) < minPlainBytes {
			return Token{}, fmt.Errorf("the token has %d bytes: want at least %d", len(fields[2]), minPlainBytes)
		}
		return NewToken(fields[0], scope, fields[2]), nil
	}
	t := Token{Name: fields[0], Scope: scope}
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != len(t.Hash) {
		return Token{}, fmt.Errorf("the token's hash is not 64 hex digits")
	}
	copy(t.Hash[:], sum)
	return t, nil
}

// tokens are the valid tokens. They are found by their hash: how long that takes
// tells at most something of the hash of what was sent, from which no token
// follows.
type tokens struct {
	path  string
	fixed []Token
	every time.Duration
	log   *slog.Logger

	known atomic.Pointer[map[[sha256.Size]byte]Token]
	due   atomic.Int64 // Unix nanoseconds of the next look at the file

	mu     sync.Mutex // held by whoever looks at the file
	stamp  stamp
	failed string // the last error logged
}

// loadTokens reads the tokens for the first time; then every mistake is an error.
func loadTokens(c Config) (*tokens, error) {
	t := &tokens{path: c.TokenFile, fixed: c.Tokens, every: c.TokenCheck, log: c.Log}
	if t.path == "" {
		return t, t.set(nil)
	}
	t.due.Store(time.Now().Add(t.every).UnixNano())
	return t, t.reload()
}

// any says whether there is a token at all.
func (t *tokens) any() bool { return len(*t.known.Load()) > 0 }

// find answers the token whose plain text this is.
func (t *tokens) find(plain string) (Token, bool) {
	return t.with(sha256.Sum256([]byte(plain)))
}

// with answers the token that has the hash.
func (t *tokens) with(hash [sha256.Size]byte) (Token, bool) {
	t.refresh()
	found, ok := (*t.known.Load())[hash]
	return found, ok
}

// refresh looks whether the file has changed, when it is time to. One request
// looks; the others go on with what is known.
func (t *tokens) refresh() {
	now := time.Now().UnixNano()
	if t.path == "" || now < t.due.Load() || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	t.due.Store(now + int64(t.every))
	if s := stampOf(t.path); s == t.stamp && t.failed == "" {
		return
	}
	if err := t.reload(); err == nil {
		t.failed = ""
		t.log.Info("tokens read anew", "file", t.path, "tokens", len(*t.known.Load()))
	} else if err.Error() != t.failed {
		t.failed = err.Error()
		t.log.Error("tokens cannot be read anew; the old ones stay valid", "err", err)
	}
}

func (t *tokens) reload() error {
	s := stampOf(t.path) // before reading: a change meanwhile is seen next time
	data, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	list, err := ParseTokens(data)
	if err == nil {
		err = t.set(list)
	}
	if err != nil {
		return fmt.Errorf("token file %s: %w", t.path, err)
	}
	t.stamp = s
	return nil
}

func (t *tokens) set(list []Token) error {
	known := make(map[[sha256.Size]byte]Token, len(list)+len(t.fixed))
	for _, from := range [][]Token{t.fixed, list} {
		for _, tok := range from {
			if other, twice := known[tok.Hash]; twice {
				return fmt.Errorf("%q and %q are the same token", other.Name, tok.Name)
			}
			known[tok.Hash] = tok
		}
	}
	t.known.Store(&known)
	return nil
}

// stamp tells one version of a file from another.
type stamp struct {
	mtime int64
	size  int64
}

// stampOf follows links, as Kubernetes changes mounted secrets by them. The zero
// stamp is a file that cannot be looked at.
func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime().UnixNano(), info.Size()}
}

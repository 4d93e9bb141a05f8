package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// value is a YAML value as the file writes it: scalars are not interpreted here.
type value struct {
	shape   shape
	text    string // of a scalar
	quoted  bool   // a scalar that can only be text
	items   []*value
	entries []entry // of a mapping, in the order of the file; keys are unique

	line, column int
	set          string // the setting that it comes from; then line and column are 0
}

type entry struct {
	key   string
	name  *value // the key's own position
	value *value
}

type shape uint8

const (
	nothing shape = iota // null, or no value at all
	scalar
	list
	mapping
)

func (v *value) get(key string) *value {
	for _, e := range v.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// What a scenario never needs, and what costs a parser its stack or memory.
const (
	maxFlowDepth   = 16  // [ and { inside each other
	maxBlockColumn = 200 // of a "-", "?" or ":" outside of them
	// The parser's time grows with the square of a mapping's size.
	maxTokens = 100_000 // words and signs of a file
)

// parseYAML reads one document whose top is a mapping.
func parseYAML(file string, data []byte) (*value, *Error) {
	wrong := func(problem, want string) (*value, *Error) {
		return nil, &Error{File: file, Problem: problem, Want: want}
	}
	switch {
	case len(data) > MaxFileBytes:
		return wrong(fmt.Sprintf("more than %d bytes", MaxFileBytes), "want a smaller scenario; data belongs in a trace file")
	case !utf8.Valid(data):
		return wrong("not UTF-8", "want YAML in UTF-8")
	}
	root, err := parseText(file, string(data))
	if err != nil {
		return nil, err
	}
	if root == nil || root.shape == nothing {
		return wrong("no scenario in it", "want at least name, about, duration, kinds and expect")
	}
	if root.shape != mapping {
		return nil, &Error{File: file, Line: root.line, Column: root.column, Problem: "a scenario is a mapping of keys to values", Want: `want "name: …" at its top`}
	}
	return root, nil
}

// parseText reads one document; nil when there is none. The parser is not ours:
// its panics become errors, and what could exhaust its stack never reaches it.
func parseText(file, text string) (root *value, err *Error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, &Error{File: file, Problem: "not YAML that can be understood", Want: "want plain keys, values and lists"}
		}
	}()
	tokens := lexer.Tokenize(text)
	if err := guard(file, tokens); err != nil {
		return nil, err
	}
	doc, failed := parser.Parse(tokens, 0)
	if failed != nil {
		return nil, syntaxError(file, failed)
	}
	for _, d := range doc.Docs {
		if d.Body == nil {
			continue
		}
		v, err := convert(file, d.Body)
		if err != nil {
			return nil, err
		}
		if root != nil {
			return nil, refuse(file, d.Body.GetToken(), "a second document", "want one scenario in a file")
		}
		root = v
	}
	return root, nil
}

// guard refuses aliases (so nothing can grow), tags, and nesting beyond reason.
func guard(file string, tokens token.Tokens) *Error {
	if len(tokens) > maxTokens {
		return refuse(file, tokens[maxTokens], fmt.Sprintf("more than %d words and signs", maxTokens), "want a smaller scenario; data belongs in a trace file")
	}
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return refuse(file, t, "anchors, aliases and merge keys are not understood", "want the value written out")
		case token.TagType:
			return refuse(file, t, "tags are not understood", "want the plain value")
		case token.DirectiveType:
			return refuse(file, t, "directives are not understood", "want plain YAML")
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth = max(0, depth-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if depth == 0 && t.Position.Column > maxBlockColumn {
				return refuse(file, t, "nested too deep", fmt.Sprintf("want it to begin before column %d", maxBlockColumn))
			}
		}
		if depth > maxFlowDepth {
			return refuse(file, t, "nested too deep", fmt.Sprintf("want at most %d brackets in each other", maxFlowDepth))
		}
	}
	return nil
}

func refuse(file string, t *token.Token, problem, want string) *Error {
	e := &Error{File: file, Problem: problem, Want: want}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

func syntaxError(file string, err error) *Error {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) {
		return &Error{File: file, Problem: "not YAML", Want: firstLine(err.Error())}
	}
	if key, found := strings.CutPrefix(syntax.Message, "mapping key "); found && strings.Contains(key, "already defined") {
		return twice(file, syntax.Token, strings.Trim(strings.Fields(key)[0], `"`))
	}
	return refuse(file, syntax.Token, "not YAML: "+firstLine(syntax.Message), `want "key: value" lines, lists of "- value", and quotes around text with ": " or " #" in it`)
}

func twice(file string, t *token.Token, key string) *Error {
	return refuse(file, t, fmt.Sprintf("%q is given twice", shorten(key)), "want it once")
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// convert makes a value of the parser's tree.
func convert(file string, n ast.Node) (*value, *Error) {
	v := &value{}
	if t := n.GetToken(); t != nil && t.Position != nil {
		v.line, v.column = t.Position.Line, t.Position.Column
	}
	switch n := n.(type) {
	case *ast.NullNode:
		v.shape = nothing
	case *ast.StringNode:
		v.shape, v.text = scalar, n.Value
		v.quoted = n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
	case *ast.LiteralNode:
		v.shape, v.text, v.quoted = scalar, n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		v.shape, v.text = scalar, n.GetToken().Value
	case *ast.SequenceNode:
		v.shape = list
		for _, item := range n.Values {
			c, err := convert(file, item)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, c)
		}
	case *ast.MappingNode:
		v.shape = mapping
		seen := make(map[string]bool, len(n.Values))
		for _, pair := range n.Values {
			if err := v.add(file, pair); err != nil {
				return nil, err
			}
			key := v.entries[len(v.entries)-1].key
			if seen[key] {
				return nil, twice(file, pair.Key.GetToken(), key)
			}
			seen[key] = true
		}
		if !n.IsFlowStyle && len(v.entries) > 0 {
			v.line, v.column = v.entries[0].name.line, v.entries[0].name.column
		}
	case *ast.MappingValueNode:
		v.shape = mapping
		if err := v.add(file, n); err != nil {
			return nil, err
		}
		v.line, v.column = v.entries[0].name.line, v.entries[0].name.column
	default:
		return nil, refuse(file, n.GetToken(), "a "+strings.ToLower(n.Type().String())+" is not understood", "want plain keys, values and lists")
	}
	return v, nil
}

func (v *value) add(file string, pair *ast.MappingValueNode) *Error {
	key, err := convert(file, pair.Key)
	if err != nil {
		return err
	}
	if key.shape != scalar {
		return refuse(file, pair.Key.GetToken(), "a key is a word", `want "key: value"`)
	}
	val, err := convert(file, pair.Value)
	if err != nil {
		return err
	}
	v.entries = append(v.entries, entry{key: key.text, name: key, value: val})
	return nil
}

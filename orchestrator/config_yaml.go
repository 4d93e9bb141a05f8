package orchestrator

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

// yamlNode is a value as the file writes it: scalars are not interpreted here.
type yamlNode struct {
	shape   yamlShape
	text    string // of a scalar
	quoted  bool   // a scalar that can only be text
	items   []*yamlNode
	entries []yamlEntry // of a mapping, in the order of the file; keys are unique

	line, column int
}

type yamlEntry struct {
	name  *yamlNode
	value *yamlNode
}

type yamlShape uint8

const (
	yamlNothing yamlShape = iota // null, or no value at all
	yamlScalar
	yamlList
	yamlMapping
)

// What a configuration never needs, and what costs a parser its stack or memory.
const (
	maxConfigBytes  = 1 << 20
	maxConfigTokens = 100_000 // the parser's time grows with the square of a mapping's size
	maxConfigDepth  = 16      // brackets in each other
	maxConfigColumn = 200     // of a "-", "?" or ":" outside of brackets
)

// parseConfigYAML reads one document whose top is a mapping; nil when there is
// none. The parser is not ours: its panics become errors, and what could exhaust
// its stack never reaches it.
func parseConfigYAML(file string, data []byte) (root *yamlNode, err *ConfigError) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, &ConfigError{File: file, Problem: "not YAML that can be understood", Want: "want plain keys, values and lists"}
		}
	}()
	switch {
	case len(data) > maxConfigBytes:
		return nil, &ConfigError{File: file, Problem: fmt.Sprintf("more than %d bytes", maxConfigBytes), Want: "want a configuration, such as deploy/dacorch.yaml"}
	case !utf8.Valid(data):
		return nil, &ConfigError{File: file, Problem: "not UTF-8", Want: "want YAML in UTF-8"}
	}
	p := yamlReader{file}
	tokens := lexer.Tokenize(string(data))
	if err := p.guard(tokens); err != nil {
		return nil, err
	}
	doc, failed := parser.Parse(tokens, 0)
	if failed != nil {
		return nil, p.syntax(failed)
	}
	for _, d := range doc.Docs {
		if d.Body == nil {
			continue
		}
		if root != nil {
			return nil, p.refuse(d.Body.GetToken(), "a second document", "want one configuration in a file")
		}
		if root, err = p.convert(d.Body); err != nil {
			return nil, err
		}
	}
	if root != nil && root.shape == yamlNothing {
		return nil, nil
	}
	if root != nil && root.shape != yamlMapping {
		return nil, &ConfigError{File: file, Line: root.line, Column: root.column, Problem: "a configuration is a mapping of keys to values", Want: `want such as "zookeeper: …" at its top`}
	}
	return root, nil
}

type yamlReader struct{ file string }

func (p yamlReader) refuse(t *token.Token, problem, want string) *ConfigError {
	e := &ConfigError{File: p.file, Problem: problem, Want: want}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// guard refuses aliases (so nothing can grow), tags, and nesting beyond reason.
func (p yamlReader) guard(tokens token.Tokens) *ConfigError {
	if len(tokens) > maxConfigTokens {
		return p.refuse(tokens[maxConfigTokens], fmt.Sprintf("more than %d words and signs", maxConfigTokens), "want a smaller configuration")
	}
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return p.refuse(t, "anchors, aliases and merge keys are not understood", "want the value written out")
		case token.TagType:
			return p.refuse(t, "tags are not understood", "want the plain value")
		case token.DirectiveType:
			return p.refuse(t, "directives are not understood", "want plain YAML")
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth = max(0, depth-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if depth == 0 && t.Position.Column > maxConfigColumn {
				return p.refuse(t, "nested too deep", fmt.Sprintf("want it to begin before column %d", maxConfigColumn))
			}
		}
		if depth > maxConfigDepth {
			return p.refuse(t, "nested too deep", fmt.Sprintf("want at most %d brackets in each other", maxConfigDepth))
		}
	}
	return nil
}

func (p yamlReader) syntax(err error) *ConfigError {
	syntax, ok := errors.AsType[*yaml.SyntaxError](err)
	if !ok {
		return &ConfigError{File: p.file, Problem: "not YAML", Want: `want "key: value" lines`}
	}
	message, _, _ := strings.Cut(syntax.Message, "\n")
	if key, found := strings.CutPrefix(message, "mapping key "); found && strings.Contains(key, "already defined") {
		return p.twice(syntax.Token, strings.Trim(strings.Fields(key)[0], `"`))
	}
	return p.refuse(syntax.Token, "not YAML: "+shortened(message), `want "key: value" lines, lists of "- value", and quotes around text with ": " or " #" in it`)
}

func (p yamlReader) twice(t *token.Token, key string) *ConfigError {
	return p.refuse(t, fmt.Sprintf("%q is given twice", shortened(key)), "want it once")
}

// convert makes a node of the parser's tree.
func (p yamlReader) convert(n ast.Node) (*yamlNode, *ConfigError) {
	v := &yamlNode{}
	if t := n.GetToken(); t != nil && t.Position != nil {
		v.line, v.column = t.Position.Line, t.Position.Column
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		v.shape, v.text = yamlScalar, n.Value
		v.quoted = n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
	case *ast.LiteralNode:
		v.shape, v.text, v.quoted = yamlScalar, n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		v.shape, v.text = yamlScalar, n.GetToken().Value
	case *ast.SequenceNode:
		v.shape = yamlList
		for _, item := range n.Values {
			c, err := p.convert(item)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, c)
		}
	case *ast.MappingNode:
		if err := p.pairs(v, n.Values...); err != nil {
			return nil, err
		}
		if !n.IsFlowStyle && len(v.entries) > 0 {
			v.line, v.column = v.entries[0].name.line, v.entries[0].name.column
		}
	case *ast.MappingValueNode:
		if err := p.pairs(v, n); err != nil {
			return nil, err
		}
		v.line, v.column = v.entries[0].name.line, v.entries[0].name.column
	default:
		return nil, p.refuse(n.GetToken(), "a "+strings.ToLower(n.Type().String())+" is not understood", "want plain keys, values and lists")
	}
	return v, nil
}

func (p yamlReader) pairs(v *yamlNode, pairs ...*ast.MappingValueNode) *ConfigError {
	v.shape = yamlMapping
	seen := make(map[string]bool, len(pairs))
	for _, pair := range pairs {
		name, err := p.convert(pair.Key)
		if err != nil {
			return err
		}
		if name.shape != yamlScalar {
			return p.refuse(pair.Key.GetToken(), "a key is a word", `want "key: value"`)
		}
		if seen[name.text] {
			return p.twice(pair.Key.GetToken(), name.text)
		}
		seen[name.text] = true
		value, err := p.convert(pair.Value)
		if err != nil {
			return err
		}
		v.entries = append(v.entries, yamlEntry{name, value})
	}
	return nil
}

func shortened(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

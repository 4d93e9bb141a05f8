package dacorch_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	module       = "dacorch"
	maxBytes     = 1 << 20
	maxLines     = 500
	maxTestLines = 600
)

// file is one file of the repository.
type file struct {
	path string // from the root, with slashes
	size int64
	data []byte // nil when it is larger than maxBytes
}

func (f file) isGo() bool   { return strings.HasSuffix(f.path, ".go") && !f.isData() }
func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isData() bool { return strings.Contains("/"+f.path, "/testdata/") }

// impure are the packages that a pure room does without, and those below them.
var impure = map[string]string{
	"context":      "nothing in it waits or is cancelled",
	"crypto/rand":  "random numbers come from the seed's streams",
	"hash/maphash": "its seed differs from run to run",
	"log":          "it tells what happened through what it returns",
	"math/rand":    "random numbers come from the seed's streams",
	"net":          "it has no network",
	"os":           "it touches no files and no environment",
	"runtime":      "it knows nothing of goroutines and memory",
	"sync":         "without goroutines there is nothing to lock",
	"syscall":      "it touches nothing of the machine",
	"testing":      "it is for tests",
	"unsafe":       "its result must depend on values alone",
}

// impureNames are the functions of allowed packages that a pure room does not
// use.
var impureNames = map[string]map[string]string{
	"time": reasons("time is an argument",
		"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"),
	"fmt": reasons("it writes only to what it is given",
		"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"),
}

func reasons(why string, names ...string) map[string]string {
	m := make(map[string]string, len(names))
	for _, n := range names {
		m[n] = why
	}
	return m
}

// vagueNames say nothing about what a package owns.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared"}

var (
	machinePath = regexp.MustCompile(`(?:^|[^\w.~-])(/(?:work|root)/)`)
	toDo        = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b(?:\([^)]*\))?:?(.*)`)
)

// inspector collects what the rules refuse.
type inspector struct {
	fset     *token.FileSet
	problems []string
	packages map[string]*pkg
}

// pkg is what the rules know of a directory with Go files.
type pkg struct {
	first string   // one of its files that is no test, "" when all are
	docs  []string // its files with a package comment, tests left out
}

// inspect holds every file to every rule. Each problem names file, line and
// reason; they come in the order of files and lines.
func inspect(files []file) []string {
	in := &inspector{fset: token.NewFileSet(), packages: map[string]*pkg{}}
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	for _, f := range files {
		in.text(f)
		if f.isGo() {
			in.source(f)
		}
	}
	in.comments()
	return in.problems
}

func (in *inspector) say(name string, line int, format string, args ...any) {
	in.problems = append(in.problems, fmt.Sprintf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
}

func (in *inspector) at(node ast.Node, format string, args ...any) {
	p := in.fset.Position(node.Pos())
	in.say(p.Filename, p.Line, format, args...)
}

// text holds a file to the rules for every file.
func (in *inspector) text(f file) {
	if f.size > maxBytes {
		in.say(f.path, 1, "the file has %d bytes, more than %d: large data stands beside the repository", f.size, maxBytes)
		return
	}
	if bytes.IndexByte(f.data, 0) >= 0 {
		return // not text
	}
	for i, line := range strings.Split(string(f.data), "\n") {
		if m := machinePath.FindStringSubmatch(line); m != nil {
			in.say(f.path, i+1, "path %s of one machine: use one relative to the project", m[1])
		}
	}
}

// source holds a Go file to the rules for source.
func (in *inspector) source(f file) {
	limit := maxLines
	if f.isTest() {
		limit = maxTestLines
	}
	if n := bytes.Count(f.data, []byte("\n")); n > limit {
		in.say(f.path, limit+1, "the file has %d lines, more than %d: split it", n, limit)
	}
	parsed, err := parser.ParseFile(in.fset, f.path, f.data, parser.ParseComments)
	if err != nil {
		in.say(f.path, 1, "cannot be read: %v", err)
		return
	}
	in.declare(f, parsed)
	in.toDos(parsed)
	r, known := roomOf(path.Dir(f.path))
	if !known {
		in.at(parsed, "package %s is in no row of the house table: add one to layout_test.go", path.Dir(f.path))
	}
	names := in.imports(f, parsed, r, known)
	switch {
	case f.isTest():
		in.uses(parsed, names, map[string]map[string]string{"time": {"Sleep": "a test does not sleep"}})
	case r.pure:
		in.uses(parsed, names, impureNames)
		in.pure(parsed)
	}
}

// declare holds the package clause to the rules, and remembers the package.
func (in *inspector) declare(f file, parsed *ast.File) {
	if slices.Contains(vagueNames, strings.TrimSuffix(parsed.Name.Name, "_test")) {
		in.at(parsed.Name, "package name %s says nothing: name what it owns", parsed.Name.Name)
	}
	if f.isTest() {
		return
	}
	p := in.packages[path.Dir(f.path)]
	if p == nil {
		p = &pkg{first: f.path}
		in.packages[path.Dir(f.path)] = p
	}
	if parsed.Doc != nil {
		p.docs = append(p.docs, f.path)
	}
}

// comments wants one package comment for each package.
func (in *inspector) comments() {
	for _, p := range in.packages {
		switch len(p.docs) {
		case 0:
			in.say(p.first, 1, "the package has no package comment")
		case 1:
		default:
			in.say(p.docs[1], 1, "a second package comment: the first is in %s", p.docs[0])
		}
	}
	slices.SortStableFunc(in.problems, func(a, b string) int {
		return strings.Compare(a[:strings.IndexByte(a, ':')], b[:strings.IndexByte(b, ':')])
	})
}

func (in *inspector) toDos(parsed *ast.File) {
	for _, group := range parsed.Comments {
		for _, c := range group.List {
			for i, line := range strings.Split(c.Text, "\n") {
				m := toDo.FindStringSubmatch(line)
				if m != nil && len(strings.Fields(m[2])) < 3 {
					p := in.fset.Position(c.Pos())
					in.say(p.Filename, p.Line+i, "%s without a reason: say what is missing and why it can be", m[1])
				}
			}
		}
	}
}

// imports holds the imports to the house table, and answers the name by which
// the file knows each package.
func (in *inspector) imports(f file, parsed *ast.File, r room, known bool) map[string]string {
	names := map[string]string{}
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			in.at(spec, "import path %s: %v", spec.Path.Value, err)
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
		dir, ours := strings.CutPrefix(p, module+"/")
		switch {
		case name == ".":
			in.at(spec, "import of %s into the file's own names: where a name comes from must show", p)
		case ours && known && dir != path.Dir(f.path) && !r.mayImport(dir, f.isTest()):
			in.at(spec, "%s may not import %s: it may import %s", path.Dir(f.path), dir, orNothing(r.may))
		case r.pure && !f.isTest() && !ours:
			in.pureImport(spec, p)
		}
	}
	return names
}

func (r room) mayImport(dir string, test bool) bool {
	fits := func(pattern string) bool { return holds(pattern, dir) }
	return slices.ContainsFunc(r.may, fits) || test && slices.ContainsFunc(r.testsMay, fits)
}

func orNothing(may []string) string {
	if len(may) == 0 {
		return "nothing of this module"
	}
	return strings.Join(may, ", ")
}

// pureImport refuses what a pure room does without: packages of other modules,
// and the impure ones of the standard library.
func (in *inspector) pureImport(spec *ast.ImportSpec, p string) {
	if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
		in.at(spec, "import of %s in a pure room: it needs the standard library alone", p)
		return
	}
	for above := p; above != "."; above = path.Dir(above) {
		why, refused := impure[above]
		if _, except := exceptions[in.fset.Position(spec.Pos()).Filename][p]; refused && !except {
			in.at(spec, "import of %s in a pure room: %s", p, why)
			return
		}
	}
}

// uses refuses names of packages. names are the packages that the file imports.
func (in *inspector) uses(parsed *ast.File, names map[string]string, refused map[string]map[string]string) {
	ast.Inspect(parsed, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok {
			if why, no := refused[names[x.Name]][sel.Sel.Name]; no {
				in.at(sel, "%s.%s: %s", names[x.Name], sel.Sel.Name, why)
			}
		}
		return true
	})
}

// pure refuses the statements that a pure room does without.
func (in *inspector) pure(parsed *ast.File) {
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			in.at(n, "go statement: a pure room starts no goroutine")
		case *ast.SelectStmt:
			in.at(n, "select statement: what it takes is a matter of luck")
		case *ast.ChanType:
			in.at(n, "channel: a pure room has no goroutines to speak between")
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
				in.at(n, "%s: it writes to standard error", f.Name)
			}
		}
		return true
	})
}

package rest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var update = flag.Bool("update", false, "rewrite openapi.json and the golden files")

// object is a JSON object; json.Marshal sorts its keys.
type object = map[string]any

// TestOpenAPI makes the description from the table of routes and from the types
// of package api with their comments, and compares it with the file.
func TestOpenAPI(t *testing.T) {
	d := describer{t: t, types: readTypes(t), schemas: object{}}
	made, err := json.MarshalIndent(d.document(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(made, openAPI) {
		t.Error("openapi.json is not what routes.go and package api say: run go test ./orchestrator/rest -run TestOpenAPI -update")
	}
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

// describer makes an OpenAPI 3.0 document.
type describer struct {
	t       *testing.T
	types   map[string]typeDoc
	schemas object
}

func (d *describer) document() object {
	paths := object{}
	for i := range routes {
		rt := &routes[i]
		if paths[rt.path] == nil {
			paths[rt.path] = object{}
		}
		paths[rt.path].(object)[strings.ToLower(rt.method)] = d.operation(rt)
	}
	d.ref("ErrorBody")
	d.ref("Event")
	return object{
		"openapi": "3.0.3",
		"info": object{
			"title": "dacorch", "version": "1", "license": object{"name": "Apache-2.0"},
			"description": "The orchestrator's REST interface. A resource in a path is a kind; an id is percent-encoded. Errors have a stable code, a message for people and the field that is wrong.",
		},
		"servers": []object{{"url": "/"}},
		"paths":   paths,
		"components": object{
			"schemas":         d.schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "description": "A token of the scope that the call needs. Write includes read. On loopback, anonymous calls may be allowed."}},
			"responses":       object{"Error": content("An error.", "application/json", object{"$ref": "#/components/schemas/ErrorBody"})},
		},
	}
}

func content(about, media string, schema object) object {
	return object{"description": about, "content": object{media: object{"schema": schema}},
		"headers": object{"X-Request-Id": object{"description": "Under which the server's log has the request.", "schema": object{"type": "string"}}}}
}

func (d *describer) operation(rt *route) object {
	op := object{"summary": rt.about, "operationId": operationID(rt), "responses": d.responses(rt), "security": []object{}}
	if rt.scope != ScopeNone {
		op["security"] = []object{{"bearer": []string{}}}
		op["description"] = fmt.Sprintf("Scope: %v. Answered by: %s.", rt.scope, [...]string{"any process", "the kind's leader; others forward", "who leads the kind, or all kinds; others forward"}[rt.place])
	}
	var params []object
	about := map[string]string{"resource": "the kind, such as Thing", "id": "the resource's id, percent-encoded", "instance": "the instance's number"}
	for seg := range strings.SplitSeq(rt.path, "/") {
		if name, ok := strings.CutPrefix(seg, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			typ := "string"
			if name == "instance" {
				typ = "integer"
			}
			params = append(params, object{"name": name, "in": "path", "required": true, "description": about[name], "schema": object{"type": typ}})
		}
	}
	for _, p := range rt.query {
		params = append(params, object{"name": p.name, "in": "query", "description": p.about, "schema": object{"type": p.typ}})
	}
	if rt.limit == limitStream {
		params = append(params, object{"name": "Last-Event-ID", "in": "header", "description": "the id of the last event seen: the stream goes on after it", "schema": object{"type": "string"}})
	}
	if params != nil {
		op["parameters"] = params
	}
	if rt.body != "" {
		schema := object{"type": "object"}
		if rt.body != anyObject {
			schema = d.ref(rt.body)
		}
		op["requestBody"] = object{"required": rt.needBody, "content": object{"application/json": object{"schema": schema}}}
	}
	return op
}

func operationID(rt *route) string {
	id := strings.ToLower(rt.method)
	for _, word := range strings.FieldsFunc(strings.TrimPrefix(rt.path, "/v1/api"), func(r rune) bool { return strings.ContainsRune("/{}.-", r) }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

func (d *describer) responses(rt *route) object {
	out := object{}
	for _, a := range rt.answers {
		code := strconv.Itoa(a.status)
		switch {
		case a.typ == "application/json":
			out[code] = content(a.about, a.typ, object{"type": "object"})
		case strings.Contains(a.typ, "/"):
			out[code] = content(a.about, a.typ, object{"type": "string"})
		default:
			var of []object
			for name := range strings.SplitSeq(a.typ, "|") {
				of = append(of, d.ref(name))
			}
			schema := of[0]
			if len(of) > 1 {
				schema = object{"oneOf": of}
			}
			out[code] = content(a.about, "application/json", schema)
		}
	}
	codes := []int{500}
	if rt.scope != ScopeNone {
		codes = append(codes, 400, 401, 403, 404, 421, 503, 504)
	}
	if rt.place != here {
		codes = append(codes, 502)
	}
	if rt.method != "GET" {
		codes = append(codes, 413, 415)
	}
	for _, code := range append(codes, rt.codes...) {
		out[strconv.Itoa(code)] = object{"$ref": "#/components/responses/Error"}
	}
	return out
}

// ref makes the schema of a type of package api, once, and answers a reference.
func (d *describer) ref(name string) object {
	ref := object{"$ref": "#/components/schemas/" + name}
	if d.schemas[name] != nil {
		return ref
	}
	typ, ok := d.types[name]
	if !ok {
		d.t.Fatalf("package api has no type %s", name)
	}
	if typ.enum != nil {
		d.schemas[name] = object{"type": "string", "description": typ.doc, "enum": typ.enum}
		return ref
	}
	props, schema := object{}, object{"type": "object", "description": typ.doc}
	d.schemas[name] = schema
	var required []string
	for _, f := range d.fields(name) {
		if f.doc == "" {
			d.t.Errorf("api.%s: the field %s has no comment: say what it is, with its unit", name, f.name)
		}
		s := d.schema(f.typ)
		if _, isRef := s["$ref"]; isRef {
			s = object{"allOf": []object{s}}
		}
		s["description"] = f.doc
		props[f.name] = s
		if !f.optional {
			required = append(required, f.name)
		}
	}
	schema["properties"] = props
	if required != nil {
		schema["required"] = required
	}
	return ref
}

// fields are a type's, with those of types embedded in it.
func (d *describer) fields(name string) (all []fieldDoc) {
	for _, f := range d.types[name].fields {
		if f.embedded {
			all = append(all, d.fields(f.typ.(*ast.Ident).Name)...)
		} else {
			all = append(all, f)
		}
	}
	return all
}

func (d *describer) schema(typ ast.Expr) object {
	switch typ := typ.(type) {
	case *ast.StarExpr:
		return d.schema(typ.X)
	case *ast.ArrayType:
		return object{"type": "array", "items": d.schema(typ.Elt)}
	case *ast.MapType:
		return object{"type": "object", "additionalProperties": d.schema(typ.Value)}
	case *ast.SelectorExpr: // time.Time
		return object{"type": "string", "format": "date-time"}
	case *ast.Ident:
		switch typ.Name {
		case "string":
			return object{"type": "string"}
		case "bool":
			return object{"type": "boolean"}
		case "int", "int64":
			return object{"type": "integer", "format": "int64"}
		case "float64":
			return object{"type": "number"}
		}
		return d.ref(typ.Name)
	}
	d.t.Fatalf("no schema for a %T", typ)
	return nil
}

// typeDoc is a type of package api.
type typeDoc struct {
	doc    string
	enum   []string // of a string type with constants
	fields []fieldDoc
}

type fieldDoc struct {
	name, doc          string
	typ                ast.Expr
	optional, embedded bool
}

func readTypes(t *testing.T) map[string]typeDoc {
	t.Helper()
	types := map[string]typeDoc{}
	names, err := filepath.Glob("../api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	fset := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	enums := map[string][]string{}
	for _, f := range files {
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					if typ, ok := spec.Type.(*ast.Ident); ok && g.Tok == token.CONST {
						value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
						enums[typ.Name] = append(enums[typ.Name], value)
					}
				case *ast.TypeSpec:
					types[spec.Name.Name] = typeDoc{doc: oneLine(g.Doc), fields: readFields(spec)}
				}
			}
		}
	}
	for name, values := range enums {
		typ := types[name]
		typ.enum = values
		types[name] = typ
	}
	return types
}

func readFields(spec *ast.TypeSpec) (fields []fieldDoc) {
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	for _, f := range s.Fields.List {
		if f.Names == nil {
			fields = append(fields, fieldDoc{typ: f.Type, embedded: true})
			continue
		}
		if f.Tag == nil {
			continue
		}
		tag, _ := strconv.Unquote(f.Tag.Value)
		name, option, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if name == "-" {
			continue
		}
		doc := oneLine(f.Doc)
		if doc == "" {
			doc = oneLine(f.Comment)
		}
		fields = append(fields, fieldDoc{name: name, doc: doc, typ: f.Type, optional: option != ""})
	}
	return fields
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// TestEveryRouteIsDescribed goes both ways, over the document as it is served.
func TestEveryRouteIsDescribed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described[method+" "+path] = true
			for name := range op.Responses.Map() {
				if _, err := strconv.Atoi(name); err != nil {
					t.Errorf("%s %s: response %q: want a status", method, path, name)
				}
			}
		}
	}
	for i := range routes {
		name := routes[i].method + " " + routes[i].path
		if !described[name] {
			t.Errorf("%s is served and not described", name)
		}
		delete(described, name)
	}
	for _, name := range slices.Sorted(maps.Keys(described)) {
		t.Errorf("%s is described and not served", name)
	}
}

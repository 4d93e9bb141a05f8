package orchestrator

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// configDecoder reads the file and the environment into a Config and collects
// what is wrong. A value that is wrong counts as its default from then on.
type configDecoder struct {
	file string
	errs ConfigErrors
	at   map[string]configPlace // where each field was given, by its path
	bad  map[string]bool        // paths whose value could not be read
}

// configPlace is in the file, or a variable.
type configPlace struct {
	line, column int
	env          string
}

func (d *configDecoder) fail(v *yamlNode, path, problem, want string) {
	d.bad[path] = true
	d.add(&ConfigError{File: d.file, Line: v.line, Column: v.column, Path: path, Problem: problem, Want: want})
}

func (d *configDecoder) add(e *ConfigError) {
	if len(d.errs) < 10*maxConfigErrors && !slices.ContainsFunc(d.errs, func(o *ConfigError) bool { return *o == *e }) {
		d.errs = append(d.errs, e)
	}
}

// unread says whether the field, or what it belongs to, could not be read: then it
// is not what was meant, and has no further mistakes.
func (d *configDecoder) unread(path string) bool {
	for {
		if d.bad[path] {
			return true
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return false
		}
		path = path[:i]
	}
}

// failAt says what is wrong with a field where it was given; one that was not,
// where what it belongs to was.
func (d *configDecoder) failAt(path, problem, want string) {
	e := &ConfigError{File: d.file, Path: path, Problem: problem, Want: want}
	for above := path; ; {
		if p, given := d.at[above]; given {
			e.Line, e.Column, e.Env = p.line, p.column, p.env
			break
		}
		i := strings.LastIndexAny(above, ".[")
		if i < 0 {
			break
		}
		above = above[:i]
	}
	d.add(e)
}

// given says whether the field was given, and in the file.
func (d *configDecoder) given(path string) (inFile bool) {
	p, given := d.at[path]
	return given && p.env == ""
}

func (d *configDecoder) config(root *yamlNode, c *Config) {
	d.object(root, reflect.ValueOf(c).Elem(), "")
}

// object reads a mapping into a struct.
func (d *configDecoder) object(v *yamlNode, into reflect.Value, path string) {
	if v.shape != yamlMapping {
		d.fail(v, path, path+": "+v.shown()+" is not valid", "want keys and values, such as "+keysOf(into.Type())[0]+": …")
		return
	}
	d.at[path] = configPlace{line: v.line, column: v.column}
	for _, e := range v.entries {
		field, known := fieldOf(into, e.name.text)
		if !known {
			d.fail(e.name, join(path, e.name.text), fmt.Sprintf("unknown key %q", shortened(e.name.text)), wantKey(into.Type(), e.name.text))
			continue
		}
		at := join(path, e.name.text)
		d.at[at] = configPlace{line: e.name.line, column: e.name.column}
		if instead := field.Tag.Get("secret"); instead != "" {
			d.fail(e.name, at, at+": a secret has no place in this file, which many may read",
				fmt.Sprintf("want %s with the path of a file that holds it, or the variable %s", join(path, instead), EnvironmentOf(at)))
			continue
		}
		target := into.FieldByIndex(field.Index)
		if e.value.shape == yamlNothing && target.Kind() == reflect.Struct {
			continue // everything in it is commented out
		}
		if e.value.shape == yamlNothing {
			d.fail(e.name, at, at+" has no value", "want one, or no key: the default then holds")
			continue
		}
		switch {
		case target.Type() == reflect.TypeFor[[]KindConfig]():
			target.Set(reflect.ValueOf(d.kinds(e.value, at)))
		case target.Kind() == reflect.Struct:
			d.object(e.value, target, at)
		default:
			d.at[at] = configPlace{line: e.value.line, column: e.value.column}
			if err := setField(target, field.Tag, e.value); err != "" {
				d.fail(e.value, at, at+": "+e.value.shown()+" is not valid", err)
			}
		}
	}
}

const maxKinds = 100

func (d *configDecoder) kinds(v *yamlNode, path string) []KindConfig {
	if v.shape != yamlList || len(v.items) == 0 || len(v.items) > maxKinds {
		d.fail(v, path, path+": "+v.shown()+" is not valid", fmt.Sprintf("want a list of 1 to %d kinds, such as - kind: Thing", maxKinds))
		return nil
	}
	kinds := make([]KindConfig, 0, len(v.items))
	for i, item := range v.items {
		name := ""
		for _, e := range item.entries {
			if e.name.text == "kind" && e.value.shape == yamlScalar {
				name = e.value.text
			}
		}
		k := defaultKind(name)
		d.object(item, reflect.ValueOf(&k).Elem(), fmt.Sprintf("%s[%d]", path, i))
		kinds = append(kinds, k)
	}
	return kinds
}

// environment reads the variables of every field outside of kinds; a field's own
// stands over the platform's.
func (d *configDecoder) environment(c *Config, getenv func(string) string) {
	replaced := map[string]bool{}
	eachField(reflect.ValueOf(c).Elem(), "", func(path string, field reflect.StructField, target reflect.Value) {
		if strings.HasPrefix(path, "kinds") {
			return
		}
		for _, name := range []string{platformVariables[path], EnvironmentOf(path)} {
			if name == "" || getenv(name) == "" {
				continue
			}
			text := getenv(name)
			d.at[path] = configPlace{env: name}
			if instead := cmp.Or(field.Tag.Get("secret"), field.Tag.Get("instead")); instead != "" {
				replaced[path[:strings.LastIndexByte(path, '.')+1]+instead] = true
			}
			v := &yamlNode{shape: yamlScalar, text: text}
			if err := setField(target, field.Tag, v); err != "" {
				shown := v.shown()
				if field.Tag.Get("secret") != "" || hasPassword(text) {
					shown = "what it holds"
				}
				d.bad[path] = true
				d.add(&ConfigError{File: d.file, Env: name, Path: path, Problem: shown + " is not valid for " + path, Want: err})
			}
		}
	})
	// What the file gives in another way is not given twice.
	eachField(reflect.ValueOf(c).Elem(), "", func(path string, _ reflect.StructField, target reflect.Value) {
		if replaced[path] && d.at[path].env == "" {
			target.SetZero()
		}
	})
}

// platformVariables are the names under which the platform gives a field.
var platformVariables = map[string]string{
	"api.token":            "IOTA_TOKEN",
	"zookeeper.servers":    "IOTA_ZOOKEEPER",
	"kafka.brokers":        "IOTA_KAFKA",
	"mqtt.url":             "IOTA_MQTT",
	"database.url":         "IOTA_DB",
	"kubernetes.namespace": "IOTA_NAMESPACE",
}

// EnvironmentOf is the variable that stands over a field outside of kinds:
// DACORCH_ZOOKEEPER_PASSWORD_FILE for zookeeper.passwordFile. Several values are
// separated by commas; an empty variable counts as none.
func EnvironmentOf(path string) string {
	name := strings.Builder{}
	for i, r := range path {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && path[i-1] != '.' {
			name.WriteByte('_')
		}
		name.WriteRune(r)
	}
	return "DACORCH_" + strings.ToUpper(strings.ReplaceAll(name.String(), ".", "_"))
}

// setField reads a value into a field of its type; it answers what would be
// right.
func setField(target reflect.Value, tag reflect.StructTag, v *yamlNode) (want string) {
	if target.Kind() == reflect.Slice {
		return setTexts(target, v)
	}
	if v.shape != yamlScalar {
		return "want " + typeOf(target.Type(), tag)
	}
	text, ok := strings.TrimSpace(v.text), false
	set := func(value any) {
		if ok {
			target.Set(reflect.ValueOf(value).Convert(target.Type()))
		}
	}
	switch {
	case target.Type() == reflect.TypeFor[time.Duration]():
		n, err := time.ParseDuration(text)
		ok = err == nil
		set(n)
	case target.Kind() == reflect.Int:
		n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		ok = err == nil && !v.quoted
		set(n)
	case target.Kind() == reflect.Float64:
		percent, isPercent := strings.CutSuffix(text, "%")
		n, err := strconv.ParseFloat(percent, 64)
		if isPercent {
			n /= 100
		}
		ok = err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
		set(n)
	case target.Kind() == reflect.Bool:
		ok = (text == "true" || text == "false") && !v.quoted
		set(text == "true")
	default:
		ok = v.text != "" && !strings.ContainsAny(v.text, "\x00\n\r")
		set(v.text)
	}
	if !ok {
		return "want " + typeOf(target.Type(), tag)
	}
	return ""
}

// setTexts reads a list of texts, or one text with commas.
func setTexts(target reflect.Value, v *yamlNode) (want string) {
	var texts []string
	switch v.shape {
	case yamlScalar:
		for text := range strings.SplitSeq(v.text, ",") {
			texts = append(texts, strings.TrimSpace(text))
		}
	case yamlList:
		for _, item := range v.items {
			text, ok := item.asText()
			if !ok {
				return "want a list of texts"
			}
			texts = append(texts, text)
		}
	}
	for _, text := range texts {
		if text == "" || strings.ContainsAny(text, "\x00\n\r") {
			return "want a list of texts in one line each, none of them empty"
		}
	}
	const most = 1000
	if len(texts) == 0 || len(texts) > most {
		return fmt.Sprintf("want a list of 1 to %d texts", most)
	}
	target.Set(reflect.ValueOf(texts))
	return ""
}

// asText is a scalar's text. In brackets the parser takes host:port for a mapping,
// though YAML wants a blank behind the colon of one.
func (v *yamlNode) asText() (string, bool) {
	if v.shape == yamlMapping && len(v.entries) == 1 {
		name, value := v.entries[0].name, v.entries[0].value
		if value.shape == yamlScalar && !value.quoted && value.line == name.line && value.column == name.column+len(name.text)+1 {
			return name.text + ":" + value.text, true
		}
	}
	return v.text, v.shape == yamlScalar
}

// typeOf says what a field takes.
func typeOf(t reflect.Type, tag reflect.StructTag) string {
	low, high, words := tag.Get("min"), tag.Get("max"), tag.Get("oneOf")
	bounds := ""
	if low != "" {
		bounds = fmt.Sprintf(" from %s to %s", low, high)
	}
	switch {
	case words != "":
		return "one of " + strings.ReplaceAll(words, " ", ", ")
	case t == reflect.TypeFor[time.Duration]():
		return "a duration with its unit (100ms, 90s, 5m)" + bounds
	case t.Kind() == reflect.Int:
		return "a whole number" + bounds
	case t.Kind() == reflect.Float64:
		return "a number" + bounds
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "a list of texts"
	}
	return "a text"
}

// eachField visits every field that holds a value, in the order of the file.
func eachField(v reflect.Value, path string, visit func(path string, field reflect.StructField, target reflect.Value)) {
	for i := range v.NumField() {
		field, target := v.Type().Field(i), v.Field(i)
		at := join(path, field.Tag.Get("key"))
		switch {
		case target.Type() == reflect.TypeFor[[]KindConfig]():
			for n := range target.Len() {
				eachField(target.Index(n), fmt.Sprintf("%s[%d]", at, n), visit)
			}
		case target.Kind() == reflect.Struct:
			eachField(target, at, visit)
		default:
			visit(at, field, target)
		}
	}
}

func fieldOf(v reflect.Value, key string) (reflect.StructField, bool) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Tag.Get("key") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("key")
	}
	return keys
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// shown is a value for an error.
func (v *yamlNode) shown() string {
	switch v.shape {
	case yamlScalar:
		return strconv.Quote(shortened(v.text))
	case yamlList:
		return fmt.Sprintf("a list of %d", len(v.items))
	case yamlMapping:
		return "a mapping"
	}
	return "nothing"
}

func wantKey(t reflect.Type, wrong string) string {
	keys := keysOf(t)
	best, distance := "", max(2, len(wrong)/3)+1
	for _, k := range keys {
		if d := lettersApart(strings.ToLower(wrong), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "want one of " + strings.Join(keys, ", ")
}

// lettersApart counts the letters to insert, delete or replace, in the first 64
// bytes of each.
func lettersApart(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(diagonal+1, row[j]+1, replace)
		}
	}
	return row[len(b)]
}

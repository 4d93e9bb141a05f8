package scenarios

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// decoder turns values into the vocabulary's types and collects what is wrong.
// A value that is wrong counts as its default from then on.
type decoder struct {
	file string
	errs []*Error

	// Of the scenario, for what depends on them. An unknown duration is the
	// longest there is, so that it causes no further mistakes.
	duration, heal time.Duration
	kinds          []Kind
	kindsUnknown   bool   // a kind's name is wrong: any name may be it
	machines       *Nodes // that could break; nil: none
}

// maxCollected bounds the memory for mistakes; the first MaxErrors are shown.
const maxCollected = 10 * MaxErrors

func (d *decoder) fail(at *value, problem, want string) {
	if len(d.errs) < maxCollected {
		d.errs = append(d.errs, &Error{File: d.file, Line: at.line, Column: at.column, Set: at.set, Problem: problem, Want: want})
	}
}

// object is a mapping that is read as a section of the vocabulary.
type object struct {
	d       *decoder
	v       *value
	section *Section
}

// object checks that v is a mapping, holds only the section's keys with a value
// each, and all that are required. False: nothing of it can be read.
func (d *decoder) object(v *value, name string) (object, bool) {
	o := object{d: d, v: v, section: section(name)}
	if v.shape != mapping {
		if v.shape != nothing { // one without a value has been found already
			d.fail(v, name+": "+d.shown(v)+" is not valid", "want keys and values, such as {"+o.sample()+"}")
		}
		return o, false
	}
	for _, e := range v.entries {
		if o.section.key(e.key) == nil {
			d.fail(e.name, fmt.Sprintf("unknown key %q", shorten(e.key)), o.wantKey(e.key))
		} else if e.value.shape == nothing {
			at := e.name
			if e.value.set != "" {
				at = e.value
			}
			d.fail(at, e.key+" has no value", "want one, such as "+o.section.key(e.key).Example)
		}
	}
	for _, k := range o.section.Keys {
		if k.Default == required && len(k.With) == 0 && v.get(k.Name) == nil {
			o.missing(k.Name)
		}
	}
	return o, true
}

func (o object) missing(key string) {
	o.d.fail(o.v, o.section.Name+" without "+key, "want "+key+": "+o.section.key(key).Example)
}

// sample is the section's first key as an example.
func (o object) sample() string {
	k := o.section.Keys[0]
	return k.Name + ": " + k.Example
}

func (o object) wantKey(wrong string) string {
	names := make([]string, len(o.section.Keys))
	for i, k := range o.section.Keys {
		names[i] = k.Name
	}
	if n := nearest(wrong, names); n != "" {
		return "did you mean " + n + "?"
	}
	return "want one of " + strings.Join(names, ", ")
}

func (o object) has(key string) bool { return o.v.get(key) != nil }

// at is where the key's value stands, or the object when it is not given.
func (o object) at(key string) *value {
	if v := o.v.get(key); v != nil {
		return v
	}
	return o.v
}

// choose finds which of the alternatives is given, each a group of keys. Keys
// that belong to another one are refused. -1: none or several are given.
func (o object) choose(alternatives ...[]string) int {
	var given []string
	chosen := -1
	var names []string
	for i, keys := range alternatives {
		names = append(names, strings.Join(keys, "/"))
		for _, k := range keys {
			if o.has(k) {
				given = append(given, k)
				chosen = i
				break
			}
		}
	}
	switch {
	case len(given) == 0:
		o.d.fail(o.v, o.section.Name+" with nothing to do", "want one of "+strings.Join(names, ", "))
		return -1
	case len(given) > 1:
		want := "want one of them"
		if strings.Contains(o.section.Where, "[]") {
			want += ", or an entry for each"
		}
		o.d.fail(o.at(given[1]), strings.Join(given, " and ")+" exclude each other", want)
		return -1
	}
	for _, k := range o.section.Keys {
		if len(k.With) == 0 {
			continue
		}
		with := false
		for _, w := range k.With {
			with = with || o.has(w)
		}
		switch {
		case o.has(k.Name) && !with:
			o.d.fail(o.at(k.Name), fmt.Sprintf("%s has no meaning beside %s", k.Name, given[0]), "want it beside "+strings.Join(k.With, ", "))
		case !o.has(k.Name) && with && k.Default == required:
			o.missing(k.Name)
		}
	}
	return chosen
}

// scalar is the key's value as written. False: it is not given, or has been
// found wrong.
func (o object) scalar(key string) (*value, bool) {
	v := o.v.get(key)
	if v == nil || v.shape == nothing {
		return nil, false
	}
	if v.shape != scalar {
		o.wrong(key, v)
		return nil, false
	}
	return v, true
}

// wrong says that the key's value is not of its type and range.
func (o object) wrong(key string, v *value) {
	k := o.section.key(key)
	want := k.Type
	if first, _, _ := strings.Cut(k.Type, " "); first != "text" && first != "true" {
		want = "a " + want
	}
	if k.Range != "" {
		want += " (" + k.Range + ")"
	}
	o.d.fail(v, key+": "+o.d.shown(v)+" is not valid", "want "+want+", such as "+k.Example)
}

func (o object) text(key, fallback string) string {
	v, ok := o.scalar(key)
	if !ok {
		return fallback
	}
	if v.text == "" {
		o.wrong(key, v)
		return fallback
	}
	return v.text
}

// word is one of the words of the key's range.
func (o object) word(key, fallback string, words ...string) string {
	v, ok := o.scalar(key)
	if !ok {
		return fallback
	}
	for _, w := range words {
		if v.text == w {
			return w
		}
	}
	want := "want " + strings.Join(words, " or ")
	if n := nearest(v.text, words); n != "" && len(words) > 1 {
		want += "; did you mean " + n + "?"
	}
	o.d.fail(v, fmt.Sprintf("%s: %q is not valid", key, shorten(v.text)), want)
	return fallback
}

func (o object) flag(key string, fallback bool) bool {
	v, ok := o.scalar(key)
	switch {
	case !ok:
		return fallback
	case v.text == "true" && !v.quoted:
		return true
	case v.text == "false" && !v.quoted:
		return false
	}
	o.wrong(key, v)
	return fallback
}

// number is a whole number within bounds, underscores between digits allowed.
func (o object) number(key string, fallback, low, high int) int {
	v, ok := o.scalar(key)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(strings.ReplaceAll(v.text, "_", ""))
	if err != nil || !isDigits(v.text) || v.quoted || n < low || n > high {
		o.wrong(key, v)
		return fallback
	}
	return n
}

func (o object) length(key string, fallback, low, high time.Duration) time.Duration {
	v, ok := o.scalar(key)
	if !ok {
		return fallback
	}
	t, err := ParseDuration(v.text)
	switch {
	case err != nil:
		o.d.fail(v, fmt.Sprintf("%s: %q is not a duration", key, shorten(v.text)), err.Error())
	case t < low || t > high:
		from := FormatDuration(low)
		if low == 1 {
			from = "above 0s, up"
		}
		o.d.fail(v, fmt.Sprintf("%s: %s is out of range", key, v.text), "want "+from+" to "+FormatDuration(high))
	default:
		return t
	}
	return fallback
}

func (o object) rate(key string) Rate {
	v, ok := o.scalar(key)
	if !ok {
		return 0
	}
	r, err := ParseRate(v.text)
	if err != nil {
		o.d.fail(v, fmt.Sprintf("%s: %q is not a rate", key, shorten(v.text)), err.Error())
	}
	return r
}

func (o object) share(key string) float64 {
	v, ok := o.scalar(key)
	if !ok {
		return 0
	}
	s, err := ParseShare(v.text)
	if err != nil {
		o.d.fail(v, fmt.Sprintf("%s: %q is not a share", key, shorten(v.text)), err.Error())
	}
	return s
}

// list is the key's items; nil when it is not given or wrong.
func (o object) list(key string, low, high int) []*value {
	v := o.v.get(key)
	if v == nil || v.shape == nothing {
		return nil
	}
	if v.shape != list || len(v.items) < low || len(v.items) > high {
		o.wrong(key, v)
		return nil
	}
	items := make([]*value, 0, len(v.items))
	for _, item := range v.items {
		if item.shape == nothing {
			o.d.fail(item, key+": an empty element", "want a value after the hyphen, or no hyphen")
			continue
		}
		items = append(items, item)
	}
	return items
}

// texts is the key's text, or its list of texts.
func (o object) texts(key string, high int) []string {
	v := o.v.get(key)
	if v == nil || v.shape == nothing {
		return nil
	}
	items := []*value{v}
	if v.shape == list {
		items = v.items
	}
	texts := make([]string, 0, len(items))
	for _, item := range items {
		if item.shape != scalar || item.text == "" {
			o.wrong(key, item)
			return nil
		}
		texts = append(texts, item.text)
	}
	if len(texts) == 0 || len(texts) > high {
		o.wrong(key, v)
		return nil
	}
	return texts
}

// kind is the kind that the key "kind" names; nil when there is none, or when it
// cannot be told because the kinds themselves are wrong.
func (o object) kind() *Kind {
	v, ok := o.scalar("kind")
	if !ok {
		return nil
	}
	return o.d.kindNamed(v, v.text)
}

func (d *decoder) kindNamed(at *value, name string) *Kind {
	var names []string
	for i := range d.kinds {
		if d.kinds[i].Kind == name {
			return &d.kinds[i]
		}
		names = append(names, d.kinds[i].Kind)
	}
	if !d.kindsUnknown {
		want := "want one of " + strings.Join(names, ", ")
		if n := nearest(name, names); n != "" {
			want = "did you mean " + n + "?"
		}
		d.fail(at, fmt.Sprintf("no kind %q", shorten(name)), want)
	}
	return nil
}

// instance is the number of one of the kind's possible instances.
func (o object) instance(key string, k *Kind) int {
	high := math.MaxInt32
	if k != nil {
		high = k.MaxInstances - 1
	}
	return o.number(key, 0, 0, high)
}

// shown is a value for an error.
func (d *decoder) shown(v *value) string {
	switch v.shape {
	case scalar:
		return strconv.Quote(shorten(v.text))
	case list:
		if len(v.items) == 0 {
			return "an empty list"
		}
		return fmt.Sprintf("a list of %d", len(v.items))
	case mapping:
		return "a mapping"
	}
	return "nothing"
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

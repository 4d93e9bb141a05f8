package replay

import (
	"fmt"
	"reflect"
	"strings"
)

// parting says where two values first differ, and what stands there in the first
// and in the second; "" where they do not.
func parting(name string, a, b any) string {
	path, left, right, differ := part(reflect.ValueOf(a), reflect.ValueOf(b))
	if !differ {
		return ""
	}
	return fmt.Sprintf("%s%s: %s, and %s", name, path, left, right)
}

// part finds the first difference.
func part(a, b reflect.Value) (path, left, right string, differ bool) {
	switch {
	case !a.IsValid() || !b.IsValid():
		return "", shown(a), shown(b), a.IsValid() != b.IsValid()
	case a.Type() != b.Type():
		return "", a.Type().Name(), b.Type().Name(), true
	}
	if s, ok := a.Interface().(fmt.Stringer); ok && a.Kind() == reflect.Struct { // a reason
		left, right = s.String(), b.Interface().(fmt.Stringer).String()
		return "", fmt.Sprintf("%q", left), fmt.Sprintf("%q", right), left != right
	}
	switch a.Kind() {
	case reflect.Interface, reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return "", shown(a), shown(b), a.IsNil() != b.IsNil()
		}
		return part(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if path, left, right, differ = part(a.Field(i), b.Field(i)); differ {
				return "." + a.Type().Field(i).Name + path, left, right, true
			}
		}
		return "", "", "", false
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			if path, left, right, differ = part(a.Index(i), b.Index(i)); differ {
				return fmt.Sprintf(" %d%s", i+1, path), left, right, true
			}
		}
		if a.Len() != b.Len() {
			return ", how many", fmt.Sprint(a.Len()), fmt.Sprint(b.Len()), true
		}
		return "", "none", "an empty list", a.IsNil() != b.IsNil()
	}
	return "", shown(a), shown(b), !a.Equal(b)
}

// longest bounds what is shown of a value.
const longest = 120

func shown(v reflect.Value) string {
	if !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return "nothing"
	}
	s := fmt.Sprintf("%v", v.Interface())
	if v.Kind() == reflect.String {
		s = fmt.Sprintf("%q", v.String())
	}
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

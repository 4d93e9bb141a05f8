package orchestrator

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Describe writes the configuration that is in force, as the file would have it,
// for people to check. Secrets are hidden; a file that holds one is named.
func (c *Config) Describe(w io.Writer) error {
	out := bufio.NewWriter(w)
	describe(out, reflect.ValueOf(c).Elem(), "", "")
	return out.Flush() // it kept the first error
}

func describe(out *bufio.Writer, v reflect.Value, indent, first string) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		lead := indent
		if i == 0 && first != "" {
			lead = first
		}
		key := lead + field.Tag.Get("key") + ":"
		switch {
		case value.Type() == reflect.TypeFor[[]KindConfig]():
			fmt.Fprintln(out, key)
			for n := range value.Len() {
				describe(out, value.Index(n), indent+"    ", indent+"  - ")
			}
		case value.Kind() == reflect.Struct:
			fmt.Fprintln(out, key)
			describe(out, value, indent+"  ", "")
		case value.IsZero() && (value.Kind() == reflect.String || value.Kind() == reflect.Slice):
		case field.Tag.Get("secret") != "":
			fmt.Fprintf(out, "%s# %s (hidden; from the environment or %s)\n", lead, strings.TrimPrefix(key, lead), field.Tag.Get("secret"))
		default:
			fmt.Fprintf(out, "%s %s\n", key, written(value))
		}
	}
}

// written is a value as the file has it.
func written(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return shortDuration(value)
	case string:
		return yamlText(withoutPassword(value))
	case []string:
		texts := make([]string, len(value))
		for i := range value {
			texts[i] = yamlText(value[i])
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration is 5m where Go writes 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// yamlText quotes a text that YAML would take for something else.
func yamlText(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@") == "" &&
		!strings.ContainsAny(s[:1], "-0123456789.:@") && !strings.HasSuffix(s, ":") &&
		!slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(s))
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func withoutPassword(s string) string {
	return passwordPattern.ReplaceAllStringFunc(s, func(found string) string {
		if !strings.HasPrefix(found, "//") {
			name, _, _ := strings.Cut(found, "=")
			return name + "=hidden"
		}
		user, _, _ := strings.Cut(found, ":")
		return user + ":hidden@"
	})
}

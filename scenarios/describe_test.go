package scenarios

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// describe writes a scenario as it was understood, without what is left at zero
// and without latencies that are the default.
func describe(s *Scenario) string {
	w := World{}
	for i, l := range s.World.Latencies {
		if l != LatencyDefaults[i].Latency {
			w.Latencies = append(w.Latencies, l)
		}
	}
	shown := *s
	shown.World = w
	var b strings.Builder
	describeFields(&b, "", reflect.ValueOf(shown))
	return b.String()
}

func describeFields(b *strings.Builder, path string, v reflect.Value) {
	if v.IsZero() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		describeFields(b, path, v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			describeFields(b, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Struct:
		if t := v.Type(); t.NumField() <= 4 && t != reflect.TypeFor[Rates]() && t != reflect.TypeFor[World]() && t != reflect.TypeFor[Day]() && t != reflect.TypeFor[Nodes]() {
			fmt.Fprintf(b, "%s: %+v\n", path, v.Interface())
			return
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if path != "" {
				name = path + "." + name
			}
			describeFields(b, name, v.Field(i))
		}
	default:
		text := fmt.Sprint(v.Interface())
		if d, ok := v.Interface().(time.Duration); ok {
			text = FormatDuration(d)
		}
		fmt.Fprintf(b, "%s: %s\n", path, text)
	}
}

// minimal is the shortest scenario; minimalWith puts lines in place of its own
// keys, and others after them.
var minimal = []string{
	"name: story", "about: A story.", "duration: 1h",
	"kinds: [{kind: Thing, resources: 1000}, {kind: Rule}]", "expect: [violations == 0]",
}

func minimalWith(lines string) string {
	var kept []string
	for _, m := range minimal {
		key, _, _ := strings.Cut(m, ":")
		if !strings.HasPrefix(lines, key+":") && !strings.Contains(lines, "\n"+key+":") {
			kept = append(kept, m)
		}
	}
	return lines + "\n" + strings.Join(kept, "\n") + "\n"
}

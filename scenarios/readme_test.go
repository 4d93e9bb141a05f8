package scenarios

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestReadme holds README.md's tables to the vocabulary, the metrics and the
// shipped scenarios. Like the stories it is rewritten by -rewrite.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	old := string(data)
	text := old
	for _, part := range []struct{ name, body string }{
		{"keys", keysTables()}, {"faults", faultsTable()}, {"fields", fieldsTable()}, {"metrics", metricsTable()}, {"shipped", shippedTable(t)},
	} {
		begin, end := "<!-- begin "+part.name+" -->\n", "<!-- end "+part.name+" -->"
		before, rest, ok1 := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("README.md has no %q … %q", begin, end)
		}
		text = before + begin + part.body + end + after
	}
	if text == old {
		return
	}
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	now, then := strings.Split(text, "\n"), strings.Split(old, "\n")
	for i := range now {
		if i >= len(then) || now[i] != then[i] {
			t.Fatalf("README.md:%d is not what the vocabulary says (go test -rewrite writes it):\n%s", i+1, now[i])
		}
	}
	t.Fatal("README.md has more rows than the vocabulary (go test -rewrite writes it)")
}

func keysTables() string {
	var b strings.Builder
	for _, s := range Vocabulary {
		fmt.Fprintf(&b, "\n### %s: %s\n\n", s.Name, s.Where)
		if s.About != "" {
			fmt.Fprintf(&b, "%s\n\n", s.About)
		}
		b.WriteString("| key | type | default | range | example | |\n| --- | --- | --- | --- | --- | --- |\n")
		for _, k := range s.Keys {
			about := k.About
			if len(k.With) > 0 {
				about += " Beside " + strings.Join(k.With, ", ") + "."
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` | %s |\n", k.Name, k.Type, k.Default, k.Range, k.Example, about)
		}
	}
	return b.String() + "\n"
}

func faultsTable() string {
	var b strings.Builder
	b.WriteString("\n| subject | word | | what happens | a case is | keys | on wire | on kind |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	subject := ""
	for _, w := range FaultWords {
		shown := ""
		if s := w.What.Subject(); s != subject {
			subject, shown = s, "`"+s+"`"
		}
		usual := NewFault(w.What)
		var keys []string
		for _, k := range w.Keys {
			switch {
			case k == "by" && usual.By > 0:
				k = "`by` (" + FormatDuration(usual.By) + ")"
			case k == "by":
				k = "`by` (" + FormatDuration(crashBy) + ", beside command)"
			case k == "rate":
				k = "`rate` (" + usual.Rate.String() + ")"
			case k == "of":
				k = "`of` (" + usual.Of + ")"
			case k == "where":
				k = "target"
			case slices.Contains(podKeys, k) && slices.Contains(w.Keys, "where"):
				continue
			default:
				k = "`" + k + "`"
			}
			keys = append(keys, k)
		}
		if usual.Stable > 0 {
			keys = append(keys, "`stable` ("+FormatDuration(usual.Stable)+")")
		}
		when := "lasts"
		if usual.Once() {
			when = "once"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s | %s |\n", shown, w.What.Word(), when, w.About, w.Case, strings.Join(keys, " "), w.Wire, cmp.Or(w.Kind, "–"))
	}
	return b.String() + "\n"
}

func metricsTable() string { return measures("metric", Metrics) }

func fieldsTable() string { return measures("field", Fields) }

func measures(title string, list []Metric) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s | unit | |\n| --- | --- | --- |\n", title)
	for _, m := range list {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, m.Unit, m.About)
	}
	return b.String() + "\n"
}

func shippedTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n| scenario | shows |\n| --- | --- |\n")
	for _, name := range Names() {
		s, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "| [%s](%s.yaml) | %s |\n", name, name, s.About)
	}
	return b.String() + "\n"
}

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

const measured = `goos: linux
pkg: example/secret/path
cpu: Some Processor
BenchmarkScratch/op=scratch/resources=100000/instances=1000/by=balance-2  5  20000000 ns/op  100 moves  17863224 B/op  1088 allocs/op
BenchmarkScratch/op=scratch/resources=100000/instances=1000/by=balance-2  5  30000000 ns/op  100 moves  17863224 B/op  1088 allocs/op
BenchmarkScratch/op=scratch/resources=100000/instances=1000/by=balance-2  5  99000000 ns/op  100 moves  17863224 B/op  1088 allocs/op
BenchmarkScratch/op=scratch/resources=100000/instances=1000/by=map-2  5  6000000 ns/op  33 B/op  0 allocs/op
BenchmarkDay  1  2500000000 ns/op  34560 x-realtime
PASS
`

func TestTables(t *testing.T) {
	datadriven.RunTest(t, "testdata/tables", func(t *testing.T, d *datadriven.TestData) string {
		tables, err := read(strings.NewReader(d.Input))
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		var b strings.Builder
		for _, table := range tables {
			table.write(&b, "balance")
		}
		return b.String()
	})
}

// TestRun writes two sections into a file that has text of its own, twice.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("# Mine\n\n<!-- bench:b -->\nold\n<!-- bench:b end -->\n\nAfter.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		for _, section := range []string{"a", "b"} {
			if err := run([]string{"-section", section, "-file", file}, strings.NewReader(measured), io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := string(doc)
		for _, bad := range []string{"old", "Processor", "secret"} {
			if strings.Contains(got, bad) {
				t.Fatalf("holds %q:\n%s", bad, got)
			}
		}
		if !strings.HasPrefix(got, "# Mine\n") || !strings.Contains(got, "After.") || strings.Count(got, "| Day |") != 2 {
			t.Fatal(got)
		}
		if first != "" && got != first {
			t.Fatalf("the second run differs:\n%s", got)
		}
		first = got
	}
}

// TestRunRefuses: the file stays as it was.
func TestRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	const doc = "<!-- bench:broken -->\n"
	if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, tc := range map[string]struct {
		args []string
		in   string
	}{
		"usage":                {nil, measured},
		"no benchmark results": {[]string{"-section", "x", "-file", file}, "PASS\n"},
		"markers of section":   {[]string{"-section", "broken", "-file", file}, measured},
		"standard input":       {[]string{"-section", "x", "-file", file}, "BenchmarkX 1 nonsense ns/op\n"},
	} {
		if err := run(tc.args, strings.NewReader(tc.in), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if got, _ := os.ReadFile(file); string(got) != doc {
			t.Errorf("%s: the file changed:\n%s", want, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(measured)
	f.Add("BenchmarkA/by=/=/x-1 1 1 ns/op\n")
	f.Fuzz(func(t *testing.T, in string) {
		tables, err := read(strings.NewReader(in))
		for _, table := range tables {
			if err == nil && len(table.rows) == 0 {
				t.Fatal("a table without rows")
			}
			table.write(io.Discard, "balance")
		}
	})
}

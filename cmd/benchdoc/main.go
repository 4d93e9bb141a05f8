// Command benchdoc turns the output of go test -bench into the tables of
// docs/benchmarks.md.
//
//	go test -run '^$' -bench . -benchmem ./some/package | go run ./cmd/benchdoc -section placement -file docs/benchmarks.md
//
// It replaces what stands between <!-- bench:SECTION --> and
// <!-- bench:SECTION end --> in the file, and adds both markers at the end when
// they are not there. Benchmarks whose names differ in the part by=… alone
// share a table, whose ratios are to the row that -base names. Of repeated
// measurements (-count) it shows the median. The machine is named by its cores
// and the Go version; the processor's name and the package's path are left out.
//
// Exit code: 0, or 1 with a message on standard error; the file is then as it was.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchdoc:", err)
		os.Exit(1)
	}
}

// run reads measurements from in, passes them on to out, and writes the file.
func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("benchdoc", flag.ContinueOnError)
	section := flags.String("section", "", "name of the section to replace")
	file := flags.String("file", "docs/benchmarks.md", "file to write")
	base := flags.String("base", "balance", "value of by= that ratios are to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *section == "" || flags.NArg() > 0 {
		return fmt.Errorf("usage: benchdoc -section NAME [-file FILE] [-base NAME] < measurements")
	}
	tables, err := read(io.TeeReader(in, out))
	if err != nil {
		return err
	}
	if len(tables) == 0 {
		return fmt.Errorf("standard input holds no benchmark results")
	}
	doc, err := os.ReadFile(*file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "Measured on %d cores, %s.\n", runtime.NumCPU(), runtime.Version())
	for _, t := range tables {
		t.write(&body, *base)
	}
	doc, err = replace(doc, *section, body.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	return os.WriteFile(*file, doc, 0o644)
}

// replace puts body between the section's markers.
func replace(doc []byte, section string, body []byte) ([]byte, error) {
	begin := []byte("<!-- bench:" + section + " -->\n")
	end := []byte("<!-- bench:" + section + " end -->\n")
	i, j := bytes.Index(doc, begin), bytes.Index(doc, end)
	switch {
	case i < 0 && j < 0:
		if len(doc) > 0 {
			doc = append(bytes.TrimRight(doc, "\n"), "\n\n"...)
		}
		i, j = len(doc), len(doc)
		doc = append(append(doc, begin...), end...)
		j += len(begin)
	case i < 0 || j < i:
		return nil, fmt.Errorf("markers of section %s: want %q before %q", section, bytes.TrimSpace(begin), bytes.TrimSpace(end))
	}
	var out bytes.Buffer
	out.Write(doc[:i+len(begin)])
	out.WriteByte('\n')
	out.Write(body)
	out.WriteByte('\n')
	out.Write(doc[j:])
	return out.Bytes(), nil
}

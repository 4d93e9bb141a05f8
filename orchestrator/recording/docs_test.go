package recording

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dacorch/orchestrator/fleet"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of docs/recording.md")

const docs = "../../docs/recording.md"

// recordParts is what stands in each record.
var recordParts = map[code]string{
	codeEvent: "at, event", codeCommands: "at, uint: how many, commands", codeKind: "uint: the place in the header of the kind that the records which follow are of; at first 0",
	codeRestarted: "at: the kind's machine is made anew", codeSnapshot: "at, uint: how many bytes, the machine's state",
	codeMark:    "at, a byte: what, instance, resource, int: for how long, text",
	codeClosing: "uint: how many bytes, the report as JSON; yes or no: the next segment goes on here; uint: how many bytes, why something is missing. Nothing follows",
	codeProcess: "uint: the number of the process that the records which follow are of, int: how far its clock is ahead; at first 0 and 0",
}

// TestDocs holds the document's tables to the code. -rewrite writes them.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, table := range map[string]string{"records": recordTable(), "codes": codeTable()} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no %s", docs, begin)
		}
		text = head + begin + "\n" + table + "\n" + end + tail
	}
	if text == string(data) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s is not what the code says: go test ./orchestrator/recording -rewrite writes it", docs)
	}
	if err := os.WriteFile(docs, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func recordTable() string {
	var b strings.Builder
	b.WriteString("| code | record | holds |\n| --- | --- | --- |\n")
	for _, c := range slices.Sorted(maps.Keys(records)) {
		fmt.Fprintf(&b, "| %d | %v | %s |\n", c, c, recordParts[c])
	}
	return b.String()
}

func codeTable() string {
	var b strings.Builder
	b.WriteString("| code | | fields |\n| --- | --- | --- |\n")
	for _, c := range slices.Sorted(maps.Keys(codes)) {
		fmt.Fprintf(&b, "| %d | %v | %s |\n", c, c, fields(codes[c]))
	}
	return b.String()
}

// written is the order of those whose fields are not written in Go's.
var written = map[code]string{codeListed: "Req, Err, Digest (Count, IDs, Groups), rows (see below)", codeCommit: "optional Txn (ID, Epoch, list of Changes (Kind, Instance, Capacity, Used, list of Add, list of Remove, Times, Versions (Node, Resources, Reload)), optional Control (ResourcePerInstance, MaxInstances, Capacity, TargetInstances, list of Closing, Maintenance), ControlVersion), decisions (see below)"}

// fields are a type's, and those of what is in it.
func fields(t reflect.Type) string {
	for c, text := range written {
		if codes[c] == t {
			return text
		}
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		out = append(out, field(f.Name, f.Type))
	}
	return strings.Join(out, ", ")
}

func field(name string, t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[*fleet.Notification]():
		return "a notification"
	case t.Kind() == reflect.Pointer:
		return "optional " + field(name, t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + field(name, t.Elem())
	case t.Kind() == reflect.Struct:
		return name + " (" + fields(t) + ")"
	case t.Kind() == reflect.Interface:
		return "an order"
	}
	return name
}

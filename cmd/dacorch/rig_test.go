package main

import (
	"bytes"
	"strings"
	"testing"

	"dacorch/e2e/rig"
)

// TestRigsWaysAreItsOwn: the commands that are shown name this rig, and tell ps no
// token.
func TestRigsWaysAreItsOwn(t *testing.T) {
	report := rig.Report{TokenFile: "/try/token", Parts: []rig.Part{{Name: rig.Name, Up: true, Address: "https://127.0.0.1:19080"}}}
	report.Name, report.CAFile = "try", "/try/ca"
	var out bytes.Buffer
	printReport(console{out: &out}, report)
	printWays(console{out: &out}, report)
	for _, want := range []string{
		"It is not whole", "dacorch rig up --name try goes on with it",
		"\n  dacorch rig down --name try\n",
		"\n  printf 'Authorization: Bearer %s' \"$(cat /try/token)\" | curl --cacert /try/ca -H @- https://127.0.0.1:19080/v1/api/orchestrations/Thing\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "make e2e") {
		t.Error("make e2e is for the rig of the usual name alone, once it is whole")
	}
}

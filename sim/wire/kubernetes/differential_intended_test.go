package kubernetes

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// intended takes away from two answers, or two watches' events, what is meant to
// differ between the stand-in and the real API server. Beside that, the stand-in
// does not collect what an owner leaves behind: no request here deletes in the
// foreground, or makes orphans.
func intended(mine, theirs tree) {
	if theirs["code"] == 500 && (mine["code"] == 400 || mine["code"] == 409) {
		// A body of DeleteOptions, or a version, that cannot be read: the API server
		// says that it is its own fault.
		clear(mine)
		clear(theirs)
	}
	for _, answer := range []tree{mine, theirs} {
		if status, is := answer["body"].(tree); is && status["kind"] == "Status" {
			worded(answer["code"], status)
		}
		each(answer, admitted)
	}
}

// worded takes away words that are nobody's interface. What is wrong with a
// request that cannot be read is said as a JSON library has it, with Go's type
// names and the names of source files. An object that breaks rules is refused with
// every cause, some of them several times, since Kubernetes looks at an object's
// metadata up to four times; a pod's specification is told in full.
func worded(code any, status tree) {
	switch code {
	case 400, 406, 415, 422:
		delete(status, "message")
	case 504: // asks for patience only where the cache is asked, and not etcd
		delete(status["details"].(tree), "retryAfterSeconds")
	}
	causes, _ := lookup(status, "details", "causes").([]any)
	for _, c := range causes {
		c := c.(tree)
		if message, is := c["message"].(string); is {
			c["message"], _, _ = strings.Cut(message, "\n")
		}
		if c["field"] == "patch" {
			delete(c, "message")
		}
	}
	slices.SortFunc(causes, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	causes = slices.CompactFunc(causes, func(a, b any) bool { return reflect.DeepEqual(a, b) })
	if len(causes) > 0 {
		status["details"].(tree)["causes"] = causes
	}
}

// admitted: the stand-in has no admission plugins. Two of them give every pod a
// priority, and some time on a node that fails.
func admitted(o tree) {
	spec, is := o["spec"].(tree)
	if _, pod := spec["containers"]; !is || !pod {
		return
	}
	delete(spec, "priority")
	delete(spec, "preemptionPolicy")
	tolerations, _ := spec["tolerations"].([]any)
	tolerations = slices.DeleteFunc(tolerations, func(t any) bool {
		key, _ := t.(tree)["key"].(string)
		return strings.HasPrefix(key, "node.kubernetes.io/")
	})
	if spec["tolerations"] = tolerations; len(tolerations) == 0 {
		delete(spec, "tolerations")
	}
}

// lookup answers what lies at a path of keys, nil when nothing does.
func lookup(t tree, keys ...string) any {
	var at any = t
	for _, k := range keys {
		below, _ := at.(tree)
		at = below[k]
	}
	return at
}

// each calls f with every tree in a value.
func each(value any, f func(tree)) {
	switch v := value.(type) {
	case tree:
		f(v)
		for _, below := range v {
			each(below, f)
		}
	case []any:
		for _, below := range v {
			each(below, f)
		}
	}
}

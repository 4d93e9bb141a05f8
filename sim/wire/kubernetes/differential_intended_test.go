package kubernetes

import (
	"slices"
	"strings"
)

// intended takes away from an answer, or a watch's event, what is meant to differ
// between the stand-in and the real API server.
func intended(answer tree) {
	if code, is := answer["code"]; is {
		if status, is := answer["body"].(tree); is && status["kind"] == "Status" {
			unreadable(code, status)
		}
	}
	each(answer, admitted)
}

// unreadable: what is wrong with a request that cannot be read is said in the
// words of a JSON library, with Go's type names and the names of source files.
// Neither side's are anybody's interface; the status, its reason and its details
// are.
func unreadable(code any, status tree) {
	causes, _ := lookup(status, "details", "causes").([]any)
	for _, c := range causes {
		if c := c.(tree); c["field"] == "patch" {
			delete(c, "message")
			code = 400
		}
	}
	switch code {
	case 400, 406, 415:
		delete(status, "message")
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

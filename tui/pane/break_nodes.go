package pane

import (
	"slices"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
)

// maxNodeChoices bounds the nodes that ← and → go through; where there are more, a
// name is typed.
const maxNodeChoices = 50

// startNodes has a fault of nodes begin with the one that the instance's pod is on,
// or else with any one.
func startNodes(f *form, w api.FaultWord, kind string, instance int, s *data.State) {
	if w.Target != "node" {
		return
	}
	faults, _, _ := data.Get[api.Faults](s, data.Query{What: data.AskFaults})
	name, count := f.field("name"), f.field("count")
	if name != nil && len(faults.Nodes) > 0 && len(faults.Nodes) <= maxNodeChoices {
		name.choices = []choice{{"", name.empty}}
		for _, node := range faults.Nodes {
			name.choices = append(name.choices, choice{node, node})
		}
	}
	if node := nodeOf(kind, instance, s); name != nil && slices.Contains(faults.Nodes, node) {
		name.choose(node)
		name.line.Set(node)
		return
	}
	if w.Needs && count != nil {
		count.line.Set("1")
	}
}

// nodeOf is the node that an instance's pod is on; empty when that is not known.
func nodeOf(kind string, instance int, s *data.State) string {
	instances, _ := s.Instances(kind)
	i, found := slices.BinarySearchFunc(instances, instance, func(in api.Instance, id int) int { return in.ID - id })
	if !found {
		return ""
	}
	return instances[i].Node
}

// aimNodes says beside the node's name what runs there, or that there is no such
// node, and beside the count of how many.
func (d *BreakDialog) aimNodes(s *data.State) {
	faults, _, _ := data.Get[api.Faults](s, data.Query{What: data.AskFaults})
	name := d.form.field("name")
	if d.chosen.Target != "node" || len(faults.Nodes) == 0 {
		return
	}
	if count := d.form.field("count"); count != nil {
		count.about = "of " + Plural(len(faults.Nodes), "node") + ", drawn at random"
	}
	if name == nil {
		return
	}
	node := name.value()
	name.about, name.problem = "one of "+Plural(len(faults.Nodes), "node")+", such as "+faults.Nodes[0], ""
	instances, _ := s.Instances(d.kind)
	switch {
	case node == "":
	case !slices.Contains(faults.Nodes, node):
		name.problem = "there is no node " + node + " now"
	case len(instances) > 0:
		there := 0
		for i := range instances {
			if instances[i].Node == node {
				there++
			}
		}
		name.about = "with " + Plural(there, "pod") + " of " + d.kind
	}
}

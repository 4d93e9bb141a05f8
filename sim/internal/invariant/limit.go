package invariant

import "dacorch/orchestrator/fleet"

// allows raises the longest list that the kind's lists may have to n. An order
// never asks for more than the configuration allows, and the init rule's R never
// exceeds that of which it is made, so what is configured bounds both; what stood
// already, or others wrote, may be longer.
func (k *kindState) allows(n int) {
	if k.cfg.PerInstance > 0 {
		k.limit = max(k.limit, k.cfg.PerInstance, n)
	}
}

// allowsTree takes over what a tree that no transaction made demands to be kept.
func (k *kindState) allowsTree(tree *fleet.Tree) {
	k.allows(max(tree.Control.ResourcePerInstance, tree.Control.Capacity))
	for i := range tree.Instances {
		k.allows(max(tree.Instances[i].Capacity, len(tree.Instances[i].IDs)))
	}
}

// lookAtLimit holds what a transaction leaves of an instance against a bound that
// is not the orchestrator's own word. A list longer than that may shrink. One move
// alone may make it longer by one: the move that breaks a circle of full
// instances, each of which waits for a place on the next. What that has stretched
// stays allowed, since a new leader takes the count that it finds for the capacity.
func (c *Checker) lookAtLimit(k *kindState, txn *fleet.Txn, ch *fleet.Change, in *instance) {
	k.allows(0)
	if k.limit == 0 {
		return
	}
	if breaksCircle(txn) {
		in.stretched = max(in.stretched, min(in.used, in.before+1))
	}
	most := max(k.limit, in.stretched)
	switch {
	case in.used > most && in.used > in.before:
		c.fail(k, Capacity, "transaction %d makes the list of instance %d grow to %d resources, and no more than %d per instance were ever asked for",
			txn.ID, ch.Instance, in.used, k.limit)
	case ch.Capacity > max(most, in.used):
		c.fail(k, Capacity, "transaction %d writes count %d to instance %d, and no more than %d per instance were ever asked for",
			txn.ID, ch.Capacity, ch.Instance, k.limit)
	}
}

// breaksCircle says that a transaction is one move and nothing else.
func breaksCircle(txn *fleet.Txn) bool {
	if len(txn.Changes) != 2 || txn.Control != nil {
		return false
	}
	to, from := &txn.Changes[0], &txn.Changes[1]
	if len(to.Add) == 0 {
		to, from = from, to
	}
	return to.Kind == fleet.ChangeUpdate && from.Kind == fleet.ChangeUpdate && len(to.Add) == 1 && len(from.Remove) == 1 && len(to.Remove)+len(from.Add) == 0 && to.Add[0] == from.Remove[0]
}

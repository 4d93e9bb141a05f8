// Package orchestrator is the production orchestrator: it reads the
// configuration, wires the adapters to the loop, and serves the REST interface.
package orchestrator

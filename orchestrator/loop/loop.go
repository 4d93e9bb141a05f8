// Package loop drives the core in production: it is the only place with
// goroutines and a clock. Each kind has a driver, one goroutine that hands
// events to its reconcile.Machine and executes the commands through the ports.
package loop

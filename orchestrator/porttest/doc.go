// Package porttest is the contract of the loop's ports as tests: one suite for
// each port, which every adapter passes against every stand-in and every real
// server. A suite gets a fixture that says how to start what it tests, and how
// to do to the world what only the world can do. It asserts what loop's comments
// promise, and nothing else.
package porttest

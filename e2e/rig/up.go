package rig

import (
	"context"
	"errors"
	"time"
)

// Options say what Up makes. The zero value is the usual rig.
type Options struct {
	Name string // default Name; lower-case letters, digits and -

	// AirGapped takes the images that e2e/airgap/build makes, and pulls none.
	AirGapped bool
	// Images override DefaultImages, or AirGappedImages; empty fields do not.
	Images Images
	// Binary is a static Linux executable of dacorch for the images; default: the
	// running one.
	Binary string
	// KindConfig is a file; default: kind-config.yaml in the working directory, and
	// where there is none the one that is built in.
	KindConfig string
	// NoInstall leaves the orchestrator out: cluster and services only.
	NoInstall bool

	Progress func(Step) // told of each step's begin and end, one call at a time; may be nil
}

// StepState is how far a step is.
type StepState string

// The states of a step.
const (
	StepBegun  StepState = "begun"
	StepDone   StepState = "done"  // made now
	StepThere  StepState = "there" // nothing to do
	StepFailed StepState = "failed"
)

// A Step of Up, Down or a build of images.
type Step struct {
	Name  string        `json:"name"`
	State StepState     `json:"state"`
	Took  time.Duration `json:"took"` // since it began, once it has ended
	Note  string        `json:"note,omitempty"`
}

// Up brings a rig up. What is there and right is kept, so it may be called again
// to repair or to renew; only one process can at a time.
func Up(ctx context.Context, opts Options) (*Rig, error) { return nil, errNotYet }

// Open attaches to a rig that is up; "" stands for Name. It fails when the rig
// is not up, saying so.
func Open(name string) (*Rig, error) { return nil, errNotYet }

// Down removes the rig: cluster, containers with their data, network and
// directory. It is no error when there is none.
func Down(ctx context.Context, name string, progress func(Step)) error { return errNotYet }

var errNotYet = errors.New("rig: not made yet")

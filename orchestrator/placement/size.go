package placement

import (
	"fmt"
	"strconv"

	"dacorch/orchestrator/fleet"
)

// The contract's ceilings and defaults (CONTRACT.md, Sizing).
const (
	DefaultResourcePerInstance = 5000
	DefaultMaxInstances        = 100
	DefaultInitInstances       = 10
	minMaxInstances            = 3
	// most bounds both ceilings, so that every count of resources and every
	// instance id fits in 31 bits.
	most = 1 << 30
)

// Limits are a kind's ceilings. A field of 0 stands for the contract's default.
type Limits struct {
	ResourcePerInstance int // ceiling, exclusive for requests, and the default; 2 … 2³⁰, contract 5000
	MaxInstances        int // ceiling, exclusive for requests, and the default; 4 … 2³⁰, contract 100
	InitInstances       int // fewest instances of an orchestration; 1 … MaxInstances, contract 10
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.ResourcePerInstance, DefaultResourcePerInstance)
	set(&l.MaxInstances, DefaultMaxInstances)
	set(&l.InitInstances, min(DefaultInitInstances, l.MaxInstances))
	return l
}

// Validate answers a *fleet.FieldError for a limit out of its range.
func (l Limits) Validate() error {
	l = l.withDefaults()
	if err := within("resourcePerInstance", l.ResourcePerInstance, 2, most); err != nil {
		return err
	}
	if err := within("maxInstances", l.MaxInstances, minMaxInstances+1, most); err != nil {
		return err
	}
	return within("initInstances", l.InitInstances, 1, l.MaxInstances)
}

func within(field string, v, least, greatest int) error {
	if least <= v && v <= greatest {
		return nil
	}
	return &fleet.FieldError{Field: field, Value: strconv.Itoa(v), Want: fmt.Sprintf("%d to %d", least, greatest)}
}

// Request is what a caller asks of an orchestration; nil stands for the default.
type Request struct {
	ResourcePerInstance *int // 0 < n < Limits.ResourcePerInstance
	MaxInstances        *int // 3 ≤ n < Limits.MaxInstances
}

// Size is the result of sizing.
type Size struct {
	Instances           int // how many to have
	ResourcePerInstance int // capacity of each instance: R after the init rule
	Ceiling             int // R before the init rule: how far a capacity may be raised; 0 means ResourcePerInstance
	MaxInstances        int // bounds the open instances, unless Instances is greater (the init rule)
}

func (s Size) ceiling() int { return max(s.Ceiling, s.ResourcePerInstance) }
func (s Size) most() int    { return max(s.MaxInstances, s.Instances) }

// TooManyError says that more instances are needed than allowed.
type TooManyError struct{ Need, Max int }

// Error is the contract's message.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("require instances more than the max: %d/%d", e.Need, e.Max)
}

// Size computes the size for count resources as CONTRACT.md says:
//
//	instances = floor(count / R) + 1
//	instances > max   refused: *TooManyError
//	instances < init  instances = init, R = floor(count / instances) + 1
//
// The max is checked before the init rule: a max below init is overruled by it.
// A value out of range answers a *fleet.FieldError that names the range.
func (l Limits) Size(count int, req Request) (Size, error) {
	l = l.withDefaults()
	s := Size{ResourcePerInstance: l.ResourcePerInstance, MaxInstances: l.MaxInstances}
	if count < 0 {
		return Size{}, &fleet.FieldError{Field: "count", Value: strconv.Itoa(count), Want: "0 or more"}
	}
	if n := req.ResourcePerInstance; n != nil {
		if err := within("resourcePerInstance", *n, 1, l.ResourcePerInstance-1); err != nil {
			return Size{}, err
		}
		s.ResourcePerInstance = *n
	}
	if n := req.MaxInstances; n != nil {
		if err := within("maxInstances", *n, minMaxInstances, l.MaxInstances-1); err != nil {
			return Size{}, err
		}
		s.MaxInstances = *n
	}
	s.Ceiling = s.ResourcePerInstance
	s.Instances = count/s.ResourcePerInstance + 1
	if s.Instances > s.MaxInstances {
		return Size{}, &TooManyError{Need: s.Instances, Max: s.MaxInstances}
	}
	if s.Instances < l.InitInstances {
		s.Instances = l.InitInstances
		s.ResourcePerInstance = count/s.Instances + 1
	}
	return s, nil
}

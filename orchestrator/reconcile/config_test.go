package reconcile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/orchestrator/placement"
)

// TestConfigValidate changes one field of a valid configuration at a time.
func TestConfigValidate(t *testing.T) {
	for _, kind := range []fleet.Kind{"Thing", "Rule"} {
		if err := DefaultConfig(kind).Validate(); err != nil {
			t.Errorf("the default of %s: %v", kind, err)
		}
	}
	for field, change := range map[string]func(*Config){
		"kind":                func(c *Config) { c.Kind = "" },
		"policy":              func(c *Config) { c.Policy = "spread" },
		"handoff":             func(c *Config) { c.Handoff = "slow" },
		"maxInstances":        func(c *Config) { c.Limits.MaxInstances = 2 },
		"heartbeatInterval":   func(c *Config) { c.HeartbeatInterval = 0 },
		"silence":             func(c *Config) { c.Silence = c.HeartbeatInterval },
		"silentShare":         func(c *Config) { c.SilentShare = 1.1 },
		"monitor":             func(c *Config) { c.Monitor = -1 },
		"resync":              func(c *Config) { c.Resync = 0 },
		"resyncFloor":         func(c *Config) { c.ResyncFloor = 0 },
		"pending":             func(c *Config) { c.Pending = 0 },
		"patience":            func(c *Config) { c.Patience = 0 },
		"unconfirmed":         func(c *Config) { c.Unconfirmed = -1 },
		"retryMin":            func(c *Config) { c.RetryMin = 0 },
		"retryMax":            func(c *Config) { c.RetryMax = c.RetryMin - 1 },
		"movesInFlight":       func(c *Config) { c.MovesInFlight = 0 },
		"replacing":           func(c *Config) { c.Replacing = 0 },
		"maxIdBytes":          func(c *Config) { c.MaxIDBytes = 0 },
		"resourcePerInstance": func(c *Config) { c.TxnBytes = 100_000 },
	} {
		cfg := DefaultConfig("Thing")
		change(&cfg)
		var bad *fleet.FieldError
		if err := cfg.Validate(); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: Validate answers %v", field, err)
		}
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New takes it", field)
		}
	}
}

// TestLimitsOfZero: fields of 0 stand for the contract's defaults, as placement
// says, in the machine as well.
func TestLimitsOfZero(t *testing.T) {
	cfg := DefaultConfig("Thing")
	cfg.Limits = placement.Limits{}
	g := newRig(cfg)
	g.rows["r1"] = ""
	g.lead()
	g.run()
	if len(g.tree) != 10 || g.ctl.ResourcePerInstance != 5000 || g.ctl.MaxInstances != 100 {
		t.Errorf("%d instances, control %+v", len(g.tree), g.ctl)
	}
	for id := range g.tree {
		g.tree[id].Capacity = 0
	}
	g.ctl = fleet.Control{}
	g.restart()
	g.lead()
	g.run()
	if size := g.m.plan.Size(); size.ResourcePerInstance < 1 || size.MaxInstances != 100 {
		t.Errorf("size %+v after a restart without control", size)
	}
	cfg.TxnBytes = 100_000
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "resourcePerInstance: 5000") {
		t.Errorf("a list of 5000 does not fit: %v", err)
	}
}

// TestBackoff: waits grow from RetryMin to RetryMax and never shrink below three
// quarters of their step, for whatever configuration and however many failures.
func TestBackoff(t *testing.T) {
	for _, span := range [][2]time.Duration{{100 * time.Millisecond, time.Minute}, {time.Minute, time.Hour}, {time.Nanosecond, 1000 * time.Hour}} {
		cfg := DefaultConfig("Thing")
		cfg.RetryMin, cfg.RetryMax = span[0], span[1]
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		step := cfg.RetryMin
		for n := 1; n < 1000; n++ {
			if d := m.backoff("test", n); d < step-step/4 || d > step {
				t.Fatalf("%v: attempt %d waits %v, not about %v", span, n, d, step)
			}
			step = min(2*step, cfg.RetryMax)
		}
	}
}

package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// Timeline is the strip that shows a simulation's or a recording's whole time,
// the moment shown, and what happened. It stands above the footer whenever the
// server has a clock.
type Timeline struct{ zoom int }

// NewTimeline makes the strip.
func NewTimeline() *Timeline { return &Timeline{} }

// Height is how many lines it takes; 0 without a clock.
func (t *Timeline) Height(width int, s *data.State) int { return 0 }

// Draw draws the strip.
func (t *Timeline) Draw(c *screen.Canvas, s *data.State) {}

// Needs are the clock and the timeline. Of a server without a clock the model asks
// AskClock by itself, or not at all: About.Time.
func (t *Timeline) Needs(s *data.State) []data.Query { return nil }

// Press handles the keys of time; ok is false without a clock.
func (t *Timeline) Press(key string, s *data.State) (Intent, bool) { return Intent{}, false }

// Click seeks to the place of the last Draw that was clicked, or dragged to.
func (t *Timeline) Click(x, y int, s *data.State) Intent { return Intent{} }

// Wheel zooms: in when n is below 0.
func (t *Timeline) Wheel(n int, s *data.State) {}

// Keys are the keys of time.
func (t *Timeline) Keys() []KeyHelp { return nil }

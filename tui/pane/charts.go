package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ChartsView draws figures of the kind over time.
type ChartsView struct{ top int }

// NewCharts makes the charts view.
func NewCharts() *ChartsView { return &ChartsView{} }

// Title is the view's name.
func (v *ChartsView) Title(s *data.State) string { return "charts of " + s.Kind }

// Note says over which time.
func (v *ChartsView) Note(*data.State) string { return "" }

// Draw draws the charts.
func (v *ChartsView) Draw(*screen.Canvas, *data.State) {}

// Needs are the timeline where there is a clock, and the status.
func (v *ChartsView) Needs(*data.State) []data.Query { return nil }

// Press scrolls.
func (v *ChartsView) Press(string, *data.State) (Intent, bool) { return Intent{}, false }

// Click does nothing yet.
func (v *ChartsView) Click(int, int, bool, *data.State) Intent { return Intent{} }

// Wheel scrolls.
func (v *ChartsView) Wheel(n int, _ *data.State) { v.top = max(0, v.top+n) }

// Keys are the view's own.
func (v *ChartsView) Keys() []KeyHelp { return nil }

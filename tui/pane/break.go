package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// BreakDialog picks a fault for a simulation: what breaks, how, whom it hits,
// and for how long.
type BreakDialog struct {
	kind     string
	instance int
}

// NewBreak makes the dialog; instance -1: none is chosen.
func NewBreak(kind string, instance int) *BreakDialog {
	return &BreakDialog{kind: kind, instance: instance}
}

// Title says what it is for.
func (d *BreakDialog) Title(*data.State) string { return "break something" }

// Size is how much room it would like.
func (d *BreakDialog) Size(*data.State) (width, height int) { return 76, 20 }

// Draw draws it.
func (d *BreakDialog) Draw(*screen.Canvas, *data.State) {}

// Needs is what can be broken.
func (d *BreakDialog) Needs(*data.State) []data.Query { return nil }

// Press handles a key.
func (d *BreakDialog) Press(key string, _ *data.State) (Intent, bool) {
	return Intent{}, key == "esc"
}

// Paste goes into the field.
func (d *BreakDialog) Paste(string, *data.State) {}

// Click moves the focus, or presses a button.
func (d *BreakDialog) Click(int, int, *data.State) (Intent, bool) { return Intent{}, false }

// Keys are the dialog's.
func (d *BreakDialog) Keys() []KeyHelp { return nil }

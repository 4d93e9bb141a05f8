package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// ReorchestrateDialog asks what a re-orchestration shall aim at, and shows what it
// would do before it is done.
type ReorchestrateDialog struct{ kind string }

// NewReorchestrate makes the dialog for a kind.
func NewReorchestrate(kind string) *ReorchestrateDialog { return &ReorchestrateDialog{kind: kind} }

// Title names the kind.
func (d *ReorchestrateDialog) Title(*data.State) string { return "re-orchestrate " + d.kind }

// Size is how much room it would like.
func (d *ReorchestrateDialog) Size(*data.State) (width, height int) { return 76, 20 }

// Draw draws it.
func (d *ReorchestrateDialog) Draw(*screen.Canvas, *data.State) {}

// Needs is the plan of the fields' values.
func (d *ReorchestrateDialog) Needs(*data.State) []data.Query { return nil }

// Press handles a key.
func (d *ReorchestrateDialog) Press(key string, _ *data.State) (Intent, bool) {
	return Intent{}, key == "esc"
}

// Paste goes into the field.
func (d *ReorchestrateDialog) Paste(string, *data.State) {}

// Click moves the focus, or presses a button.
func (d *ReorchestrateDialog) Click(int, int, *data.State) (Intent, bool) { return Intent{}, false }

// Keys are the dialog's.
func (d *ReorchestrateDialog) Keys() []KeyHelp { return nil }

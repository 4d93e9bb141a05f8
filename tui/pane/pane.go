// Package pane holds the parts of the terminal UI's screen. Panes are dumb: they
// keep a cursor, a sort order, a zoom; they draw what is known, say what they need
// to know, and answer a key with what the person wants. They do nothing
// themselves.
package pane

import (
	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// Pane is one view that fills the screen between header and footer.
type Pane interface {
	// Title is what stands in the frame's upper line, such as "instances of Thing".
	Title(s *data.State) string
	// Note stands at its right: counts, sorting, filter.
	Note(s *data.State) string
	// Draw draws the view. The canvas may be of any size, even 0 by 0.
	Draw(c *screen.Canvas, s *data.State)
	// Needs is what it shows now: asked for while the pane is seen.
	Needs(s *data.State) []data.Query
	// Press handles a key, named as bubbletea does ("up", "ctrl+d", "enter", "G"). ok
	// is false for a key that means nothing to it.
	Press(key string, s *data.State) (do Intent, ok bool)
	// Click handles a click at a place of the last Draw; twice for a double click.
	Click(x, y int, twice bool, s *data.State) Intent
	// Wheel scrolls, down when n is above 0.
	Wheel(n int, s *data.State)
	// Keys are its own keys, for the footer and the help.
	Keys() []KeyHelp
}

// Filtered is a pane that a text can narrow down.
type Filtered interface {
	Pane
	// Filter sets the text; empty for all.
	Filter(text string)
	Filtering() string
}

// Dialog is a box in front of the view. It has the keyboard until it is closed.
type Dialog interface {
	// Title is what stands in its frame.
	Title(s *data.State) string
	// Size is how much room it would like; it is drawn in what there is.
	Size(s *data.State) (width, height int)
	Draw(c *screen.Canvas, s *data.State)
	Needs(s *data.State) []data.Query
	// Press handles a key; closed when it is not to be shown any longer: with None it
	// was left.
	Press(key string, s *data.State) (do Intent, closed bool)
	// Paste takes text from the clipboard.
	Paste(text string, s *data.State)
	Click(x, y int, s *data.State) (do Intent, closed bool)
	Keys() []KeyHelp
}

// KeyHelp explains a key.
type KeyHelp struct {
	Key, Does string
	Footer    bool // it is important enough for the footer
	Changes   bool // it asks for a change: not for whoever may only read
}

// View names a pane.
type View string

// The views. Their names are what can be typed after ":".
const (
	Placement        View = "placement"
	Kinds            View = "kinds"
	Instances        View = "instances"
	Resources        View = "resources"
	Reorchestrations View = "orchestrations"
	Events           View = "events"
	Charts           View = "charts"
	Instance         View = "instance" // of Intent.Instance
	Resource         View = "resource" // of Intent.Resource
	Help             View = "help"
)

// Act is what a person wants.
type Act uint8

// The acts. Those that change something are asked back and checked by the model.
const (
	None        Act = iota
	Open            // View, and of Kind, Instance, Resource what it needs
	Back            // to the view before
	Orchestrate     // dialog, for Kind
	Replace         // Kind, Instance
	Drain           // Kind, Instance
	Undrain         // Kind, Instance
	Maintenance     // Kind, On
	Break           // dialog: a fault at Kind and Instance (-1: none chosen)
	Inject          // Fault, chosen in the dialog
	SetClock        // Clock
	Step            // Events
	Select          // Kind becomes the one that is looked at
	Find            // open the prompt that finds a resource
	Say             // Text, to the person
	Quit
)

// Intent is what a person wants, in full. Nothing is done by a pane.
type Intent struct {
	Act      Act
	View     View
	Kind     string
	Instance int
	Resource string
	On       bool
	Events   int
	Clock    api.ClockChange
	Request  api.OrchestrateRequest
	Fault    map[string]any
	Text     string
	// Sure says that the person has confirmed it in the pane's own dialog.
	Sure bool
}

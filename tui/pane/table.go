package pane

import (
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// blank is a view that is being built: replaced within the hour.
type blank struct{ filter string }

func (b *blank) Title(*data.State) string                 { return "" }
func (b *blank) Note(*data.State) string                  { return "" }
func (b *blank) Draw(*screen.Canvas, *data.State)         {}
func (b *blank) Needs(*data.State) []data.Query           { return nil }
func (b *blank) Press(string, *data.State) (Intent, bool) { return Intent{}, false }
func (b *blank) Click(int, int, bool, *data.State) Intent { return Intent{} }
func (b *blank) Wheel(int, *data.State)                   {}
func (b *blank) Keys() []KeyHelp                          { return nil }
func (b *blank) Filter(text string)                       { b.filter = text }
func (b *blank) Filtering() string                        { return b.filter }

type (
	KindsView            struct{ blank }
	InstancesView        struct{ blank }
	ResourcesView        struct{ blank }
	ReorchestrationsView struct{ blank }
	EventsView           struct{ blank }
	InstanceView         struct{ blank }
	ResourceView         struct{ blank }
	HelpView             struct{ blank }
)

// Views of State.Kind, and details of an instance and of a resource. Help shows
// the keys of the view before and the global ones.
func NewKinds() *KindsView                                 { return &KindsView{} }
func NewInstances() *InstancesView                         { return &InstancesView{} }
func NewResources() *ResourcesView                         { return &ResourcesView{} }
func NewReorchestrations() *ReorchestrationsView           { return &ReorchestrationsView{} }
func NewEvents() *EventsView                               { return &EventsView{} }
func NewInstance(kind string, instance int) *InstanceView  { return &InstanceView{} }
func NewResource(kind, id string) *ResourceView            { return &ResourceView{} }
func NewHelp(view string, own, global []KeyHelp) *HelpView { return &HelpView{} }

package tui

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/sample"
)

// big is a model that watches 10,000 instances with 500,000 resources, on a clock
// that goes on by a frame with each look at it; and answers about its instances of
// which each is another at 1 % of the instances than the one before.
func big(tb testing.TB, view string, width, height int) (*model, []api.Instances) {
	tb.Helper()
	s := newStand(sample.Production(sample.State(10_000, 500_000)))
	m := newModel(tb.Context(), Config{View: view, Theme: "dark"}, s)
	var frames atomic.Int64
	m.now = func() time.Time { return sample.Now().Add(time.Duration(frames.Add(1)) * frameEvery) }
	m.after = func(time.Duration, tea.Msg) tea.Cmd { return nil }
	m.width, m.height = width, height
	m.fetchAll(tb.Context())
	all, _ := s.ask(tb.Context(), askInstances)
	versions := []api.Instances{all.(api.Instances)}
	for n := range 7 {
		v := versions[n]
		v.Instances = slices.Clone(v.Instances)
		for i := n; i < len(v.Instances); i += 100 {
			in := &v.Instances[i]
			in.Used = (in.Used + in.Capacity/3) % (in.Capacity + 1)
			in.Up = !in.Up
		}
		versions = append(versions, v)
	}
	return m, versions
}

// instancesCame is the message that brings an answer about instances, asked this very
// moment.
func instancesCame(m *model, v api.Instances) tea.Msg {
	at := m.asks.asks[askInstances]
	if at.serial == 0 {
		m.asks.begin(m.ctx, m.now(), askInstances, at)
	}
	return result{query: askInstances, serial: at.serial, value: v}
}

// BenchmarkFrame is what a frame costs after all instances have been read anew.
func BenchmarkFrame(b *testing.B) {
	for _, size := range [][2]int{{80, 24}, {200, 60}} {
		for _, view := range []string{"placement", "instances"} {
			b.Run(view+"/"+sizeName(size), func(b *testing.B) {
				m, versions := big(b, view, size[0], size[1])
				bytes := 0
				for n := 0; b.Loop(); n++ {
					m.Update(instancesCame(m, versions[n%len(versions)]))
					bytes += len(m.View().Content)
				}
				b.ReportMetric(float64(bytes)/float64(b.N), "frame-B")
			})
		}
	}
}

// meter counts what is written to a terminal.
type meter struct {
	bytes   atomic.Int64
	written chan struct{}
}

func (w *meter) Write(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	select {
	case w.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

// bringMsg makes the model draw the next version of the instances.
type bringMsg struct{ v api.Instances }

// bringing is a model to which answers are brought from outside.
type bringing struct {
	*model
	full *atomic.Int64 // bytes of the frames as a whole
}

func (m bringing) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if b, ok := msg.(bringMsg); ok {
		msg = instancesCame(m.model, b.v)
		defer func() { m.full.Add(int64(len(m.view.Content))) }()
	}
	_, cmd := m.model.Update(msg)
	return m, cmd
}

func (m bringing) Init() tea.Cmd { return nil }

// BenchmarkTerminalBytes is what goes to the terminal for each frame while 1 % of
// 10,000 instances change with each, and how much of the whole frame that is. At
// most ten frames are drawn a second.
func BenchmarkTerminalBytes(b *testing.B) {
	for _, view := range []string{"placement", "instances"} {
		b.Run(view, func(b *testing.B) {
			m, versions := big(b, view, 200, 60)
			out := &meter{written: make(chan struct{}, 1)}
			var full atomic.Int64
			p := tea.NewProgram(bringing{m, &full}, tea.WithInput(nil), tea.WithOutput(out), tea.WithWindowSize(200, 60), tea.WithFPS(120),
				tea.WithColorProfile(colorprofile.TrueColor), tea.WithEnvironment([]string{"TERM=xterm-256color"}), tea.WithoutSignals())
			ended := make(chan error, 1)
			go func() {
				_, err := p.Run()
				ended <- err
			}()
			<-out.written
			last := 2 * (len(versions) - 1)
			bring := func(n int) {
				select {
				case <-out.written: // of the terminal's set-up
				default:
				}
				n %= last // forth and back: each differs from the one before by 1 %
				p.Send(bringMsg{versions[min(n, last-n)]})
				select {
				case <-out.written:
				case <-time.After(patience):
					b.Fatal("a frame is not sent")
				}
			}
			for n := range 3 {
				bring(n + 1)
			}
			out.bytes.Store(0)
			full.Store(0)
			n := 4
			for b.Loop() {
				bring(n)
				n++
			}
			frames := float64(b.N)
			b.ReportMetric(float64(out.bytes.Load())/frames, "sent-B/frame")
			b.ReportMetric(float64(out.bytes.Load())/frames*float64(time.Second/frameEvery), "sent-B/s(10fps)")
			b.ReportMetric(100*float64(out.bytes.Load())/float64(full.Load()), "%-of-frame")
			b.ReportMetric(0, "ns/op")
			p.Quit()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// A frame that shows nothing else sends nothing.
func TestSameFrameSendsNothing(t *testing.T) {
	m, versions := big(t, "placement", 80, 24)
	m.Update(instancesCame(m, versions[0]))
	first := m.View().Content
	m.Update(instancesCame(m, versions[0]))
	if first == "" || m.View().Content != first {
		t.Error("the same instances make another frame")
	}
	if a := m.asks.answers[data.Query{What: data.AskInstances, Kind: "Thing"}]; a.Err != nil {
		t.Error(a.Err)
	}
}

package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"image/color"
	"regexp"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// ink is a colour by its name in page.css, so that the reader's theme decides
// what it looks like. On the canvas it is a colour that nothing else has.
type ink uint8

// The inks. Those from inkLoad on are the steps of an instance's load.
const (
	inkText ink = iota
	inkMuted
	inkGrid
	inkFault
	inkOutage
	inkAlarm
	inkOrder
	inkHeal
	inkLine
	inkArea
	inkBad
	inkBadArea
	inkMove
	inkMoveArea
	inkTick
	inkOnBand
	inkCard
	inkPending
	inkLeaving
	inkMissing
	inkNodeLost
	inkFailed
	inkHung
	inkUnseen
	inkLoad
)

// loadSteps are the steps of load that are told apart; one more is for what
// exceeds its capacity.
const loadSteps = 9

var inkNames = [...]string{
	"text", "muted", "grid", "fault", "outage", "alarm", "order", "heal", "line", "area", "bad", "bad-area",
	"move", "move-area", "tick", "on-band", "card", "pending", "leaving", "missing", "node-lost", "failed", "hung", "unseen",
}

// css is how a style sheet names it.
func (i ink) css() string {
	switch i {
	case inkPending, inkNodeLost, inkHung:
		return "url(#p-" + inkNames[i] + ")" // hatched: see page.html
	}
	if i >= inkLoad {
		return fmt.Sprintf("var(--load-%d)", i-inkLoad)
	}
	return "var(--" + inkNames[i] + ")"
}

func (i ink) color() color.Color { return color.NRGBA{0xD0, 0xC0, uint8(i), 0xFF} }

var inkOnCanvas = regexp.MustCompile(`#D0C0([0-9A-F]{2})`)

// sizes are the two widths that every plot is drawn in: the page shows the one
// that fits, so that text on a phone is as large as elsewhere.
type size struct {
	name        string
	width       float64
	left, right float64 // of the data
	font        float64
}

var sizes = [...]size{
	{name: "wide", width: 960, left: 58, right: 74, font: 11.5},
	{name: "narrow", width: 360, left: 53, right: 10, font: 11},
}

// sheet is a plot being drawn. Its y grows downwards, as on a page.
type sheet struct {
	size
	svg    *vgsvg.Canvas
	c      draw.Canvas
	height float64
	axis   timeAxis
}

func newSheet(sz size, height float64, axis timeAxis) *sheet {
	svg := vgsvg.New(vg.Length(sz.width), vg.Length(height))
	return &sheet{size: sz, svg: svg, c: draw.NewCanvas(svg, vg.Length(sz.width), vg.Length(height)), height: height, axis: axis}
}

// dataWidth is how wide the data is.
func (s *sheet) dataWidth() float64 { return s.width - s.left - s.right }

// x is where a share of the time axis lies.
func (s *sheet) x(share float64) float64 { return s.left + share*s.dataWidth() }

func (s *sheet) point(x, y float64) vg.Point {
	return vg.Point{X: vg.Length(x), Y: vg.Length(s.height - y)}
}

// style of a text.
type textStyle struct {
	ink   ink
	size  float64 // 0: the sheet's
	bold  bool
	right bool // it ends at x
	mid   bool // its middle is at x
}

func (s *sheet) textFont(ts textStyle) font.Font {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Length(s.font)}
	if ts.size > 0 {
		f.Size = vg.Length(ts.size)
	}
	if ts.bold {
		f.Weight = xfont.WeightBold
	}
	return f
}

// text writes one line whose baseline is at y.
func (s *sheet) text(x, y float64, ts textStyle, text string) {
	style := draw.TextStyle{Color: ts.ink.color(), Font: s.textFont(ts), Handler: plot.DefaultTextHandler}
	switch {
	case ts.right:
		style.XAlign = draw.XRight
	case ts.mid:
		style.XAlign = draw.XCenter
	}
	s.c.FillText(style, s.point(x, y), text)
}

// textWidth is how wide a line is.
func (s *sheet) textWidth(ts textStyle, text string) float64 {
	w, _, _ := plot.DefaultTextHandler.Box(text, s.textFont(ts))
	return float64(w)
}

// fit cuts text that is wider than width.
func (s *sheet) fit(ts textStyle, text string, width float64) string {
	if s.textWidth(ts, text) <= width {
		return text
	}
	runes := []rune(text)
	for n := len(runes) - 1; n > 0; n-- {
		if cut := strings.TrimRight(string(runes[:n]), " ") + "…"; s.textWidth(ts, cut) <= width {
			return cut
		}
	}
	return ""
}

// rect fills a rectangle.
func (s *sheet) rect(x, y, w, h float64, i ink) {
	var p vg.Path
	s.addRect(&p, x, y, w, h)
	s.fill(p, i)
}

func (s *sheet) addRect(p *vg.Path, x, y, w, h float64) {
	p.Move(s.point(x, y))
	p.Line(s.point(x+w, y))
	p.Line(s.point(x+w, y+h))
	p.Line(s.point(x, y+h))
	p.Close()
}

func (s *sheet) fill(p vg.Path, i ink) {
	if len(p) > 0 {
		s.c.SetColor(i.color())
		s.c.Fill(p)
	}
}

// line draws one, dashed when dashes are given.
func (s *sheet) line(x0, y0, x1, y1, width float64, i ink, dashes ...vg.Length) {
	s.c.StrokeLine2(draw.LineStyle{Color: i.color(), Width: vg.Length(width), Dashes: dashes},
		vg.Length(x0), vg.Length(s.height-y0), vg.Length(x1), vg.Length(s.height-y1))
}

// panel is a rectangle of the sheet with axes of its own.
type panel struct {
	*sheet
	top, height float64
	plt         *plot.Plot
	c           draw.Canvas
}

// panel makes one as wide as the data, with the given ends of its axes.
func (s *sheet) panel(top, height, xmin, xmax, ymin, ymax float64) *panel {
	plt := plot.New()
	plt.X.Min, plt.X.Max, plt.Y.Min, plt.Y.Max = xmin, xmax, ymin, ymax
	return &panel{sheet: s, top: top, height: height, plt: plt,
		c: draw.Crop(s.c, vg.Length(s.left), vg.Length(-s.right), vg.Length(s.height-top-height), vg.Length(-top))}
}

// y is where a value lies on the sheet.
func (p *panel) y(v float64) float64 {
	return p.top + p.height*(1-p.plt.Y.Norm(v))
}

// steps draws values as a line of steps, filled down to the panel's foot unless
// area is the line's own ink.
func (p *panel) steps(xys plotter.XYs, line ink, width float64, area ink) error {
	l, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	l.StepStyle = plotter.PostStep
	l.LineStyle = draw.LineStyle{Color: line.color(), Width: vg.Length(width)}
	if area != line {
		l.FillColor = area.color()
	}
	l.Plot(p.c, p.plt)
	return nil
}

var (
	svgHead   = regexp.MustCompile(`(?s)^.*?<svg[^>]*>`)
	svgStyle  = regexp.MustCompile(`\s+style="([^"]*)"`)
	fontWords = regexp.MustCompile(`font-(?:family|variant|style):[^;"]*;?|font-weight:normal;?`)
)

// classes gives each style that the plots use a class, which takes fewer bytes.
type classes struct {
	of    map[string]string
	rules strings.Builder
}

func (c *classes) class(style string) string {
	style = strings.TrimRight(fontWords.ReplaceAllString(html.UnescapeString(style), ""), ";")
	name, ok := c.of[style]
	if !ok {
		name = fmt.Sprintf("p%d", len(c.of))
		c.of[style] = name
		css := inkOnCanvas.ReplaceAllStringFunc(style, func(s string) string {
			var n int
			fmt.Sscanf(s, "#D0C0%02X", &n)
			return ink(n).css()
		})
		fmt.Fprintf(&c.rules, ".%s{%s}\n", name, css)
	}
	return name
}

// markup is the sheet as an element of the page. label is for who cannot see it.
func (s *sheet) markup(c *classes, label string) (template.HTML, error) {
	var out bytes.Buffer
	if _, err := s.svg.WriteTo(&out); err != nil {
		return "", err
	}
	body := svgHead.ReplaceAllString(out.String(), "")
	body = svgStyle.ReplaceAllStringFunc(body, func(m string) string {
		return ` class="` + c.class(svgStyle.FindStringSubmatch(m)[1]) + `"`
	})
	return template.HTML(fmt.Sprintf(`<svg class="plot %s" viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n%s",
		s.name, s.width, s.height, html.EscapeString(label), body)), nil
}

package report

import (
	"math"
	"time"
)

const (
	settleHeight = 150.0
	labelHeight  = 14.0 // of each of p50, p99 and the most above the bars
)

// logTicks are where the axis of settle times is labelled.
var logTicks = []time.Duration{
	100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 10 * time.Hour, 100 * time.Hour,
}

// settleSheet draws how settle times are spread. Both axes are logarithmic: the
// few that took long are what matters.
func (s *Story) settleSheet(sz size) *sheet {
	d := &s.Settle
	first, last := 0, len(d.Bins)-1
	for first < last && d.Bins[first] == 0 {
		first++
	}
	for last > first && d.Bins[last] == 0 {
		last--
	}
	first, last = max(first-2, 0), min(last+2, len(d.Bins)-1)
	most := 1
	for _, n := range d.Bins {
		most = max(most, n)
	}
	top := 3*labelHeight + 4
	sh := newSheet(sz, top+settleHeight+axisHeight, timeAxis{})
	xOf := func(seconds float64) float64 { return math.Log10(max(seconds, BinStart(0))) }
	hi := math.Ceil(math.Log10(float64(most)) + 0.05)
	p := sh.panel(top, settleHeight, xOf(BinStart(first)), xOf(BinStart(last+1)), -0.3, max(hi, 1))
	x := func(v float64) float64 { return sh.x(min(max(p.plt.X.Norm(xOf(v)), 0), 1)) }

	bottom := top + settleHeight
	for power := 0.0; power <= max(hi, 1); power++ {
		sh.line(sh.left, p.y(power), sh.left+sh.dataWidth(), p.y(power), 0.6, inkGrid)
		sh.text(sh.left-5, p.y(power)+sh.font*0.35, textStyle{ink: inkMuted, right: true}, compact(math.Pow(10, power)))
	}
	for _, t := range logTicks {
		if at := p.plt.X.Norm(xOf(t.Seconds())); at >= 0 && at <= 1 {
			sh.line(sh.x(at), top, sh.x(at), bottom, 0.6, inkGrid)
			sh.text(sh.x(at), bottom+15, textStyle{ink: inkMuted, mid: true}, span(t))
		}
	}
	for i := first; i <= last; i++ {
		if n := d.Bins[i]; n > 0 {
			left, right := x(BinStart(i)), x(BinStart(i+1))
			y := p.y(math.Log10(float64(n)))
			sh.rect(left+0.5, y, max(right-left-1, 0.5), bottom-y, inkLine)
		}
	}
	sh.line(sh.left, bottom, sh.left+sh.dataWidth(), bottom, 1, inkMuted)
	for i, q := range []struct {
		name string
		at   time.Duration
	}{{"p50", d.P50()}, {"p99", d.P99()}, {"max", d.Max()}} {
		at := x(q.at.Seconds())
		y := labelHeight * float64(i+1)
		sh.line(at, y-sh.font*0.4, at, bottom, 1, inkBad, 3, 2)
		label := q.name + " " + span(q.at)
		style := textStyle{bold: true, ink: inkBad}
		if w := sh.textWidth(style, label); at+4+w > sh.width {
			style.right = true
			at -= 8
		}
		sh.text(at+4, y, style, label)
	}
	return sh
}

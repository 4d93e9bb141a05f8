package pane

import (
	"testing"

	"dacorch/orchestrator/api"
	"dacorch/tui/data"
	"dacorch/tui/screen"
)

// A frame of all the charts at 200×60.
func BenchmarkCharts(b *testing.B) {
	s := simulation()
	v := NewCharts()
	c := screen.New(200, 60)
	b.ReportAllocs()
	for b.Loop() {
		v.Draw(c, s)
	}
}

// A frame of the strip with as many marks as a server may send.
func BenchmarkTimeline(b *testing.B) {
	s := simulation()
	line, _, _ := data.Get[api.Timeline](s, askTimeline())
	for i := range 5000 {
		line.Marks = append(line.Marks, api.Mark{At: float64(i % 750), Once: i%3 > 0, Class: signs[i%len(signs)].class, Text: "kafka: down"})
	}
	s.Answers[askTimeline()] = &data.Answer{Value: line}
	t := NewTimeline()
	c := screen.New(200, 4)
	b.ReportAllocs()
	for b.Loop() {
		t.Draw(c, s)
	}
}

package serve

import (
	"context"

	"dacorch/orchestrator/answer"
	"dacorch/orchestrator/api"
	"dacorch/sim/tape"
)

// marksShown bounds api.Timeline.Marks.
const marksShown = 2000

// Timeline is part of rest.Time.
func (s *Server) Timeline(_ context.Context, buckets int) (api.Timeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, width, series := s.tape.Series(buckets)
	marks, all := s.tape.Marks(marksShown)
	out := api.Timeline{Begin: from.Seconds(), End: s.end().Seconds(), Planned: s.planned().Seconds(), Bucket: width.Seconds(),
		Marks: make([]api.Mark, 0, len(marks)), MarksTruncated: !all, Series: make([]api.Series, 0, len(series))}
	for i := range marks {
		out.Marks = append(out.Marks, mark(&marks[i]))
	}
	for _, x := range series {
		ages := make([]float64, len(x.HeartbeatAge))
		for i, age := range x.HeartbeatAge {
			ages[i] = age.Seconds()
		}
		out.Series = append(out.Series, api.Series{Resource: string(x.Kind), Resources: x.Resources, Unplaced: x.Unplaced,
			Instances: x.Instances, Up: x.Up, Moves: x.Moves, Commits: x.Commits, HeartbeatAge: ages})
	}
	return out, nil
}

// mark is a mark as the interface has it.
func mark(m *tape.Mark) api.Mark {
	out := api.Mark{At: m.At.Seconds(), Once: m.Once, Class: api.MarkClass(m.Class), Resource: string(m.Kind), Text: m.Text,
		Instance: answer.Place(m.Instance)}
	if !m.Once && !m.Open {
		out.Until = new(m.Until.Seconds())
	}
	return out
}

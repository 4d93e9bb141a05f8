package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// faults are those that brokers answer with.
type faults struct {
	mu             sync.Mutex
	joins, fetches *kfake.FaultHandle // nil while off
	rebalances     map[string]*kfake.FaultHandle
}

// RefuseJoins lets nobody join a group: the coordinator is said not to be
// available. Members stay until the next rebalance. refuse=false ends that.
func (s *Server) RefuseJoins(refuse bool) {
	s.answer(&s.faults.joins, refuse, kfake.Fault{
		Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.CoordinatorNotAvailable, Count: -1})
}

// FailFetches answers every fetch of a topic with an error; all else works,
// sessions of groups live on. fail=false ends that.
func (s *Server) FailFetches(topic string, fail bool) {
	s.answer(&s.faults.fetches, fail, kfake.Fault{
		Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.UnknownServerError, Count: -1})
}

func (s *Server) answer(held **kfake.FaultHandle, on bool, fault kfake.Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	switch {
	case on && *held == nil:
		*held = s.cluster.Fault(fault)
	case !on && *held != nil:
		(*held).Remove()
		*held = nil
	}
}

// MoveLeaders gives every partition another leader, where there is more than one
// broker; with one, leader epochs rise all the same.
func (s *Server) MoveLeaders() { s.cluster.ShufflePartitionLeaders() }

// MoveCoordinators gives groups other coordinators, as far as there are brokers.
func (s *Server) MoveCoordinators() { s.cluster.RehashCoordinators() }

// Rebalance tells each member of a group, when it next says that it lives, that
// the group is rebalancing: it gives up its partitions and joins again. members
// is how many there are; those that no heartbeat comes from are not told.
func (s *Server) Rebalance(group string, members int) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if told := s.faults.rebalances[group]; told != nil {
		told.Remove() // what it has not told yet, the new one does
	}
	if s.faults.rebalances == nil {
		s.faults.rebalances = map[string]*kfake.FaultHandle{}
	}
	s.faults.rebalances[group] = s.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, TopLevel: true, Err: kerr.RebalanceInProgress, Count: members})
}

// ResetOffsets lets a group find the offset 0 committed for each partition of the
// topic that it next asks for, each once, and has its members join again so that
// they ask.
func (s *Server) ResetOffsets(group, topic string, members int) {
	left := map[int32]bool{}
	for _, p := range s.cluster.PartitionInfos(topic) {
		left[p.Partition] = true
	}
	s.cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		q := r.(*kmsg.OffsetFetchRequest)
		if q.Group != group || !asksFor(q, topic, left) {
			return nil, nil, false
		}
		a := q.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, t := range q.Topics {
			answer := kmsg.NewOffsetFetchResponseTopic()
			answer.Topic = t.Topic
			for _, p := range t.Partitions {
				begin := kmsg.NewOffsetFetchResponseTopicPartition()
				begin.Partition = p
				answer.Partitions = append(answer.Partitions, begin)
				delete(left, p)
			}
			a.Topics = append(a.Topics, answer)
		}
		if len(left) > 0 {
			s.cluster.KeepControl()
		}
		return a, nil, true
	})
	s.Rebalance(group, members)
}

// asksFor says that all that is asked for are partitions of a topic that are left.
func asksFor(q *kmsg.OffsetFetchRequest, topic string, left map[int32]bool) bool {
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			if t.Topic != topic || !left[p] {
				return false
			}
		}
	}
	return len(q.Topics) > 0
}

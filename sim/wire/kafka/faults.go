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

package placement

import (
	"strconv"
	"testing"

	"dacorch/orchestrator/fleet"

	"github.com/IBM/sarama"
	"github.com/serialx/hashring"
)

// The peers: sarama's consumer-group strategies, with resources as the
// partitions of one topic and instances as members, and a consistent-hash ring.

const topic = "resources"

func kafkaMembers(s scale, lost []fleet.InstanceID, previous sarama.BalanceStrategyPlan, strategy sarama.BalanceStrategy) map[string]sarama.ConsumerGroupMemberMetadata {
	members := make(map[string]sarama.ConsumerGroupMemberMetadata, s.instances)
	for i := range s.instances {
		meta := sarama.ConsumerGroupMemberMetadata{Version: 1, Topics: []string{topic}}
		name := strconv.Itoa(i)
		if previous != nil {
			meta.UserData, _ = strategy.AssignmentData(name, previous[name], 1)
		}
		members[name] = meta
	}
	for _, i := range lost {
		delete(members, i.String())
	}
	return members
}

func partitions(n int) map[string][]int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return map[string][]int32{topic: all}
}

func kafkaPlan(b *testing.B, strategy sarama.BalanceStrategy, members map[string]sarama.ConsumerGroupMemberMetadata, n int) sarama.BalanceStrategyPlan {
	plan, err := strategy.Plan(members, partitions(n))
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

// owners is the plan by partition.
func owners(plan sarama.BalanceStrategyPlan, n int) []string {
	out := make([]string, n)
	for member, topics := range plan {
		for _, i := range topics[topic] {
			out[i] = member
		}
	}
	return out
}

func differences(before, after []string) (n int) {
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return n
}

func lostLoad(owner []string, lost []fleet.InstanceID) (n int) {
	gone := map[string]bool{}
	for _, i := range lost {
		gone[i.String()] = true
	}
	for _, o := range owner {
		if gone[o] {
			n++
		}
	}
	return n
}

type kafkaPeer struct {
	name string
	make func() sarama.BalanceStrategy
}

func kafkaPeers(s scale) []kafkaPeer {
	peers := []kafkaPeer{{"range", sarama.NewBalanceStrategyRange}}
	if s.sticky() {
		peers = append(peers, kafkaPeer{"sticky", sarama.NewBalanceStrategySticky})
	}
	return peers
}

func nodes(s scale) []string {
	out := make([]string, s.instances)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

func ringOwners(b *testing.B, ring *hashring.HashRing, res []fleet.Resource) []string {
	out := make([]string, len(res))
	for i := range res {
		node, ok := ring.GetNode(res[i].ID)
		if !ok {
			b.Fatal("the ring is empty")
		}
		out[i] = node
	}
	return out
}

func benchPeersScratch(b *testing.B, s scale, res []fleet.Resource) {
	for _, peer := range kafkaPeers(s) {
		members := kafkaMembers(s, nil, nil, nil)
		b.Run(s.name("scratch", peer.name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				kafkaPlan(b, peer.make(), members, s.resources)
			}
		})
	}
	b.Run(s.name("scratch", "hashring"), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ringOwners(b, hashring.New(nodes(s)), res)
		}
	})
}

func benchPeersLose(b *testing.B, s scale, res []fleet.Resource, lost []fleet.InstanceID) {
	for _, peer := range kafkaPeers(s) {
		b.Run(s.name("lose", peer.name), func(b *testing.B) {
			b.ReportAllocs()
			before := kafkaPlan(b, peer.make(), kafkaMembers(s, nil, nil, nil), s.resources)
			members := kafkaMembers(s, lost, before, peer.make())
			var after sarama.BalanceStrategyPlan
			for b.Loop() {
				after = kafkaPlan(b, peer.make(), members, s.resources)
			}
			was := owners(before, s.resources)
			reportMoves(b, differences(was, owners(after, s.resources)), lostLoad(was, lost))
		})
	}
	b.Run(s.name("lose", "hashring"), func(b *testing.B) {
		b.ReportAllocs()
		was := ringOwners(b, hashring.New(nodes(s)), res)
		gone := map[string]bool{}
		for _, i := range lost {
			gone[i.String()] = true
		}
		var left []string
		for _, n := range nodes(s) {
			if !gone[n] {
				left = append(left, n)
			}
		}
		var now []string
		for b.Loop() {
			now = ringOwners(b, hashring.New(left), res)
		}
		reportMoves(b, differences(was, now), lostLoad(was, lost))
	})
}

func benchPeersGrow(b *testing.B, s scale, res, more []fleet.Resource) {
	total := len(res) + len(more)
	for _, peer := range kafkaPeers(s) {
		b.Run(s.name("grow", peer.name), func(b *testing.B) {
			b.ReportAllocs()
			before := kafkaPlan(b, peer.make(), kafkaMembers(s, nil, nil, nil), len(res))
			members := kafkaMembers(s, nil, before, peer.make())
			var after sarama.BalanceStrategyPlan
			for b.Loop() {
				after = kafkaPlan(b, peer.make(), members, total)
			}
			reportMoves(b, differences(owners(before, len(res)), owners(after, total)), 0)
		})
	}
	b.Run(s.name("grow", "hashring"), func(b *testing.B) {
		b.ReportAllocs()
		ring := hashring.New(nodes(s))
		for b.Loop() {
			ringOwners(b, ring, more)
		}
		reportMoves(b, 0, 0)
	})
}

func benchPeersOne(b *testing.B, s scale, more []fleet.Resource) {
	ring := hashring.New(nodes(s))
	benchRounds(b, s.name("add", "hashring"), len(more), func() { ringOwners(b, ring, more) }, func() {})
}

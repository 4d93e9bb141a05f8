package world

import (
	"time"

	"dacorch/orchestrator/fleet"
	"dacorch/sim/internal/timeline"
)

// Kafka is the topic HeartBeat: one partition, read by consumer groups. The
// first member of a group, by time of joining, holds the partition.
type Kafka struct {
	// OnProduce, unless nil, hears of each heartbeat that is sent, lost or not.
	OnProduce func(kind fleet.Kind)
	// OnSend, unless nil, decides what befalls a heartbeat where it is sent.
	OnSend func(now time.Duration, kind fleet.Kind, instance fleet.InstanceID) SendFault

	tl  *timeline.Timeline
	cfg KafkaConfig

	produce, fetch, detect, reconnect, join delay

	up     bool
	gen    int64 // rises with every outage: what was under way is lost
	log    queue[Heartbeat]
	end    int64 // offset of the next record
	groups []*group
	stats  KafkaStats

	slow    time.Duration
	missing func(kind fleet.Kind, instance fleet.InstanceID) bool // whose partition is gone; nil: nobody's
	outage  int64                                                 // of a partition

	free []*Heartbeat
}

// Heartbeat is one record of the topic.
type Heartbeat struct {
	Kind     fleet.Kind
	Instance fleet.InstanceID
	SentAt   time.Duration // the sender's timestamp
	Appended time.Duration // when the log took it
	Offset   int64
}

// KafkaStats counts records since the start.
type KafkaStats struct {
	Produced  uint64 // given to Produce
	Lost      uint64 // never reached the log
	Unsent    uint64 // dropped by OnSend; not in Produced
	Delivered uint64 // handed to consumers
	Expired   uint64 // left the log before a group had read them
}

type group struct {
	name      string
	committed int64 // offset to go on from; -1 before the first assignment
	members   []*Consumer
}

// Consumer is a member of a consumer group.
type Consumer struct {
	kafka *Kafka
	group *group
	on    func(now time.Duration, h Heartbeat)
	state func(now time.Duration, up bool)

	open     bool  // the process lives
	assigned bool  // holds the partition
	up       bool  // its fetches succeed
	told     bool  // what state heard last
	gen      int64 // of its fetch loop; events of an older one are void
	fetching bool  // a delivery is under way
	position int64
	pipe     pipe
}

// NewKafka is a broker that is up. The configuration must be valid.
func NewKafka(tl *timeline.Timeline, seed timeline.Seed, cfg KafkaConfig) *Kafka {
	stream := func(name string) *timeline.Stream { return seed.Stream("world", "kafka", name) }
	return &Kafka{
		tl: tl, cfg: cfg, up: true,
		produce:   delay{cfg.Produce, stream("produce")},
		fetch:     delay{cfg.Fetch, stream("fetch")},
		detect:    delay{cfg.Detect, stream("detect")},
		reconnect: delay{cfg.Reconnect, stream("reconnect")},
		join:      delay{cfg.Join, stream("join")},
	}
}

const (
	opAppend uint32 = iota
	opAssign
	opFetch
	opFetchFailed
	opFetchAgain
	opMemberGone
	opRevoked
	opPartitionGone
	opPartitionBack
)

// Handle is Kafka's part of the timeline.
func (k *Kafka) Handle(now time.Duration, op uint32, arg int64, data any) {
	switch op {
	case opAppend:
		h := data.(*Heartbeat)
		if arg == k.gen {
			k.append(now, *h)
		} else {
			k.stats.Lost++
		}
		k.free = append(k.free, h)
		return
	case opMemberGone:
		data.(*Consumer).leave()
		return
	case opPartitionGone, opPartitionBack:
		if arg == k.outage {
			data.(*Consumer).partition(now, op == opPartitionBack)
		}
		return
	}
	c := data.(*Consumer)
	if arg != c.gen || !c.open {
		return
	}
	switch op {
	case opAssign:
		c.assign(now)
	case opFetch:
		c.deliver(now)
	case opFetchFailed:
		c.tell(now, false)
	case opFetchAgain:
		c.resume(now)
	case opRevoked:
		c.revoked(now)
	}
}

// Stats is what has been counted so far.
func (k *Kafka) Stats() KafkaStats { return k.stats }

// IsUp says whether the broker is up.
func (k *Kafka) IsUp() bool { return k.up }

// Produce sends a heartbeat. While the broker is down it is lost.
func (k *Kafka) Produce(kind fleet.Kind, instance fleet.InstanceID, at time.Duration) {
	if k.OnSend == nil {
		k.send(kind, instance, at, 0)
		return
	}
	f := k.OnSend(k.tl.Now(), kind, instance)
	if f.Drop {
		k.stats.Unsent++
		return
	}
	for range 1 + f.Copies {
		k.send(kind, instance, at+f.Skew, f.Delay)
	}
}

func (k *Kafka) send(kind fleet.Kind, instance fleet.InstanceID, at, late time.Duration) {
	k.stats.Produced++
	if k.OnProduce != nil {
		k.OnProduce(kind)
	}
	if !k.up {
		k.stats.Lost++
		return
	}
	var h *Heartbeat
	if n := len(k.free); n > 0 {
		h, k.free = k.free[n-1], k.free[:n-1]
	} else {
		h = new(Heartbeat)
	}
	*h = Heartbeat{Kind: kind, Instance: instance, SentAt: at}
	k.tl.After(k.produce.draw()+late, k, opAppend, k.gen, h)
}

func (k *Kafka) append(now time.Duration, h Heartbeat) {
	if k.missing != nil && k.missing(h.Kind, h.Instance) {
		k.stats.Lost++
		return
	}
	h.Offset, h.Appended = k.end, now
	k.end++
	if k.log.len() >= k.cfg.Retention {
		k.log.pop()
	}
	k.log.push(h)
	for _, g := range k.groups {
		if len(g.members) > 0 {
			g.members[0].poll(now)
		}
	}
}

// Down stops the broker. Consumers notice after the detection latency.
func (k *Kafka) Down() {
	if !k.up {
		return
	}
	k.up = false
	k.gen++
	for _, g := range k.groups {
		for _, c := range g.members {
			c.cut()
			k.tl.After(k.detect.draw(), k, opFetchFailed, c.gen, c)
		}
	}
}

// Up starts the broker again; the log is what it was. Consumers fetch again
// after the reconnect latency.
func (k *Kafka) Up() {
	if k.up {
		return
	}
	k.up = true
	for _, g := range k.groups {
		for _, c := range g.members {
			k.tl.After(k.reconnect.draw(), k, opFetchAgain, c.gen, c)
		}
	}
}

// Join adds a member to a group. Once it holds the partition, on receives the
// records from the group's committed offset on, or from the newest if the group
// has never had one; state hears true when its fetches begin to succeed and
// false when they are found to fail.
func (k *Kafka) Join(name string, on func(now time.Duration, h Heartbeat), state func(now time.Duration, up bool)) *Consumer {
	var g *group
	for _, known := range k.groups {
		if known.name == name {
			g = known
		}
	}
	if g == nil {
		g = &group{name: name, committed: -1}
		k.groups = append(k.groups, g)
	}
	c := &Consumer{kafka: k, group: g, on: on, state: state, open: true, up: k.up}
	g.members = append(g.members, c)
	if len(g.members) == 1 {
		k.tl.After(k.join.draw(), k, opAssign, c.gen, c)
	}
	return c
}

// Assigned says whether the consumer holds the partition.
func (c *Consumer) Assigned() bool { return c.assigned }

// Commit stores that the group has read every record below offset.
func (c *Consumer) Commit(offset int64) {
	if c.open && c.assigned && c.kafka.up && offset > c.group.committed {
		c.group.committed = min(offset, c.position)
	}
}

// Close leaves the group in order: the next member is given the partition.
func (c *Consumer) Close() {
	c.open = false
	c.leave()
}

// Kill is the death of the process: the partition stays with it until its
// session has timed out.
func (c *Consumer) Kill() {
	if !c.open {
		return
	}
	c.open = false
	c.kafka.tl.After(c.kafka.cfg.SessionTimeout, c.kafka, opMemberGone, 0, c)
}

func (c *Consumer) leave() {
	k, g := c.kafka, c.group
	for i, m := range g.members {
		if m != c {
			continue
		}
		g.members = append(g.members[:i], g.members[i+1:]...)
		if i == 0 && len(g.members) > 0 {
			next := g.members[0]
			k.tl.After(k.join.draw(), k, opAssign, next.gen, next)
		}
		break
	}
	c.assigned = false
	c.gen++
}

func (c *Consumer) assign(now time.Duration) {
	if c.assigned || len(c.group.members) == 0 || c.group.members[0] != c {
		return
	}
	if !c.kafka.up {
		return // resume assigns once the broker is back
	}
	c.assigned, c.up = true, true
	if c.group.committed < 0 {
		c.group.committed = c.kafka.end
	}
	c.position = c.group.committed
	c.tell(now, c.kafka.missing == nil)
	c.poll(now)
}

// cut voids what is under way.
func (c *Consumer) cut() {
	c.gen++
	c.up, c.fetching = false, false
	c.pipe = pipe{}
}

// resume fetches again; an outage that has not been noticed never will be.
func (c *Consumer) resume(now time.Duration) {
	if c.assigned && c.up { // it was given the partition since
		return
	}
	c.gen++
	if !c.assigned {
		c.assign(now)
		return
	}
	c.up = true
	c.tell(now, c.kafka.missing == nil)
	c.poll(now)
}

func (c *Consumer) tell(now time.Duration, up bool) {
	if c.assigned && c.told != up {
		c.told = up
		c.state(now, up)
	}
}

// poll answers the long poll when there is something to read.
func (c *Consumer) poll(now time.Duration) {
	if !c.open || !c.assigned || !c.up || c.fetching || c.position >= c.kafka.end {
		return
	}
	c.fetching = true
	c.kafka.tl.At(c.pipe.arrival(now+c.kafka.fetch.draw()+c.kafka.slow), c.kafka, opFetch, c.gen, c)
}

// deliver hands over all that the log holds beyond the position.
func (c *Consumer) deliver(now time.Duration) {
	k := c.kafka
	c.fetching = false
	for c.open && c.up && c.position < k.end {
		start := k.end - int64(k.log.len())
		if c.position < start {
			k.stats.Expired += uint64(start - c.position)
			c.position = start
		}
		h := *k.log.at(int(c.position - start))
		c.position++
		k.stats.Delivered++
		c.on(now, h)
	}
}

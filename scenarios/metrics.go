package scenarios

// Metric is a number that every run measures, for each kind and over all.
type Metric struct {
	Name  string
	Unit  Unit
	About string
}

// Metrics lists what an expectation can name, in the order of the report.
var Metrics = []Metric{
	{"resources", UnitCount, "rows in the database at the end"},
	{"instances", UnitCount, "instances in ZooKeeper at the end"},
	{"resources_created", UnitCount, "rows inserted after the start"},
	{"resources_deleted", UnitCount, "rows deleted"},
	{"trace_rows", UnitCount, "rows of trace files that were used"},
	{"trace_rows_skipped", UnitCount, "rows of trace files that could not be used; the report names them"},
	{"notifications", UnitCount, "notifications that the data centre published"},
	{"notifications_lost", UnitCount, "notifications that never reached the orchestrator"},
	{"heartbeats", UnitCount, "heartbeats that instances sent"},
	{"transactions", UnitCount, "ZooKeeper transactions that happened"},
	{"transactions_conflicted", UnitCount, "transactions that were refused for a version that had changed"},
	{"moves_needed", UnitCount, "moves from one instance to another that plans asked for, each plan the fewest; a row that is deleted before its turn saves one"},
	{"moves_made", UnitCount, "moves from one instance to another that were committed"},
	{"moves_excess", UnitCount, "moves made beyond those needed"},
	{"instances_created", UnitCount, "instances added after the start"},
	{"instances_released", UnitCount, "instances emptied and removed"},
	{"instances_replaced", UnitCount, "pods deleted and created anew under their name, planned or not"},
	{"instances_replaced_needlessly", UnitCount, "of those, pods that were healthy and that nobody had asked to replace"},
	{"pods_crashed", UnitCount, "pods that crashed"},
	{"resources_unplaced_max", UnitCount, "most rows at one moment that stood in no instance's list, once started"},
	{"resources_unplaced_end", UnitCount, "rows that stood in no instance's list at the end"},
	{"start_time", UnitDuration, "from the start until every row that was there has run"},
	{"settle_time_p50", UnitDuration, "from a row's creation to one pod running it, or its deletion to none: the median. The start's own rows are not counted"},
	{"settle_time_p99", UnitDuration, "the same: 99 of 100 were not slower"},
	{"settle_time_max", UnitDuration, "the same: the slowest"},
	{"recover_time_p99", UnitDuration, "from a row's pod failing to the row running again: 99 of 100 were not slower"},
	{"recover_time_max", UnitDuration, "the same: the slowest"},
	{"overlap_time_p99", UnitDuration, "how long two pods ran one resource at once: 99 of 100 times were not longer"},
	{"overlap_time_max", UnitDuration, "the same: the longest"},
	{"detection_time_max", UnitDuration, "from a pod's failure or silence to the order to replace it: the slowest"},
	{"orchestrations_done", UnitCount, "re-orchestrations completed"},
	{"orchestrations_refused", UnitCount, "re-orchestrations refused"},
	{"orchestration_time_max", UnitDuration, "from a request to re-orchestrate to its answer: the slowest"},
	{"leader_changes", UnitCount, "times that leadership was gained after the start"},
	{"alarms", UnitCount, "alarms raised"},
	{"imbalance_max_end", UnitCount, "at the end, the fullest instance's resources less the emptiest's (of one group under policy group)"},
	{"capacity_used_max", UnitRatio, "the most of its capacity that any instance ever used"},
	{"rest_requests", UnitCount, "REST calls that the users of `load` made; like all that measures load, on wire alone"},
	{"rest_failures", UnitCount, "of those, calls that got no whole answer in time or another status than the right one; the report says which"},
	{"rest_time_p50", UnitDuration, "from a call to its whole answer, connecting included, in real time whatever the scale: the median. A call that failed counts too"},
	{"rest_time_p99", UnitDuration, "the same: 99 of 100 were not slower"},
	{"rest_time_max", UnitDuration, "the same: the slowest"},
	{"notifications_published", UnitCount, "messages that the notifications of `load` were to be, sent or not; `notifications` does not count them"},
	{"publish_failures", UnitCount, "of those, messages that the broker did not acknowledge"},
	{"publish_time_p50", UnitDuration, "from the moment when a message was due, not that of its sending, to its acknowledgement, in real time whatever the scale: the median"},
	{"publish_time_p99", UnitDuration, "the same: 99 of 100 were not slower"},
	{"publish_time_max", UnitDuration, "the same: the slowest"},
	{"unsettled_end", UnitCount, "rows that not exactly one pod ran at the end; the report says which and why"},
	{"violations", UnitCount, "invariants broken; the report says which, when and where"},
}

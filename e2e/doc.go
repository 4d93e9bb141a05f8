// Package e2e is the end-to-end suite: it runs against a rig that is up (`make up`)
// and sees only what anybody outside sees — the REST interface, ZooKeeper, the
// database, MQTT and Kubernetes. `make e2e` runs it; without DACORCH_E2E every test
// skips.
//
// Each case has a namespace, kinds, tables and a release of its own. A watcher reads
// ZooKeeper all the while and fails the case when a resource stands in two lists of
// one moment, or falls out of them. At the end, the case is verified: every row in
// exactly one list, the counters right, every instance's pod running and its DAC
// confirming the newest list, nothing pending, no alarm, and nothing left over once
// it has been uninstalled: no pod, no node of anybody's session, no member of the
// kind's consumer group. What the release leaves on purpose, its tree and that group,
// the case removes. What a failed case looked like stands below DACORCH_E2E_OUT
// (bin/e2e).
//
//	case                        what happens
//	TestInstall                 nothing is there; the chart; nameless callers; what RBAC allows; removal, and again
//	TestMessages                c, d, u, bc, bd, bu, a bare message, nonsense; nothing else tells of rows
//	TestGroups                  an update moves a row to its new group's instance
//	TestOrchestrate             up and down by both URLs, refusals; a drain
//	TestEveryPodKilled          SIGKILL to each DAC, then each pod deleted, in turn
//	TestFrozen                  SIGSTOP: who sends no heartbeats is replaced, alone
//	TestPodsDeleted             all pods deleted at once behind the orchestrator's back
//	TestNodeRestarted           the node goes down with everything on it
//	TestServersStopped          ZooKeeper, Kafka, Mosquitto away for OUTAGE each, under churn; the database for half of it
//	TestLeaderKilled            one of three replicas, under churn
//	TestRollingUpgrade          helm upgrade under churn
//	TestWrongPassword           at each server; then the right one
//	TestQuota                   no room for more pods; then room
//	TestMigration               docs/migration.md: over in maintenance mode, back, and over again
//	TestMigrationMends          the first orchestrator's lists were wrong
//	TestRollback                helm upgrade to what cannot start, helm rollback
//	TestReadme                  the README's commands for a rig that is up: its status, and night.yaml played
//
// TestNodeRestarted and TestServersStopped disturb everybody, so they run alone and
// first, as does TestReadme, which plays a scenario. DACORCH_E2E_OUTAGE (1m) says how
// long a server is away. TestChecks, TestWatchSees and TestLeaksAreSeen try the
// suite's own judgement, without a rig.
package e2e

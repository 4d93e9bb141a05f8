package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"
	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/client"
)

// patience only ever fails a test.
const patience = 2 * time.Minute

// newServices are the four services, beside whatever else runs: names, ports and
// network of their own. Where DACORCH_E2E is not set the test is skipped.
func newServices(t *testing.T) *Rig {
	t.Helper()
	if os.Getenv("DACORCH_E2E") == "" {
		t.Skip("needs Docker and images: DACORCH_E2E=required runs it")
	}
	up, err := Open(Name) // its images are there
	if err != nil {
		t.Fatalf("DACORCH_E2E is set, and no rig is up to take images from (make up): %v", err)
	}
	images := up.State().Images
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	r := newTestRig(t)
	r.state.Images = images
	ctx := t.Context()
	if r.docker, err = connectDocker(ctx); err != nil {
		t.Fatal(err)
	}
	removeOlder(t, r)
	r.state.Name = trialName + strings.ToLower(rand.Text()[:8])
	r.state.Network = r.state.Name
	r.prepared(t)
	for _, name := range ServiceNames {
		r.state.Services[name] = Service{Outside: freeAddress(t)}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, containers := r.removeContainers(ctx)
		_, network := r.removeNetwork(ctx)
		if err := errors.Join(containers, network, r.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := r.ensureNetwork(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// trialName begins the names of TestServices' rigs.
const trialName = "services-test-"

// abandonedAfter is how old what a run made must be for another to remove it: an hour
// ends any run.
const abandonedAfter = time.Hour

// removeOlder removes what earlier runs that were killed have left.
func removeOlder(t *testing.T, r *Rig) {
	t.Helper()
	old := func(labels map[string]string, made time.Time) bool {
		return trialNames.MatchString(labels[rigLabel]) && time.Since(made) > abandonedAfter
	}
	labelled := client.Filters{}.Add("label", rigLabel)
	containers, err := r.docker.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: labelled})
	must(t, err)
	networks, err := r.docker.NetworkList(t.Context(), client.NetworkListOptions{Filters: labelled})
	must(t, err)
	for _, c := range containers.Items {
		if old(c.Labels, time.Unix(c.Created, 0)) {
			_, err := r.docker.ContainerRemove(t.Context(), c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			t.Logf("removed %v of an earlier run: %v", c.Names, err)
		}
	}
	for _, n := range networks.Items {
		if old(n.Labels, n.Created) {
			_, err := r.docker.NetworkRemove(t.Context(), n.ID, client.NetworkRemoveOptions{})
			t.Logf("removed the network %s of an earlier run: %v", n.Name, err)
		}
	}
}

// TestOlderRunsAreRemoved, and nothing else: not one that may be at work, nor a rig
// that somebody has called alike.
func TestOlderRunsAreRemoved(t *testing.T) {
	long, soon := time.Now().Add(-2*abandonedAfter), time.Now().Add(-time.Minute)
	container := func(id, rig string, made time.Time) string {
		return fmt.Sprintf(`{"Id": %q, "Labels": {%q: %q}, "Created": %d}`, id, rigLabel, rig, made.Unix())
	}
	network := func(id, rig string, made time.Time) string {
		return fmt.Sprintf(`{"Id": %q, "Labels": {%q: %q}, "Created": %q}`, id, rigLabel, rig, made.Format(time.RFC3339))
	}
	list := func(of func(id, rig string, made time.Time) string) string {
		return "[" + strings.Join([]string{of("old", "services-test-abcdefg2", long), of("young", "services-test-abcdefg3", soon),
			of("alike", "services-test-mine", long), of("own", Name, long)}, ",") + "]"
	}
	r, d := connected(t, map[string]string{"GET /containers/json": list(container), "GET /networks": list(network)})
	removeOlder(t, r)
	var removed []string
	for _, asked := range d.asked {
		if strings.HasPrefix(asked, "DELETE ") {
			removed = append(removed, asked)
		}
	}
	same(t, removed, []string{"DELETE /containers/old", "DELETE /networks/old"})
}

var trialNames = regexp.MustCompile("^" + trialName + "[a-z2-7]{8}$")

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startAll starts the services at once and wants each to be as said.
func (r *Rig) startAll(t *testing.T, want StepState) {
	t.Helper()
	var all sync.WaitGroup
	for _, name := range ServiceNames {
		all.Go(func() {
			began := time.Now()
			did, why, err := r.startService(t.Context(), name)
			if err != nil || did != want || why != "" {
				t.Errorf("%s: %q, %q, %v: want %q", name, did, why, err, want)
			}
			t.Logf("%-9s %s after %.1f s", name, did, time.Since(began).Seconds())
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func TestServices(t *testing.T) {
	r := newServices(t)
	r.startAll(t, StepDone)
	r.startAll(t, StepThere)
	t.Run("zookeeper", r.zookeeperHolds)
	t.Run("kafka", r.kafkaHolds)
	t.Run("mosquitto", r.mosquittoHolds)
	t.Run("postgres", r.postgresHolds)
	t.Run("paused", func(t *testing.T) {
		must(t, r.PauseService(t.Context(), PostgreSQL))
		if err := r.serviceAnswers(t.Context(), PostgreSQL); err == nil {
			t.Error("a frozen service answers")
		}
		must(t, r.UnpauseService(t.Context(), PostgreSQL))
		must(t, r.awaitService(t.Context(), PostgreSQL))
	})
	t.Run("made anew", func(t *testing.T) {
		s, err := readSecrets(r.State().Dir)
		must(t, err)
		s[Mosquitto][UserPlatform] = newPassword()
		must(t, writeSecrets(r.State().Dir, s))
		did, why, err := r.startService(t.Context(), Mosquitto)
		if err != nil || did != StepDone || !strings.Contains(why, "its data are gone") {
			t.Errorf("with another password: %q, %q, %v", did, why, err)
		}
	})
	t.Run("the log is told", func(t *testing.T) {
		err := r.withLog(Mosquitto, errors.New("example"))
		holds(t, err, "example", "docker logs "+r.containerName(Mosquitto), "New client connected")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stopAndStart stops a service and starts it again. It does not answer between.
func (r *Rig) stopAndStart(t *testing.T, name ServiceName) {
	t.Helper()
	began := time.Now()
	must(t, r.StopService(t.Context(), name))
	stopped := time.Now()
	if err := r.serviceAnswers(t.Context(), name); err == nil {
		t.Errorf("%s answers although it was stopped", name)
	}
	must(t, r.StopService(t.Context(), name)) // once more is no error
	again := time.Now()
	must(t, r.StartService(t.Context(), name))
	t.Logf("%s stopped in %.1f s, started in %.1f s", name, stopped.Sub(began).Seconds(), time.Since(again).Seconds())
}

// as opens a session as a user, wrong with a password that is not the user's.
func (r *Rig) as(t *testing.T, user string, wrong bool) *zk.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if wrong {
		r = &Rig{ca: r.ca, state: r.State()}
		r.state.Dir = t.TempDir() // no password is known there
	}
	conn, err := r.ConnectZooKeeper(ctx, user, 10*time.Second)
	must(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func (r *Rig) zookeeperHolds(t *testing.T) {
	owner := r.as(t, UserOrchestrator, false)
	const path = "/iota/orchestration/Kind"
	_, err := owner.Create(path, []byte("kept"), 0, append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...))
	must(t, err)
	stranger := r.as(t, UserOrchestrator, true)
	if _, err := stranger.Set(path, nil, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("with a wrong password a node is written: %v", err)
	}
	if _, err := stranger.Create("/iota/orchestration/Other", nil, 0, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("with a wrong password a kind is made: %v", err)
	}
	logs, err := os.ReadDir(r.ZooKeeperData() + "/version-2")
	if err != nil || len(logs) == 0 || !strings.HasPrefix(logs[0].Name(), "log.") {
		t.Errorf("no transaction log in %s: %v, %v", r.ZooKeeperData(), logs, err)
	}
	owner.Close()
	r.stopAndStart(t, ZooKeeper)
	data, _, err := r.as(t, UserDAC, false).Get(path)
	if err != nil || string(data) != "kept" {
		t.Errorf("after the stop the node holds %q, %v", data, err)
	}
}

func (r *Rig) kafkaHolds(t *testing.T) {
	brokers := []string{r.address(Kafka)}
	client := func(user, password string) (sarama.Client, error) {
		cfg := r.KafkaConfig(user)
		if password != "" {
			cfg.Net.SASL.Password = password
		}
		cfg.Producer.Return.Successes = true
		cfg.Metadata.Retry.Max = 0
		return sarama.NewClient(brokers, cfg)
	}
	if c, err := client(UserDAC, "wrong"); err == nil || !strings.Contains(err.Error(), "EOF") && !strings.Contains(strings.ToLower(err.Error()), "auth") {
		t.Errorf("a wrong password: %v, %v", c, err)
	}
	end := func() int64 {
		c, err := client(UserOrchestrator, "")
		must(t, err)
		defer c.Close()
		parts, err := c.Partitions(heartbeatTopic)
		if err != nil || len(parts) != heartbeatPartitions {
			t.Fatalf("partitions %v, %v: want %d", parts, err, heartbeatPartitions)
		}
		n, err := c.GetOffset(heartbeatTopic, 1, sarama.OffsetNewest)
		must(t, err)
		return n
	}
	send := func(user string) error {
		c, err := client(user, "")
		must(t, err)
		defer c.Close()
		c.Config().Producer.Partitioner = sarama.NewManualPartitioner
		p, err := sarama.NewSyncProducerFromClient(c)
		must(t, err)
		defer p.Close()
		_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: heartbeatTopic, Partition: 1, Value: sarama.StringEncoder("{}")})
		return err
	}
	must(t, send(UserDAC))
	if err := send(UserOrchestrator); !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		t.Errorf("the orchestrator may send heartbeats: %v", err)
	}
	before := end()
	r.stopAndStart(t, Kafka)
	if after := end(); after != before || after == 0 {
		t.Errorf("after the stop the partition ends at %d, before at %d", after, before)
	}
}

func (r *Rig) mosquittoHolds(t *testing.T) {
	connect := func(o *mqtt.ClientOptions) (mqtt.Client, error) {
		c := mqtt.NewClient(o.SetAutoReconnect(false))
		token := c.Connect()
		if !token.WaitTimeout(patience) {
			t.Fatal("no answer")
		}
		return c, token.Error()
	}
	if _, err := connect(r.MQTTOptions(UserPlatform, "w").SetPassword("wrong")); err == nil {
		t.Error("a wrong password is taken")
	}
	publish := func(user, topic string) {
		t.Helper()
		c, err := connect(r.MQTTOptions(user, "p-"+user))
		must(t, err)
		defer c.Disconnect(100)
		token := c.Publish(topic, 1, true, user)
		if !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("publish: %v", token.Error())
		}
	}
	publish(UserPlatform, "cm/notify")
	publish(UserOrchestrator, "cm/notify") // acknowledged, and thrown away
	r.stopAndStart(t, Mosquitto)
	heard := make(chan string, 10)
	c, err := connect(r.MQTTOptions(UserOrchestrator, "s").SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { heard <- string(m.Payload()) }))
	must(t, err)
	defer c.Disconnect(0)
	if token := c.Subscribe("cm/notify", 1, nil); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscribe: %v", token.Error())
	}
	select {
	case from := <-heard:
		if from != UserPlatform {
			t.Errorf("the topic holds what %s has said", from)
		}
	case <-time.After(patience):
		t.Error("the message that was to be kept has not come")
	}
}

func (r *Rig) postgresHolds(t *testing.T) {
	ctx := t.Context()
	exec := func(user, statement string) error {
		return r.withPostgreSQL(ctx, user, Database, func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, statement)
			return err
		})
	}
	must(t, exec(UserPlatform, `INSERT INTO "Thing" (id) VALUES ('kept')`))
	must(t, exec(UserPlatform, `CREATE TABLE later AS SELECT 1 AS n`))
	must(t, exec(UserOrchestrator, `SELECT n FROM later`))
	for _, statement := range []string{`DELETE FROM "Thing"`, `CREATE TABLE mine ()`, `DROP TABLE later`} {
		if err := exec(UserOrchestrator, statement); err == nil {
			t.Errorf("the orchestrator may %s", statement)
		}
	}
	for what, change := range map[string]func(*pgx.ConnConfig){
		"a wrong password": func(c *pgx.ConnConfig) { c.Password = "wrong" },
		"no TLS":           func(c *pgx.ConnConfig) { c.TLSConfig = nil },
	} {
		cfg, err := r.DatabaseConfig(UserPlatform)
		must(t, err)
		change(cfg)
		if c, err := pgx.ConnectConfig(ctx, cfg); err == nil {
			t.Errorf("%s is taken: %v", what, c.Close(ctx))
		}
	}
	r.stopAndStart(t, PostgreSQL)
	must(t, r.withPostgreSQL(ctx, UserOrchestrator, Database, func(c *pgx.Conn) error {
		var n int
		err := c.QueryRow(ctx, `SELECT count(*) FROM "Thing" WHERE id = 'kept'`).Scan(&n)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows are kept, want 1", n)
		}
		return err
	}))
}

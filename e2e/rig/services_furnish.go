package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"
	"github.com/jackc/pgx/v5"
)

// furnish makes what a service is to hold from the start, as far as it is missing:
// users, rights, topic, tables, nodes.
func (r *Rig) furnish(ctx context.Context, name ServiceName) error {
	all, err := r.passwords()
	if err != nil {
		return err
	}
	switch name {
	case ZooKeeper:
		return r.furnishZooKeeper(ctx, all[name])
	case Kafka:
		return r.furnishKafka()
	case PostgreSQL:
		return r.furnishPostgreSQL(ctx, all[name])
	}
	return nil
}

// serviceAnswers says why a service does not answer somebody who has logged in; nil
// when it does. It takes some seconds at most.
func (r *Rig) serviceAnswers(ctx context.Context, name ServiceName) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*dialWithin, fmt.Errorf("no answer within %s", 2*dialWithin))
	defer cancel()
	switch name {
	case ZooKeeper:
		// The client tries on until ctx ends; this says at once that nobody is there.
		greeted, err := r.DialZooKeeper("tcp", r.address(name), dialWithin)
		if err != nil {
			return fmt.Errorf("zookeeper on %s: %w", r.address(name), err)
		}
		return errors.Join(greeted.Close(), r.withZooKeeper(ctx, func(conn *zk.Conn) error {
			_, _, err := conn.Exists("/")
			return err
		}))
	case Kafka:
		return r.withKafka(func(admin sarama.ClusterAdmin) error {
			_, _, err := admin.DescribeCluster()
			return err
		})
	case Mosquitto:
		return r.mosquittoAnswers()
	case PostgreSQL:
		return r.withPostgreSQL(ctx, userPostgres, userPostgres, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
	}
	return fmt.Errorf("no service is called %q", name)
}

func (r *Rig) withZooKeeper(ctx context.Context, do func(*zk.Conn) error) error {
	conn, err := r.ConnectZooKeeper(ctx, UserPlatform, 4*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(conn)
}

func (r *Rig) withKafka(do func(sarama.ClusterAdmin) error) error {
	cfg := r.KafkaConfig(UserPlatform)
	cfg.Metadata.Retry.Max = 0
	cfg.Admin.Retry.Max = 1
	admin, err := sarama.NewClusterAdmin([]string{r.address(Kafka)}, cfg)
	if err != nil {
		return fmt.Errorf("kafka on %s: %w", r.address(Kafka), err)
	}
	return errors.Join(do(admin), admin.Close())
}

func (r *Rig) mosquittoAnswers() error {
	c := mqtt.NewClient(r.MQTTOptions(UserPlatform, "dacorch-rig-asks").SetAutoReconnect(false))
	t := c.Connect()
	if !t.WaitTimeout(2 * dialWithin) {
		return fmt.Errorf("mosquitto on %s: no answer within %s", r.address(Mosquitto), 2*dialWithin)
	}
	if err := t.Error(); err != nil {
		return fmt.Errorf("mosquitto on %s: %w", r.address(Mosquitto), err)
	}
	c.Disconnect(0)
	return nil
}

func (r *Rig) withPostgreSQL(ctx context.Context, user, database string, do func(*pgx.Conn) error) error {
	cfg, err := r.databaseConfig(user, database)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// furnishZooKeeper makes the nodes above the kinds. The orchestrator would; made
// here, one with a wrong password cannot be the first and own them, and the
// platform can make kinds as it likes.
func (r *Rig) furnishZooKeeper(ctx context.Context, passwords map[string]string) error {
	rights := zk.WorldACL(zk.PermRead)
	for _, user := range []string{UserOrchestrator, UserPlatform} {
		rights = append(rights, zk.DigestACL(zk.PermAll, user, passwords[user])...)
	}
	return r.withZooKeeper(ctx, func(conn *zk.Conn) error {
		for _, path := range []string{"/iota", "/iota/orchestration", "/iota/orchestrator"} {
			if _, err := conn.Create(path, nil, 0, rights); err != nil && !errors.Is(err, zk.ErrNodeExists) {
				return fmt.Errorf("create %s: %w", path, err)
			}
		}
		return nil
	})
}

// The topic of the heartbeats, and the consumer groups that read it.
const (
	heartbeatTopic      = "HeartBeat"
	heartbeatPartitions = 3
	heartbeatGroups     = "iota-orchestrator-"
)

// furnishKafka makes the topic of the heartbeats and the rights to it.
func (r *Rig) furnishKafka() error {
	may := func(user string, kind sarama.AclResourceType, name string, operations ...sarama.AclOperation) *sarama.ResourceAcls {
		a := &sarama.ResourceAcls{Resource: sarama.Resource{ResourceType: kind, ResourceName: name,
			ResourcePatternType: sarama.AclPatternPrefixed}}
		for _, o := range operations {
			a.Acls = append(a.Acls, &sarama.Acl{Principal: "User:" + user, Host: "*", Operation: o,
				PermissionType: sarama.AclPermissionAllow})
		}
		return a
	}
	return r.withKafka(func(admin sarama.ClusterAdmin) error {
		err := admin.CreateTopic(heartbeatTopic, &sarama.TopicDetail{NumPartitions: heartbeatPartitions, ReplicationFactor: 1}, false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("topic %s: %w", heartbeatTopic, err)
		}
		err = admin.CreateACLs([]*sarama.ResourceAcls{
			may(UserOrchestrator, sarama.AclResourceTopic, heartbeatTopic, sarama.AclOperationRead, sarama.AclOperationDescribe),
			may(UserOrchestrator, sarama.AclResourceGroup, heartbeatGroups, sarama.AclOperationRead, sarama.AclOperationDescribe),
			may(UserDAC, sarama.AclResourceTopic, heartbeatTopic, sarama.AclOperationWrite, sarama.AclOperationDescribe),
		})
		if err != nil {
			return fmt.Errorf("rights: %w", err)
		}
		return nil
	})
}

// furnishPostgreSQL makes the users, the database, and the tables of the kinds that
// the rig's own release has.
func (r *Rig) furnishPostgreSQL(ctx context.Context, passwords map[string]string) error {
	err := r.withPostgreSQL(ctx, userPostgres, userPostgres, func(conn *pgx.Conn) error {
		// A statement that fails must not tell the log a password.
		if _, err := conn.Exec(ctx, `SET log_min_error_statement = panic`); err != nil {
			return err
		}
		for _, user := range []string{UserOrchestrator, UserPlatform} {
			if err := ensureRole(ctx, conn, user, passwords[user]); err != nil {
				return fmt.Errorf("user %s: %w", user, err)
			}
		}
		var there bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, Database).Scan(&there)
		if err == nil && !there {
			_, err = conn.Exec(ctx, `CREATE DATABASE `+Database+` OWNER `+UserPlatform)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.withPostgreSQL(ctx, UserPlatform, Database, func(conn *pgx.Conn) error {
		for _, statement := range []string{
			`GRANT USAGE ON SCHEMA public TO ` + UserOrchestrator,
			`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ` + UserOrchestrator,
			`CREATE TABLE IF NOT EXISTS "Thing" (id text PRIMARY KEY, name text)`,
			`CREATE TABLE IF NOT EXISTS "Rule" (id text PRIMARY KEY, name text)`,
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

func ensureRole(ctx context.Context, conn *pgx.Conn, user, password string) error {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, user).Scan(&there); err != nil {
		return err
	}
	verb := "CREATE"
	if there {
		verb = "ALTER"
	}
	// Passwords are of letters, digits, - and _; see newPassword.
	_, err := conn.Exec(ctx, fmt.Sprintf(`%s ROLE %s LOGIN PASSWORD '%s'`, verb, user, password))
	return err
}

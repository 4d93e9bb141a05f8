package rig

import (
	"context"
	"crypto/sha512"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/IBM/sarama"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-zookeeper/zk"
	"github.com/jackc/pgx/v5"
	"github.com/xdg-go/scram"
)

// Database is the database with the kinds' tables. UserPlatform owns it;
// UserOrchestrator may read every table that UserPlatform makes.
const Database = "iota"

// dialWithin bounds how long one connection to a service takes to come about.
const dialWithin = 5 * time.Second

// DialZooKeeper makes a connection with TLS, as zk.WithDialer wants it.
func (r *Rig) DialZooKeeper(network, address string, timeout time.Duration) (net.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, network, address, r.TLS())
}

// ConnectZooKeeper opens a session as a user, from this machine, and waits until
// it stands or ctx ends. ZooKeeper asks for no login: who has a wrong password is
// nobody, and may read. The caller closes the connection.
func (r *Rig) ConnectZooKeeper(ctx context.Context, user string, session time.Duration) (*zk.Conn, error) {
	conn, events, err := zk.Connect([]string{r.address(ZooKeeper)}, session,
		zk.WithDialer(r.DialZooKeeper), zk.WithLogger(noLog{}), zk.WithLogInfo(false))
	if err != nil {
		return nil, fmt.Errorf("zookeeper: %w", err)
	}
	for conn.State() != zk.StateHasSession {
		select {
		case <-events:
		case <-ctx.Done():
			conn.Close()
			return nil, fmt.Errorf("zookeeper on %s: no session: %w", r.address(ZooKeeper), context.Cause(ctx))
		}
	}
	if err := conn.AddAuth("digest", []byte(user+":"+r.Password(ZooKeeper, user))); err != nil {
		conn.Close()
		return nil, fmt.Errorf("zookeeper on %s: %w", r.address(ZooKeeper), err)
	}
	return conn, nil
}

// KafkaConfig is how a user reaches Kafka from this machine, at
// State().Services[Kafka].Outside.
func (r *Rig) KafkaConfig(user string) *sarama.Config {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	cfg.ClientID = "dacorch-rig"
	cfg.Net.DialTimeout = dialWithin
	cfg.Net.ReadTimeout, cfg.Net.WriteTimeout = 2*dialWithin, dialWithin
	cfg.Net.TLS.Enable, cfg.Net.TLS.Config = true, r.TLS()
	cfg.Net.SASL.Enable = true
	cfg.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA512
	cfg.Net.SASL.User, cfg.Net.SASL.Password = user, r.Password(Kafka, user)
	cfg.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramLogin{} }
	return cfg
}

// scramLogin is a login with SCRAM-SHA-512, as sarama wants it.
type scramLogin struct{ *scram.ClientConversation }

// Begin starts the login.
func (l *scramLogin) Begin(user, password, authzID string) error {
	c, err := scram.HashGeneratorFcn(sha512.New).NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	l.ClientConversation = c.NewConversation()
	return nil
}

// MQTTOptions is how a user reaches Mosquitto from this machine.
func (r *Rig) MQTTOptions(user, clientID string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("ssl://" + r.address(Mosquitto)).SetClientID(clientID).
		SetUsername(user).SetPassword(r.Password(Mosquitto, user)).
		SetTLSConfig(r.TLS()).SetConnectTimeout(dialWithin)
}

// ClientID is what the chart calls a replica of a release at Mosquitto.
func ClientID(namespace, name string, replica int) string {
	return fmt.Sprintf("dacorch-%s-%s-%d", namespace, name, replica)
}

// ForgetSession ends the session that an orchestrator has left at Mosquitto, which
// would keep every message for it, and hand it to the next one of that client id:
// who comes with a clean session takes the old one away.
func (r *Rig) ForgetSession(ctx context.Context, clientID string) error {
	client := mqtt.NewClient(r.MQTTOptions(UserOrchestrator, clientID).SetCleanSession(true).SetAutoReconnect(false))
	defer client.Disconnect(0)
	came := client.Connect()
	select {
	case <-came.Done():
	case <-ctx.Done():
		return fmt.Errorf("the MQTT session of %s stays: no answer: %w", clientID, context.Cause(ctx))
	}
	if err := came.Error(); err != nil {
		return fmt.Errorf("the MQTT session of %s stays: %w", clientID, err)
	}
	return nil
}

// DatabaseConfig is how a user reaches Database from this machine.
func (r *Rig) DatabaseConfig(user string) (*pgx.ConnConfig, error) {
	return r.databaseConfig(user, Database)
}

func (r *Rig) databaseConfig(user, database string) (*pgx.ConnConfig, error) {
	host, port, err := net.SplitHostPort(r.address(PostgreSQL))
	if err != nil {
		return nil, err
	}
	// Everything is said, so that no PG… variable of the environment counts.
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s database=%s password=%s sslmode=require connect_timeout=%d",
		host, port, user, database, r.Password(PostgreSQL, user), dialWithin/time.Second))
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	cfg.TLSConfig = r.TLS()
	cfg.TLSConfig.ServerName = host
	return cfg, nil
}

// address is where a service is reached from this machine.
func (r *Rig) address(name ServiceName) string { return r.State().Services[name].Outside }

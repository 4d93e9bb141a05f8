package database

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"dacorch/orchestrator/fleet"
)

const connectWithin = 5 * time.Second

// openPostgreSQL makes a pool whose every session is read-only, whatever the user
// may do.
func openPostgreSQL(ctx context.Context, cfg Config) (engine, error) {
	pool, err := parsePostgreSQL(cfg.URL)
	if err != nil {
		return nil, err
	}
	pool.MaxConns, pool.MinConns = int32(cfg.MaxConns), 0
	conn := pool.ConnConfig
	conn.ConnectTimeout = min(connectWithin, cfg.StatementTimeout)
	conn.RuntimeParams["default_transaction_read_only"] = "on"
	conn.RuntimeParams["statement_timeout"] = strconv.FormatInt(cfg.StatementTimeout.Milliseconds(), 10)
	conn.RuntimeParams["application_name"] = "dacorch"
	p := &postgresql{secrets: []string{conn.Password, cfg.Password},
		at: net.JoinHostPort(conn.Host, strconv.Itoa(int(conn.Port))) + "/" + conn.Database}
	if cfg.User != "" {
		conn.User = cfg.User
	}
	if cfg.Password != "" {
		conn.Password = cfg.Password
	}
	if cfg.PasswordFile != "" {
		if _, err := readPassword(cfg.PasswordFile); err != nil {
			return nil, err
		}
		pool.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) (err error) {
			c.Password, err = readPassword(cfg.PasswordFile)
			return err
		}
	}
	p.pool, err = pgxpool.NewWithConfig(ctx, pool)
	if err != nil {
		return nil, p.scrub(err)
	}
	return p, nil
}

// parsePostgreSQL reads the URL. Off loopback the server must prove its name,
// unless the URL or PGSSLMODE says otherwise: "require" of libpq encrypts for
// whoever answers, and sends that one the password. Its errors show none of it, for a password with
// a character that should have been escaped can stand anywhere in it.
func parsePostgreSQL(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err == nil && !strings.Contains(url, "sslmode=") && os.Getenv("PGSSLMODE") == "" && !onLoopback(cfg.ConnConfig) {
		separator := "?"
		if strings.Contains(url, "?") {
			separator = "&"
		}
		cfg, err = pgxpool.ParseConfig(url + separator + "sslmode=verify-full")
	}
	if err == nil {
		return cfg, nil
	}
	_, why, _ := strings.Cut(err.Error(), "`: ")
	if !strings.HasPrefix(why, "failed to configure TLS") { // that one names files
		why, _, _ = strings.Cut(why, " (")
	}
	return nil, &fleet.FieldError{Field: "url", Value: "what it holds (" + why + ")",
		Want: "postgres://user@host:port/name?sslmode=…, with @ : / ? # in a name written as %40 %3A %2F %3F %23"}
}

func onLoopback(c *pgx.ConnConfig) bool {
	local := func(host string) bool {
		ip := net.ParseIP(host)
		return host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback()
	}
	for _, f := range c.Fallbacks {
		if !local(f.Host) {
			return false
		}
	}
	return local(c.Host)
}

// readPassword reads a file that holds one word.
func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &fleet.FieldError{Field: "passwordFile", Value: path, Want: "a file that can be read: " + err.Error()}
	}
	defer f.Close()
	const most = 4096
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	word := strings.TrimRight(string(data), "\r\n")
	if err != nil || word == "" || len(data) > most || strings.ContainsAny(word, "\n\x00") {
		return "", &fleet.FieldError{Field: "passwordFile", Value: path, Want: fmt.Sprintf("a file with the password in one line of at most %d bytes", most)}
	}
	return word, nil
}

// passing: the server has gone, goes, or has not yet come. Which statement it was
// does not matter, since all of them only read.
func (p *postgresql) passing(err error) bool {
	if sql, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(sql.Code, "57P") || strings.HasPrefix(sql.Code, "08") || sql.Code == "53300"
	}
	_, dialled := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return dialled || network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// outdated: no such table or column, no right to it, no such operator, a text
// that the type refuses, a plan of an older shape.
func (p *postgresql) outdated(err error) bool {
	sql, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(sql.Code, "42") || sql.Code == "22P02" || sql.Code == "22003" || sql.Code == "0A000")
}

func (p *postgresql) scrub(err error) error {
	hint := ""
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		hint = ": name its authority's file with sslrootcert=… in url; sslmode=require encrypts without asking who it is"
	} else if strings.Contains(err.Error(), "server refused TLS connection") {
		hint = ": it has ssl = off; sslmode=disable in url speaks in the clear"
	}
	if sql, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch sql.Code {
		case "28P01", "28000":
			hint = ": check user and passwordFile, and that pg_hba.conf lets them in"
		case "3D000":
			hint = ": check the name at the end of url"
		case "57014":
			hint = ": raise statementTimeout, or make pageSize smaller"
		}
	}
	text := err.Error()
	for _, s := range p.secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return &scrubbed{text: "PostgreSQL at " + p.at + ": " + text + hint, err: err}
}

// scrubbed is an error without its secrets; what it was can still be asked with
// errors.Is and errors.As.
type scrubbed struct {
	text string
	err  error
}

func (s *scrubbed) Error() string { return s.text }
func (s *scrubbed) Unwrap() error { return s.err }

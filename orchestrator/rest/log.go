package rest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// requestIDs makes ids: eight letters that tell this process from others, and a
// number.
type requestIDs struct {
	prefix string
	last   atomic.Uint64
}

func newRequestIDs() *requestIDs {
	return &requestIDs{prefix: strings.ToLower(rand.Text()[:8]) + "-"}
}

// of takes the id that the client gave, if it is one: 1 to 64 letters, digits,
// and "-_.:". Anything else could forge lines of a log.
func (ids *requestIDs) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && sane(given[0]) {
		return given[0]
	}
	var space [32]byte
	return string(strconv.AppendUint(append(space[:0], ids.prefix...), ids.last.Add(1), 36))
}

func sane(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 64
}

// accessLog writes a line for a request, at most rate in a second. Those of
// answers of 500 and more count too: a broken server must not fill the disk.
// Orders, and requests that were refused for their token, are told at info.
type accessLog struct {
	log   *slog.Logger
	level slog.Level
	rate  int64 // negative: all

	second  atomic.Int64 // since 1970, of the count
	written atomic.Int64 // in that second
	left    atomic.Int64 // out, since the last line
}

func newAccessLog(c Config) *accessLog {
	return &accessLog{log: c.Log, level: c.AccessLevel, rate: int64(c.AccessRate)}
}

func (a *accessLog) write(c *call, began time.Time) {
	level := a.level
	if c.limit == limitOrder || c.status == http.StatusUnauthorized || c.status == http.StatusForbidden {
		level = max(level, slog.LevelInfo) // who ordered what, and who was not let
	}
	if c.status >= 500 && c.status != http.StatusServiceUnavailable {
		level = max(level, slog.LevelWarn)
	}
	ctx := context.Background()
	if !a.log.Enabled(ctx, level) || !a.may(began.Unix()) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("request", c.id), slog.String("method", c.req.Method), slog.String("path", c.req.URL.EscapedPath()),
		slog.Int("status", c.status), slog.Int64("bytes", c.bytes), slog.Duration("took", time.Since(began)),
		slog.String("from", c.req.RemoteAddr))
	if c.who != "" {
		attrs = append(attrs, slog.String("token", c.who))
	}
	if c.fault != nil {
		attrs = append(attrs, slog.String("err", c.fault.Error()))
	}
	if n := a.left.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("left out", n))
	}
	a.log.LogAttrs(ctx, level, "request", attrs...)
}

func (a *accessLog) may(second int64) bool {
	if a.rate < 0 {
		return true
	}
	if was := a.second.Load(); was != second && a.second.CompareAndSwap(was, second) {
		a.written.Store(0)
	}
	if a.written.Add(1) > a.rate {
		a.left.Add(1)
		return false
	}
	return true
}

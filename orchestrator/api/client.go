package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config is what a Client is made with. A field of 0 stands for its default.
type Config struct {
	URL string // of any of the processes: "http://localhost:8080"; a path in it goes before the calls'

	// Token is sent with every call; TokenFile names a file that holds it instead,
	// read again when the server refuses it. At most one of them; neither for
	// anonymous calls. The token goes nowhere but to URL's host.
	Token     string
	TokenFile string

	TLS *tls.Config // for https; nil: the system's roots

	// Timeout bounds one attempt of a call that changes nothing; default 30 s.
	// Orders are bounded by their context alone: an orchestration takes minutes.
	Timeout time.Duration
	// Retries is how often a call that changes nothing is tried again after an
	// answer of 502 or 503, or none; default 3, negative: never. Orders never are.
	Retries int
	// Wait is before the first retry; each further one waits twice as long, at most
	// 5 s, with jitter, or as long as the server says; default 100 ms.
	Wait time.Duration
	// MaxAnswer bounds an answer, in bytes; default 256 MiB.
	MaxAnswer int64
	// Silence is how long an event stream may say nothing before it is opened
	// anew; default 60 s, four of the server's beats.
	Silence time.Duration
}

// Client calls the REST interface. Its methods are safe for concurrent use.
// Every error that a server answered is an *Error: errors.As, or errors.Is with
// an Error that has the Code alone.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client

	mu    sync.Mutex
	token string
}

// New makes a client. Nothing is sent yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("api: URL %q is not valid: want http://host:port or https://host:port", cfg.URL)
	}
	if cfg.Token != "" && cfg.TokenFile != "" {
		return nil, errors.New("api: both Token and TokenFile are given: want one")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	base.RawPath = strings.TrimSuffix(base.RawPath, "/")
	def(&cfg.Timeout, 30*time.Second)
	def(&cfg.Retries, 3)
	def(&cfg.Wait, 100*time.Millisecond)
	def(&cfg.MaxAnswer, 256<<20)
	def(&cfg.Silence, 60*time.Second)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg.TLS.Clone() // a transport changes it
	transport.MaxIdleConnsPerHost = 256
	transport.MaxIdleConns = 256
	c := &Client{cfg: cfg, base: base, token: cfg.Token, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token stays here
	}}
	if cfg.TokenFile != "" {
		if _, err := c.readToken(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Close gives up idle connections. Calls that run go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// readToken reads the token file and says whether the token is another now.
func (c *Client) readToken() (changed bool, err error) {
	data, err := os.ReadFile(c.cfg.TokenFile)
	if err != nil {
		return false, fmt.Errorf("api: token file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return false, fmt.Errorf("api: token file %s: want one word, the token", c.cfg.TokenFile)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = token != c.token
	c.token = token
	return changed, nil
}

// path makes the escaped path of a kind's call.
func path(kind string, segments ...string) string {
	var b strings.Builder
	b.WriteString("/v1/api/orchestrations/" + escape(kind))
	for _, s := range segments {
		b.WriteString("/" + escape(s))
	}
	return b.String()
}

// escape leaves nothing in a segment that a proxy could take for a path: "." and
// ".." as well.
func escape(segment string) string {
	if strings.Trim(segment, ".") == "" {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// get calls what changes nothing, and tries again.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.again(ctx, func(ctx context.Context) error { return c.call(ctx, http.MethodGet, path, query, nil, into) })
}

// again tries a call that changes nothing until it ends well, or badly for good.
func (c *Client) again(ctx context.Context, try func(context.Context) error) error {
	for n := 0; ; n++ {
		attempt, done := context.WithTimeout(ctx, c.cfg.Timeout)
		err := try(attempt)
		done()
		if err == nil || n >= c.cfg.Retries || ctx.Err() != nil || !mayPass(err) {
			return err
		}
		if pause(ctx, c.backoff(n, err)) != nil {
			return err
		}
	}
}

// mayPass says whether an error may be gone at the next try.
func mayPass(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.HTTPStatus == http.StatusBadGateway || e.HTTPStatus == http.StatusServiceUnavailable
	}
	var transport *url.Error
	return errors.As(err, &transport) || errors.Is(err, io.ErrUnexpectedEOF)
}

// backoff is how long to wait after the failed try n.
func (c *Client) backoff(n int, err error) time.Duration {
	const most = 5 * time.Second
	wait := min(c.cfg.Wait<<min(n, 10), most)
	wait = wait/2 + rand.N(wait/2+1)
	var e *Error
	if errors.As(err, &e) {
		wait = max(wait, min(e.RetryAfter, most))
	}
	return wait
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call sends one request and reads its answer into into. When the server does
// not know the token and the file holds another by now, it sends it once more.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, into any) error {
	resp, err := c.send(ctx, method, path, query, body, nil)
	if errors.Is(err, &Error{Code: CodeUnauthorized}) && c.cfg.TokenFile != "" {
		if changed, _ := c.readToken(); changed {
			resp, err = c.send(ctx, method, path, query, body, nil)
		}
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.read(resp, into)
}

func (c *Client) read(resp *http.Response, into any) error {
	limited := &io.LimitedReader{R: resp.Body, N: c.cfg.MaxAnswer}
	if err := json.NewDecoder(limited).Decode(into); err != nil {
		if limited.N <= 0 {
			return fmt.Errorf("api: the answer has more than %d bytes", c.cfg.MaxAnswer)
		}
		return fmt.Errorf("api: the answer of %s cannot be read: %w", resp.Request.URL.Path, err)
	}
	_, _ = io.Copy(io.Discard, limited) // so that the connection can be used again
	return nil
}

// send sends one request. An answer that is no 2xx is an *Error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any, header http.Header) (*http.Response, error) {
	u := *c.base
	u.RawPath = c.base.EscapedPath() + path
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("api: path %q: %w", path, err)
	}
	u.Path, u.RawQuery = c.base.Path+plain, query.Encode()
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("api: the body of %s: %w", path, err)
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	for name, v := range header {
		req.Header[name] = v
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.mu.Lock()
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	c.mu.Unlock()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// readError makes an *Error of an answer, also of one that is not ours.
func readError(resp *http.Response) *Error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var body ErrorBody
	e := &Error{Code: CodeInternal, Message: "the server answers " + resp.Status}
	if json.Unmarshal(data, &body) == nil && body.Error != nil && body.Error.Code != "" {
		e = body.Error
	}
	e.HTTPStatus, e.answer = resp.StatusCode, data
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Request-Id")
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, 3600)) * time.Second
	}
	return e
}

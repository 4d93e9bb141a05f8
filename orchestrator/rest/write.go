package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"dacorch/orchestrator/api"
	"dacorch/orchestrator/fleet"
)

// json answers a JSON value. What goes wrong with writing is the client's.
func (c *call) json(status int, data []byte) error {
	c.Header()["Content-Type"] = headerJSON
	if status != http.StatusOK {
		c.WriteHeader(status)
	}
	_, _ = c.Write(data)
	return nil
}

// fail answers an error. When part of an answer has been sent, the connection is
// cut: the client must see that it is not whole.
func (s *Server) fail(c *call, err error) {
	e := s.explain(c, err)
	if c.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if after := retryAfter(e); after != "" {
		c.Header().Set("Retry-After", after)
	}
	data, err := json.Marshal(api.ErrorBody{Error: e})
	if err != nil { // cannot be: it holds only strings
		panic(err)
	}
	_ = c.json(e.Code.Status(), data)
}

// explain makes an error of the interface of any error.
func (s *Server) explain(c *call, err error) *api.Error {
	var known *api.Error
	var field *fleet.FieldError
	switch {
	case errors.As(err, &known):
		e := *known
		e.RequestID = c.id
		if e.Code == api.CodeNotLeader {
			e.Code, e.Message = api.CodeNoLeader, "this process leads no longer, and the next leader is not known yet"
		}
		return &e
	case errors.As(err, &field):
		return &api.Error{Code: api.CodeOutOfRange, Field: field.Field, Message: field.Error(), RequestID: c.id}
	case errors.Is(err, context.DeadlineExceeded):
		message := "it takes longer than a request may"
		if c.limit == limitOrder {
			message += "; the order goes on, see …/progress and …/status"
		}
		return &api.Error{Code: api.CodeTimeout, Message: message, RequestID: c.id}
	case errors.Is(err, context.Canceled): // the client has gone, or the server cuts what is late
		return &api.Error{Code: api.CodeUnavailable, Message: "the request was given up", RequestID: c.id}
	}
	c.fault = err
	return &api.Error{Code: api.CodeInternal, Message: "a fault of the server: its log has it under the request id", RequestID: c.id}
}

// retryAfter is the header's value: whole seconds.
func retryAfter(e *api.Error) string {
	after := e.RetryAfter
	if after == 0 {
		switch e.Code {
		case api.CodeNoLeader, api.CodeBusy, api.CodeUnavailable, api.CodeUpstream:
			after = time.Second
		default:
			return ""
		}
	}
	return strconv.Itoa(int(math.Ceil(after.Seconds())))
}

func appendLocation(b []byte, at api.Location) []byte {
	b = append(b, `{"runIn":`...)
	b = appendString(b, at.RunIn)
	b = append(b, `,"instance":`...)
	b = strconv.AppendInt(b, int64(at.Instance), 10)
	if at.Phase != "" {
		b = append(b, `,"phase":`...)
		b = appendString(b, at.Phase)
	}
	return append(b, '}')
}

// appendString appends a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always can be
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// listWriter writes an orchestration as it is read. Nothing is sent before the
// first instance, so that an error until then still can be.
type listWriter struct {
	c       *call
	kind    string
	out     *bufio.Writer
	scratch []byte
	begun   bool
}

var listBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 32<<10) }}

func newListWriter(c *call, kind string) *listWriter {
	out := listBuffers.Get().(*bufio.Writer)
	out.Reset(c)
	return &listWriter{c: c, kind: kind, out: out}
}

func (l *listWriter) release() {
	l.out.Reset(io.Discard) // keeps no request alive
	listBuffers.Put(l.out)
}

func (l *listWriter) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.c.Header()["Content-Type"] = headerJSON
	l.scratch = append(l.scratch[:0], `{"resource":`...)
	l.scratch = appendString(l.scratch, l.kind)
	l.scratch = append(l.scratch, `,"instances":[`...)
	_, _ = l.out.Write(l.scratch) // an error stays with the writer
}

// instance writes one instance.
func (l *listWriter) instance(in api.InstanceList) error {
	b := l.scratch[:0]
	if l.begun {
		b = append(b, ',')
	} else {
		l.begin()
		b = l.scratch[:0]
	}
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, int64(in.ID), 10)
	b = append(b, `,"pod":`...)
	b = appendString(b, in.Pod)
	b = append(b, `,"used":`...)
	b = strconv.AppendInt(b, int64(in.Used), 10)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(in.Cap), 10)
	if in.IDs != nil {
		b = append(b, `,"ids":[`...)
		for i, id := range in.IDs {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, id)
			if len(b) > 16<<10 {
				_, _ = l.out.Write(b)
				b = b[:0]
			}
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	l.scratch = b[:0]
	_, err := l.out.Write(b)
	return err
}

// end writes the totals.
func (l *listWriter) end(t api.Totals) error {
	l.begin()
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	l.scratch = append(append(l.scratch[:0], "],"...), data[1:]...)
	_, _ = l.out.Write(l.scratch)
	_ = l.out.Flush() // the client has gone when it fails
	return nil
}

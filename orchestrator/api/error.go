package api

import (
	"fmt"
	"net/http"
	"time"
)

// Code says what kind of error it is. Codes are stable; messages are for people.
type Code string

// The codes, and the HTTP status that each has.
const (
	CodeBadRequest      Code = "bad_request"      // 400: the request cannot be understood
	CodeUnknownField    Code = "unknown_field"    // 400: the body has a field that there is not
	CodeOutOfRange      Code = "out_of_range"     // 400: a value lies outside the range that the message names
	CodeUnauthorized    Code = "unauthorized"     // 401: no token, or one that is not known
	CodeForbidden       Code = "forbidden"        // 403: the token's scope does not allow it, or another site's page asks
	CodeNotFound        Code = "not_found"        // 404: no such path
	CodeUnknownKind     Code = "unknown_kind"     // 404: the configuration names no such kind
	CodeUnknownInstance Code = "unknown_instance" // 404
	CodeUnknownResource Code = "unknown_resource" // 404: no such resource, as far as this process knows
	CodeUnplaced        Code = "unplaced"         // 404: the resource exists and stands on no instance
	CodeNotOffered      Code = "not_offered"      // 404: the path is known, and this server does not offer it
	CodeMethod          Code = "method"           // 405: the path has no such method
	CodeRefused         Code = "refused"          // 409: the kind's state does not allow it; the message says why
	CodeConflict        Code = "conflict"         // 409: something else is under way
	CodeSeveralLeaders  Code = "several_leaders"  // 409: kinds are led by different processes: ask for one
	CodeTooLarge        Code = "too_large"        // 413: the body, or the request's head, is too large
	CodeMediaType       Code = "media_type"       // 415: the body is not application/json
	CodeMisdirected     Code = "misdirected"      // 421: the Host header names somebody else
	CodeInternal        Code = "internal"         // 500: a fault of the server; the log has it under the request id
	CodeUpstream        Code = "upstream"         // 502: the leader could not be reached, or answered nonsense
	CodeNotLeader       Code = "not_leader"       // 503: this process does not lead the kind, and nothing was done
	CodeNoLeader        Code = "no_leader"        // 503: nobody is known to lead the kind now
	CodeUnavailable     Code = "unavailable"      // 503: not ready, or what it needs is not there
	CodeBusy            Code = "busy"             // 503: more requests at once than the server takes
	CodeTimeout         Code = "timeout"          // 504: it takes longer than the request may; the message says what goes on
)

var statuses = map[Code]int{
	CodeBadRequest: 400, CodeUnknownField: 400, CodeOutOfRange: 400, CodeUnauthorized: 401, CodeForbidden: 403,
	CodeNotFound: 404, CodeUnknownKind: 404, CodeUnknownInstance: 404, CodeUnknownResource: 404, CodeUnplaced: 404, CodeNotOffered: 404,
	CodeMethod: 405, CodeRefused: 409, CodeConflict: 409, CodeSeveralLeaders: 409, CodeTooLarge: 413,
	CodeMediaType: 415, CodeMisdirected: 421, CodeInternal: 500, CodeUpstream: 502, CodeNotLeader: 503,
	CodeNoLeader: 503, CodeUnavailable: 503, CodeBusy: 503, CodeTimeout: 504,
}

// Status answers the code's HTTP status; 500 for one that is not known.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// Error is the error of a call, on both sides of the wire.
type Error struct {
	Code      Code   `json:"code"`                // stable name of what kind of error it is
	Message   string `json:"message"`             // for people
	Field     string `json:"field,omitempty"`     // the field of the body or the query that is wrong
	RequestID string `json:"requestId,omitempty"` // under which the server's log has it

	HTTPStatus int           `json:"-"` // that the client received; unused by the server
	RetryAfter time.Duration `json:"-"` // when to try again; zero when the server did not say

	answer []byte // that the client received, at most 64 KiB
}

// ErrorBody is the JSON of an answer that is an error.
type ErrorBody struct {
	Error *Error `json:"error"` // what went wrong
}

// Error reads "code: message".
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Message
}

// Is says that two errors are of one code: errors.Is(err, &api.Error{Code: …}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

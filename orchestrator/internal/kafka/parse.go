package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"dacorch/orchestrator/fleet"
)

// Beat is one heartbeat.
type Beat struct {
	Kind     fleet.Kind
	Instance fleet.InstanceID
	SentAt   time.Time // by the sender's clock
}

// maxTimestamp is the end of the year 9999: beyond it a time has no place in JSON.
const maxTimestamp = 253402300799

// Parse reads a record's value: a JSON object with "resource", "instanceId" (a
// number or a numeric string) and "timestamp" (Unix seconds as a number or a
// string, with a fraction if need be). Names match without regard to case, and
// fields that are not known are ignored. The error says what is wrong and what
// would be right; it quotes at most 64 bytes of the value. How long a value may
// be is the caller's affair.
func Parse(value []byte) (Beat, error) { return parse(value, "") }

// parse is Parse where known is the kind to expect.
func parse(value []byte, known fleet.Kind) (Beat, error) {
	if b, ok := quick(value, known); ok {
		return b, nil
	}
	return slow(value)
}

// slow reads every heartbeat there is.
func slow(value []byte) (Beat, error) {
	var fields struct {
		Resource   *string         `json:"resource"`
		InstanceID json.RawMessage `json:"instanceId"`
		Timestamp  json.RawMessage `json:"timestamp"`
	}
	if err := json.Unmarshal(value, &fields); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return Beat{}, &fleet.FieldError{Field: wrong.Field, Value: wrong.Value, Want: "a string"}
		}
		return Beat{}, fmt.Errorf("%s is no heartbeat: %w: want an object such as "+
			`{"resource": "Thing", "instanceId": 3, "timestamp": 1700000000}`, quoted(value), err)
	}
	if fields.Resource == nil || *fields.Resource == "" {
		return Beat{}, &fleet.FieldError{Field: "resource", Value: "missing or empty", Want: `a kind such as "Thing"`}
	}
	id, err := strconv.ParseInt(bare(fields.InstanceID), 10, 32)
	if err != nil || id < 0 {
		return Beat{}, wrongField("instanceId", fields.InstanceID, "a whole number from 0 to 2147483647, or one in a string")
	}
	seconds, err := strconv.ParseFloat(bare(fields.Timestamp), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxTimestamp) {
		return Beat{}, wrongField("timestamp", fields.Timestamp, "Unix seconds, as a number or in a string")
	}
	whole, part := math.Modf(seconds)
	return Beat{fleet.Kind(*fields.Resource), fleet.InstanceID(id), time.Unix(int64(whole), int64(part*1e9))}, nil
}

// bare is a number's text, of a number or of a string that holds one.
func bare(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] != '"' {
		return string(raw)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func wrongField(field string, raw json.RawMessage, want string) error {
	value := "missing"
	if len(raw) > 0 {
		value = quoted(raw)
	}
	return &fleet.FieldError{Field: field, Value: value, Want: want}
}

// quoted shows the beginning of what a stranger has sent, on one line.
func quoted(b []byte) string {
	if len(b) > 64 {
		return strconv.QuoteToASCII(string(b[:64])) + "…"
	}
	return strconv.QuoteToASCII(string(b))
}

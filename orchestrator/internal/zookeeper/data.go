package zookeeper

import (
	"encoding/json"
	"fmt"
	"strconv"

	"dacorch/orchestrator/fleet"
)

// numbers is the data of …/<instance>.
type numbers struct{ used, count int }

func (n numbers) encode() []byte {
	b := make([]byte, 0, 40)
	b = strconv.AppendInt(append(b, `{"used":`...), int64(n.used), 10)
	b = strconv.AppendInt(append(b, `,"count":`...), int64(n.count), 10)
	return append(b, '}')
}

func encodeTimes(times int64) []byte {
	return append(strconv.AppendInt(append(make([]byte, 0, 30), `{"times":`...), times, 10), '}')
}

// integer is a number in JSON, which some write as a string.
type integer struct {
	value int64
	set   bool
}

// UnmarshalJSON takes 3, "3" and 3.0, and null as absent.
func (n *integer) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		return nil
	}
	if len(s) > 1 && s[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != float64(int64(f)) || f < -1<<53 || f > 1<<53 {
			return fmt.Errorf("%.40q is not a whole number", s)
		}
		v = int64(f)
	}
	n.value, n.set = v, true
	return nil
}

// maxNumber bounds used and count, far above what a tree can hold.
const maxNumber = 1<<31 - 1

// decodeNumbers reads {"used": 3, "count": 500}, whatever the order and whatever
// else stands there. Both must be there, and not negative.
func decodeNumbers(data []byte) (numbers, error) {
	var n struct {
		Used  integer `json:"used"`
		Count integer `json:"count"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return numbers{}, fmt.Errorf(`%s is not valid: want {"used": n, "count": n}: %w`, excerpt(data), err)
	}
	for _, i := range []integer{n.Used, n.Count} {
		if !i.set || i.value < 0 || i.value > maxNumber {
			return numbers{}, fmt.Errorf(`%s is not valid: want {"used": n, "count": n}, both from 0 to %d`, excerpt(data), maxNumber)
		}
	}
	return numbers{int(n.Used.value), int(n.Count.value)}, nil
}

// decodeTimes reads {"times": 4}. The first orchestrator left nodes without, which
// are read as 0; set says that it is there.
func decodeTimes(data []byte) (times int64, set bool, err error) {
	var n *struct {
		Times integer `json:"times"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return 0, false, fmt.Errorf(`%s is not valid: want {"times": n}: %w`, excerpt(data), err)
	}
	if n == nil || n.Times.value < 0 {
		return 0, false, fmt.Errorf(`%s is not valid: want {"times": n}, not negative`, excerpt(data))
	}
	return n.Times.value, n.Times.set, nil
}

// decodeStatus reads what an instance has written to tmp/status: whatever holds no
// times that could be meant confirms nothing.
func decodeStatus(data []byte) fleet.Status {
	if times, set, err := decodeTimes(data); err == nil && set {
		return fleet.Status{Present: true, Times: times}
	}
	return fleet.Status{Present: true, Times: -1}
}

func encodeControl(c *fleet.Control) ([]byte, error) { return json.Marshal(c) }

func decodeControl(data []byte) (c fleet.Control, err error) {
	if err := json.Unmarshal(data, &c); err != nil {
		return fleet.Control{}, fmt.Errorf("%s is not valid: want the JSON of a control node: %w", excerpt(data), err)
	}
	return c, nil
}

// excerpt is data for an error message.
func excerpt(data []byte) string {
	const most = 80
	if len(data) > most {
		return fmt.Sprintf("%q… (%d bytes)", data[:most], len(data))
	}
	return fmt.Sprintf("%q", data)
}

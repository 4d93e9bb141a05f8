package scenarios

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Fields are what a condition can be about.
var Fields = []Metric{
	{"instance", UnitCount, "the instance's number"},
	{"resources", UnitCount, "the resources that its list holds"},
	{"load", UnitRatio, "the share of its capacity that they take; 1 is full"},
	{"age", UnitDuration, "how long ago its pod was created"},
}

// ParseCondition reads "<field> <op> <value>", such as "load > 90%", "age < 1m"
// or "instance == 3". An error says what is wrong, and after a colon what would
// be right.
func ParseCondition(text string) (Condition, error) {
	c := Condition{Text: text}
	name, op, value, err := comparison(text)
	if err != nil {
		return c, err
	}
	if op == "" {
		return c, fmt.Errorf("%q compares nothing: want \"<field> <op> <value>\", such as \"load > 90%%\"", text)
	}
	var names []string
	for _, f := range Fields {
		names = append(names, f.Name)
		if f.Name != name {
			continue
		}
		c.Field, c.Op = name, op
		if c.Value, err = f.Unit.parse(value); err != nil {
			want, _, _ := strings.Cut(f.Unit.wants(), ", or a metric")
			return c, fmt.Errorf("%q is not a value of %s: want %s", value, name, want)
		}
		return c, c.decides()
	}
	if n := nearest(name, names); n != "" {
		return c, fmt.Errorf("unknown field %q: did you mean %s?", name, n)
	}
	return c, fmt.Errorf("unknown field %q: want one of %s", name, strings.Join(names, ", "))
}

// decides refuses what is true of every instance: no field is below zero.
func (c Condition) decides() error {
	switch {
	case c.Value == 0 && c.Op == ">=":
		return fmt.Errorf("%q holds of every instance: want one that can fail, such as \"%s > 0\"", c.Text, c.Field)
	case c.Value == 0 && c.Op == "<":
		return fmt.Errorf("%q holds of no instance: want one that can, such as \"%s == 0\"", c.Text, c.Field)
	}
	return nil
}

// String is the condition as it was written, or where it was not, as
// ParseCondition reads it back.
func (c Condition) String() string {
	if c.Text != "" {
		return c.Text
	}
	value := strconv.FormatFloat(c.Value, 'f', -1, 64)
	if c.Field == "age" {
		value = FormatDuration(time.Duration(math.Round(c.Value * float64(time.Second))))
	}
	return c.Field + " " + c.Op + " " + value
}

package scenarios

import (
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	for text, want := range map[string]Condition{
		"load > 90%":      {Field: "load", Op: ">", Value: 0.9},
		"load<=0.5":       {Field: "load", Op: "<=", Value: 0.5},
		"age < 1m30s":     {Field: "age", Op: "<", Value: 90},
		"age < 1.001s":    {Field: "age", Op: "<", Value: 1.001},
		"instance >= 3":   {Field: "instance", Op: ">=", Value: 3},
		"resources == 0":  {Field: "resources", Op: "==", Value: 0},
		"resources !=1_0": {Field: "resources", Op: "!=", Value: 10},
	} {
		want.Text = text
		got, err := ParseCondition(text)
		if err != nil || got != want {
			t.Errorf("%q reads as %+v, %v: want %+v", text, got, err, want)
			continue
		}
		// One that nobody wrote down is written so that it reads as the same.
		got.Text = ""
		again, err := ParseCondition(got.String())
		if again.Text = ""; err != nil || again != got {
			t.Errorf("%q is written %q, which reads as %+v: %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "load", "load =", "load = 1", "laod > 1", "age > 5", "load > -1", "instance < 0", "instance >= 0", "> 3", "load > load"} {
		if got, err := ParseCondition(text); err == nil {
			t.Errorf("%q reads as %+v: want an error", text, got)
		}
	}
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{"load > 90%", "age<1m", "instance == 1_000", "a=b", "!", "age < 1y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text)
		if err != nil {
			if problem, want, _ := strings.Cut(err.Error(), ": "); problem == "" || want == "" {
				t.Fatalf("%q: the error %q lacks what is wrong or what would be right", text, err)
			}
			return
		}
		c.Text = ""
		again, err := ParseCondition(c.String())
		if again.Text = ""; err != nil || again != c || !(c.Value >= 0) {
			t.Fatalf("%q is %+v, and that reads as %+v: %v", text, c, again, err)
		}
	})
}

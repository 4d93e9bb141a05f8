package mqtt

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// matches says whether a topic falls under a filter that checkFilter accepts.
// Wildcards at the start do not reach topics that start with $.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		want, restFilter, moreFilter := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		have, restTopic, moreTopic := strings.Cut(topic, "/")
		if want != "+" && want != have {
			return false
		}
		switch {
		case !moreFilter:
			return !moreTopic
		case !moreTopic:
			return restFilter == "#" // a/# holds a itself
		}
		filter, topic = restFilter, restTopic
	}
}

// checkTopic answers why a message cannot be published under a topic.
func checkTopic(topic string) error {
	if err := checkName("topic", topic); err != nil {
		return err
	}
	if i := strings.IndexAny(topic, "+#"); i >= 0 {
		return fmt.Errorf("topic %.100q: %q at byte %d: a message's topic has no wildcards", topic, topic[i], i)
	}
	return nil
}

// checkFilter answers why a filter cannot be subscribed to.
func checkFilter(filter string) error {
	if err := checkName("filter", filter); err != nil {
		return err
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if strings.ContainsAny(level, "+#") && len(level) > 1 {
			return fmt.Errorf("filter %.100q: level %.100q: a wildcard stands alone in its level", filter, level)
		}
		if level == "#" && i < len(levels)-1 {
			return fmt.Errorf("filter %.100q: # stands only at the end", filter)
		}
	}
	return nil
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty: want at least one character", what)
	case len(name) > 65535:
		return fmt.Errorf("%s of %d bytes: want at most 65535", what, len(name))
	case !utf8.ValidString(name):
		return fmt.Errorf("%s %.100q: want UTF-8", what, name)
	case strings.Contains(name, "\x00"):
		return fmt.Errorf("%s %.100q: want no NUL", what, name)
	}
	return nil
}

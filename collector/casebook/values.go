package casebook

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// The words that stand where a number or a duration could.
const (
	unknown    = "unknown"
	unlimited  = "unlimited"
	absent     = "absent"
	unreadable = "unreadable"
	never      = "never"
)

// Number is an amount in USD, or a word in its place. Which words a field takes is in the README.
type Number struct {
	USD  float64
	Word string // "" = USD is valid
}

// USD is a plain amount.
func USD(v float64) *Number { return &Number{USD: v} }

// UnmarshalYAML reads a number or one of the words.
func (n *Number) UnmarshalYAML(node *yaml.Node) error {
	if slices.Contains([]string{unknown, unlimited, absent, unreadable}, node.Value) {
		n.Word = node.Value
		return nil
	}
	if err := node.Decode(&n.USD); err != nil || node.Tag == "!!null" || math.IsNaN(n.USD) || math.IsInf(n.USD, 0) {
		return fmt.Errorf("line %d: %q is neither an amount in USD nor one of unknown, unlimited, absent, unreadable", node.Line, node.Value)
	}
	return nil
}

// MarshalYAML writes it as UnmarshalYAML reads it.
func (n Number) MarshalYAML() (any, error) {
	if n.Word != "" {
		return n.Word, nil
	}
	text := strconv.FormatFloat(n.USD, 'f', -1, 64)
	tag := "!!float"
	if n.USD == math.Trunc(n.USD) {
		tag = "!!int"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}, nil
}

// Span is a time, counted from the start of the case, or a length of time; in Go's form: 90s, 1m30s, 720h.
type Span struct {
	time.Duration
	Never bool
}

// After is the span of a duration, to the millisecond.
func After(d time.Duration) Span { return Span{Duration: d.Round(time.Millisecond)} }

// IsZero says whether it was left out.
func (s Span) IsZero() bool { return s == Span{} }

// UnmarshalYAML reads a duration or "never".
func (s *Span) UnmarshalYAML(node *yaml.Node) (err error) {
	if node.Value == never {
		s.Never = true
		return nil
	}
	if s.Duration, err = time.ParseDuration(node.Value); err != nil {
		return fmt.Errorf("line %d: %q is no duration such as 90s or 1h30m", node.Line, node.Value)
	}
	return nil
}

// MarshalYAML writes it as UnmarshalYAML reads it.
func (s Span) MarshalYAML() (any, error) {
	if s.Never {
		return never, nil
	}
	return s.String(), nil
}

// MarshalYAML writes a reading in one line.
func (r Reading) MarshalYAML() (any, error) {
	type plain Reading
	var node yaml.Node
	if err := node.Encode(plain(r)); err != nil {
		return nil, err
	}
	node.Style = yaml.FlowStyle
	return &node, nil
}

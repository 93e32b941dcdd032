package simulator

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// field is one field of an object in an answer.
type field[T any] struct {
	name  string
	since string                   // the first release with it, "" = all
	value func(a *answer, x T) any // nil: empty is always the value
	empty string                   // JSON
}

// object writes one kind of object as one release does.
type object[T any] []field[T]

// objectOf keeps the fields that the release has.
func objectOf[T any](r release, fields []field[T]) object[T] {
	var o object[T]
	for _, f := range fields {
		if r.since(f.since) {
			o = append(o, f)
		}
	}
	return o
}

// json appends the object with the given exception left out, and with extra fields at the end.
func (o object[T]) json(dst []byte, a *answer, x T, without string, extra ...extraField) []byte {
	dst = append(dst, '{')
	for _, f := range o {
		if f.name == without {
			continue
		}
		dst = appendName(dst, f.name)
		if f.value == nil {
			dst = append(dst, f.empty...)
		} else {
			dst = a.append(dst, f.value(a, x))
		}
	}
	for _, m := range extra {
		dst = a.append(appendName(dst, m.name), m.value)
	}
	return append(dst, '}')
}

// extraField is a field of an object that is not in a table.
type extraField struct {
	name  string
	value any
}

func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// answer is what an answer's objects are written for.
type answer struct {
	*Simulator
	caller caller
	zone   string // how UTC is written: "Z" in models, "+00:00" in raw rows
}

// append appends a value as LiteLLM writes it: an empty string, a zero time and a nil pointer are null, an absent
// map is {} and an absent list [].
func (a *answer) append(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case json.RawMessage:
		return append(dst, v...)
	case string:
		if v == "" {
			return append(dst, "null"...)
		}
		return appendJSON(dst, v)
	case float64:
		return append(dst, pythonFloat(v)...)
	case *float64:
		if v == nil {
			return append(dst, "null"...)
		}
		return append(dst, pythonFloat(*v)...)
	case time.Time:
		if v.IsZero() {
			return append(dst, "null"...)
		}
		return append(dst, `"`+timestamp(v, a.zone)+`"`...)
	case map[string]any:
		if v == nil {
			return append(dst, "{}"...)
		}
		return appendJSON(dst, v)
	case []string:
		if v == nil {
			return append(dst, "[]"...)
		}
		return appendJSON(dst, v)
	default:
		return appendJSON(dst, v)
	}
}

func appendJSON(dst []byte, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // only plain data is ever given
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}

// timestamp writes a time as LiteLLM does: six digits of the second where there is a fraction, none otherwise.
func timestamp(t time.Time, zone string) string {
	layout := "2006-01-02T15:04:05"
	if t.Nanosecond()/1000 != 0 {
		layout += ".000000"
	}
	return t.UTC().Format(layout) + zone
}

// pythonTime writes a time as Python shows it.
func pythonTime(t time.Time) string { return strings.Replace(timestamp(t, "+00:00"), "T", " ", 1) }

// pythonFloat writes a number as Python's repr and json do: the shortest text that reads back the same, always
// with a point or an exponent.
func pythonFloat(v float64) string {
	if exp := math.Floor(math.Log10(math.Abs(v))); v != 0 && (exp < -4 || exp >= 16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !bytes.ContainsRune([]byte(s), '.') {
		s += ".0"
	}
	return s
}

// trueOrNull is how a flag that was never set is told.
func trueOrNull(b bool) any {
	if b {
		return true
	}
	return nil
}

package explain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Amount writes dollars to the millionth, at least to the cent; what is smaller, or too large for that, with three
// digits.
func Amount(v float64) string {
	if v != 0 && (math.Abs(v) < 1e-6 || math.Abs(v) >= 1e15) {
		return fmt.Sprintf("%.3g", v)
	}
	text := strconv.FormatFloat(v, 'f', 6, 64)
	for range 4 {
		text = strings.TrimSuffix(text, "0")
	}
	return text
}

// amountOf is an amount, or a word where it is not known.
func amountOf(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return Amount(*v)
}

// signed is an amount with its sign.
func signed(v *float64) string {
	if v != nil && *v > 0 {
		return "+" + Amount(*v)
	}
	return amountOf(v)
}

// Clean is a name as it may be written to a terminal: what is not printable, or too long, is not written as it is.
func Clean(name string) string {
	const longest = 120
	if runes := []rune(name); len(runes) > longest {
		name = string(runes[:longest]) + "…"
	}
	if strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) >= 0 {
		return strconv.Quote(name)
	}
	return name
}

// words turns a label value into what a person reads.
func words(label string) string { return strings.ReplaceAll(label, "_", " ") }

// span is a length of time to the second, without what is 0 at its end.
func span(d time.Duration) string {
	text := d.Round(time.Second).String()
	text = strings.TrimSuffix(text, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(text, "m0s")]
	return strings.TrimSuffix(text, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(text, "h0m")]
}

// clock is a time as a person reads it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// plural counts things.
func plural(n float64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + " " + many
}

// list joins words as a sentence does.
func list(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

package explain

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The size of a chart in pixels, and the space around what it plots.
const (
	ChartWidth  = 640
	ChartHeight = 180
	marginLeft  = 64
	marginRight = 12
	marginAbove = 10
	marginBelow = 24
	tickHeight  = 14 // of a line of text

	// farCap is from how many times the highest spend on a cap is not drawn: it would press both spends flat.
	farCap = 5
)

// Chart is the two spends of a budget and its cap over time, as coordinates of an SVG of ChartWidth by ChartHeight.
type Chart struct {
	Reported, Counter []string // polylines: points of "x,y x,y"
	Cap               []string // the same, in steps, without those far above both spends
	Ticks             []Tick   // amounts
	From, To          string   // times at both ends
	Width, Height     int
	Left, Right       int // x of the ends of what is plotted
	Bottom            int // y of the lower edge
}

// Tick is an amount at its height.
type Tick struct{ Y, Text string }

// Chart draws the history of a budget; nil where there is nothing to draw.
func (b *Budget) Chart() *Chart {
	if len(b.History) < 2 {
		return nil
	}
	c := &Chart{Width: ChartWidth, Height: ChartHeight, Left: marginLeft, Right: ChartWidth - marginRight, Bottom: ChartHeight - marginBelow}
	first, last := b.History[0].At, b.History[len(b.History)-1].At
	lowest, highest := 0.0, 0.0
	widen := func(v *float64) {
		if v != nil {
			lowest, highest = min(lowest, *v), max(highest, *v)
		}
	}
	for _, p := range b.History {
		widen(p.Reported)
		widen(p.Counter)
	}
	caps, now := b.drawnCaps(highest)
	for _, p := range caps {
		widen(p.MaxBudget)
	}
	if !last.After(first) || !(highest > lowest) || math.IsInf(highest-lowest, 0) {
		return nil
	}
	x := func(t time.Time) float64 {
		return marginLeft + float64(t.Sub(first))/float64(last.Sub(first))*(ChartWidth-marginLeft-marginRight)
	}
	y := func(v float64) float64 {
		return ChartHeight - marginBelow - (v-lowest)/(highest-lowest)*(ChartHeight-marginBelow-marginAbove)
	}
	c.Reported = lines(b.History, func(p Point) *float64 { return p.Reported }, x, y)
	c.Counter = lines(b.History, func(p Point) *float64 { return p.Counter }, x, y)
	c.Cap = lines(caps, func(p Point) *float64 { return p.MaxBudget }, x, y)
	amounts := []float64{lowest, highest}
	if now != nil {
		amounts = []float64{*now, lowest, highest}
	}
	for i, v := range amounts {
		near := func(other float64) bool { return math.Abs(y(v)-y(other)) < tickHeight }
		if !slices.ContainsFunc(amounts[:i], near) {
			c.Ticks = append(c.Ticks, Tick{coordinate(y(v)), Amount(v)})
		}
	}
	c.From, c.To = first.UTC().Format("15:04:05"), last.UTC().Format("15:04:05 UTC")
	return c
}

// drawnCaps are the caps over time that are drawn, each for as long as it held, and at last the one that holds now.
func (b *Budget) drawnCaps(highestSpend float64) (steps []Point, now *float64) {
	drawn := func(limit *float64) *float64 {
		if limit != nil && highestSpend > 0 && *limit >= farCap*highestSpend {
			return nil
		}
		return limit
	}
	now = drawn(b.MaxBudget)
	before := drawn(b.History[0].MaxBudget)
	for _, p := range append(slices.Clone(b.History), Point{At: b.History[len(b.History)-1].At, MaxBudget: b.MaxBudget}) {
		p.MaxBudget = drawn(p.MaxBudget)
		if before != nil && (p.MaxBudget == nil || *p.MaxBudget != *before) {
			steps = append(steps, Point{At: p.At, MaxBudget: before})
		}
		steps = append(steps, p)
		before = p.MaxBudget
	}
	return steps, now
}

// lines joins what is known of one side: it is cut where there is nothing, and a point on its own becomes a dot.
func lines(history []Point, side func(Point) *float64, x func(time.Time) float64, y func(float64) float64) []string {
	var found, line []string
	end := func() {
		if len(line) == 1 {
			line = append(line, line[0])
		}
		if len(line) > 0 {
			found = append(found, strings.Join(line, " "))
		}
		line = nil
	}
	for _, p := range history {
		if v := side(p); v != nil {
			line = append(line, coordinate(x(p.At))+","+coordinate(y(*v)))
		} else {
			end()
		}
	}
	end()
	return found
}

func coordinate(v float64) string { return fmt.Sprintf("%.1f", v) }

package budget

import "math"

// CapState says what is known of a cap.
type CapState uint8

// The states of a cap.
const (
	CapUnknown   CapState = iota // not yet read: not the same as unlimited
	CapUnlimited                 // there is none
	CapKnown                     // Low and High are valid
)

// Cap is the cap in force: max_budget, else the linked budget's, plus an unexpired temporary increase
// (LiteLLM 1.82.6 to 1.109.1). Low and High (USD) differ only where it cannot be seen whether a temporary
// increase is still in force; then no verdict that depends on it is given.
type Cap struct {
	State CapState
	Low   float64
	High  float64
}

// Exact is the cap in USD where it is a single known number.
func (c Cap) Exact() Optional[float64] {
	if c.State != CapKnown || c.Low != c.High {
		return Optional[float64]{}
	}
	return Some(c.Low)
}

// ReachedBy says that a spend is at the cap or above it, whichever end of the cap is in force.
func (c Cap) ReachedBy(spend float64) bool { return spend >= c.High-Noise(c.High) }

// Above says that a spend is below the cap, whichever end of the cap is in force.
func (c Cap) Above(spend float64) bool { return spend < c.Low-Noise(c.Low) }

// atCap is the part of a cap by which a counter at it may miss it: beside a reservation that was shrunk to what was left,
// LiteLLM settles others, for a little more or less than was reserved for them.
const atCap = 0.002

// Pins says that a counter stands at the cap: exactly, or but for what small requests cost.
func (c Cap) Pins(counter float64) bool {
	return c.State == CapKnown && c.Low == c.High && math.Abs(counter-c.High) <= atCap*c.High
}

// BlocksByIntent says that the cap is 0: a deliberate block, not a budget that anybody could be locked out of falsely.
func (c Cap) BlocksByIntent() bool { return c.State == CapKnown && c.High <= 0 }

// AtLow is the cap if a temporary increase in doubt makes it the lower one.
func (c Cap) AtLow() Cap { return Cap{State: c.State, Low: c.Low, High: c.Low} }

// AtHigh is the cap if a temporary increase in doubt makes it the higher one.
func (c Cap) AtHigh() Cap { return Cap{State: c.State, Low: c.High, High: c.High} }

// Noise is by how much a float that stands for an amount may miss it, in USD: a counter pinned at its cap is made of
// sums and differences.
func Noise(cap float64) float64 { return 1e-9 * max(1, math.Abs(cap)) }

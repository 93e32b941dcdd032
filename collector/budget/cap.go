package budget

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

// Package casebook keeps incidents as small data files: what was reported, enforced and capped over time, and what
// should be said of it. README.md beside this file describes the format.
//
// A case is judged again by the same judgement as a live deployment, offline and in virtual time.
package casebook

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"

	"litellm_budget_exporter/collector/budget"
)

// Format is the version of the format that is read and written.
const Format = 1

// Case is one incident. All its times count from the start of the case.
type Case struct {
	Format    int       `yaml:"format"`
	Title     string    `yaml:"title"`
	Issues    []int     `yaml:"issues,omitempty,flow"` // of BerriAI/litellm
	Release   string    `yaml:"release"`               // LiteLLM's, as it reports it; "" = not detected
	Namespace string    `yaml:"namespace,omitempty"`   // of the counters' names in Redis
	Intervals Intervals `yaml:"intervals,omitempty"`
	Tolerance Tolerance `yaml:"tolerance,omitempty"`
	Entities  []*Entity `yaml:"entities"`

	FleetCause budget.FleetCause `yaml:"fleet_cause,omitempty"` // what must be told of the fleet at some time
}

// Intervals are the exporter's reading intervals while the case was recorded.
type Intervals struct {
	Inventory Span `yaml:"inventory,omitempty"`
	Counters  Span `yaml:"counters,omitempty"`
}

// Tolerance is what the exporter took for normal while the case was recorded.
type Tolerance struct {
	USD      *float64 `yaml:"usd,omitempty"`
	Ratio    *float64 `yaml:"ratio,omitempty"`
	WriteLag Span     `yaml:"write_lag,omitempty"`
}

// Entity is one key or team of a case under a stand-in for its identity, with what holds from the start on.
type Entity struct {
	Scope        budget.Scope  `yaml:"scope"`
	ID           string        `yaml:"id"`
	Team         string        `yaml:"team,omitempty"`       // a key's team, by its stand-in
	MaxBudget    *Number       `yaml:"max_budget,omitempty"` // USD, or unlimited (the default), or unknown
	ResetAt      *Span         `yaml:"reset_at,omitempty"`
	TempIncrease *TempIncrease `yaml:"temp_increase,omitempty"`
	Windows      []Window      `yaml:"windows,omitempty"`
	Blocked      bool          `yaml:"blocked,omitempty"`
	Throttled    bool          `yaml:"throttled,omitempty"`
	Expires      *Span         `yaml:"expires,omitempty"`
	Readings     []Reading     `yaml:"readings"`
	Refusals     []Refusal     `yaml:"refusals,omitempty"`
	Expect       *Expect       `yaml:"expect,omitempty"`
}

// Refusal is a request of the entity that a budget refused, as LiteLLM logged it.
type Refusal struct {
	At        Span         `yaml:"at"`
	Scope     budget.Scope `yaml:"scope,omitempty"`  // of the budget; "" = LiteLLM did not tell
	Window    string       `yaml:"window,omitempty"` // its duration, where it was a time window's
	Own       *bool        `yaml:"own,omitempty"`    // by the cap of the entity itself; left out: where it was no time window's
	Enforced  *float64     `yaml:"enforced,omitempty"`
	MaxBudget *float64     `yaml:"max_budget,omitempty"`
	FalseAt   *Span        `yaml:"false_at,omitempty"` // when one by this budget was seen to be false
}

// TempIncrease is a temporary increase of a key's cap.
type TempIncrease struct {
	USD    float64 `yaml:"usd"`
	Until  Span    `yaml:"until"`
	NoZone bool    `yaml:"no_zone,omitempty"` // its expiry was written without a time zone
}

// Window is the cap of one time window.
type Window struct {
	Duration  string  `yaml:"duration"` // as LiteLLM writes it: 1h, 30d
	MaxBudget float64 `yaml:"max_budget"`
	ResetAt   *Span   `yaml:"reset_at,omitempty"`
}

// Reading is what was read of an entity at one time: its row (reported, and what changed in the row), its counter,
// or both, the row first.
type Reading struct {
	At Span `yaml:"at"`

	Reported   *Number  `yaml:"reported,omitempty"` // USD, or unknown
	TotalSpend *float64 `yaml:"total_spend,omitempty"`
	MaxBudget  *Number  `yaml:"max_budget,omitempty"` // USD, unlimited or unknown; from now on
	ResetAt    *Span    `yaml:"reset_at,omitempty"`   // from now on
	Blocked    *bool    `yaml:"blocked,omitempty"`    // from now on

	// So many readings of both between the one before and this one were left out: in between both moved in a straight line.
	LeftOut int `yaml:"left_out,omitempty"`

	Counter *Number           `yaml:"counter,omitempty"` // USD, absent or unreadable
	TTL     *Span             `yaml:"ttl,omitempty"`     // its remaining life, or never; 60s where it is not given
	Windows map[string]Number `yaml:"windows,omitempty"` // counters of the windows, by duration
}

// Expect is what should be said of an entity.
type Expect struct {
	Verdict  budget.Verdict `yaml:"verdict"`            // the worst of the whole case; ok: never another
	Cause    budget.Cause   `yaml:"cause,omitempty"`    // the last one given under that verdict
	By       *Span          `yaml:"by,omitempty"`       // when verdict and cause must stand at the latest
	EndsBy   *Span          `yaml:"ends_by,omitempty"`  // when it must be over at the latest; otherwise it holds to the end
	Episodes *int           `yaml:"episodes,omitempty"` // how many of the verdict must be counted
}

// Read reads a case. Its error names the field or line that is wrong.
func Read(r io.Reader) (*Case, error) {
	var c Case
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, fmt.Errorf("not a case: %w", err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a case: there is more than one document")
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("not a case: %w", err)
	}
	return &c, nil
}

// Write writes a case as Read reads it.
func Write(w io.Writer, c *Case) error {
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("writing the case: %w", err)
	}
	_, err := text.WriteTo(w)
	return err
}

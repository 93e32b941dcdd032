package judgement

import (
	"testing"

	"litellm_budget_exporter/collector/budget"
)

func TestADivergenceTheOtherWayRoundIsAnother(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 9, 9).cold(15).pair(30, 9, 6).pair(45, 9, 6).pair(60, 9, 6)
	for sec := 75.0; sec < 135; sec += 15 {
		s.pair(sec, 9, 9.8).verdict(budget.OK)
	}
	s.pair(135, 9, 9.8).pair(150, 9, 9.8).pair(166, 9, 9.8).verdict(budget.Diverging)
}

func TestARowThatIsBroughtUpEndsADivergence(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 4).pair(45, 3, 4).pair(60, 3, 4)
	s.counter(75, 5).row(75.2, 4)           // what came first is written as more is spent
	for sec := 90.0; sec < 135; sec += 15 { // the first would have been one from 105 s on
		s.pair(sec, 4, 5).verdict(budget.OK)
	}

	s = tell(t, "1.84.0").pair(0, 3, 3).cold(15).pair(30, 3, 6).pair(45, 3, 6).pair(60, 3, 6)
	s.counter(75, 6.5).row(75.2, 3.5) // it had been more than what is written
	s.pair(90, 3.5, 6.5).pair(106, 3.5, 6.5).verdict(budget.Diverging)
}

func TestACounterReadLongAfterItsRowTellsOfNoDivergence(t *testing.T) {
	s := tell(t, "1.84.0").pair(0, 3, 3).cold(15)
	for sec := 30.0; sec < 105; sec += 15 {
		s.pair(sec, 3, 6)
	}
	s.counter(120, 6).verdict(budget.OK).row(120.1, 3).verdict(budget.Diverging)
}

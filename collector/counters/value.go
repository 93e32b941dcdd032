package counters

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/budget"
)

// reading makes one reading of the answers to GET and PTTL of one key. Its error is a failure of the source;
// the reading is then CounterUnread.
func reading(value *redis.StringCmd, life *redis.DurationCmd, at time.Time) (budget.Counter, error) {
	text, err := value.Result()
	switch {
	case errors.Is(err, redis.Nil):
		return budget.Counter{State: budget.CounterAbsent, ReadAt: at}, nil
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return budget.Counter{State: budget.CounterUnreadable, WrongType: true, ReadAt: at}, nil
	case err != nil:
		return budget.Counter{}, err
	}
	ttl, err := life.Result()
	if err != nil {
		return budget.Counter{}, err
	}
	switch ttl {
	case -2: // it expired between the two commands
		return budget.Counter{State: budget.CounterAbsent, ReadAt: at}, nil
	case -1:
		ttl = budget.NoExpiry
	}
	usd, ok := parseValue(text)
	if !ok {
		return budget.Counter{State: budget.CounterUnreadable, ReadAt: at}, nil
	}
	return budget.Counter{State: budget.CounterPresent, Value: usd, TTL: ttl, ReadAt: at}, nil
}

var number = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// parseValue reads a counter's value as LiteLLM does (1.83.3 to 1.109.1): decimal text as INCRBYFLOAT leaves it
// ("10.607"), a JSON number as SET leaves it ("0.0"), a Python float ("1e-05"), and any of them in quotes. NaN,
// Infinity and everything else is no value.
func parseValue(text string) (usd float64, ok bool) {
	text = strings.TrimSpace(text)
	for _, quote := range []string{`"`, `'`} {
		if inner, opened := strings.CutPrefix(text, quote); opened {
			text, _ = strings.CutSuffix(inner, quote)
		}
	}
	if !number.MatchString(text) {
		return 0, false
	}
	usd, err := strconv.ParseFloat(text, 64) // its error: too large for a float64
	return usd, err == nil
}

package counters

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// buffers are the lists in which LiteLLM keeps spend on its way to the database, with
// general_settings.use_redis_transaction_buffer.
var buffers = []string{
	"litellm_spend_update_buffer",
	"litellm_daily_spend_update_buffer",
	"litellm_daily_team_spend_update_buffer",
	"litellm_daily_org_spend_update_buffer",
	"litellm_daily_end_user_spend_update_buffer",
	"litellm_daily_agent_spend_update_buffer",
	"litellm_daily_tag_spend_update_buffer",
	"litellm_window_spend_update_buffer", // 1.101.0
	"litellm_spend_logs_buffer",          // 1.104.0
	"litellm_gateway_requests_buffer",    // 1.104.0
	"litellm_gateway_requests_buffer_v2", // this and the following: 1.108.5
	"litellm_request_errors_buffer",
	"litellm_tool_discovery_buffer",
}

// BufferLengths reads how many elements LiteLLM's Redis transaction buffers hold, by list name without
// namespace. Lists that are empty or absent are 0. Those that the user may not read are left out, which is no
// error; with an error (an *Error) so are those that could not be read. WrongType says that one, which the error
// names, is no list: it concerns that one alone.
//
// With a namespace the lists are bare up to LiteLLM 1.90.7 and prefixed from 1.91.0 on. Only one of the two is
// in use, so their lengths are added.
func (r *Reader) BufferLengths(ctx context.Context) (map[string]int64, error) {
	lengths, err := r.lengths(ctx, Bare)
	if r.namespace == "" {
		return lengths, err
	}
	prefixed, prefixedErr := r.lengths(ctx, Prefixed)
	for name, n := range prefixed {
		lengths[name] += n
	}
	return lengths, cmp.Or(err, prefixedErr)
}

func (r *Reader) lengths(ctx context.Context, form Form) (map[string]int64, error) {
	answers := make([]*redis.IntCmd, len(buffers))
	read := make([]bool, len(buffers))
	err := r.ask(ctx, r.keys(buffers, form),
		func(p redis.Pipeliner, i int, key string) { answers[i] = p.LLen(ctx, key) },
		func(i int, _ time.Time) error {
			err := answers[i].Err()
			read[i] = err == nil
			if err == nil || redis.IsPermissionError(err) {
				return nil
			}
			return fmt.Errorf("%s: %w", buffers[i], err)
		})
	lengths := map[string]int64{}
	for i, name := range buffers {
		if read[i] {
			lengths[name] = answers[i].Val()
		}
	}
	return lengths, err
}

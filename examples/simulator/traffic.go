package simulator

import (
	"context"
	"math"
	"time"
)

// Stream is steady traffic on one key. Its times and costs vary by half around what is given, as the seed has it.
type Stream struct {
	Key   string        // hash
	Every time.Duration // from one request to the next
	Cost  float64       // USD a request
	Takes time.Duration // from admission to answer; 0 = no time
}

// AddStream lets a stream of requests begin. The workers take turns. It ends with its key.
func (s *Simulator) AddStream(st Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.continueStream(st)
}

func (s *Simulator) continueStream(st Stream) {
	s.after(s.vary(st.Every), func(ctx context.Context) {
		if s.db.keys[st.Key] == nil {
			return
		}
		// A millionth of a dollar is the smallest step, so that sums stay readable.
		cost := math.Round(st.Cost*(0.5+s.random.Float64())*1e6) / 1e6
		flights, _ := s.begin(ctx, Request{
			Key: st.Key, Worker: s.random.IntN(len(s.workers)), Cost: cost, Estimate: estimateFactor * st.Cost,
		})
		if f := flights[0]; f != nil {
			if st.Takes == 0 {
				f.settle(ctx)
			} else {
				s.after(s.vary(st.Takes), f.settle)
			}
		}
		s.continueStream(st)
	})
}

func (s *Simulator) vary(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + s.random.Float64()))
}

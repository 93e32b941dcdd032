package judgement

import "testing"

func TestTraffic(t *testing.T) {
	// A spending rate at which the entity is well for a time, and back at its row at the end of every so many seconds.
	type phase struct{ rate, seconds, back float64 }
	steady := phase{0.01, 700, 15}
	for name, c := range map[string]struct {
		phases []phase
		rate   float64
		want   bool
	}{
		"known":                                {[]phase{steady}, 0.01, true},
		"twice as fast":                        {[]phase{steady}, 0.02, true},
		"faster":                               {[]phase{steady}, 0.021, false},
		"too new":                              {[]phase{{0.01, 580, 15}}, 0.01, false},
		"hardly ever back at its row":          {[]phase{{0.01, 700, 300}}, 0.01, false},
		"hardly ever, once it is known":        {[]phase{steady, {0.01, 700, 1000}}, 0.01, true},
		"known, and then faster for a while":   {[]phase{steady, {0.03, 300, 15}}, 0.03, false},
		"known, and then faster for long":      {[]phase{steady, {0.03, 900, 15}}, 0.03, true},
		"faster, once it is known to be slow":  {[]phase{{0.1, 900, 15}, {0.01, 1500, 15}}, 0.1, false},
		"slower, once it is known to be fast":  {[]phase{{0.1, 900, 15}, {0.01, 1500, 15}}, 0.01, true},
		"faster again after it was slow":       {[]phase{{0.1, 900, 15}, {0.01, 1500, 15}, {0.1, 300, 15}}, 0.1, false},
		"as fast as before it was slow a time": {[]phase{{0.1, 900, 15}, {0.01, 300, 15}}, 0.1, true},
		"nothing is spent":                     {[]phase{{0, 900, 15}}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			var tr traffic
			now := 0.0
			for _, p := range c.phases {
				for sec := 15.0; sec <= p.seconds; sec += 15 {
					now += 15
					tr.agreed(p.rate, at(now))
					tr.cameBack(int(sec)%int(p.back) == 0, at(now))
				}
			}
			if got := tr.known(c.rate); got != c.want {
				t.Errorf("known: %v; %+v", got, tr)
			}
		})
	}
}

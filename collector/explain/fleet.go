package explain

import (
	"strings"

	"litellm_budget_exporter/collector/budget"
)

// Fleet is a cause that belongs to the whole deployment.
type Fleet struct {
	Name       budget.FleetCause  `json:"name"`
	Confidence float64            `json:"confidence"` // 0 to 1
	Evidence   map[string]float64 `json:"evidence"`
	Text       string             `json:"text"`
	Releases   string             `json:"releases"` // which suffer from it, and how
	Issues     []int              `json:"issues"`   // of BerriAI/litellm
	Look       []string           `json:"look"`     // commands that show more and change nothing
	Remedies   []Remedy           `json:"remedies"`
}

// Both are told only after minutes in which the whole fleet showed nothing else, so little is left to doubt.
const (
	fleetConfidence  = 0.9
	bufferConfidence = 0.95 // where what waits to be written was seen, too
)

// fleet explains what is wrong with the whole fleet; nil where that was not looked at.
func (s subject) fleet() []Fleet {
	judged := s.in.Snapshot.FleetCauses
	if judged == nil {
		return nil
	}
	found := []Fleet{}
	if judged[budget.FlushStalled] {
		found = append(found, s.flushStalled())
	}
	if judged[budget.NoSharedCounters] {
		found = append(found, s.noSharedCounters())
	}
	for i := range found {
		f := &found[i]
		f.Evidence = map[string]float64{}
		for _, v := range s.in.Snapshot.FleetEvidence[f.Name] {
			f.Evidence[v.Name] = v.Value
		}
		f.Confidence = fleetConfidence
		if f.Evidence["buffer_elements"] > 0 {
			f.Confidence = bufferConfidence
		}
		f.Look = append([]string{}, f.Look...)
		for j := range f.Remedies {
			f.Remedies[j] = f.Remedies[j].whole()
		}
	}
	return found
}

func (s subject) flushStalled() Fleet {
	const always = "0.0.0"
	look := append(s.redis(s.besideCounters("litellm_spend_update_buffer", "1.91.0"), "LLEN"),
		s.redis(s.besideCounters("cronjob_lock:db_spend_update_job", always), "GET")...)
	return Fleet{
		Name: budget.FlushStalled,
		Text: "No row rose while several keys and teams went on spending: LiteLLM brings no spend to its database. " +
			"That spend is in the counters, and nowhere else but in LiteLLM's buffers.",
		Releases: "any; spend that could not be written is lost up to 1.97.0, and put back into the buffer from 1.99.4 on",
		Issues:   []int{19163, 33872, 39150},
		Look:     append(look, s.curl("GET", "/health/readiness", nil)),
		Remedies: []Remedy{
			{
				Title:   "See to LiteLLM's database",
				Changes: "When it takes writes again, LiteLLM goes on by itself, and the rows catch up.",
				SideEffects: []string{
					"Restart no proxy and delete no counter before: what only they hold is lost.",
				},
			},
			{
				Title: "If the database is well, read the log of the proxy that writes",
				Changes: "Nothing. The lock names it, while it writes. A length that grows is a buffer that nobody empties; 0 and no lock mean that no buffer in Redis " +
					"is used: then every proxy writes for itself, and logs why it cannot.",
			},
		},
	}
}

// besideCounters is the full name of something that LiteLLM keeps in the Redis of the counters. The namespace stands
// before it from a release on; up to 1.99.4 LiteLLM leaves it out where the name begins with its text.
func (s subject) besideCounters(name, prefixedSince string) string {
	namespace, release := s.in.Deployment.namespace(), s.release()
	if namespace == "" || release.OlderThan(prefixedSince) || release.OlderThan("1.101.0") && strings.HasPrefix(name, namespace) {
		return name
	}
	return namespace + ":" + name
}

func (d Deployment) namespace() string {
	if d.Redis == nil {
		return ""
	}
	return d.Redis.Namespace
}

func (s subject) noSharedCounters() Fleet {
	f := Fleet{
		Name: budget.NoSharedCounters,
		Text: "Spend rose and no counter showed it. Either the exporter looks into another Redis, database or namespace than LiteLLM counts in, " +
			"or LiteLLM has none to count in: then every worker process holds the caps for itself alone.",
		Releases: "any that counts in Redis, which are 1.83.3 and later",
		Issues:   []int{17190, 30661, 38403, 42653},
		Remedies: []Remedy{},
	}
	if !s.release().Rules.Counters {
		f.Text = "Spend rose and no counter showed it: this release keeps none."
		f.Releases = "all before 1.83.3"
		return f
	}
	f.Look = append(s.redis("keyspace", "INFO"), s.curl("GET", s.whereItCounts(), nil))
	f.Remedies = []Remedy{
		{
			Title:   "Have the exporter look where LiteLLM counts",
			Changes: "redis.url, redis.db and redis.namespace of the exporter's configuration, and a reload. INFO shows which databases of this Redis hold anything. Nothing changes for LiteLLM.",
		},
		{
			Title:   "Give LiteLLM a Redis to count in",
			Changes: "LiteLLM's configuration, and a restart of all proxies: " + s.redisSettings() + ". Every cap then holds for all of them together.",
			SideEffects: []string{
				"router_settings.redis_* never counts for budgets.",
				"Who has overspent by then is refused at once, and rightly.",
			},
		},
	}
	return f
}

// whereItCounts is where a release tells which Redis it uses, as well as it can.
func (s subject) whereItCounts() string {
	switch release := s.release(); {
	case release.OlderThan("1.84.0"):
		return "/health/readiness"
	case release.OlderThan("1.94.3"):
		return "/health/readiness/details"
	}
	return "/coordination_redis/settings"
}

// redisSettings are the settings by which a release gets a Redis for its counters.
func (s subject) redisSettings() string {
	settings := []string{"litellm_settings.cache: true with cache_params.type: redis"}
	if !s.release().OlderThan("1.93.0") {
		settings = append(settings, "general_settings.coordination_redis (from 1.93.0 on; in the file, for what the admin UI saves moves no counters)")
	}
	if !s.release().OlderThan("1.101.0") {
		settings = append(settings, "REDIS_* in the environment (from 1.101.0 on, if Redis answers when the proxy starts)")
	}
	return strings.Join(settings, ", or ")
}

// Sure says in words how sure it is.
func (f Fleet) Sure() string { return sure(f.Confidence) }

// Numbers writes the evidence for a person.
func (f Fleet) Numbers() string { return numbers(f.Evidence) }

// IssueNames are the numbers of the issues as people write them.
func (f Fleet) IssueNames() []string { return issueNames(f.Issues) }

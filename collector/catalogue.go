// Package collector is what the exporter exports: it turns a snapshot into metrics, and the exporter's own
// doings into a few more. Every metric is defined once, in the catalogue, from which the descriptors, the HELP
// texts and the metric tables of the README are made.
package collector

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"litellm_budget_exporter/collector/budget"
)

// metricType is a metric's type, as Prometheus calls it.
type metricType string

const (
	gauge     metricType = "gauge"
	counter   metricType = "counter"
	histogram metricType = "histogram"
)

// group is the table of the README in which a metric stands.
type group string

const (
	perEntity   group = "Per entity"
	perWindow   group = "Time windows"
	fleetWide   group = "Over the whole fleet"
	aboutItself group = "About itself"
)

// In the name and HELP of a metric that there is once for each scope, scopePlaceholder stands for the scope.
const scopePlaceholder = "<scope>"

// metric is one entry of the catalogue.
type metric struct {
	name   string // with scopePlaceholder where there is one for each scope
	typ    metricType
	unit   string
	labels []string // without those of the entity's identity
	group  group
	help   string
	names  bool // carries the names of the entity as well

	// descs holds the descriptor for each scope, or one under "".
	descs map[budget.Scope]*prometheus.Desc
}

// scopeLabels are the labels of one scope, under LiteLLM's own names, so that its metrics join with these.
type scopeLabels struct {
	identity string   // on every series of an entity
	names    []string // on its info series only: whatever can be renamed or moved
	values   func(n budget.Names) []string
}

// labelsOf holds the labels of every scope there is.
var labelsOf = map[budget.Scope]scopeLabels{
	budget.Key: {
		identity: "hashed_api_key",
		names:    []string{"api_key_alias", "team", "team_alias", "user", "org_id", "project_id", "budget_id"},
		values: func(n budget.Names) []string {
			return []string{n.Alias, n.TeamID, n.TeamAlias, n.UserID, n.OrgID, n.ProjectID, n.BudgetID}
		},
	},
	budget.Team: {
		identity: "team",
		names:    []string{"team_alias", "org_id"},
		values:   func(n budget.Names) []string { return []string{n.Alias, n.OrgID} },
	},
}

// catalogue holds every metric in the order in which they were defined.
var catalogue []*metric

func define(m metric) *metric {
	m.descs = map[budget.Scope]*prometheus.Desc{}
	if strings.Contains(m.name, scopePlaceholder) {
		for _, s := range budget.Scopes {
			m.descs[s] = m.describe(s)
		}
	} else {
		m.descs[""] = m.describe("")
	}
	catalogue = append(catalogue, &m)
	return &m
}

func (m *metric) describe(s budget.Scope) *prometheus.Desc {
	return prometheus.NewDesc(m.nameOf(s), m.helpOf(s), m.labelNames(s), nil)
}

// nameOf is the name of the metric for a scope.
func (m *metric) nameOf(s budget.Scope) string {
	return strings.ReplaceAll(m.name, scopePlaceholder, string(s))
}

// helpOf is the HELP of the metric for a scope.
func (m *metric) helpOf(s budget.Scope) string {
	return strings.ReplaceAll(m.help, scopePlaceholder, string(s))
}

// ofExporter says whether the metric tells of the exporter's own doings, and so does not come from a snapshot.
func (m *metric) ofExporter() bool { return strings.HasPrefix(m.name, namespace) }

// labelNames lists the labels of the metric for a scope.
func (m *metric) labelNames(s budget.Scope) []string {
	if s == "" {
		return m.labels
	}
	labels := append([]string{labelsOf[s].identity}, m.labels...)
	if m.names {
		labels = append(labels, labelsOf[s].names...)
	}
	return labels
}

// labelPairs makes the labels of one series. Invalid UTF-8, which no exposition format can carry, is replaced.
func (m *metric) labelPairs(s budget.Scope, values ...string) []*dto.LabelPair {
	for i, v := range values {
		values[i] = validUTF8(v)
	}
	return prometheus.MakeLabelPairs(m.descs[s], values)
}

// opts are the name and HELP of the metric for a scope, as client_golang wants them where it keeps the value.
func (m *metric) opts(s budget.Scope) prometheus.Opts {
	return prometheus.Opts{Name: m.nameOf(s), Help: m.helpOf(s)}
}

func validUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Units, as the tables name them.
const (
	usd       = "USD"
	seconds   = "seconds"
	timestamp = "Unix time in seconds"
	boolean   = "0 or 1"
	constant  = "always 1"
	number    = "number"
)

// Per entity. All of it is as of the last readings, which scrapes do not cause or wait for.
var (
	spendReported = define(metric{
		name: "litellm_budget_<scope>_spend_reported_usd", typ: gauge, unit: usd, group: perEntity,
		help: "Reported spend of the <scope> in US dollars: the database row, as the management API last told it. Cached: read in the background, not by the scrape.",
	})
	spendEnforced = define(metric{
		name: "litellm_budget_<scope>_spend_enforced_usd", typ: gauge, unit: usd, group: perEntity,
		help: "Enforced spend of the <scope> in US dollars: what the next admission check compares with the budget, by the rules of the LiteLLM release in use. Cached: read in the background, not by the scrape.",
	})
	spendDivergence = define(metric{
		name: "litellm_budget_<scope>_spend_divergence_usd", typ: gauge, unit: usd, group: perEntity,
		help: "Enforced minus reported spend of the <scope> in US dollars: above 0 it is refused too early, below 0 it is let through too long.",
	})
	divergenceTolerance = define(metric{
		name: "litellm_budget_<scope>_divergence_tolerance_usd", typ: gauge, unit: usd, group: perEntity,
		help: "How much divergence of the <scope>, in US dollars and in either direction, is normal now.",
	})
	redisSpend = define(metric{
		name: "litellm_budget_<scope>_redis_spend_usd", typ: gauge, unit: usd, group: perEntity,
		help: "The Redis counter of the <scope> as stored, in US dollars; absent when there is none. Cached: read in the background, not by the scrape.",
	})
	redisTTL = define(metric{
		name: "litellm_budget_<scope>_redis_ttl_seconds", typ: gauge, unit: seconds + "; -1 = for ever", group: perEntity,
		help: "Remaining life of the Redis counter of the <scope> in seconds when it was last read; -1 means that it never expires.",
	})
	maxBudget = define(metric{
		name: "litellm_budget_<scope>_max_budget_usd", typ: gauge, unit: usd, group: perEntity,
		help: "The cap in force of the <scope> in US dollars: its own or its linked budget's, plus an unexpired temporary increase. Absent when unlimited or not known.",
	})
	budgetReset = define(metric{
		name: "litellm_budget_<scope>_budget_reset_timestamp_seconds", typ: gauge, unit: timestamp, group: perEntity,
		help: "When LiteLLM resets the spend of the <scope> next, in Unix time.",
	})
	falselyLocked = define(metric{
		name: "litellm_budget_<scope>_falsely_locked", typ: gauge, unit: boolean, group: perEntity,
		help: "1 while the <scope> is refused although its reported spend is below its budget, confirmed by a second pair of readings; else 0. Absent while this cannot be judged.",
	})
	bypassed = define(metric{
		name: "litellm_budget_<scope>_bypassed", typ: gauge, unit: boolean, group: perEntity,
		help: "1 while the <scope> is admitted although its reported spend has reached its budget, confirmed by a second pair of readings; else 0. Absent while this cannot be judged.",
	})
	falselyLockedLast = define(metric{
		name: "litellm_budget_<scope>_falsely_locked_last_timestamp_seconds", typ: gauge, unit: timestamp, group: perEntity,
		help: "When a reading last showed the <scope> falsely locked, confirmed, in Unix time; for 24 hours after it, else absent.",
	})
	bypassedLast = define(metric{
		name: "litellm_budget_<scope>_bypassed_last_timestamp_seconds", typ: gauge, unit: timestamp, group: perEntity,
		help: "When a reading last showed the <scope> bypassed, confirmed, in Unix time; for 24 hours after it, else absent.",
	})
	divergenceCause = define(metric{
		name: "litellm_budget_<scope>_divergence_cause", typ: gauge, unit: constant, labels: []string{"cause"}, group: perEntity,
		help: "1 for the most likely cause of the divergence of the <scope>, only while it is falsely locked, bypassed or diverging.",
	})
	spendObserved = define(metric{
		name: "litellm_budget_<scope>_spend_observed_usd_total", typ: counter, unit: usd, group: perEntity,
		help: "Increases of the reported spend of the <scope> seen since the exporter started, in US dollars. A reset adds nothing.",
	})
	info = define(metric{
		name: "litellm_budget_<scope>_info", typ: gauge, unit: constant, group: perEntity, names: true,
		help: "1, with everything of the <scope> that can be renamed or moved, for joins.",
	})
)

// Per time window (budget_limits) of an entity.
var (
	windowEnforced = define(metric{
		name: "litellm_budget_<scope>_window_spend_enforced_usd", typ: gauge, unit: usd, labels: []string{"window"}, group: perWindow,
		help: "Enforced spend of the <scope> in the time window in US dollars; absent while its counter is cold. Its reported spend is in no API. Cached: read in the background, not by the scrape.",
	})
	windowMaxBudget = define(metric{
		name: "litellm_budget_<scope>_window_max_budget_usd", typ: gauge, unit: usd, labels: []string{"window"}, group: perWindow,
		help: "The cap of the <scope> in the time window in US dollars; the lower one where two windows have one duration.",
	})
	windowReset = define(metric{
		name: "litellm_budget_<scope>_window_budget_reset_timestamp_seconds", typ: gauge, unit: timestamp, labels: []string{"window"}, group: perWindow,
		help: "When LiteLLM resets the time window of the <scope> next, in Unix time.",
	})
)

var scopeLabel = []string{"scope"}

// Over all entities of a scope, those without series of their own included.
var (
	entities = define(metric{
		name: "litellm_budget_entities", typ: gauge, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How many entities of the scope there are.",
	})
	entitiesWithoutSeries = define(metric{
		name: "litellm_budget_entities_without_series", typ: gauge, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How many entities of the scope have no series of their own, because there are more than limits.entities_per_scope.",
	})
	capUnknownEntities = define(metric{
		name: "litellm_budget_cap_unknown_entities", typ: gauge, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How many entities of the scope have a cap that is not known, and so no verdict that depends on it: it could not be read, or whether a temporary increase still holds cannot be told.",
	})
	falselyLockedEntities = define(metric{
		name: "litellm_budget_falsely_locked_entities", typ: gauge, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How many entities of the scope are falsely locked now.",
	})
	bypassedEntities = define(metric{
		name: "litellm_budget_bypassed_entities", typ: gauge, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How many entities of the scope are bypassed now.",
	})
	divergingEntities = define(metric{
		name: "litellm_budget_diverging_entities", typ: gauge, unit: number, labels: []string{"scope", "cause"}, group: fleetWide,
		help: "How many entities of the scope are falsely locked, bypassed or diverging now, by most likely cause.",
	})
	falselyLockedEpisodes = define(metric{
		name: "litellm_budget_falsely_locked_episodes_total", typ: counter, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How often an entity of the scope became falsely locked since the exporter started.",
	})
	falselyLockedSeconds = define(metric{
		name: "litellm_budget_falsely_locked_seconds_total", typ: counter, unit: seconds, labels: scopeLabel, group: fleetWide,
		help: "How long entities of the scope were falsely locked since the exporter started, added up over all of them, in seconds.",
	})
	bypassedEpisodes = define(metric{
		name: "litellm_budget_bypassed_episodes_total", typ: counter, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How often an entity of the scope became bypassed since the exporter started.",
	})
	bypassedSeconds = define(metric{
		name: "litellm_budget_bypassed_seconds_total", typ: counter, unit: seconds, labels: scopeLabel, group: fleetWide,
		help: "How long entities of the scope were bypassed since the exporter started, added up over all of them, in seconds.",
	})
	spendReportedSum = define(metric{
		name: "litellm_budget_spend_reported_sum_usd", typ: gauge, unit: usd, labels: scopeLabel, group: fleetWide,
		help: "Reported spend of all entities of the scope together in US dollars. What a key spends is in its team's spend too.",
	})
	spendEnforcedSum = define(metric{
		name: "litellm_budget_spend_enforced_sum_usd", typ: gauge, unit: usd, labels: scopeLabel, group: fleetWide,
		help: "Enforced spend of the entities of the scope whose enforced spend is known, together, in US dollars.",
	})
	divergenceMax = define(metric{
		name: "litellm_budget_divergence_max_usd", typ: gauge, unit: usd, labels: scopeLabel, group: fleetWide,
		help: "The largest divergence (enforced minus reported spend) of any entity of the scope in US dollars, signed.",
	})
	divergenceMin = define(metric{
		name: "litellm_budget_divergence_min_usd", typ: gauge, unit: usd, labels: scopeLabel, group: fleetWide,
		help: "The smallest divergence (enforced minus reported spend) of any entity of the scope in US dollars, signed.",
	})
	countersPresent = define(metric{
		name: "litellm_budget_counters_present", typ: gauge, unit: number, labels: scopeLabel, group: fleetWide,
		help: "How many entities of the scope had a counter in Redis when last read; 0 while spend rises means that the exporter looks at the wrong Redis, or LiteLLM shares none.",
	})
	spendBufferLength = define(metric{
		name: "litellm_budget_spend_buffer_length", typ: gauge, unit: number, labels: []string{"buffer"}, group: fleetWide,
		help: "Elements in one of LiteLLM's Redis buffers of spend on its way to the database; absent until the buffer was seen once.",
	})
	fleetCause = define(metric{
		name: "litellm_budget_fleet_cause", typ: gauge, unit: boolean, labels: []string{"cause"}, group: fleetWide,
		help: "1 while the failure mode, which belongs to the whole deployment, is seen; else 0.",
	})
	refusalsObserved = define(metric{
		name: "litellm_budget_refusals_observed_total", typ: counter, unit: number, labels: []string{"scope", "reported"}, group: fleetWide,
		help: "Requests that LiteLLM logged as refused by a budget of the scope since the exporter started, by the reported spend one write lag later: below_cap, at_cap or unknown. The scope is unknown where LiteLLM does not tell in known words whose budget it was. Absent unless they are read (refusals): with auto and a Redis, where only those of falsely locked entities are, the scope unknown is the only one.",
	})
	litellmInfo = define(metric{
		name: "litellm_budget_litellm_info", typ: gauge, unit: constant, labels: []string{"version"}, group: fleetWide,
		help: "1, with the LiteLLM release in use; absent while it is not known.",
	})
	releaseAffected = define(metric{
		name: "litellm_budget_release_affected", typ: gauge, unit: boolean, labels: []string{"cause"}, group: fleetWide,
		help: "1 if keys and teams can suffer from the cause in the LiteLLM release in use, 0 if they cannot; absent where that is not known.",
	})
)

// About the exporter itself, by the snapshot.
var (
	sourceUp = define(metric{
		name: "litellm_budget_source_up", typ: gauge, unit: boolean, labels: []string{"source"}, group: aboutItself,
		help: "1 if the last reading of the source (litellm or redis) succeeded, 0 if it failed; absent when the source is not configured or was not read yet.",
	})
	sourceLastSuccess = define(metric{
		name: "litellm_budget_source_last_success_timestamp_seconds", typ: gauge, unit: timestamp, labels: []string{"source"}, group: aboutItself,
		help: "When the source was last read with success, in Unix time.",
	})
	lastFullSweep = define(metric{
		name: "litellm_budget_last_full_sweep_timestamp_seconds", typ: gauge, unit: timestamp, group: aboutItself,
		help: "When the last complete reading of all keys and teams ended, in Unix time: the age of the inventory.",
	})
	readingGapMax = define(metric{
		name: "litellm_budget_reading_gap_max_seconds", typ: gauge, unit: seconds, labels: scopeLabel, group: aboutItself,
		help: "The longest time between the readings of reported spend and counter of any entity of the scope, in seconds.",
	})
	writeLag = define(metric{
		name: "litellm_budget_write_lag_seconds", typ: gauge, unit: seconds, group: aboutItself,
		help: "How long LiteLLM takes to bring spend from the counter to the database row, in seconds, as measured (95th percentile); absent until measured.",
	})
	unreadableCounters = define(metric{
		name: "litellm_budget_unreadable_counters_total", typ: counter, unit: number, labels: scopeLabel, group: aboutItself,
		help: "Readings of counters of the scope that were no finite number since the exporter started.",
	})
)

// About the exporter itself, by its own doings.
var (
	// It is collected by client_golang's own collectors/version.
	_ = define(metric{
		name: namespace + "_build_info", typ: gauge, unit: constant, group: aboutItself,
		labels: []string{"version", "revision", "branch", "goversion", "goos", "goarch", "tags"},
		help:   "A metric with a constant '1' value labeled by version, revision, branch, goversion from which litellm_budget_exporter was built, and the goos and goarch for the build.",
	})
	pollDuration = define(metric{
		name: namespace + "_poll_duration_seconds", typ: histogram, unit: seconds, labels: []string{"loop"}, group: aboutItself,
		help: "How long one pass of a loop (inventory, counters, rows or confirmation) took, in seconds.",
	})
	pollErrors = define(metric{
		name: namespace + "_poll_errors_total", typ: counter, unit: number, labels: []string{"source", "reason"}, group: aboutItself,
		help: "Failed readings of a source (litellm or redis) by reason.",
	})
	apiRequests = define(metric{
		name: namespace + "_api_requests_total", typ: counter, unit: number, labels: []string{"endpoint", "code"}, group: aboutItself,
		help: "Requests sent to LiteLLM's management API by path and HTTP status code; code none without an answer.",
	})
	reloadSuccessful = define(metric{
		name: namespace + "_config_last_reload_successful", typ: gauge, unit: boolean, group: aboutItself,
		help: "1 if the last attempt to load the configuration succeeded, else 0: then the one before is still in use.",
	})
	reloadTimestamp = define(metric{
		name: namespace + "_config_last_reload_success_timestamp_seconds", typ: gauge, unit: timestamp, group: aboutItself,
		help: "When the configuration was last loaded with success, in Unix time.",
	})
)

// Tables renders the catalogue as Markdown tables, one for each group, for the README.
func Tables() string {
	var b strings.Builder
	for _, g := range []group{perEntity, perWindow, fleetWide, aboutItself} {
		fmt.Fprintf(&b, "### %s\n\n", g)
		if g == perEntity {
			b.WriteString(identityText())
		}
		b.WriteString("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n")
		for _, m := range catalogue {
			if m.group == g {
				help := strings.ReplaceAll(m.help, scopePlaceholder, "entity")
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.name, m.typ, m.unit, m.labelsText(), help)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// identityText says what stands for the scope and which label is the identity of its entities.
func identityText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` is one of these, and every series carries the identity of its entity:\n\n", scopePlaceholder)
	b.WriteString("| scope | identity |\n|---|---|\n")
	for _, s := range budget.Scopes {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", s, labelsOf[s].identity)
	}
	b.WriteString("\n")
	return b.String()
}

// labelsText names the labels of the metric, the identity of an entity left out.
func (m *metric) labelsText() string {
	if !m.names {
		return quoteAll(m.labels)
	}
	var text []string
	for _, s := range budget.Scopes {
		text = append(text, fmt.Sprintf("%s: %s", s, quoteAll(labelsOf[s].names)))
	}
	return strings.Join(text, "; ")
}

func quoteAll(labels []string) string {
	var quoted []string
	for _, l := range labels {
		quoted = append(quoted, "`"+l+"`")
	}
	return strings.Join(quoted, ", ")
}

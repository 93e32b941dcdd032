package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Releases are the releases whose answers were recorded. Any other version from 1.83.14 on behaves as the tables
// here and in shapes.go say for it.
var Releases = []string{"1.83.14", "1.84.0", "1.86.2", "1.87.5", "1.90.7", "1.101.6", "1.106.10", "1.108.11", "1.109.1"}

// span is a range of releases: from (inclusive) to before (exclusive). Empty means unbounded. Behaviour has
// several spans where a fix was brought back into an older line.
type span struct{ from, before string }

// How releases differ. "a to b" in a comment means that the change lies between two releases that were read.
var (
	// seedsAdditively: a worker that finds no counter adds the row's spend with INCRBYFLOAT, so that several
	// of them add it several times (BerriAI/litellm #27735, #28247; fixed by #27854). Other releases SET NX.
	seedsAdditively = []span{{"", "1.84.1"}, {"1.85.0", "1.86.3"}}

	// ttlFromFirstWrite: a counter expires one TTL after its first write, not after its last.
	ttlFromFirstWrite = []span{{"", "1.84.0"}}

	// trustsMemory: a worker that has a counter in its own memory neither asks the database nor seeds when
	// Redis has none, so that the counter restarts at one request's cost.
	trustsMemory = []span{{"", "1.84.0"}}

	// reserves: the estimated cost is added before the call and settled after it. Windows are seeded, and tags
	// and end users have counters, from the same release on.
	reserves = []span{{"1.84.0", ""}}

	// settlesByMemory: whether a counter can bear a negative settlement is asked of the worker's memory first.
	settlesByMemory = []span{{"1.84.0", "1.102.4"}}

	// dropsCostOnLoss: a counter that vanished before settlement is set to the row's spend and the request's cost
	// is lost. Before, the counters are deleted and seeded again; later, the cost is added.
	dropsCostOnLoss = []span{{"1.90.0", "1.102.4"}}

	// deletesOnLoss: a counter that vanished before settlement makes the worker delete all reserved counters.
	deletesOnLoss = []span{{"1.84.0", "1.90.0"}}

	// releasesCancelled: a request that its client cancelled gives its reservation back.
	releasesCancelled = []span{{"1.90.0", ""}}

	// namesMissingMessages: a chat without messages is told so; before, it fails inside (1.90.7 to 1.101.6).
	namesMissingMessages = []span{{"1.101.6", ""}}

	// raisesStaleLow: a counter below the cap is raised to the row's spend when the worker's cached row is higher.
	raisesStaleLow = []span{{"1.90.0", ""}}

	// renewsLease: a request in flight re-arms the TTL of the counters it reserved on every 30 s.
	renewsLease = []span{{"1.104.0", ""}}

	// deletesOnReset: the reset job deletes counters; before, it sets them to 0.
	deletesOnReset = []span{{"1.103.11", ""}}

	// failsWindowedReset: a key with windows makes the reset of all keys due with it fail, after their counters
	// were set to 0 (#27730, #29358).
	failsWindowedReset = []span{{"1.84.0", "1.84.10"}, {"1.85.0", "1.86.3"}}

	// resetsOrganizations: the reset job knows organizations.
	resetsOrganizations = []span{{"1.85.0", ""}}

	// editDeletes and editSets: what /key/update with a spend does to the counter; before, nothing.
	editDeletes = []span{{"1.90.0", "1.91.0"}}
	editSets    = []span{{"1.91.0", ""}}

	// resetSpendSets: /key/…/reset_spend sets the counter, too.
	resetSpendSets = []span{{"1.90.0", ""}}

	// deletesBare: DEL leaves the namespace out and so misses the counter.
	deletesBare = []span{{"", "1.91.0"}}

	// skipsNamespace: a name that merely starts with the text of the namespace gets no prefix (1.99.4 to 1.101.0).
	skipsNamespace = []span{{"", "1.101.0"}}

	// namesKeyInRefusal: the read-time refusal of a key names it.
	namesKeyInRefusal = []span{{"1.84.10", "1.85.0"}, {"1.87.5", "1.88.0"}, {"1.91.0", ""}}

	// logsRawKeys: a refusal other than by the key's own cap is logged with what the client sent in place of the key's
	// hash, and so without team and user (1.86.2 to 1.87.5).
	logsRawKeys = []span{{"", "1.87.5"}}

	// logsRouted: a refused request is logged with the model that it was for, as if it had been sent there.
	logsRouted = []span{{"1.106.10", ""}}

	// capsLogCount: the count of the log says whether it stopped early (1.90.7 to 1.94.3).
	capsLogCount = []span{{"1.94.3", ""}}

	// longLogPages: a page of the log may have 1000 rows in place of 100.
	longLogPages = []span{{"1.97.0", ""}}

	// nullsParamOfText: an endpoint's error whose detail is a text, and no object, has param null (1.101.6 to 1.106.10).
	nullsParamOfText = []span{{"1.106.10", ""}}
	// knowsBlocked: a request to a model by a key that is known to be blocked is refused in a place of its own, which
	// sends param null (1.106.10 to 1.108.11).
	knowsBlocked = []span{{"1.108.11", ""}}
	// checksManagement: budgets of windows, team, user and organization are checked on management routes (1.90.7 to
	// 1.101.6); checksMembers: that of a member is (1.108.11 to 1.109.1).
	checksManagement = []span{{"", "1.101.6"}}
	checksMembers    = []span{{"", "1.109.1"}}
	// membersOnceSpent: a member is checked before all else only when it has spent something: what a worker remembers
	// of a key from the time it was made does not tell of its member (seen in 1.83.14).
	membersOnceSpent = []span{{"", "1.84.0"}}
	// namesMembers: a member above its cap is refused by its name, and not without any (1.90.7 to 1.101.6).
	namesMembers = []span{{"1.101.6", ""}}
	// refusesMembersAtCap: it is so at its cap, too (1.101.6 to 1.109.1).
	refusesMembersAtCap = []span{{"1.109.1", ""}}
	// prefixesMalformed: what does not look like a key is refused as other bad keys are (1.83.14 to 1.84.0).
	prefixesMalformed = []span{{"", "1.84.0"}}
	// logsToUsers: an internal user may read its own rows of the log (1.87.5 to 1.90.7).
	logsToUsers = []span{{"1.90.7", ""}}
	// typesUnknownModel: the refusal of an unknown model has a type, and param null (1.90.7 to 1.101.6).
	typesUnknownModel = []span{{"1.101.6", ""}}

	// viewerReadsAll: a proxy_admin_viewer may read every GET route, not just an allow-list.
	viewerReadsAll = []span{{"1.84.0", ""}}

	// expiredIs400: an expired key is answered 400 (1.84.0 to 1.86.2), later 401.
	expiredIs400 = []span{{"", "1.86.2"}}

	// databaseDownIs503: a virtual key gets 503 while the database is down (1.86.2 to 1.87.5), before it 401.
	databaseDownIs503 = []span{{"1.87.5", ""}}

	// listIs503: /key/list says 503 while the database is down (1.108.11 to 1.109.1), before it 500.
	listIs503 = []span{{"1.109.1", ""}}

	// publicDetails: /health/readiness tells the version and is 200 whatever happens; later it is short and 503
	// while the database is down.
	publicDetails = []span{{"", "1.84.0"}}

	// shortValidation: a 422 of FastAPI repeats neither the input nor the bound (1.101.6 to 1.106.10).
	shortValidation = []span{{"1.106.10", ""}}

	// typesByStatus: an endpoint's own error has a type by its status and param null (1.108.11 to 1.109.1).
	typesByStatus = []span{{"1.109.1", ""}}

	// tellsWindows: /key/info tells the windows' counters as budget_limits_usage (1.97.0 to 1.101.6).
	tellsWindows = []span{{"1.101.6", ""}}

	// tellsStatus: /key/info tells the key's status (1.101.6 to 1.104.9).
	tellsStatus = []span{{"1.104.9", ""}}

	// nestsBudgetInList: /key/list loads the linked budget (1.101.6 to 1.104.9); before, the field is null.
	nestsBudgetInList = []span{{"1.104.9", ""}}

	// matchesSubstrings: user_id and key_alias of /key/list match parts of a value (1.87.5 to 1.90.7).
	matchesSubstrings = []span{{"", "1.90.7"}}

	// sortsByMore: /key/list sorts by six columns more, each with token as the tiebreaker (1.108.11 to 1.109.1).
	sortsByMore = []span{{"1.109.1", ""}}

	// limitsTeamKeys: /team/info obeys key_limit (1.87.5 to 1.90.7).
	limitsTeamKeys = []span{{"1.90.7", ""}}

	// listsBudgetlessMembers: /team/info lists members without a budget of their own (1.101.6 to 1.106.10), and
	// gives members their alias.
	listsBudgetlessMembers = []span{{"1.106.10", ""}}

	// masksWholeKey: the refusal of an unknown key shows nothing of it; hidesUnknownKey: not even its hash.
	masksWholeKey   = []span{{"1.101.6", ""}}
	hidesUnknownKey = []span{{"1.108.11", ""}}
)

// budgetStatus is the HTTP status of a refusal for lack of budget, by the first release that has it.
var budgetStatus = []struct {
	from   string
	status int
}{{"1.104.0", 422}, {"1.85.0", 429}, {"", 400}}

// release is the LiteLLM release that is simulated.
type release struct {
	name    string
	version version
}

func parseRelease(name string) (release, error) {
	v, err := parseVersion(name)
	if err != nil {
		return release{}, fmt.Errorf("release %q: want MAJOR.MINOR.PATCH", name)
	}
	if oldest := mustVersion(Releases[0]); v.before(oldest) {
		return release{}, fmt.Errorf("release %q: the oldest that can be simulated is %s", name, Releases[0])
	}
	return release{name, v}, nil
}

// is says whether the release lies in one of the spans.
func (r release) is(spans []span) bool {
	return slices.ContainsFunc(spans, func(s span) bool {
		return r.since(s.from) && (s.before == "" || r.version.before(mustVersion(s.before)))
	})
}

// since says whether the release is the given one or a later one.
func (r release) since(first string) bool {
	return first == "" || !r.version.before(mustVersion(first))
}

func (r release) budgetStatus() int {
	for _, b := range budgetStatus {
		if r.since(b.from) {
			return b.status
		}
	}
	panic("unreachable: the last entry holds for all")
}

type version [3]int

func parseVersion(s string) (version, error) {
	var v version
	parts := strings.Split(s, ".")
	if len(parts) != len(v) {
		return v, strconv.ErrSyntax
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return v, err
		}
		v[i] = n
	}
	return v, nil
}

func mustVersion(s string) version {
	v, err := parseVersion(s)
	if err != nil {
		panic(fmt.Sprintf("version %q in a table: %v", s, err))
	}
	return v
}

func (v version) before(o version) bool { return slices.Compare(v[:], o[:]) < 0 }

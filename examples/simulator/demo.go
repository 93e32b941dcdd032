package simulator

import (
	"context"
	"math"
	"strings"
	"time"
)

// DemoViewer is the bearer of the demo's read-only admin.
const DemoViewer = "sk-demo-viewer"

// DemoKey is the hash of the key with the given alias in the demo's fleet, whatever the seed.
func DemoKey(alias string) string { return Hash(demoBearer(alias)) }

func demoBearer(alias string) string { return "sk-" + Hash("demo " + alias)[:22] }

// NewDemo returns a LiteLLM with a fleet of seven teams and 30 keys, most of them busy and well, and the incidents. It is
// release 1.84.0 with three workers unless the options say otherwise.
func NewDemo(ctx context.Context, o Options) (*Simulator, error) {
	if o.Release == "" {
		o.Release = "1.84.0"
	}
	if o.Workers == 0 {
		o.Workers = 3
	}
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	s.AddUser(User{ID: "viewer", Role: Viewer})
	s.AddKey(Key{Raw: DemoViewer, Alias: "budget-exporter", UserID: "viewer"})
	s.PutBudget(Budget{ID: "acme-cap", MaxBudget: new(20_000.0), Duration: "30d", ResetAt: renewed("30d", s.now())})
	s.PutBudget(Budget{ID: "standard-tier", MaxBudget: new(40.0), SoftBudget: new(30.0), Duration: "30d", ResetAt: renewed("30d", s.now())})
	s.AddOrganization(Organization{ID: "acme", BudgetID: "acme-cap", Spend: 2_300})
	s.addHealthyFleet()
	s.addIncidentFleet()
	return s, s.beginIncidents(ctx)
}

// demoTeams are the teams that are well.
var demoTeams = []string{"Payments", "Search", "Support", "Data", "Mobile"}

// demoServices are the keys that each of them has.
var demoServices = []string{"api", "chat", "batch", "eval", "dev"}

// addHealthyFleet adds the teams that are well, each with a lead and five keys. What is special about some of the keys
// is in special.
func (s *Simulator) addHealthyFleet() {
	for i, name := range demoTeams {
		id := "team-" + strings.ToLower(name)
		lead := strings.ToLower(name) + "-lead"
		s.AddUser(User{ID: lead, Role: InternalUser, MaxBudget: new(500.0)})
		team := Team{
			ID: id, Alias: name, OrgID: "acme", MaxBudget: new(2_000.0), BudgetDuration: "30d", ResetAt: renewed("30d", s.now()),
			Members: []Member{{UserID: lead, Email: lead + "@example.com", Role: "admin"}},
		}
		for j, service := range demoServices {
			k := s.demoKey(strings.ToLower(name)+"-"+service, float64(50*(j+1)), 0.1+0.1*float64((i+2*j)%5))
			k.TeamID, k.OrgID = id, "acme"
			if service == "dev" {
				k.UserID = lead
			}
			busy := service != "eval"
			s.special(&k, &busy)
			team.Spend += k.Spend
			s.AddKey(k)
			if busy {
				s.AddStream(Stream{
					Key: k.Hash, Every: time.Duration(8+4*j+i) * time.Second, Cost: 0.002 * float64(1+j), Takes: time.Second,
				})
			}
		}
		s.AddTeam(team)
	}
}

// special makes some keys of the healthy fleet differ.
func (s *Simulator) special(k *Key, busy *bool) {
	now := s.now()
	switch k.Alias {
	case "payments-chat": // two windows
		for _, w := range []Window{{Duration: "1d", MaxBudget: 30, Spend: 1.5}, {Duration: "30d", MaxBudget: 90, Spend: 12}} {
			w.ResetAt = renewed(w.Duration, now)
			k.Windows = append(k.Windows, w)
		}
	case "search-batch": // one window
		k.Windows = []Window{{Duration: "1d", MaxBudget: 25, ResetAt: renewed("1d", now), Spend: 0.75}}
	case "support-api": // the cap is the linked budget's
		k.MaxBudget, k.BudgetID, k.Spend = nil, "standard-tier", 11.25
	case "support-dev": // renewed every day
		k.BudgetDuration, k.ResetAt = "1d", renewed("1d", now)
	case "data-chat": // raised for a while
		k.Metadata = map[string]any{"temp_budget_increase": 25.0, "temp_budget_expiry": now.AddDate(0, 0, 14).Format(time.RFC3339)}
	case "data-eval": // out of budget, by both numbers
		k.Spend, k.TotalSpend = *k.MaxBudget+0.02, *k.MaxBudget+0.02
	case "mobile-batch": // blocked by hand
		k.Blocked, *busy = true, false
	case "mobile-dev": // may not spend at all
		k.MaxBudget, k.Spend, k.TotalSpend = new(0.0), 0, 0
	}
}

// demoKey is a key with a cap, of which it has spent a share.
func (s *Simulator) demoKey(alias string, limit, spent float64) Key {
	spend := math.Round(limit*spent*100) / 100
	raw := demoBearer(alias)
	return Key{
		Raw: raw, Hash: Hash(raw), Alias: alias, MaxBudget: new(limit), BudgetDuration: "30d", ResetAt: renewed("30d", s.now()),
		Spend: spend, TotalSpend: 3 * spend,
		CreatedAt: s.now().AddDate(0, 0, len(s.db.keys)-90),
	}
}

// addIncidentFleet adds what the incidents happen to. What they say is in incidents.go.
func (s *Simulator) addIncidentFleet() {
	// Without a cap, for what races for its counter would be multiplied, too.
	s.AddTeam(Team{ID: "team-storefront", Alias: "Storefront", Spend: 310.4})
	s.AddTeam(Team{ID: BypassedTeamID, Alias: BypassedTeamAlias, Spend: BypassedReported, MaxBudget: new(BypassedCap)})
	locked := s.demoKey(FalselyLockedAlias, FalselyLockedCap, 0)
	locked.TeamID, locked.ResetAt, locked.BudgetDuration = "team-storefront", time.Time{}, ""
	s.AddKey(locked)
	bypassed := s.demoKey(BypassedAlias, 500, BypassedReported/500)
	bypassed.TeamID = BypassedTeamID
	s.AddKey(bypassed)
	s.AddKey(s.demoKey(ColdAlias, ColdCap, ColdReported/ColdCap))
	unlimited := s.demoKey(NoBudgetAlias, 0, 0)
	unlimited.MaxBudget, unlimited.Spend, unlimited.TotalSpend = nil, 212.4, 212.4
	s.AddKey(unlimited)
	s.AddStream(Stream{Key: locked.Hash, Every: 4 * time.Second, Cost: 0.0005}) // a client that tries again and again
	s.AddStream(Stream{Key: bypassed.Hash, Every: 8 * time.Second, Cost: 0.0005})
	s.AddStream(Stream{Key: unlimited.Hash, Every: 5 * time.Second, Cost: 0.004, Takes: time.Second})
}

package budget

// The rules of releases, each set adding something to the one before.
var (
	withoutCounters = Rules{}
	withCounters    = Rules{Counters: true}
	raising         = Rules{Counters: true, RaisesStaleLow: true}
	raisingUTC      = Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true}
	raisingWindows  = Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true}
	leasing         = Rules{Counters: true, RaisesStaleLow: true, NaiveExpiryIsUTC: true, KeyInfoRaisesWindows: true, RenewsLease: true}
)

// releases holds every release that was read, oldest first: its rules, and which causes keys and teams can suffer
// from in it, a letter for each cause in the order of Causes: y = yes, n = no, ? = reading it did not tell.
//
// Of the letters that need a word:
//   - reseed_multiple: seeding was made additive in 1.83.14 and mended line by line (BerriAI/litellm #27735, #27854).
//     The additive seeds that are left (tags, end users, a failing database) are no key's or team's in normal operation.
//   - manual_spend_edit: an edit of a team never reaches its counter; one of a key can lose its SET in every release.
//   - double_apply: the Redis client's own retry after a timeout, which is 0.1 s up to 1.106.10 and 5 s later.
//   - undercount: 1.90.0 to 1.101.6 drop a cost at settlement, 1.103.11 and later after trouble with Redis; #30039 tells
//     of it in 1.87.0, where the source does not show it.
//   - negative: the counter up to 1.101.6, the row from 1.103.11 on but for 1.108.6 and its line.
var releases = []release{
	//                               reseed_multiple
	//                               | stale_after_reset
	//                               | | reset_undone
	//                               | | | manual_spend_edit
	//                               | | | | pinned_at_cap
	//                               | | | | | reservation_leak
	//                               | | | | | | double_apply
	//                               | | | | | | | counter_lost
	//                               | | | | | | | | counter_restart
	//                               | | | | | | | | | ghost_refund
	//                               | | | | | | | | | | undercount
	//                               | | | | | | | | | | | immortal
	//                               | | | | | | | | | | | | negative
	row("1.82.6", withoutCounters, " n n n n n n n n n n n n n"),
	row("1.83.3", withCounters, "    ? y n y n n y y y n n y n"),
	row("1.83.10", withCounters, "   ? y n y n n y y y n n y n"),
	row("1.83.14", withCounters, "   y y n y n n y y y n n y n"),
	row("1.84.0", withCounters, "    y y n y y y y y n y n y y"),
	row("1.84.1", withCounters, "    n y n y y y y y n y n y y"),
	row("1.84.10", withCounters, "   n y n y y y y y n y n y y"),
	row("1.85.0", withCounters, "    y y n y y y y y n y n y y"),
	row("1.86.2", withCounters, "    y y n y y y y y n y n y y"),
	row("1.86.3", withCounters, "    n y n y y y y y n y n y y"),
	row("1.87.5", withCounters, "    n y n y y y y y n y ? y y"),
	row("1.88.0", withCounters, "    n y n y y y y y n y ? y y"),
	row("1.90.0", raising, "         n y y y y y y n n y y y y"),
	row("1.90.7", raising, "         n y y y y y y n n y y y y"),
	row("1.91.0", raising, "         n y y y y y y n n y y y y"),
	row("1.93.0", raising, "         n y y y y y y n n y y y y"),
	row("1.94.3", raisingUTC, "      n y y y y y y n n y y y y"),
	row("1.96.2", raisingUTC, "      n y y y y y y n n y y y y"),
	row("1.97.0", raisingUTC, "      n y y y y y y n n y y y y"),
	row("1.99.4", raisingWindows, "  n y y y y y y n n y y y y"),
	row("1.101.0", raisingWindows, " n y y y y y y n n y y y y"),
	row("1.101.6", raisingWindows, " n y y y y y y n n y y y y"),
	row("1.102.4", raisingWindows, " n y y y y y y n n y n n n"),
	row("1.103.11", raisingWindows, "n y y y y y y n n y y n y"),
	row("1.104.0", leasing, "        n y y y y y y n n y y n y"),
	row("1.104.9", leasing, "        n y y y y y y n n y y n y"),
	row("1.106.10", leasing, "       n y y y y y y n n y y n y"),
	row("1.108.5", leasing, "        n y y y y y ? n n y y n y"),
	row("1.108.6", leasing, "        n y y y y y ? n n y y n n"),
	row("1.108.11", leasing, "       n y y y y y ? n n y y n n"),
	row("1.109.1", leasing, "        n y y y y y ? n n y y n y"),
}

// Package simulator is a simulated LiteLLM proxy: the management API that a budget exporter reads, over a model
// of how LiteLLM spends and enforces budgets. It keeps the spend counters in a Redis it is given, under
// LiteLLM's own names, encodings and lifetimes, and can be any release from 1.83.14 to 1.109.1.
//
// What is modelled: keys, teams, members, users, organizations and linked budgets; admission (read-time checks,
// reservation, settlement), the write-behind flush from the workers to the database rows, the reset job, the
// seeding of absent counters, the guard against counters that are too low, and time windows; the log of refused
// requests; roles and the errors that go with them. Differences between releases are data in releases.go and shapes.go, taken from recorded
// answers of real releases and from reading their source.
//
// What is not: the log of other requests, model prices beyond three models, rate limits, per-model and global budgets, the Redis transaction
// buffer, Redis timeouts, and the minute for which real workers keep caps in memory (a cap edited here counts at once).
//
// Nothing here is shared with the exporter, so that the two agreeing means something.
package simulator

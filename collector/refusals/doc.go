// Package refusals reads LiteLLM's failed requests for refusals by a budget. A refusal tells the spend that was
// enforced at that moment: without Redis, nothing else does.
//
// It is pure: Parse makes a refusal of a row of LiteLLM's log, and Reader says which part of the log to read next and
// which of the refusals in it are new. A refusal holds numbers, times, hashes of keys and ids of entities; whatever
// else a row holds, a raw key among it, ends here.
package refusals

package litellm

import "litellm_budget_exporter/collector/budget"

// fingerprint is what cannot change in a key, and that an answer without hashes still holds.
type fingerprint struct {
	createdAt int64 // Unix microseconds; LiteLLM writes milliseconds
	keyName   string
}

// MatchKeys gives the rows of a KeysInfo answer the hashes of the known rows they belong to, by what cannot
// change in a key: created_at and key_name. Whatever is missing or ambiguous is in unmatched, to be read singly.
// The rows given are not changed.
func MatchKeys(known, answer []*budget.Row) (matched []*budget.Row, unmatched []string) {
	unique := uniqueByFingerprint(known)
	answered := uniqueByFingerprint(answer)
	for _, k := range known {
		f, ok := fingerprintOf(k)
		row := answered[f]
		if !ok || unique[f] == nil || row == nil {
			unmatched = append(unmatched, k.ID.Value)
			continue
		}
		found := *row
		found.ID.Value = k.ID.Value
		matched = append(matched, &found)
	}
	return matched, unmatched
}

// uniqueByFingerprint holds nil for a fingerprint that several rows have.
func uniqueByFingerprint(rows []*budget.Row) map[fingerprint]*budget.Row {
	unique := make(map[fingerprint]*budget.Row, len(rows))
	for _, r := range rows {
		f, ok := fingerprintOf(r)
		if !ok {
			continue
		}
		if _, taken := unique[f]; taken {
			r = nil
		}
		unique[f] = r
	}
	return unique
}

// fingerprintOf fails for a key without created_at, which nothing tells from another of its name.
func fingerprintOf(r *budget.Row) (fingerprint, bool) {
	return fingerprint{createdAt: r.CreatedAt.Value.UnixMicro(), keyName: r.KeyName}, r.CreatedAt.Known
}

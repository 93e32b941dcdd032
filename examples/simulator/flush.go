package simulator

// flush brings what a worker's requests cost to the database rows: LiteLLM's write-behind queue. While the
// database is down the queue waits.
func (s *Simulator) flush(w *worker) {
	if s.databaseDown {
		return
	}
	now := s.now()
	for a, usd := range w.pending {
		delete(w.pending, a)
		l, ok := s.db.ledger(a)
		if !ok {
			continue // deleted meanwhile: the cost is lost, as in LiteLLM
		}
		*l.spend += usd
		if l.total != nil {
			*l.total += usd
		}
		if l.updatedAt != nil {
			*l.updatedAt = now
		}
		if l.lastActive != nil {
			*l.lastActive = now
		}
	}
}

package simulator

// flush brings what a worker's requests cost to the database rows, and those it refused to the log: LiteLLM's
// write-behind queues. While the database is down they wait.
func (s *Simulator) flush(w *worker) {
	if s.databaseDown {
		return
	}
	s.db.log = append(s.db.log, w.log...)
	s.db.log = s.db.log[max(0, len(s.db.log)-mostLogged):]
	w.log = nil
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

package collector

import "slices"

// Names returns every metric of the catalogue by the name under which it is queried, with its labels: what rules and
// dashboards may refer to, those that Prometheus adds aside. Their tests hold them against it.
func Names() map[string][]string {
	names := map[string][]string{}
	for _, m := range catalogue {
		for scope := range m.descs {
			name, labels := m.nameOf(scope), m.labelNames(scope)
			names[name] = labels
			if m.typ == histogram { // the name itself is that of the native histogram
				names[name+"_bucket"] = append(slices.Clone(labels), "le")
				names[name+"_sum"], names[name+"_count"] = labels, labels
			}
		}
	}
	return names
}

package refusals

// Mode says whether all failed requests are read.
type Mode string

// The modes.
const (
	Auto Mode = "auto" // only where there is no Redis; with one, those of an entity that is falsely locked
	On   Mode = "on"
	Off  Mode = "off" // none at all
)

// Modes lists the modes.
var Modes = []Mode{Auto, On, Off}

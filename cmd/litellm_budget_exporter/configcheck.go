package main

import (
	"fmt"

	"litellm_budget_exporter/collector/config"
)

// checkConfig says whether the exporter would start with the file, in the environment it has now.
func (p *program) checkConfig(file string) int {
	if _, err := config.Load(file, p.env); err != nil {
		fmt.Fprintln(p.stderr, err)
		return exitFailed
	}
	fmt.Fprintf(p.stdout, "%s: valid\n", file)
	return exitOK
}

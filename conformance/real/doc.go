// Package real has tests only, which the build tag conformance turns on: what is asked of a real LiteLLM release with its
// PostgreSQL and Redis, started by conformance/kit. They show that LiteLLM is as the exporter and the simulator take it
// to be, that the exporter's numbers are those of psql and redis-cli, and that LiteLLM's failure modes happen and are
// seen, explained and mended. With -record, the answers to odd requests (Odd in package conformance) are recorded and
// not compared, for which TestNamespace/contract is enough.
package real

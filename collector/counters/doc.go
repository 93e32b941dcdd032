// Package counters reads LiteLLM's spend counters from Redis: exact names, value and remaining life, nothing
// else. It sends only commands that read.
//
// # Least privileges
//
// This is all that the user in Redis needs (HELLO and AUTH are every user's). The second pattern and +llen are
// for the lengths of LiteLLM's transaction buffers; without them only those are missing.
//
// One Redis, and the data nodes behind Sentinel; with a database other than 0 also +select:
//
//	ACL SETUSER budget_exporter on >PASSWORD resetkeys ~spend:* ~litellm_*_buffer* -@all +get +pttl +llen
//
// At the Sentinels, where they have users of their own:
//
//	ACL SETUSER budget_exporter on >PASSWORD -@all +sentinel|get-master-addr-by-name
//
// On every node of a Cluster (+asking is used while slots move from node to node):
//
//	ACL SETUSER budget_exporter on >PASSWORD resetkeys ~spend:* ~litellm_*_buffer* -@all +get +pttl +llen +cluster|slots +asking
//
// With a namespace "ns" the patterns are ~ns:spend:* and ~ns:litellm_*_buffer*, and ~litellm_*_buffer* for the
// lists of LiteLLM up to 1.90.7; the bare ~spend:* only where LiteLLM left its counters bare.
package counters

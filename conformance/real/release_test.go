//go:build conformance

package real

import "testing"

// TestRelease holds a release with three proxies against all that is thought of it. Its parts run in this order: the
// first counts what there is, the last two take the counters and a proxy away.
func TestRelease(t *testing.T) {
	s := startStack(t, "--proxies", "3")
	t.Run("contract", func(t *testing.T) { testContract(t, s) })
	e := startExporter(t, s)
	t.Run("numbers", func(t *testing.T) { testNumbers(t, s, e) })
	t.Run("failure modes", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *stack, *exporter){
			"false lockout":     testFalseLockout,
			"stale after reset": testStaleAfterReset,
			"manual spend edit": testManualEdit,
			"dropped streams":   testDroppedStreams,
			"immortal counter":  testImmortal,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s, e)
			})
		}
	})
	t.Run("lost counters", func(t *testing.T) { testLostCounters(t, s, e) })
	t.Run("reservation leak", func(t *testing.T) { testKilledProxy(t, s, e) })
}

// TestNamespace: with a namespace, LiteLLM puts it before its counters' names, and the exporter finds them and
// prints them in its remedies.
func TestNamespace(t *testing.T) {
	s := startStack(t, "--namespace", "production")
	t.Run("contract", func(t *testing.T) { testContract(t, s) })
	e := startExporter(t, s)
	t.Run("numbers", func(t *testing.T) { testNumbers(t, s, e) })
	t.Run("manual spend edit", func(t *testing.T) { testManualEdit(t, s, e) })
}

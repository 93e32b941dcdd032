package checks

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// objects are all objects that the chart makes, one text each: of its own values, and of each golden rendering.
func objects(t *testing.T) map[string]string {
	t.Helper()
	cases := renderings(t)
	cases["kubernetes"] = nil
	all := map[string]string{}
	for name, values := range cases {
		manifests, err := render(t.Context(), values)
		if err != nil {
			t.Fatal(err)
		}
		for i, object := range strings.Split(stream(manifests), "---\n")[1:] {
			all[fmt.Sprintf("%s-%02d", filepath.Base(name), i)] = object
		}
	}
	return all
}

var kindLine = regexp.MustCompile(`(?m)^kind: (\w+)$`)

func kind(t *testing.T, object string) string {
	t.Helper()
	match := kindLine.FindStringSubmatch(object)
	if match == nil {
		t.Fatalf("an object without a kind:\n%s", object)
	}
	return match[1]
}

// TestKubernetesAcceptsTheObjects has kubectl-validate check Kubernetes' own kinds as an API server would, with the oldest and the
// newest schemas that it has built in.
func TestKubernetesAcceptsTheObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, object := range objects(t) {
		if k := kind(t, object); k != "ServiceMonitor" && k != "PrometheusRule" {
			writeFile(t, filepath.Join(dir, name+".yaml"), object)
		}
	}
	for _, version := range []string{"1.25", "1.30"} {
		run(t, exec.Command("go", "tool", "-modfile=kubectl-validate.mod", "kubectl-validate", "--version="+version, dir))
	}
}

// TestKubectlAppliesTheObjects: `kubectl apply` keeps the whole object in an annotation, and annotations have a limit.
func TestKubectlAppliesTheObjects(t *testing.T) {
	const limit = 256 << 10
	for name, object := range objects(t) {
		if len(object) > limit*9/10 {
			t.Errorf("%s has %d bytes, which is too near to the limit of %d", name, len(object), limit)
		}
	}
}

// TestOperatorAcceptsTheObjects decodes the Prometheus Operator's kinds into its own types; a field that it does not know is an error.
func TestOperatorAcceptsTheObjects(t *testing.T) {
	seen := map[string]int{}
	for name, object := range objects(t) {
		var err error
		switch k := kind(t, object); k {
		case "ServiceMonitor":
			var monitor monitoring.ServiceMonitor
			err = yaml.UnmarshalStrict([]byte(object), &monitor)
			seen[k] += len(monitor.Spec.Endpoints)
		case "PrometheusRule":
			var rule monitoring.PrometheusRule
			err = yaml.UnmarshalStrict([]byte(object), &rule)
			for _, group := range rule.Spec.Groups {
				seen[k] += len(group.Rules)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen["ServiceMonitor"] < 2 || seen["PrometheusRule"] < 17 {
		t.Errorf("there are this many endpoints and rules: %v", seen)
	}
}

// TestExporterAcceptsTheConfigMaps gives each configuration in a ConfigMap to the exporter, with files where the Secret would be.
func TestExporterAcceptsTheConfigMaps(t *testing.T) {
	secrets := t.TempDir()
	for _, name := range []string{"litellm-api-key", "redis-password"} {
		writeFile(t, filepath.Join(secrets, name), "sk-secret\n")
	}
	checked := 0
	for _, object := range objects(t) {
		var configMap struct{ Data map[string]string }
		if kind(t, object) != "ConfigMap" {
			continue
		}
		if err := yaml.Unmarshal([]byte(object), &configMap); err != nil {
			t.Fatal(err)
		}
		if config, ok := configMap.Data["litellm_budget_exporter.yml"]; ok {
			checkConfig(t, strings.ReplaceAll(config, "/run/secrets/litellm-budget-exporter", secrets))
			checked++
		}
	}
	if checked != 1+len(renderings(t)) {
		t.Errorf("%d configurations were found", checked)
	}
}

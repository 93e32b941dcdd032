package checks

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	chartName = "litellm-budget-exporter"
	namespace = "monitoring"
)

var chart = example("helm", chartName)

// renderings are the values that the chart is rendered with besides its own; each has its golden rendering beside it.
func renderings(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no values to render the chart with (%v)", err)
	}
	all := map[string]map[string]any{}
	for _, file := range files {
		values := map[string]any{}
		if err := yaml.UnmarshalStrict([]byte(readFile(t, file)), &values); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(file, ".values.yaml")] = values
	}
	return all
}

// render is `helm template`: what each template makes of the values, by the template's name.
func render(ctx context.Context, values map[string]any) (map[string]string, error) {
	loaded, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: chartName, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(loaded, values, release, nil)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: true}.RenderWithContext(ctx, loaded, all)
	if err != nil {
		return nil, err
	}
	manifests := map[string]string{}
	for path, content := range rendered {
		if strings.HasSuffix(path, ".yaml") && strings.TrimSpace(content) != "" {
			manifests[filepath.Base(path)] = strings.Trim(content, "\n") + "\n"
		}
	}
	return manifests, nil
}

func TestChartPassesHelmLint(t *testing.T) {
	cases := renderings(t)
	cases["no values"] = map[string]any{}
	for name, values := range cases {
		for _, message := range lint.RunAll(chart, values, namespace).Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// TestKubernetesManifestsAreTheChart keeps examples/kubernetes for those who do not use Helm: the chart's own values, rendered.
func TestKubernetesManifestsAreTheChart(t *testing.T) {
	manifests, err := render(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const head = "# Made from ../helm/litellm-budget-exporter: change that, not this.\n"
	for name, content := range manifests {
		golden(t, example("kubernetes", name), head+content)
	}
	files, err := filepath.Glob(example("kubernetes", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := manifests[filepath.Base(file)]; !ok {
			t.Errorf("%s is made from nothing in the chart: remove it", file)
		}
	}
}

func TestChartRendersAsBefore(t *testing.T) {
	for name, values := range renderings(t) {
		manifests, err := render(t.Context(), values)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden(t, name+".golden.yaml", stream(manifests))
	}
}

// stream is all manifests in one text, as `helm template` prints them.
func stream(manifests map[string]string) string {
	var all strings.Builder
	for _, name := range sorted(manifests) {
		all.WriteString("---\n# " + name + "\n" + strings.TrimPrefix(manifests[name], "---\n"))
	}
	return all.String()
}

func TestChartRefusesWrongValues(t *testing.T) {
	for name, c := range map[string]struct{ values, complaint string }{
		"a field that does not exist": {"replicaCount: 2", "replicaCount"},
		"a typing error in a section": {"networkPolicy: {enable: false}", "enable"},
		"no LiteLLM":                  {"config: {litellm: null}", "litellm"},
		"a number as a tag":           {"image: {tag: 1.0}", "tag"},
	} {
		values := map[string]any{}
		if err := yaml.Unmarshal([]byte(c.values), &values); err != nil {
			t.Fatal(err)
		}
		if _, err := render(t.Context(), values); err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%s: the error is %v, want one that names %s", name, err, c.complaint)
		}
	}
}

// TestChartShipsEveryRuleAndDashboard: they are links, so that they cannot differ, but a new one must get its own.
func TestChartShipsEveryRuleAndDashboard(t *testing.T) {
	for linked, pattern := range map[string]string{"files": "alerts/*.rules.yml", "files/dashboards": "dashboards/*.json"} {
		sources, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(sources) == 0 {
			t.Fatalf("there is no %s (%v)", pattern, err)
		}
		for _, source := range sources {
			link := filepath.Join(chart, linked, filepath.Base(source))
			linkInfo, err := os.Stat(link)
			if err != nil {
				t.Errorf("%v: link it to %s", err, source)
				continue
			}
			sourceInfo, err := os.Stat(source)
			if err != nil {
				t.Fatal(err)
			}
			if !os.SameFile(linkInfo, sourceInfo) {
				t.Errorf("%s is no link to %s", link, source)
			}
		}
	}
}

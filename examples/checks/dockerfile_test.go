package checks

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"go/version"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
)

const dockerfile = repository + "/Dockerfile"

// arguments are the build arguments that a release gives.
var arguments = []string{
	"VERSION=1.2.3", "REVISION=0123456789abcdef0123456789abcdef01234567", "SOURCE_DATE_EPOCH=1767225600", "TARGETOS=linux", "TARGETARCH=",
}

// noRegistry says of every base image that it sets a PATH, which is all that linting asks about one.
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, digest.FromString(ref), []byte(`{"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}}`), nil
}

// TestDockerfilePassesBuildKit parses, plans and lints all stages as `docker build --check` does.
func TestDockerfilePassesBuildKit(t *testing.T) {
	content := []byte(readFile(t, dockerfile))
	results, err := dockerfile2llb.DockerfileLint(t.Context(), content, dockerfile2llb.ConvertOpt{
		MetaResolver: noRegistry{},
		SourceMap:    &llb.SourceMap{Definition: &llb.Definition{}, Filename: "Dockerfile", Data: content},
	})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		t.Errorf("line %v: %s", results.Error.Location.GetRanges(), results.Error.Message)
	}
	for _, w := range results.Warnings {
		t.Errorf("line %d: %s: %s", w.Location.GetRanges()[0].GetStart().GetLine(), w.RuleName, w.Detail)
	}
}

func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(readFile(t, dockerfile)))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

// buildContext is what Docker sends to the builder: the repository without what .dockerignore keeps out.
func buildContext(t *testing.T) string {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(readFile(t, repository+"/.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		if name == ".git" || name == ".tools" {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		if skip, err := ignored.MatchesOrParentMatches(name); err != nil || skip {
			return err
		}
		writeFile(t, filepath.Join(dir, name), readFile(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// compile does what the stage "build" does, in a directory in place of its WORKDIR, with the Go of this machine in place of
// the image's.
func compile(t *testing.T, sources string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	all := stages(t)
	at := slices.IndexFunc(all, func(s instructions.Stage) bool { return s.Name == "build" })
	if at < 0 {
		t.Fatal("the Dockerfile has no stage called build")
	}
	for _, command := range all[at].Commands {
		switch c := command.(type) {
		case *instructions.CopyCommand:
			for _, source := range c.SourcePaths {
				target := filepath.Join(dir, c.DestPath)
				if info, err := os.Stat(filepath.Join(sources, source)); err != nil {
					t.Fatalf("%s: %v", c, err)
				} else if info.IsDir() {
					if err := os.CopyFS(target, os.DirFS(filepath.Join(sources, source))); err != nil {
						t.Fatal(err)
					}
				} else {
					writeFile(t, filepath.Join(target, filepath.Base(source)), readFile(t, filepath.Join(sources, source)))
				}
			}
		case *instructions.RunCommand:
			cmd := exec.Command("/bin/sh", "-c", strings.Join(c.CmdLine, " "))
			cmd.Dir, cmd.Env = dir, slices.Concat(os.Environ(), arguments)
			run(t, cmd)
		}
	}
	return dir
}

var (
	golangImage = regexp.MustCompile(`^golang:([\d.]+)`)
	goDirective = regexp.MustCompile(`(?m)^go ([\d.]+)$`)
)

// TestImageHasTheGoThatTheModuleAsksFor: the golang images fetch no newer one.
func TestImageHasTheGoThatTheModuleAsksFor(t *testing.T) {
	asked := goDirective.FindStringSubmatch(readFile(t, repository+"/go.mod"))
	for _, stage := range stages(t) {
		if has := golangImage.FindStringSubmatch(stage.BaseName); has != nil {
			if asked == nil || version.Compare("go"+has[1], "go"+asked[1]) < 0 {
				t.Errorf("%s is older than go.mod asks for: %v", stage.BaseName, asked)
			}
			return
		}
	}
	t.Error("no stage is made from a golang image")
}

// TestImage builds the image as far as it goes without base images, and starts what is in it.
func TestImage(t *testing.T) {
	t.Parallel()
	sources := buildContext(t)
	built := compile(t, sources)
	const program = "litellm_budget_exporter"
	if !bytes.Equal([]byte(readFile(t, filepath.Join(built, program))), []byte(readFile(t, filepath.Join(compile(t, sources), program)))) {
		t.Error("two builds of the same sources in two directories differ")
	}

	b := newBuildah(t)
	// What the last stage copies from the others.
	build, busybox := t.TempDir(), t.TempDir()
	copyFile(t, filepath.Join(built, program), filepath.Join(build, "src", program))
	copyFile(t, "/etc/ssl/certs/ca-certificates.crt", filepath.Join(build, "etc/ssl/certs/ca-certificates.crt"))
	static := installed(t, "busybox", "busybox-static")
	if libraries, err := elfLibraries(static); err != nil || len(libraries) > 0 {
		t.Fatalf("%s needs %v (%v), which this image has not; install Debian's package busybox-static in its place", static, libraries, err)
	}
	copyFile(t, static, filepath.Join(busybox, "bin/busybox"))
	all := stages(t)
	last := all[len(all)-1].Location[0].Start.Line
	file := filepath.Join(t.TempDir(), "Dockerfile")
	writeFile(t, file, strings.Join(strings.Split(readFile(t, dockerfile), "\n")[last-1:], "\n"))

	assemble := []string{
		"build", "--isolation=chroot", "--format=docker", "--tag=image", "--file=" + file,
		"--build-context=build=" + build, "--build-context=busybox=" + busybox,
	}
	for _, argument := range arguments[:2] {
		assemble = append(assemble, "--build-arg="+argument)
	}
	run(t, b.command(append(assemble, sources)...))

	config := b.config(t)
	if config.User != "65532:65532" {
		t.Errorf("the user is %q, want a number that is not root", config.User)
	}
	if got := fmt.Sprint(config.Entrypoint, config.Cmd, config.ExposedPorts); got != "[/litellm_budget_exporter] [] map[10047/tcp:{}]" {
		t.Errorf("entry point, command and ports are %s", got)
	}
	for label, want := range map[string]string{"title": program, "licenses": "Apache-2.0", "version": "1.2.3", "revision": "0123456789abcdef0123456789abcdef01234567"} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}

	container := strings.TrimSpace(run(t, b.command("from", "image")))
	if got, want := files(t, strings.TrimSpace(run(t, b.command("mount", container)))), []string{"etc/ssl/certs/ca-certificates.crt", program, "wget"}; !slices.Equal(got, want) {
		t.Errorf("the image holds %v, want %v", got, want)
	}
	printed := run(t, b.command("run", "--isolation=chroot", container, "--", config.Entrypoint[0], "--version"))
	for _, want := range []string{"version 1.2.3", "0123456789abcdef", "2026-01-01T00:00:00Z"} {
		if !strings.Contains(printed, want) {
			t.Errorf("--version says no %q:\n%s", want, printed)
		}
	}

	// The health check, at a free port in place of the default one.
	port := freePort(t)
	check := []string{"run", "--isolation=chroot", container, "--"}
	for _, word := range config.Healthcheck.Test[1:] {
		check = append(check, strings.ReplaceAll(word, ":10047/", ":"+port+"/"))
	}
	healthy := func() bool { return b.command(check...).Run() == nil }
	if healthy() {
		t.Fatal("the health check succeeds although nothing runs")
	}
	_, stop := start(t, b.command("run", "--isolation=chroot", container, "--", config.Entrypoint[0], "demo", "--web.listen-address=127.0.0.1:"+port))
	eventually(t, "the exporter in the image to be healthy", healthy)
	stop()
	if healthy() {
		t.Error("the health check succeeds after the exporter has ended")
	}
}

// files are all files below a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func elfLibraries(program string) ([]string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return file.ImportedLibraries()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	writeFile(t, to, readFile(t, from))
	if info, err := os.Stat(from); err != nil {
		t.Fatal(err)
	} else if err := os.Chmod(to, info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// buildah keeps its images in a directory of the test's.
type buildah struct{ program, dir string }

func newBuildah(t *testing.T) buildah {
	t.Helper()
	return buildah{installed(t, "buildah", "buildah"), t.TempDir()}
}

func (b buildah) command(args ...string) *exec.Cmd {
	return exec.Command(b.program, append([]string{"--storage-driver=vfs", "--root=" + b.dir + "/root", "--runroot=" + b.dir + "/run"}, args...)...)
}

// imageConfig is what Docker reads from an image.
type imageConfig struct {
	User            string
	Entrypoint, Cmd []string
	ExposedPorts    map[string]struct{}
	Labels          map[string]string
	Healthcheck     struct{ Test []string }
}

func (b buildah) config(t *testing.T) imageConfig {
	t.Helper()
	var image struct {
		Docker struct{ Config imageConfig }
	}
	if err := json.Unmarshal([]byte(run(t, b.command("inspect", "--type=image", "image"))), &image); err != nil {
		t.Fatal(err)
	}
	return image.Docker.Config
}

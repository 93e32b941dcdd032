//go:build conformance

package real

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReleasesRefused: compromised releases are not installed, however they are written, and neither is a wheel that has
// a start-up file or is not the known one.
func TestReleasesRefused(t *testing.T) {
	for _, release := range []string{"1.82.7", "1.82.8", "1.107.0", "1.107.12", "1.82.07", "01.107.0", "1.107", "1.107.0rc1"} {
		t.Run(release, func(t *testing.T) {
			for _, command := range [][]string{{"../kit/litellm", "install"}, {"../kit/litellm", "run"}, {"../kit/lock"}} {
				cmd := exec.Command(command[0], append(command[1:], release)...)
				cmd.Env = append(os.Environ(), "PIP_NO_INDEX=1") // nothing is to be had of them even if this fails
				out, err := cmd.CombinedOutput()
				if err == nil || !strings.Contains(string(out), "is compromised") && !strings.Contains(string(out), "is no release") {
					t.Errorf("%v: %v: %s", command, err, out)
				}
			}
		})
	}
	t.Run("wheels", func(t *testing.T) {
		for content, refused := range map[string]bool{"package/code.py": false, "start.pth": true, "a.data/purelib/start.pth": true} {
			wheel := filepath.Join(t.TempDir(), "some-1.0-py3-none-any.whl")
			writeZip(t, wheel, content)
			for sum, wrong := range map[string]bool{"sha256(wheel)": false, "'0'": true} {
				script := "import pathlib; from install import look_at, sha256; wheel = pathlib.Path('" + wheel + "'); look_at(wheel, {wheel.name: " + sum + "})"
				cmd := exec.Command("python3", "-c", script)
				cmd.Env = append(os.Environ(), "PYTHONPATH=../kit", "PYTHONDONTWRITEBYTECODE=1")
				out, err := cmd.CombinedOutput()
				if want := refused || wrong; (err != nil) != want || want && !strings.Contains(string(out), "refused: ") {
					t.Errorf("a wheel with %s, sum %s: %v %s", content, sum, err, out)
				}
			}
		}
	})
}

func writeZip(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	_, err = z.Create(content)
	if err := errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestReleaseStopped: when the kit is told to end, or killed, in the middle of a start, nothing of what it started is left.
func TestReleaseStopped(t *testing.T) {
	for name, signal := range map[string]os.Signal{"terminated": syscall.SIGTERM, "interrupted": syscall.SIGINT, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // PostgreSQL does not run as root
				t.Fatal(err)
			}
			cmd := exec.Command("../kit/litellm", "run", *release)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				if logs, _ := filepath.Glob(filepath.Join(dir, "*", "proxy0.log")); len(logs) == 0 {
					return errors.New("no proxy was started")
				}
				return nil
			})
			if len(worksIn(t, dir)) < 3 {
				t.Errorf("only %v work in %s", worksIn(t, dir), dir)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // whatever its status: it was told to end
			eventually(t, func() error {
				files, err := os.ReadDir(dir)
				if left := worksIn(t, dir); err == nil && len(files)+len(left) > 0 {
					err = fmt.Errorf("the kit left %v and the processes %v", files, left)
				}
				return err
			})
		})
	}
}

// worksIn are the processes that have a directory, or one in it, as their own.
func worksIn(t *testing.T, dir string) (pids []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, dir+"/") {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

// TestKeeper: a process whose parent ends, and whose child is not there yet when the keeper looks, does not leave a file behind.
func TestKeeper(t *testing.T) {
	const elusive = `
import os, time
end = time.monotonic() + 2
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    open(str(os.getpid()), 'w').close()
`
	for range 8 {
		t.Run("", func(t *testing.T) {
			dir := t.TempDir()
			work := filepath.Join(dir, "work")
			if err := os.Mkdir(work, 0o700); err != nil {
				t.Fatal(err)
			}
			elusive := exec.Command("python3", "-c", elusive)
			elusive.Dir, elusive.SysProcAttr = work, &syscall.SysProcAttr{Setsid: true}
			if err := elusive.Run(); err != nil { // the first of them ends at once, and the session goes on
				t.Fatal(err)
			}
			keeper := exec.Command("../kit/keeper", work)
			keeper.Stdin = strings.NewReader(fmt.Sprintln(elusive.Process.Pid))
			if out, err := keeper.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			eventually(t, func() error {
				if left := worksIn(t, dir); len(left) > 0 {
					return fmt.Errorf("%v go on", left)
				}
				return nil
			})
			if _, err := os.Stat(work); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is left (%v)", err)
			}
		})
	}
}

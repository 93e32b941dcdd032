package config

import (
	"fmt"
	"os"
	"path/filepath"

	commoncfg "github.com/prometheus/common/config"
)

// LoadHTTPClient reads how an HTTP client reaches a server, and with which credential, from a file as other tools of
// Prometheus take it. Paths in it are relative to its directory. No error shows a value: any may hold a secret.
func LoadHTTPClient(file string) (*commoncfg.HTTPClientConfig, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	l := &loader{name: file, dir: filepath.Dir(file), given: map[string]int{}, null: map[string]bool{}}
	c := commoncfg.DefaultHTTPClientConfig
	l.read(content, &c)
	if err := l.err(); err != nil {
		return nil, err
	}
	c.SetDirectory(l.dir)
	return &c, nil
}

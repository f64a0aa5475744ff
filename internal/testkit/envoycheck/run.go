package envoycheck

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// Binary finds Envoy: OSM_ENVOY_BIN, else bin/envoy of the repository. Without one the test fails and says the cure.
func Binary(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("OSM_ENVOY_BIN"); p != "" {
		return p
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		p := filepath.Join(dir, "bin", "envoy")
		if _, err := os.Stat(p); err != nil {
			t.Fatalf("%s is missing; run `make bin/envoy` or set OSM_ENVOY_BIN", p)
		}
		return p
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// Validate has Envoy read the configuration as it would at start. The error holds what Envoy said.
func Validate(ctx context.Context, envoyBinary, dir string, b *bootstrapv3.Bootstrap) error {
	text, err := protojson.Marshal(b)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, envoyBinary, "--mode", "validate", "-c", file, "--log-level", "warn")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("envoy --mode validate: %w\n%s", err, out.String())
	}
	return nil
}

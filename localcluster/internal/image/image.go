package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
)

// Write writes the image ref, whose only file is /program with the content of
// the file at path, to w. The same input gives the same bytes.
func Write(w io.Writer, ref, program, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	if err := add(tw, program, 0o755, content); err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	diffID := sha256.Sum256(layer.Bytes())
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/" + program}, "User": "65535:65535", "WorkingDir": "/"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(diffID[:])}},
	})
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	sum := sha256.Sum256(config)
	configName := hex.EncodeToString(sum[:]) + ".json"
	layerName := hex.EncodeToString(diffID[:]) + "/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{ref}, "Layers": []string{layerName}}})
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	out := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		data []byte
	}{{configName, config}, {layerName, layer.Bytes()}, {"manifest.json", manifest}} {
		if err := add(out, f.name, 0o644, f.data); err != nil {
			return fmt.Errorf("image %s: %w", ref, err)
		}
	}
	return out.Close()
}

func add(tw *tar.Writer, name string, mode int64, data []byte) error {
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := tw.Write(data)
	return err
}

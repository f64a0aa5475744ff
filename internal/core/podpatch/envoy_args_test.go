package podpatch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"openservicemesh.io/osm/internal/core/bootstrap"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/testkit/envoycheck"
)

// The injected container's own arguments and bootstrap start a real Envoy.
func TestEnvoyTakesTheArguments(t *testing.T) {
	bin := envoycheck.Binary(t)
	s := testSettings()
	root, err := os.ReadFile("testdata/root.pem")
	require.NoError(t, err)
	s.RootPEM = string(root)
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}}}
	out, err := Inject(pod, Namespace{Name: "bookstore"}, s, &bootstrap.Memory{}, uuid)
	require.NoError(t, err)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, names.TokenFile), []byte("token"), 0o600))
	text := strings.ReplaceAll(out.Pod.Annotations[names.AnnotationEnvoyBootstrap], names.BootstrapDir, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, names.BootstrapFile), []byte(text), 0o600))
	args := []string{"--mode", "validate"}
	for _, a := range out.Pod.Spec.InitContainers[1].Args {
		args = append(args, strings.ReplaceAll(a, names.BootstrapDir, dir))
	}
	said, err := exec.Command(bin, args...).CombinedOutput()
	require.NoError(t, err, string(said))
}

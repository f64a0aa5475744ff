package e2e

import "testing"

// Switching between permissive and SMI mode reaches running pods; a client outside of the mesh is refused in both.
func TestModeSwitching(t *testing.T) {
	closedMesh(t)
	startPods(t, "mode-switching.yaml", "switching")
	client, stranger := pod{"switching", "client", "app"}, pod{"switching", "stranger", "app"}
	get, send := []string{"get", "-fail", "http://server.switching:14001/"}, []string{"tcpget", "bytes.switching:9000"}
	open := func(t *testing.T) {
		t.Helper()
		client.want(t, 0, "200 OK", get...)
		client.want(t, 0, "hello", send...)
		stranger.want(t, 56, "", get...)
		stranger.want(t, 56, "", send...)
	}
	closed := func(t *testing.T) {
		t.Helper()
		client.want(t, 7, "", get...)
		client.want(t, 7, "", send...)
		stranger.want(t, 56, "", get...)
		stranger.want(t, 56, "", send...)
	}
	t.Run("SMI, no target", closed)
	t.Run("permissive", func(t *testing.T) { permissive(t, true); open(t) })
	t.Run("SMI again", closed)
	t.Run("SMI with a target", func(t *testing.T) { apply(t, "mode-switching-policy.yaml"); open(t) })
	t.Run("permissive beside the target", func(t *testing.T) { permissive(t, true); open(t) })
	t.Run("target deleted", func(t *testing.T) {
		kubectl(t, "delete", "traffictarget", "--all", "-n", "switching")
		closed(t)
	})
}

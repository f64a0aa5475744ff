package e2e

import "testing"

// TestApplications calls applications that bring their own TLS, WebSockets and gRPC, with what their ports speak declared and
// not declared, in both modes.
func TestApplications(t *testing.T) {
	debianPrograms(t)
	installedMesh(t)
	meshNamespaces(t, "app-server", "app-client")
	dir := t.TempDir()
	selfSigned(t, dir, "app.example.com")
	kubectl(t, "create", "secret", "tls", "certificate", "-n", "app-server", "--cert="+dir+"/crt", "--key="+dir+"/key")
	apply(t, "applications.yaml")
	ready(t, "app-client/client")
	ready(t, "app-server/app")
	client := pod{"app-client", "client", "client"}
	curl := func(args ...string) []string { return append([]string{"curl", "-sS", "-k", "-m", "8"}, args...) }

	answers := func(t *testing.T) {
		for _, svc := range []string{"app", "plain"} {
			t.Run(svc, func(t *testing.T) {
				host := svc + ".app-server"
				t.Run("HTTPS of the application, HTTP/2", func(t *testing.T) {
					client.prints(t, "nginx speaks HTTP/2.0 over TLS", curl("https://"+host+"/")...)
				})
				t.Run("HTTPS of the application, HTTP/1.1", func(t *testing.T) {
					client.prints(t, "nginx speaks HTTP/1.1 over TLSv1.2", curl("--http1.1", "--tls-max", "1.2", "https://"+host+"/")...)
				})
				t.Run("gRPC", func(t *testing.T) { client.want(t, 0, "SERVING pod=[app]", "grpcget", host+":9002") })
				t.Run("gRPC over TLS", func(t *testing.T) { client.want(t, 0, "SERVING pod=[app]", "grpcget", "-tls", host+":9443") })
				t.Run("WebSocket", func(t *testing.T) { client.want(t, 0, "echoed", "wsget", "http://"+host+":80/ws") })
			})
		}
	}
	t.Run("permissive", func(t *testing.T) {
		permissive(t, true)
		answers(t)
		for _, protocol := range []string{"spdy/3.1", "tcp"} {
			t.Run("upgrade to "+protocol, func(t *testing.T) {
				client.want(t, 0, "echoed", "wsget", "-upgrade", protocol, "http://app.app-server:80/upgrade")
			})
		}
		t.Run("HTTP/2 with prior knowledge", func(t *testing.T) {
			client.prints(t, `"proto":"HTTP/2.0"`, curl("--http2-prior-knowledge", "http://app.app-server/")...)
			client.prints(t, `"proto":"HTTP/2.0"`, curl("--http2-prior-knowledge", "http://plain.app-server/")...)
		})
	})
	t.Run("SMI", func(t *testing.T) {
		permissive(t, false)
		apply(t, "applications-policy.yaml")
		answers(t)
		for _, host := range []string{"app.app-server", "plain.app-server"} {
			// Rules about requests hold for upgrades, and on ports that declare nothing.
			client.want(t, 22, "answered 404", "wsget", "-upgrade", "tcp", "http://"+host+":80/upgrade")
			client.want(t, 22, "answered 404", "wsget", "http://"+host+":80/other")
			client.want(t, 22, "", "get", "-fail", "http://"+host+"/")
		}
		kubectl(t, "delete", "tcproute", "tls", "-n", "app-server")
		// A target without TCPRoutes does not limit ports that declare bytes; it opens none that declare nothing.
		client.prints(t, "nginx", curl("https://app.app-server/")...)
		client.fails(t, "nginx", curl("https://plain.app-server/")...)
		client.want(t, 0, "echoed", "wsget", "http://plain.app-server:80/ws")
	})
}

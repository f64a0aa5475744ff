package pki

import (
	"encoding/base64"
	"fmt"
)

// Kubeconfig renders a kubeconfig with everything embedded. cluster names
// cluster, user and context.
func Kubeconfig(cluster, server string, ca []byte, p Pair) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[1]s
current-context: %[1]s
`, cluster, server, b64(ca), b64(p.Cert), b64(p.Key))
}

package kubeapi

import (
	"context"
	"fmt"
)

// DNSNamespace and DNSDeployment name the cluster's DNS server.
const (
	DNSNamespace  = "kube-system"
	DNSDeployment = "coredns"
)

type object struct{ path, body string }

// ApplyDNS installs CoreDNS. Its program is localkube itself, mounted from the
// machine, which spares unpacking an image of that size; its configuration is
// the folder dnsDir. image only holds the pod together and its files are unused.
func (c *Client) ApplyDNS(ctx context.Context, dnsIP, image, binDir, dnsDir string) error {
	for _, o := range dnsObjects(dnsIP, image, binDir, dnsDir) {
		if err := c.Apply(ctx, o.path, []byte(o.body)); err != nil {
			return fmt.Errorf("install CoreDNS: %w", err)
		}
	}
	return nil
}

func dnsObjects(dnsIP, image, binDir, dnsDir string) []object {
	return []object{
		{"/api/v1/namespaces/kube-system/serviceaccounts/coredns", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: kube-system}
`},
		{"/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
`},
		{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:coredns", `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{kind: ServiceAccount, name: coredns, namespace: kube-system}]
`},
		{"/api/v1/namespaces/kube-system/services/kube-dns", fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: %s
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 53}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
`, dnsIP)},
		{"/apis/apps/v1/namespaces/kube-system/deployments/coredns", fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  replicas: 1
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      serviceAccountName: coredns
      dnsPolicy: Default
      priorityClassName: system-cluster-critical
      terminationGracePeriodSeconds: 1
      containers:
      - name: coredns
        image: %s
        imagePullPolicy: Never
        command: [/opt/localcluster/localkube, coredns]
        args: [-conf, /etc/coredns/Corefile]
        ports:
        - {name: dns, containerPort: 53, protocol: UDP}
        - {name: dns-tcp, containerPort: 53, protocol: TCP}
        securityContext:
          runAsUser: 0
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
        readinessProbe: {httpGet: {path: /ready, port: 8181}, periodSeconds: 2}
        startupProbe: {httpGet: {path: /ready, port: 8181}, periodSeconds: 1, failureThreshold: 60}
        livenessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 5}
        volumeMounts:
        - {name: program, mountPath: /opt/localcluster, readOnly: true}
        - {name: config, mountPath: /etc/coredns, readOnly: true}
      volumes:
      - {name: program, hostPath: {path: %q, type: Directory}}
      - {name: config, hostPath: {path: %q, type: Directory}}
`, image, binDir, dnsDir)},
	}
}

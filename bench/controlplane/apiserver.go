package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"openservicemesh.io/osm/internal/testkit/satoken"
)

const (
	issuerName = "https://kubernetes.default.svc"
	apiAddress = "127.0.0.1:6443"
	etcdURL    = "http://127.0.0.1:2379"
	adminToken = "bench"
)

// apiServer is an API server with its etcd, and nothing else of Kubernetes: no kubelet and no controllers.
type apiServer struct {
	dir        string
	kubeconfig string
	issuer     *satoken.Issuer
	kube       kubernetes.Interface
	dynamic    dynamic.Interface
	processes  []*process
}

// process is a program whose log goes to a file.
type process struct {
	name string
	cmd  *exec.Cmd
}

func startProcess(dir, name string, env []string, argv ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // programs of this repository
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return &process{name, cmd}, cmd.Start()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// startAPIServer needs the folder with the program localkube (localcluster build prints it).
func startAPIServer(ctx context.Context, dir, localkube string) (*apiServer, error) {
	c := &apiServer{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
	key, keyFile, err := signingKey(dir)
	if err != nil {
		return nil, err
	}
	c.issuer = satoken.NewOf(issuerName, key)
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(adminToken+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return nil, err
	}
	for _, argv := range [][]string{
		{"etcd", "--name=default", "--data-dir=" + filepath.Join(dir, "etcd"), "--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=default=http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level=warn"},
		{"kube-apiserver", "--etcd-servers=" + etcdURL, "--bind-address=127.0.0.1", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none", "--secure-port=6443",
			"--service-cluster-ip-range=10.96.0.0/12", "--cert-dir=" + filepath.Join(dir, "apiserver"), "--token-auth-file=" + tokens,
			"--service-account-key-file=" + keyFile, "--service-account-signing-key-file=" + keyFile, "--service-account-issuer=" + issuerName,
			"--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--enable-priority-and-fairness=false",
			"--max-requests-inflight=0", "--max-mutating-requests-inflight=0"},
	} {
		p, err := startProcess(dir, argv[0], nil, append([]string{filepath.Join(localkube, "localkube")}, argv...)...)
		if err != nil {
			return nil, err
		}
		c.processes = append(c.processes, p)
	}
	return c, c.connect(ctx)
}

func signingKey(dir string) (*ecdsa.PrivateKey, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "sa.key")
	return key, file, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// connect waits for the API server and its certificate, and writes a kubeconfig.
func (c *apiServer) connect(ctx context.Context) error {
	ca := filepath.Join(c.dir, "apiserver", "apiserver.crt")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(ca); err == nil {
			rc := &rest.Config{Host: "https://" + apiAddress, BearerToken: adminToken, QPS: -1,
				TLSClientConfig: rest.TLSClientConfig{CAFile: ca}}
			if err := c.clients(ctx, rc); err == nil {
				break
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the API server does not answer; see %s", c.dir)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{Server: "https://" + apiAddress, CertificateAuthority: ca}
	config.AuthInfos["bench"] = &clientcmdapi.AuthInfo{Token: adminToken}
	config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	config.CurrentContext = "bench"
	return clientcmd.WriteToFile(*config, c.kubeconfig)
}

func (c *apiServer) clients(ctx context.Context, rc *rest.Config) (err error) {
	if c.kube, err = kubernetes.NewForConfig(rc); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(rc); err != nil {
		return err
	}
	var code int
	c.kube.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code)
	if code != http.StatusOK {
		return errors.New("not ready")
	}
	return nil
}

func (c *apiServer) stop() {
	for _, p := range c.processes {
		p.kill()
	}
}

// findLocalkube returns the folder of the cluster's programs, which are compiled unless they are in the cache.
func findLocalkube(root string) (string, error) {
	cmd := exec.Command(filepath.Join(root, "bin", "localcluster"), "build")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("bin/localcluster build (make build makes it): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

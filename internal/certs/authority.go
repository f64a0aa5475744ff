package certs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"openservicemesh.io/osm/internal/certs/signer"
	"openservicemesh.io/osm/internal/certs/tresor"
	"openservicemesh.io/osm/internal/core/names"
	"openservicemesh.io/osm/internal/core/pki"
	"openservicemesh.io/osm/internal/obs/errcode"
)

// DefaultOverlap is how long a new root is trusted before it signs: the time for the new bundle to reach every proxy
// and the API server.
const DefaultOverlap = 30 * time.Second

// openAttempts bounds the start-up race with replicas that create, and users who delete, the Secret.
const openAttempts = 5

// Observer counts. obs.Metrics is one.
type Observer interface {
	// CertIssued counts one certificate and the time it took to make.
	CertIssued(time.Duration)
}

// Warner tells the users of the cluster. obs.PodEvents is one.
type Warner interface {
	// Warn logs err and stores an event with the reason.
	Warn(ctx context.Context, reason string, err error)
}

// Secrets is the client of the Secrets of one namespace. It is narrow so that a program need not link a whole clientset; the
// generated clients implement it.
type Secrets interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*corev1.Secret, error)
	Create(ctx context.Context, s *corev1.Secret, opts metav1.CreateOptions) (*corev1.Secret, error)
	Update(ctx context.Context, s *corev1.Secret, opts metav1.UpdateOptions) (*corev1.Secret, error)
	List(ctx context.Context, opts metav1.ListOptions) (*corev1.SecretList, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Config says where the root is kept. Secrets, Namespace and Log must be set.
type Config struct {
	// Secrets are those of Namespace.
	Secrets   Secrets
	Namespace string
	// Provider says who signs; it defaults to tresor, whose root stands in the Secret together with its key.
	Provider signer.Provider
	// SecretName defaults to osm-ca-bundle.
	SecretName string
	// MeshName labels a Secret that is created here.
	MeshName string
	// Overlap defaults to DefaultOverlap.
	Overlap time.Duration
	Log     *slog.Logger
	// Metrics may be nil.
	Metrics Observer
	// Events is told when a changed Secret cannot be used, and when no certificates are issued; nil means the log only.
	Events Warner
	// Now defaults to time.Now.
	Now func() time.Time
	// Dynamic reads MeshRootCertificates, where the MeshConfig named ConfigName (osm-mesh-config) says that they count; nil means
	// that the Secret alone does. Objects of another trust domain than TrustDomain do not count.
	Dynamic     dynamic.Interface
	ConfigName  string
	TrustDomain string
}

// Authority holds the root and what the mesh trusts. Its methods may be called concurrently.
type Authority struct {
	cfg   Config
	trust atomic.Pointer[trust]
	// lastNotAfter is the end (in Unix seconds) of the longest-lived certificate that the present signer issued.
	lastNotAfter atomic.Int64
	// validity is how long workload certificates live, in nanoseconds; 0 until an Issuer says.
	validity atomic.Int64
	roots    atomic.Pointer[Roots]
	// reading keeps readings of the objects, and changing changes of trust, one after the other.
	reading, changing sync.Mutex
	outage            outage

	bundleChanged, signerChanged, rootsChanged broadcast
}

// Open reads the root from its Secret, or makes one and creates the Secret. Of several replicas that start at once
// exactly one creates; the others read what it wrote. A Secret that is there but cannot be used is an error that names
// the Secret, the key and the cure; nothing is overwritten.
func Open(ctx context.Context, cfg Config) (*Authority, error) {
	if cfg.SecretName == "" {
		cfg.SecretName = names.CABundleSecret
	}
	if cfg.Provider == nil {
		cfg.Provider = tresor.Provider{}
	}
	if cfg.Overlap == 0 {
		cfg.Overlap = DefaultOverlap
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.ConfigName == "" {
		cfg.ConfigName = names.MeshConfig
	}
	a := &Authority{cfg: cfg}
	roots, err := a.readRoots(ctx)
	if err != nil {
		return nil, err
	}
	r, err := a.openRoot(ctx, roots)
	if err != nil {
		return nil, err
	}
	a.roots.Store(roots)
	a.trust.Store(newTrust(trust{signer: r}, a.now()))
	if roots.On {
		a.adopt(roots)
	}
	return a, nil
}

func (a *Authority) now() time.Time { return pki.Wall(a.cfg.Now()) }

func (a *Authority) where() string { return a.cfg.Namespace + "/" + a.cfg.SecretName }

func (a *Authority) loadOrCreate(ctx context.Context) (*signer.Root, error) {
	for range openAttempts {
		s, err := a.cfg.Secrets.Get(ctx, a.cfg.SecretName, metav1.GetOptions{})
		if err == nil {
			return a.cfg.Provider.Parse(a.where(), s.Data, a.now())
		}
		if !apierrors.IsNotFound(err) {
			return nil, errcode.Errorf(errcode.FetchingCertSecret, "cannot read Secret %s: %w", a.where(), err)
		}
		r, err := a.create(ctx)
		if err == nil {
			a.cfg.Log.Info("made a new root certificate", "secret", a.where(), "root", r.ID, "expires", r.Cert.NotAfter)
			return r, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
	}
	return nil, errcode.Errorf(errcode.CreatingCertSecret, "Secret %s was created and deleted by others %d times in a row: "+
		"find who deletes it, then restart", a.where(), openAttempts)
}

func (a *Authority) create(ctx context.Context) (*signer.Root, error) {
	r, data, err := a.cfg.Provider.Create(ctx, a.now())
	if err != nil {
		return nil, err
	}
	return r, a.createSecret(ctx, a.cfg.SecretName, data)
}

// createSecret creates a Secret that holds a root.
func (a *Authority) createSecret(ctx context.Context, name string, data map[string][]byte) error {
	labels := map[string]string{names.LabelAppName: names.AppName}
	if a.cfg.MeshName != "" {
		labels[names.LabelAppInstance] = a.cfg.MeshName
	}
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.cfg.Namespace, Labels: labels},
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}
	if _, err := a.cfg.Secrets.Create(ctx, s, metav1.CreateOptions{}); err != nil {
		return errcode.Errorf(errcode.CreatingCertSecret, "cannot create Secret %s/%s: %w", a.cfg.Namespace, name, err)
	}
	return nil
}

// RootID names the root that signs now.
func (a *Authority) RootID() string { return a.trust.Load().signer.ID }

// RootNotAfter is when the root that signs now expires.
func (a *Authority) RootNotAfter() time.Time { return a.trust.Load().signer.Cert.NotAfter }

// TrustBundle is the PEM of every root to trust: the content of validation contexts and of a webhook's caBundle. It is
// never empty; the caller must not change it.
func (a *Authority) TrustBundle() []byte { return a.trust.Load().bundle }

// Changed returns a channel that is closed at the next change of the trust bundle. Get it before reading the bundle, and
// again after it is closed. (Issuer.Changed tells when certificates are to be issued anew.)
func (a *Authority) Changed() <-chan struct{} { return a.bundleChanged.next() }

package gatewaycert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"openservicemesh.io/osm/internal/core/names"
)

// Keys of the Secret, and what marks it as the mesh's own.
const (
	keyCA  = "ca.crt"
	labelK = "openservicemesh.io/ingress-gateway"
	// annotationFor is a hash over everything the certificate depends on, and annotationRenew when it is due.
	annotationFor   = "openservicemesh.io/issued-for"
	annotationRenew = "openservicemesh.io/renew-at"
)

// checkEvery is how often the Secret is looked at although nothing is due: somebody may have deleted it. retryEvery is the
// pause after a failure.
const (
	checkEvery  = time.Minute
	retryEvery  = 10 * time.Second
	callTimeout = 10 * time.Second
)

// Want is what MeshConfig asks for. The zero value asks for nothing.
type Want struct {
	Namespace, Name string
	// Names are DNS names, joined by commas: so wants can be compared.
	Names    string
	Validity time.Duration
}

// Authority is what is needed of certs.Authority.
type Authority interface {
	ClientCert(ctx context.Context, names []string, validity time.Duration) (chain, key []byte, renew time.Time, err error)
	TrustBundle() []byte
	RootID() string
	Changed() <-chan struct{}
	SignerChanged() <-chan struct{}
}

// Secrets is the client of the Secrets of one namespace.
type Secrets interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*corev1.Secret, error)
	Create(ctx context.Context, s *corev1.Secret, opts metav1.CreateOptions) (*corev1.Secret, error)
	Update(ctx context.Context, s *corev1.Secret, opts metav1.UpdateOptions) (*corev1.Secret, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// Options configure a Keeper. All are needed but Now.
type Options struct {
	Secrets   func(namespace string) Secrets
	Authority Authority
	MeshName  string
	Log       *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
}

// Keeper keeps one Secret.
type Keeper struct {
	opts  Options
	fresh chan struct{}

	mu   sync.Mutex
	want Want
}

// New returns a keeper; Run does the work.
func New(opts Options) *Keeper {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Keeper{opts: opts, fresh: make(chan struct{}, 1)}
}

// Ask makes w what is wanted from now on.
func (k *Keeper) Ask(w Want) {
	k.mu.Lock()
	changed := k.want != w
	k.want = w
	k.mu.Unlock()
	if changed {
		select {
		case k.fresh <- struct{}{}:
		default:
		}
	}
}

func (k *Keeper) wanted() Want {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.want
}

// Run works until ctx ends, which is when this replica no longer leads. A Secret that is no longer wanted is deleted if it was
// wanted while this replica led.
func (k *Keeper) Run(ctx context.Context) {
	var had Want
	for {
		roots, signer := k.opts.Authority.Changed(), k.opts.Authority.SignerChanged()
		want := k.wanted()
		pause, err := k.step(ctx, had, want)
		if err != nil {
			pause = retryEvery
			k.opts.Log.Error("the ingress gateway's certificate could not be kept; it will be tried again", "secret", want.where(), "error", err)
		} else {
			had = want
		}
		select {
		case <-ctx.Done():
			return
		case <-k.fresh:
		case <-roots:
		case <-signer:
		case <-time.After(min(max(pause, time.Second), checkEvery)):
		}
	}
}

func (w Want) where() string { return w.Namespace + "/" + w.Name }

// step deletes what was had and is elsewhere now, and brings what is wanted up to date; it returns the time until that is due.
func (k *Keeper) step(ctx context.Context, had, want Want) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if had.Name != "" && had.where() != want.where() {
		if err := k.drop(ctx, had); err != nil {
			return 0, err
		}
	}
	if want.Name == "" {
		return checkEvery, nil
	}
	return k.ensure(ctx, want)
}

func (k *Keeper) drop(ctx context.Context, had Want) error {
	client := k.opts.Secrets(had.Namespace)
	s, err := client.Get(ctx, had.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !k.own(s) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Secret %s: %w", had.where(), err)
	}
	uid := s.UID
	err = client.Delete(ctx, had.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Secret %s: %w", had.where(), err)
	}
	k.opts.Log.Info("deleted the ingress gateway's certificate, which MeshConfig no longer asks for", "secret", had.where())
	return nil
}

// own reports whether the mesh made a Secret. Another's is never changed, whoever names it in a MeshConfig.
func (k *Keeper) own(s *corev1.Secret) bool { return s.Labels[labelK] == k.opts.MeshName }

func (k *Keeper) ensure(ctx context.Context, want Want) (time.Duration, error) {
	client := k.opts.Secrets(want.Namespace)
	have, err := client.Get(ctx, want.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("read Secret %s: %w", want.where(), err)
	}
	exists := err == nil
	if exists && !k.own(have) {
		return 0, fmt.Errorf("Secret %s is there already and is not the mesh's; delete it, or name another in the MeshConfig's spec.certificate.ingressGateway.secret", want.where()) //nolint:staticcheck // a kind's name
	}
	now := k.opts.Now()
	if exists {
		if due, ok := k.current(have, want); ok && now.Before(due) {
			return due.Sub(now), nil
		}
	}
	s, due, err := k.issue(ctx, want)
	if err != nil {
		return 0, err
	}
	if exists {
		s.ResourceVersion = have.ResourceVersion
		_, err = client.Update(ctx, s, metav1.UpdateOptions{})
	} else {
		_, err = client.Create(ctx, s, metav1.CreateOptions{})
	}
	if err != nil {
		return 0, fmt.Errorf("write Secret %s: %w", want.where(), err)
	}
	k.opts.Log.Info("issued the ingress gateway's certificate", "secret", want.where(), "names", want.Names, "renew_at", due)
	return due.Sub(now), nil
}

// current reports whether a Secret still is what is wanted, and until when.
func (k *Keeper) current(s *corev1.Secret, want Want) (time.Time, bool) {
	due, err := time.Parse(time.RFC3339, s.Annotations[annotationRenew])
	return due, err == nil && s.Annotations[annotationFor] == k.hash(want) && len(s.Data[corev1.TLSCertKey]) > 0 &&
		len(s.Data[corev1.TLSPrivateKeyKey]) > 0 && bytes.Equal(s.Data[keyCA], k.opts.Authority.TrustBundle())
}

func (k *Keeper) hash(want Want) string {
	sum := sha256.Sum256([]byte(want.Names + "\x00" + want.Validity.String() + "\x00" + k.opts.Authority.RootID()))
	return hex.EncodeToString(sum[:8])
}

func (k *Keeper) issue(ctx context.Context, want Want) (*corev1.Secret, time.Time, error) {
	// The hash is taken before the certificate is made: if the root changes in between, the next look finds it out.
	hash, bundle := k.hash(want), k.opts.Authority.TrustBundle()
	chain, key, due, err := k.opts.Authority.ClientCert(ctx, strings.Split(want.Names, ","), want.Validity)
	if err != nil {
		return nil, time.Time{}, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: want.Namespace, Name: want.Name,
			Labels:      map[string]string{names.LabelAppName: names.AppName, names.LabelAppInstance: k.opts.MeshName, labelK: k.opts.MeshName},
			Annotations: map[string]string{annotationFor: hash, annotationRenew: due.UTC().Format(time.RFC3339)},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key, keyCA: bundle},
	}, due, nil
}

package satoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openservicemesh.io/osm/internal/core/meshid"
)

// Issuer signs tokens with its newest key and publishes the keys it has not retired.
type Issuer struct {
	// Name is the issuer's URL.
	Name string

	mu    sync.Mutex
	keys  []crypto.Signer // the newest last
	reads int
	fail  error
}

// New returns an issuer with one fresh key (ECDSA P-256).
func New(name string) (*Issuer, error) {
	i := &Issuer{Name: name}
	return i, i.Rotate(true)
}

// NewOf returns an issuer that signs with a given key, an *ecdsa.PrivateKey or *rsa.PrivateKey.
func NewOf(name string, key crypto.Signer) *Issuer {
	return &Issuer{Name: name, keys: []crypto.Signer{key}}
}

// Rotate signs with a fresh key from now on; retire says that the keys before are published no longer.
func (i *Issuer) Rotate(retire bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if retire {
		i.keys = nil
	}
	i.keys = append(i.keys, key)
	return nil
}

// Fail makes reading fail with an error; nil makes it work again.
func (i *Issuer) Fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fail = err
}

// Reads is how often the keys were read.
func (i *Issuer) Reads() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

// Key is the newest key.
func (i *Issuer) Key() crypto.Signer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// Read answers as the API server: "/.well-known/openid-configuration" and "/openid/v1/jwks".
func (i *Issuer) Read(_ context.Context, path string) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.fail != nil:
		return nil, i.fail
	case path == "/.well-known/openid-configuration":
		return json.Marshal(map[string]any{"issuer": i.Name, "jwks_uri": "https://elsewhere.example.com/openid/v1/jwks"})
	case path != "/openid/v1/jwks":
		return nil, fmt.Errorf("%s: not found", path)
	}
	i.reads++
	var set jose.JSONWebKeySet
	for _, key := range i.keys {
		jwk, err := public(key)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk)
	}
	return json.Marshal(set)
}

func public(key crypto.Signer) (jose.JSONWebKey, error) {
	id, err := KeyID(key)
	return jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: string(algorithm(key)), Use: "sig"}, err
}

// KeyID is the name that the API server gives a key.
func KeyID(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func algorithm(key crypto.Signer) jose.SignatureAlgorithm {
	if e, ok := key.(*ecdsa.PrivateKey); ok {
		return map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}[e.Curve.Params().BitSize]
	}
	return jose.RS256
}

// Claims are a token's content.
type Claims struct {
	jwt.Claims
	Kubernetes Kubernetes `json:"kubernetes.io"`
}

// Kubernetes is what binds a token to objects.
type Kubernetes struct {
	Namespace      string  `json:"namespace"`
	Pod            *Object `json:"pod,omitempty"`
	ServiceAccount Object  `json:"serviceaccount"`
}

// Object is an object as it was when the token was made.
type Object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// ClaimsOf are those of a pod's own token, good for an hour from now.
func (i *Issuer) ClaimsOf(pod meshid.Pod, account, accountUID, audience string, now time.Time) Claims {
	return Claims{
		Claims: jwt.Claims{
			Issuer: i.Name, Subject: "system:serviceaccount:" + pod.Namespace + ":" + account, Audience: jwt.Audience{audience},
			Expiry: jwt.NewNumericDate(now.Add(time.Hour)), NotBefore: jwt.NewNumericDate(now), IssuedAt: jwt.NewNumericDate(now),
		},
		Kubernetes: Kubernetes{Namespace: pod.Namespace, Pod: &Object{pod.Name, pod.UID}, ServiceAccount: Object{account, accountUID}},
	}
}

// Sign signs claims with the newest key.
func (i *Issuer) Sign(claims any) (string, error) { return SignWith(i.Key(), claims) }

// SignWith signs claims with a key and names it.
func SignWith(key crypto.Signer, claims any) (string, error) {
	id, err := KeyID(key)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm(key), Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

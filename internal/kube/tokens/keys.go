package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Where an API server publishes its issuer and its keys. The keys are read from the API server itself, wherever the
// first document says they are: that address may lie outside of the cluster.
const (
	pathIssuer = "/.well-known/openid-configuration"
	pathKeys   = "/openid/v1/jwks"
)

// How long keys are good.
const (
	// keysFresh is when keys are read again: one that the cluster no longer publishes is trusted for no longer.
	keysFresh = 5 * time.Minute
	// keysStale is how long they stand while the API server does not answer, so that proxies can come back meanwhile.
	keysStale = time.Hour
	// keysPause is the least time between two readings: a token with an unknown key must not cost one each.
	keysPause = 10 * time.Second
	// keysWait is how long a stream waits for a reading when there are keys already.
	keysWait = time.Second
)

// Read reads a path of the API server, as bytes.
type Read func(ctx context.Context, path string) ([]byte, error)

// keys are the cluster's published keys. A nil Read publishes none.
type keys struct {
	read   Read
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group

	mu     sync.Mutex
	issuer string
	byID   map[string]jose.JSONWebKey
	// read is when the keys were last read, tried when that was last attempted.
	readAt, triedAt time.Time
	// quiet is whether it was said that they cannot be read.
	quiet bool
}

// find returns a key and the issuer whose it is; false when the key is not published or nothing could be read.
func (k *keys) find(ctx context.Context, id string) (key jose.JSONWebKey, issuer string, ok bool) {
	if k.read == nil {
		return key, "", false
	}
	k.mu.Lock()
	key, ok = k.byID[id]
	now := k.now()
	some := len(k.byID) > 0
	settled := ok && now.Before(k.readAt.Add(keysFresh)) || now.Before(k.triedAt.Add(keysPause))
	k.mu.Unlock()
	if !settled {
		k.refresh(ctx, some)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok = k.byID[id]
	return key, k.issuer, ok && k.now().Before(k.readAt.Add(keysStale))
}

// refresh reads the keys, once for all streams that want that at one time, and waits: not for long when there are some.
func (k *keys) refresh(ctx context.Context, some bool) {
	done := k.flight.DoChan("", func() (any, error) {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		k.load(ask)
		return nil, nil
	})
	wait := askTimeout
	if some {
		wait = keysWait
	}
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
	}
}

func (k *keys) load(ctx context.Context) {
	issuer, byID, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.triedAt = k.now()
	switch {
	case err == nil:
		k.issuer, k.byID, k.readAt, k.quiet = issuer, byID, k.triedAt, false
		return
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), apierrors.IsNotFound(err), errors.Is(err, errNoKeys):
		k.byID = nil // the API server says no: it may have withdrawn them
	}
	if !k.quiet {
		k.quiet = true
		k.log.Warn("the keys of the cluster's tokens cannot be read; every stream costs a TokenReview", "error", err)
	}
}

var errNoKeys = errors.New("no issuer or no usable key is published")

// fetch reads the two documents.
func (k *keys) fetch(ctx context.Context) (issuer string, byID map[string]jose.JSONWebKey, err error) {
	var about struct {
		Issuer string `json:"issuer"`
	}
	var set jose.JSONWebKeySet
	for path, into := range map[string]any{pathIssuer: &about, pathKeys: &set} {
		raw, err := k.read(ctx, path)
		if err != nil {
			return "", nil, fmt.Errorf("read %s of the API server: %w", path, err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return "", nil, fmt.Errorf("%w: %s of the API server: %w", errNoKeys, path, err)
		}
	}
	byID = map[string]jose.JSONWebKey{}
	for _, key := range set.Keys {
		if key.KeyID != "" && key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") {
			byID[key.KeyID] = key
		}
	}
	if about.Issuer == "" || len(byID) == 0 {
		return "", nil, errNoKeys
	}
	return about.Issuer, byID, nil
}

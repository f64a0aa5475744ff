package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openservicemesh.io/osm/internal/core/meshid"
	"openservicemesh.io/osm/internal/xds"
)

// algorithms are those that API servers sign with. Nothing symmetric and never "none": the published keys are no secrets.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// leeway is how far clocks may differ; the API server grants the same.
const leeway = time.Minute

// errUnsure means that the API server has to judge.
var errUnsure = errors.New("not certain here")

// claims are those that the API server puts into a service-account token.
type claims struct {
	jwt.Claims
	Kubernetes struct {
		Namespace      string    `json:"namespace"`
		Pod            *objectID `json:"pod"`
		ServiceAccount objectID  `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// objectID is an object as it was when the token was made.
type objectID struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// verify judges a token by the published keys and by what is known of the cluster. The error is errUnsure or a refusal.
func (a *Authenticator) verify(ctx context.Context, token string) (xds.Peer, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	var other *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &other):
		return xds.Peer{}, refuse("tokens are not signed with %.20q", string(other.Got))
	case err != nil || len(parsed.Headers) != 1 || parsed.Headers[0].KeyID == "":
		return xds.Peer{}, errUnsure // a token of some other kind, which the API server may know
	}
	header := parsed.Headers[0]
	key, issuer, ok := a.keys.find(ctx, header.KeyID)
	switch {
	case !ok:
		return xds.Peer{}, errUnsure
	case key.Algorithm != "" && key.Algorithm != header.Algorithm:
		return xds.Peer{}, refuse("the token's key is not for %.20q", header.Algorithm)
	}
	var c claims
	if err := parsed.Claims(key.Key, &c); err != nil {
		return xds.Peer{}, refuse("the token's signature or content is not good: %v", err)
	}
	if c.Issuer != issuer {
		return xds.Peer{}, errUnsure // a cluster may have several; the first is published
	}
	return a.judge(&c)
}

// judge looks at what a genuine token says.
func (a *Authenticator) judge(c *claims) (xds.Peer, error) {
	k := &c.Kubernetes
	id := meshid.Identity{Namespace: k.Namespace, ServiceAccount: k.ServiceAccount.Name}
	switch {
	case !c.Audience.Contains(a.opts.Audience):
		return xds.Peer{}, refuse("the token is not meant for audience %q", a.opts.Audience)
	case c.Expiry == nil:
		return xds.Peer{}, refuse("the token never expires")
	case id.Namespace == "" || id.ServiceAccount == "" || c.Subject != userPrefix+id.Namespace+":"+id.ServiceAccount:
		return xds.Peer{}, refuse("%.300q is not a service account, or not the one of the token's other claims", c.Subject)
	case k.Pod == nil || k.Pod.Name == "" || k.Pod.UID == "":
		return xds.Peer{}, refuse("the token of service account %s/%s is not bound to a pod", id.Namespace, id.ServiceAccount)
	case c.ValidateWithLeeway(jwt.Expected{Time: a.now()}, leeway) != nil:
		return xds.Peer{}, errUnsure // or this machine's clock is wrong
	}
	peer := xds.Peer{Pod: meshid.Pod{Namespace: id.Namespace, Name: k.Pod.Name, UID: k.Pod.UID}, Identity: id}
	if now, known := a.opts.Pod(peer.Pod); !known || now != id {
		return xds.Peer{}, errUnsure
	}
	if uid, known := a.opts.Account(id); !known || uid != k.ServiceAccount.UID {
		return xds.Peer{}, errUnsure
	}
	return peer, nil
}

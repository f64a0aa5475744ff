package pki

import (
	"fmt"
	"time"
)

// Lifetimes of the mesh's certificates.
const (
	// RootValidity is ten years, the lifetime of a root that the mesh makes itself.
	RootValidity = 87600 * time.Hour
	// DefaultServiceValidity is used when MeshConfig's value cannot be read.
	DefaultServiceValidity = 24 * time.Hour
	// MinServiceValidity is the shortest lifetime of a workload's certificate; less is raised to it.
	MinServiceValidity = 10 * time.Minute
	// ServerValidity is the lifetime of the control plane's own server certificates, which renew themselves.
	ServerValidity = 24 * time.Hour
	// Backdate is how far before the present a certificate starts, so that a peer whose clock lags accepts it.
	Backdate = 5 * time.Minute
)

// ServiceValidity reads MeshConfig's spec.certificate.serviceCertValidityDuration, a Go duration. The value is always
// usable: an unreadable one gives 24h, one below 10m gives 10m. The error says what was wrong and what is used instead.
func ServiceValidity(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return DefaultServiceValidity, fmt.Errorf(
			"MeshConfig spec.certificate.serviceCertValidityDuration %q is not a duration such as \"24h\": using %s",
			s, DefaultServiceValidity)
	}
	if d < MinServiceValidity {
		return MinServiceValidity, fmt.Errorf(
			"MeshConfig spec.certificate.serviceCertValidityDuration %q is below the minimum: using %s",
			s, MinServiceValidity)
	}
	return d, nil
}

// Window is the time in which a certificate is valid.
type Window struct{ NotBefore, NotAfter time.Time }

// NewWindow places a lifetime of validity at now, starting Backdate earlier and never outliving the root. X.509 holds
// whole seconds, so both ends are cut to them; both are UTC wall-clock times.
func NewWindow(now time.Time, validity time.Duration, rootNotAfter time.Time) Window {
	now = Wall(now)
	w := Window{NotBefore: now.Add(-Backdate), NotAfter: now.Add(validity)}
	if !rootNotAfter.IsZero() && w.NotAfter.After(rootNotAfter) {
		w.NotAfter = rootNotAfter
	}
	return Window{NotBefore: w.NotBefore.Truncate(time.Second), NotAfter: w.NotAfter.Truncate(time.Second)}
}

// RenewAt is the instant at which a certificate that ends at notAfter and lives for validity should be replaced. It
// lies between 40 % (spread 1) and 50 % (spread 0) of the lifetime, so that with 24h certificates the control plane may
// be away for 12 hours; a random spread in [0,1) keeps the certificates of one rollout from being renewed at once.
func RenewAt(notAfter time.Time, validity time.Duration, spread float64) time.Time {
	spread = min(max(spread, 0), 1)
	return Wall(notAfter).Add(-validity/2 - time.Duration(float64(validity/10)*spread))
}

// Wall strips the monotonic clock reading. Certificates end at wall-clock times, and the monotonic clock stands still
// while a machine sleeps: comparing with it would leave an expired certificate in use.
func Wall(t time.Time) time.Time { return t.Round(0).UTC() }

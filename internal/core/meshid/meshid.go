package meshid

import (
	"cmp"
	"fmt"
	"strings"
)

// TrustDomain is the last part of every principal, for example "cluster.local".
type TrustDomain string

// Identity is who a workload is: its Kubernetes ServiceAccount. One certificate principal belongs to one Identity.
type Identity struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
}

// String returns "<serviceaccount>.<namespace>".
func (i Identity) String() string { return i.ServiceAccount + "." + i.Namespace }

// IsZero reports whether no identity is meant.
func (i Identity) IsZero() bool { return i == Identity{} }

// Principal returns "<serviceaccount>.<namespace>.<trust domain>": the common name and the DNS SAN of the workload's
// certificate, and what authorization rules are written in.
func (i Identity) Principal(td TrustDomain) string { return i.String() + "." + string(td) }

// Compare orders identities by namespace, then by service account.
func (i Identity) Compare(o Identity) int {
	return cmp.Or(cmp.Compare(i.Namespace, o.Namespace), cmp.Compare(i.ServiceAccount, o.ServiceAccount))
}

// ParseIdentity reads "<serviceaccount>.<namespace>". A namespace holds no dot (RFC 1123 label) but a service account
// may, so the last dot divides.
func ParseIdentity(s string) (Identity, error) {
	dot := strings.LastIndexByte(s, '.')
	if dot <= 0 || dot == len(s)-1 {
		return Identity{}, fmt.Errorf("identity %q: want <serviceaccount>.<namespace>", s)
	}
	return Identity{Namespace: s[dot+1:], ServiceAccount: s[:dot]}, nil
}

// Service names a Kubernetes Service.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns "<namespace>/<name>", the form resource names are built from.
func (s Service) String() string { return s.Namespace + "/" + s.Name }

// FQDN returns "<name>.<namespace>.svc.cluster.local". The cluster's DNS domain is not the trust domain.
func (s Service) FQDN() string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

// Compare orders services by namespace, then by name.
func (s Service) Compare(o Service) int {
	return cmp.Or(cmp.Compare(s.Namespace, o.Namespace), cmp.Compare(s.Name, o.Name))
}

// ServicePort names one port of a Service by its port number (not the target port).
type ServicePort struct {
	Service Service `json:"service"`
	Port    uint16  `json:"port"`
}

// Compare orders by service, then port.
func (p ServicePort) Compare(o ServicePort) int {
	return cmp.Or(p.Service.Compare(o.Service), cmp.Compare(p.Port, o.Port))
}

// String returns "<namespace>/<name>:<port>".
func (p ServicePort) String() string { return fmt.Sprintf("%s:%d", p.Service, p.Port) }

// Pod names one incarnation of a Kubernetes Pod: a pod of the same name made anew has another UID.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// String returns "<namespace>/<name>".
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

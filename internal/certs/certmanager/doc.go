// Package certmanager asks cert-manager for certificates: the key is made here, a request for its certificate goes into a
// CertificateRequest in the control plane's namespace, which is deleted once it is answered. Input: templates, the API server.
// Output: unchecked leaves for internal/certs/remote. It talks of cert-manager's kinds as plain objects, so that the product
// does not depend on cert-manager's module.
package certmanager

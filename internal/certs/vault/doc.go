// Package vault asks the PKI engine of a Vault server (or one that speaks its protocol, such as OpenBao) for certificates, by
// POST pki/issue/<role>: the one path that the policies of users' tokens allow. There the server makes the key. Input: templates,
// a token. Output: unchecked leaves for internal/certs/remote.
package vault

// Package signer is the line between what is signed, which internal/core/pki decides and internal/certs asks for, and who
// signs: internal/certs/tresor with a key in a Secret, others by asking somebody. Input: templates. Output: certificates with
// their keys and the roots they chain to.
package signer

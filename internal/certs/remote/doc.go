// Package remote signs by asking an authority outside of the control plane, which may be slow, away or wrong: it asks few at a
// time, for a bounded time, and believes no answer that says anything but what was asked. The CA Secret then holds root
// certificates alone: the one that signs first, then others that are still trusted. Input: an Asker (internal/certs/certmanager,
// internal/certs/vault), templates, the Secret's data. Output: roots that sign.
package remote

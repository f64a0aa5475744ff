// Package xdsserver runs the real delta server on a loopback port for tests, with an authenticator that knows a fixed
// set of tokens and with self-signed workload certificates. Input: a hub's options. Output: an address and a CA pool.
package xdsserver

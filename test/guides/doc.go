// Package guides reads the commands of a page of documentation, and what the page says they print. Input: Markdown. Output: Steps,
// and whether what a command printed is what the page shows. It must not run anything: test/e2e does.
package guides

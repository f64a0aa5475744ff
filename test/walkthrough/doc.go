// Package walkthrough is the story every user of the mesh knows, told command by command on a real cluster: install,
// applications, onboarding, deny by default, access policy, canary, removal. Input: a cluster. Output: each command, what
// it showed and whether that is as it should be. `make demo` tells it to people, test/e2e to CI; both run these steps.
package walkthrough

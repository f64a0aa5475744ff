// Package shells presses the Tab key in real shells (bash, zsh, fish, PowerShell) and runs the osm command as a plug-in of the real
// kubectl, against an API server in the test. A program that the machine lacks is skipped with a message.
package shells

// Package shells runs the osm command the way people do: it presses the Tab key in real shells (bash, zsh, fish, PowerShell), looks
// at a terminal and presses Ctrl-C on it, and runs the command as a plug-in of the real kubectl, against an API server in the test.
// A program that the machine lacks is skipped with a message.
package shells

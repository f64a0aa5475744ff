// Package figure compares measured times with the project's bars. Input: a bar and a time. Output: the words to print, and
// an error when the time is one that no busy machine explains. It imports the standard library only.
package figure

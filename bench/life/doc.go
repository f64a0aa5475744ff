// Command life measures what people wait for, and what a controller's death costs:
//
//   - `osm install` until everything is ready, the images present;
//   - a pod's creation until it is ready, injected and not, in turns (A B A B …);
//   - the controller killed without warning under load: requests that failed, and the time until another one serves all sidecars.
//
// go run ./bench/life [-installs 3] [-pods 10] [-load 20s] [-json FILE]
//
// Input: flags; the local cluster (`-cluster`, default osm-bench) is brought up by the command itself. Output: a table of figures
// beside their bars. Times are those of this machine, on which everything runs at once.
package main

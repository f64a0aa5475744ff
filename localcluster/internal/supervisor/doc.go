// Package supervisor is process 1 of a cluster. It is started by `up` in new
// process, mount, network and host-name namespaces, builds a private view of
// the file system and the network in them, starts the components, starts again
// what ends, and forwards a loopback port of the machine to the API server.
//
// All that the cluster makes hangs on this one process: when it ends, however,
// the kernel kills every process of the cluster, containers included, and takes
// down its mounts and network namespaces. On the machine only the state folder and the control
// groups remain, which `down` removes by name.
//
// Input: the settings file in the state folder, two inherited files. Output:
// running components, log files and run/status.json.
// It must not import kubeapi's objects or anything of the command line.
package supervisor

/*
 * `linkerd2-cni-install`, the program of the DaemonSet: puts the plugin, its kubeconfig and its entry on the node, follows what others
 * make of them, and takes them back when it is told to end (SIGTERM).
 *
 *     plugin -> kubeconfig -> entry        others write -> entry again        entry, until it stays away -> kubeconfig -> plugin
 *
 * `linkerd2-cni-install ready` looks whether all three are there, changes nothing, and says so by its status: for the probe.
 */
#pragma once

int install_main(int argc, char *argv[]);

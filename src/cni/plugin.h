/*
 * The plugin: one command of a runtime, from its environment and standard input
 * to the answer on standard output. What is logged goes to standard error.
 *
 *     ADD      reads the pod, and makes its rules in the network namespace; prints prevResult as it came
 *     CHECK    the same, but only looks whether they are there
 *     DEL, GC  nothing to do: the rules go with the namespace
 *     STATUS   whether ADD could work: kubeconfig, iptables
 *     VERSION  which versions of the specification are spoken
 */
#pragma once

/* The exit status. */
int plugin_main(void);

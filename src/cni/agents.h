/*
 * The two programs that stay and follow the API server, by the names that the chart starts them under:
 *
 *     linkerd-cni-repair-controller    beside the installer on every node: cni/repair.h
 *     linkerd-cni-taint-controller     once in a cluster: cni/taint.h
 */
#pragma once

int repair_main(int argc, char *argv[]);
int taint_main(int argc, char *argv[]);

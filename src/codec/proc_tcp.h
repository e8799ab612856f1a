/*
 * One line of /proc/net/tcp or tcp6 (proc(5)), as far as it tells who listens:
 *
 *      0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 ...
 *         local address  remote       state, 0A is LISTEN
 *
 * The kernel tells listening sockets first, all others behind them, so that a reader may stop at the first other one.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum proc_tcp { PROC_TCP_NONE /* the heading, or no such line */, PROC_TCP_LISTENS, PROC_TCP_OTHER };

enum proc_tcp proc_tcp_line(struct slice line, uint16_t *ret_port);

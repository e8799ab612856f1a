/*
 * The proxy's admin port: /metrics, /ready, /live, /proxy-log-level, /shutdown,
 * /env.json, /connections. In the control thread.
 */
#pragma once

#include "event/loop.h"
#include "proxy/proxy.h"

struct admin;
struct certifier;

/* `ready`, which says into `why` what is missing, and `shut_down` are asked and told in the control thread. 0 or a negative errno (the address is taken). */
int admin_new(struct proxy *proxy, struct loop *loop, int listening_fd,
              bool (*ready)(void *owner, struct buffer *why), void (*shut_down)(void *owner), void *owner,
              struct admin **ret_admin);
void admin_free(struct admin *admin); /* NULL is allowed */

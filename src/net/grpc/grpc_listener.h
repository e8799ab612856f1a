/*
 * A listening port for gRPC services (net/grpc/grpc.h) over plaintext HTTP/2: the
 * control plane's, which stand behind a proxy that does the TLS. On the loop of
 * whoever starts it.
 */
#pragma once

#include "net/grpc/grpc.h"

struct grpc_listener;

/* `services` live as long as the listener. 0 or a negative errno. */
int grpc_listener_new(struct loop *loop, struct addr addr, const struct grpc_service *const *services, unsigned count,
                      struct grpc_listener **ret_listener);
/* GOAWAY to all clients, which then come back elsewhere; no new connections. */
void grpc_listener_drain(struct grpc_listener *listener);
unsigned grpc_listener_connections(const struct grpc_listener *listener);
/* Ends all calls with on_gone. Not from inside a call. NULL is allowed. */
void grpc_listener_free(struct grpc_listener *listener);

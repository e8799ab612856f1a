/*
 * The sockets of the cluster domain's DNS: UDP and TCP on one address, answers
 * from control/dns/zone.h. Datagrams are answered from the address that they were
 * sent to. TCP connections are few (LIMIT_DNS_CONNECTIONS) and end when idle.
 */
#pragma once

#include "control/controller.h"

struct dns_server;

/* 0 or a negative errno (the address is taken). */
int dns_server_new(struct controller *controller, struct addr addr, struct dns_server **ret_server);
/* NULL is allowed. */
void dns_server_free(struct dns_server *server);

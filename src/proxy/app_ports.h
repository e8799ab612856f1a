/*
 * Whether the application beside us still serves: which ports it was reached on
 * (or is said to have, by the environment), and whether anybody listens on one
 * of them now. Asked while the proxy drains.
 *
 * Who listens is read from /proc/self/net/tcp and tcp6: no privilege, nothing that
 * the application would notice, and only as far as listening sockets are listed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { APP_PORTS_WORDS = 65536 / 64, OWN_PORTS_MAX = 5 };

struct app_ports {
    _Atomic(uint64_t) words[APP_PORTS_WORDS]; /* one bit a port; set by any thread, never cleared */
    uint16_t own[OWN_PORTS_MAX];              /* the proxy's, never counted; named before any thread starts */
    unsigned own_count;
};

/* A connection to the application on this port was made. Any thread. */
void app_ports_use(struct app_ports *ports, uint16_t port);
/* Before threads start: one of the proxy's own, which it may be asked to forward to (its admin port). */
void app_ports_add_own(struct app_ports *ports, uint16_t port);
bool app_ports_have(const struct app_ports *ports, uint16_t port);
bool app_ports_none(const struct app_ports *ports);

/*
 * 1: somebody listens on one of them, or it cannot be excluded (the table of sockets is too long); 0: nobody does; or
 * a negative errno when neither file of `paths` (ending with NULL) can be read.
 */
int app_ports_listening(const struct app_ports *ports, const char *const *paths);
extern const char *const app_ports_proc[];

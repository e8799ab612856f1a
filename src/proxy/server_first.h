/*
 * Protocols in which the server speaks first, on ports whose protocol is detected
 * (docs/server-first.md). A client that has sent nothing for SERVER_FIRST_GRACE_NS may be
 * waiting for the server, so the server's side is opened: towards the application
 * if the peer may talk to it as opaque traffic, or to an endpoint if the default
 * opaque route leads there. Then
 *
 *     the server speaks      the connection is opaque; its bytes go on at once
 *     the client speaks      detection goes on as if nothing had been. If it is HTTP, the early connection
 *                            is handed to the pool of its endpoint (or of the application) when it is
 *                            plaintext and not a byte has passed on it; else it is closed
 *     it speaks HTTP/2       its SETTINGS are no greeting: detection goes on, and the early connection is closed
 *     neither, in time       opaque, as without this
 *     it cannot be opened    detection goes on and waits
 *
 * At most LIMIT_SERVER_FIRST early connections wait on one worker; beyond that clients wait for detection alone.
 */
#pragma once

#include "base/duration.h"
#include "proxy/conn.h"

#define SERVER_FIRST_GRACE_NS (50 * NS_PER_MS)

/*
 * For a detection step, after conn->since_ns + grace and without a byte from the client: opens the server's side. True: switch
 * to `path`, whose first step is server_first; when the client speaks after all, the conn comes back to this step.
 */
bool server_first_begin(struct conn *conn, const struct step *path);
enum step_result server_first(struct walker *walker, enum why why);
/* When a detection step that waits should look: the end of the grace, or of detection once that was used. */
int64_t server_first_look_at(const struct conn *conn, int64_t detect_until_ns);
/* For the end of detection: what conn->session is decides what becomes of an early connection that was kept for it. */
void server_first_settle(struct conn *conn);
/* Gives back the place among those that wait. In the disposal too. */
void server_first_end(struct conn *conn);

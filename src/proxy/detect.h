/*
 * Steps shared by both directions: reading the first bytes of a connection
 * without losing them, and telling what they are (codec/client_hello.h,
 * codec/detect.h).
 */
#pragma once

#include "proxy/conn.h"

/*
 * Reads what is there into conn->peeked, up to `max` bytes in all. 1: got more; 0: nothing new now; -ENODATA: the
 * peer ended; -ENOBUFS: max is reached; or the error that broke the connection.
 */
int peek_more(struct conn *conn, size_t max);
/* The peeked bytes in one piece (moved together if they lie in two pages). .ptr NULL without memory or when there are none. */
struct slice peeked(struct conn *conn);
/* Puts the peeked bytes back under whatever reads next. 0 or -ENOMEM. */
int unpeek(struct conn *conn);
/*
 * Tells HTTP from others by the peeked bytes: 1 with *ret_session, 0 when more bytes are needed.
 */
int tell_session(struct conn *conn, enum session *ret_session);
/* The connection keeps a copy of the name that the client hello asked for, for routes, logs and metrics. */
void keep_server_name(struct conn *conn, struct slice name);

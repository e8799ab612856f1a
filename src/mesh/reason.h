/*
 * Every error that the proxy makes itself has one reason, and this is the list
 * of them. The log line, the metric label, l5d-proxy-error, the access log and
 * the span all say its name; its row says which answer a client gets, which of
 * Linkerd's closed label values it counts under, and what a person should know and do.
 *
 * An answer that a server gave, an error status included, is not a reason.
 *
 * Adding one: a value here, a row in reason.c, a line in reason_test.c if it answers
 * other than its neighbours. Names never change: people search for them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "mesh/direction.h"

enum reason {
    REASON_NONE,

    /* what the control plane says, or does not */
    REASON_DISCOVERY_UNAVAILABLE,
    REASON_POLICY_UNKNOWN,
    REASON_POLICY_INVALID,
    REASON_BACKEND_INVALID,
    REASON_NO_BACKEND,
    REASON_TOO_MANY_DESTINATIONS,

    /* who may */
    REASON_NOT_AUTHORIZED,
    REASON_AUTHORIZATION_REVOKED,
    REASON_ROUTE_NOT_FOUND,
    REASON_ROUTE_FORBIDDEN,
    REASON_REDIRECTED,
    REASON_INJECTED_FAILURE,

    /* who is who */
    REASON_IDENTITY_MISMATCH,
    REASON_IDENTITY_REQUIRED,
    REASON_CLIENT_IDENTITY_REQUIRED,
    REASON_IDENTITY_UNAVAILABLE,
    REASON_TLS_HANDSHAKE_FAILED,
    REASON_TLS_DETECT_TIMEOUT,

    /* where to */
    REASON_FAILFAST,
    REASON_LOAD_SHED,
    REASON_QUEUE_FULL,
    REASON_IN_FLIGHT_LIMIT,
    REASON_CONNECT_REFUSED,
    REASON_CONNECT_TIMEOUT,
    REASON_CONNECT_FAILED,
    REASON_LOOPBACK_ONLY_APP,
    REASON_LOOPBACK_TARGET,
    REASON_LOOP,
    REASON_OVERRIDE_INVALID,
    REASON_OVERRIDE_UNKNOWN,
    REASON_WRONG_ADDRESS,
    REASON_NO_ORIGINAL_DST,

    /* the server's side of an exchange */
    REASON_CONNECTION_LOST,
    REASON_SERVER_RESET,
    REASON_SERVER_REFUSED,
    REASON_SERVER_GOAWAY,
    REASON_BAD_RESPONSE,
    REASON_STALLED,

    /* the client's side */
    REASON_CLIENT_GONE,
    REASON_BAD_REQUEST,
    REASON_URI_TOO_LONG,
    REASON_HEADERS_TOO_LARGE,
    REASON_VERSION_UNSUPPORTED,
    REASON_HEAD_TIMEOUT,
    REASON_PROTOCOL_MISMATCH,
    REASON_TRANSPORT_HEADER_INVALID,
    REASON_FLOOD,

    /* time */
    REASON_REQUEST_TIMEOUT,
    REASON_RESPONSE_TIMEOUT,
    REASON_IDLE_TIMEOUT,
    REASON_PROFILE_TIMEOUT,

    /* ourselves */
    REASON_PATTERN_LIMIT,
    REASON_OUT_OF_MEMORY,
    REASON_OUT_OF_DESCRIPTORS,
    REASON_SHUTTING_DOWN,
    REASON_INTERNAL,

    REASON_COUNT
};

/* What a client gets when the error meets it as the answer to a request. */
struct reason_answer {
    uint16_t http;  /* status; 0: no answer, the stream or connection is ended */
    uint8_t grpc;   /* grpc-status where the request is gRPC */
    bool fatal;     /* the client's connection is closed after the answer */
};

struct reason_info {
    const char *name; /* "connect-refused" */
    struct reason_answer answer[2];   /* by enum direction */
    /* Linkerd's `error` label of {inbound,outbound}_{http,tcp}_errors_total; NULL: those do not count it. */
    const char *error_label[2];
    /* Linkerd's `error` label of outbound_*_route_*_statuses_total; NULL: the status counts, without an error. */
    const char *route_label;
    /* Linkerd's `error` label of outbound_{tcp,tls}_route_close_total. */
    const char *tcp_route_label;
    const char *what; /* one sentence: what happened */
    const char *todo; /* one sentence: what to look at or do */
};

/* The row; that of REASON_INTERNAL for a value that is none. */
const struct reason_info *reason_info(enum reason reason);
static inline const char *reason_name(enum reason reason) { return reason_info(reason)->name; }
static inline struct reason_answer reason_answer(enum reason reason, enum direction direction)
{
    return reason_info(reason)->answer[direction];
}
/* REASON_NONE when the name is unknown. */
enum reason reason_find(struct slice name);
/* route_label of a stream that the server reset with this HTTP/2 code. */
const char *reason_reset_label(uint32_t h2_code);
/* REASON_CONNECT_* of the errno (positive) with which a connect failed. */
enum reason reason_of_connect(int error);

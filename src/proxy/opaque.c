#include "proxy/opaque.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proxy/inbound/inbound.h"
#include "proxy/outbound/outbound.h"

struct conn_forward *conn_forward_new(struct conn *conn)
{
    struct conn_forward *forward = calloc(1, sizeof(*forward));

    if (forward) {
        forward->conn = conn;
        forward->upstream.fd.watch.fd = -1;
        forward_init(&forward->forward, &conn->io, &forward->upstream, &conn->worker->loop->pages);
    }
    return forward;
}

void conn_forward_free(struct conn *conn)
{
    struct conn_forward *forward = conn->forward;

    dial_release(&forward->dial);
    forward_release(&forward->forward);
    if (forward->taken)
        series_tcp_closed(&conn->worker->series, forward->series, forward->upstream.error);
    series_tcp_put(&conn->worker->series, forward->series);
    io_close(&forward->upstream, conn->reason != REASON_NONE);
    outbound_endpoint_release(conn->worker, forward->endpoint);
    free(forward);
    conn->forward = NULL;
}

static void dialled(struct dial *dial, bool ok)
{
    struct conn_forward *forward = CONTAINER_OF(dial, struct conn_forward, dial);

    conn_wake(forward->conn, WHY_WATCH);
}

static void upstream_ready(struct io_stack *stack)
{
    conn_wake(stack->owner, WHY_IO);
}

enum step_result begin_dial(struct conn *conn, const struct dial_options *options)
{
    int r = dial_start(&conn->forward->dial, conn->worker->loop, &conn->forward->upstream, options, dialled);

    return r < 0 ? conn_fail(conn, conn->forward->dial.reason, r) : STEP_WAIT;
}

/* An application that listens on 127.0.0.1 only refuses us at its address and answers there. */
static enum reason reason_of_app(struct conn *conn, enum reason reason)
{
    return reason == REASON_CONNECT_REFUSED && app_listens_on_loopback(conn->worker, conn->dst) ? REASON_LOOPBACK_ONLY_APP
                                                                                                 : reason;
}

enum step_result begin_app_dial(struct conn *conn)
{
    const struct direction_config *config = &conn->worker->proxy->config.inbound;
    struct dial_options options = {.plaintext = true, .session = DIAL_OPAQUE, .timeout_ns = config->connect_timeout_ns, .use = DESCRIPTOR_DIAL,
                                   .socket = config->connect_options};

    assert(!conn->forward);
    conn->forward = conn_forward_new(conn);
    if (!conn->forward)
        return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
    conn->forward->app = (struct endpoint_info){.addr = conn->dst};
    conn->forward->series = series_tcp_app(&conn->worker->series, conn->dst);
    options.endpoint = &conn->forward->app;
    series_tcp_counts(conn->forward->series, &options);
    return begin_dial(conn, &options);
}

enum step_result connect_app(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct dial *dial;

    if (why == WHY_CANCEL)
        return STEP_FAIL; /* the disposal releases the dial */
    if (why == WHY_START)
        return begin_app_dial(conn);
    dial = &conn->forward->dial;
    if (!dial->finished)
        return STEP_WAIT;
    if (dial->reason != REASON_NONE)
        return conn_fail(conn, reason_of_app(conn, dial->reason), dial->error);
    app_ports_use(&conn->worker->proxy->app_ports, conn->dst.port);
    series_tcp_opened(conn->forward->series);
    conn->forward->taken = true;
    return STEP_NEXT;
}

static bool still_permitted(struct conn *conn)
{
    const struct inbound_policy *latest;

    if (conn->direction != DIRECTION_INBOUND)
        return true;
    latest = conn->lookup->snapshot;
    if (latest == conn->policy)
        return true;
    inbound_policy_unref((struct inbound_policy *)(uintptr_t)conn->policy);
    conn->policy = inbound_policy_ref((struct inbound_policy *)(uintptr_t)latest);
    return inbound_still_authorized_tcp(conn);
}

enum step_result forward_both_ways(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct conn_forward *forward = conn->forward;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START) {
        assert(conn->direction == DIRECTION_OUTBOUND || conn->permit);
        timer_cancel(&conn->deadline);
        forward->upstream.on_ready = upstream_ready;
        forward->upstream.owner = conn;
        if (conn->direction == DIRECTION_INBOUND)
            lookup_wait(conn->lookup, &conn->waiter, &conn->task);
    }
    if (!still_permitted(conn))
        return conn_fail(conn, REASON_AUTHORIZATION_REVOKED, 0);
    r = forward_run(&forward->forward);
    if (r == 0)
        return STEP_DONE;
    if (r == -EALREADY) {
        conn_wake(conn, WHY_IO);
        return STEP_WAIT;
    }
    if (r == -EAGAIN)
        return STEP_WAIT;
    return conn_fail(conn, REASON_CONNECTION_LOST, r);
}

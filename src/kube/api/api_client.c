/* Which call goes to which connection, and when the next one is made. */
#include "kube/api/api_client.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "kube/access/exec_plugin.h"
#include "kube/api/api_internal.h"
#include "mesh/backoff.h"

/* --- shared connections --- */

static struct api_conn *find_room(struct api_client *client)
{
    LIST_FOR_EACH (link, &client->conns) {
        struct api_conn *conn = CONTAINER_OF(link, struct api_conn, link);

        if (conn->own || !api_conn_has_room(conn))
            continue;
        if (conn->certificate == exec_plugin_certificates(client->access))
            return conn;
        api_conn_drain(conn); /* it was made with a certificate that has been replaced */
    }
    return NULL;
}

static unsigned count_being_made(const struct api_client *client)
{
    unsigned count = 0;

    LIST_FOR_EACH (link, &client->conns) {
        const struct api_conn *conn = CONTAINER_OF(link, struct api_conn, link);

        count += !conn->own && conn->state < API_CONN_OPEN;
    }
    return count;
}

static void back_off(struct api_client *client)
{
    timer_set(client->loop, &client->retry, client->loop->now_ns + backoff_delay(&BACKOFF_INBOUND, ++client->failures, &client->loop->rng));
}

static void fail_waiting(struct api_client *client, const char *why)
{
    struct list waiting, *link;

    list_init(&waiting);
    list_splice(&waiting, &client->waiting);
    while ((link = list_pop(&waiting))) {
        struct api_call *call = CONTAINER_OF(link, struct api_call, waiting);

        api_call_fail(call, -ECONNREFUSED, why);
    }
}

static void make_more(struct api_client *client, unsigned waiting)
{
    unsigned wanted = client->http1 ? waiting : 1, made = count_being_made(client);
    struct errmsg msg = {""};

    for (; made < wanted && client->conn_count < LIMIT_API_CONNECTIONS; made++)
        if (api_conn_new(client, NULL, &msg) < 0) {
            back_off(client);
            if (!made)
                fail_waiting(client, msg.text);
            return;
        }
}

/* --- calls with a connection of their own --- */

static void make_own(struct api_client *client, struct api_call *call)
{
    struct errmsg msg = {"too many connections to the API server"};

    if (client->conn_count >= LIMIT_API_CONNECTIONS || api_conn_new(client, call, &msg) < 0) {
        back_off(client);
        api_call_fail(call, -ECONNREFUSED, msg.text);
    }
}

/* --- credentials of a plug-in --- */

/* The time that the plug-in took is none of the calls' that waited for it. */
static void move_deadlines(struct api_client *client, int64_t by_ns)
{
    LIST_FOR_EACH (link, &client->waiting) {
        struct api_call *call = CONTAINER_OF(link, struct api_call, waiting);

        call->deadline_ns += by_ns;
        timer_set(client->loop, &call->timer, call->deadline_ns);
    }
}

static void fetched(void *owner, int error, const struct errmsg *msg)
{
    struct api_client *client = owner;

    client->fetching = false;
    client->fetched = error == 0;
    move_deadlines(client, client->loop->now_ns - client->fetch_began_ns);
    if (error < 0) {
        back_off(client);
        fail_waiting(client, msg->text);
    }
    task_wake(client->loop, &client->pump);
}

/* Whether calls can be made; else the plug-in runs, or will. */
static bool have_credentials(struct api_client *client)
{
    struct errmsg msg = {""};

    if (client->fetched || exec_plugin_ready(client->access, client->loop->sys->ops->wall(client->loop->sys))) {
        client->fetched = false;
        return true;
    }
    if (client->fetching || timer_is_set(&client->retry))
        return false;
    client->fetching = true;
    client->fetch_began_ns = client->loop->now_ns;
    if (exec_plugin_start(client->access, client->loop, fetched, client, &msg) < 0) {
        client->fetching = false;
        back_off(client);
        fail_waiting(client, msg.text);
    }
    return false;
}

static void pump(struct task *task)
{
    struct api_client *client = CONTAINER_OF(task, struct api_client, pump);
    unsigned left = 0;
    struct list again, *link;

    if (list_empty(&client->waiting) || !have_credentials(client))
        return;
    list_init(&again);
    while ((link = list_pop(&client->waiting))) {
        struct api_call *call = CONTAINER_OF(link, struct api_call, waiting);
        struct api_conn *conn = call->alone ? NULL : find_room(client);

        if (conn) {
            api_call_run(call, conn);
        } else if (call->alone && !timer_is_set(&client->retry)) {
            make_own(client, call);
        } else {
            list_push(&again, &call->waiting);
            left += !call->alone;
        }
    }
    list_splice(&client->waiting, &again);
    if (left && !timer_is_set(&client->retry))
        make_more(client, left);
}

static void retry(struct timer *timer)
{
    struct api_client *client = CONTAINER_OF(timer, struct api_client, retry);

    task_wake(client->loop, &client->pump);
}

void api_client_conn_open(struct api_conn *conn)
{
    struct api_call *only = conn->only;

    if (only) {
        conn->only = NULL;
        api_call_run(only, conn);
    } else {
        task_wake(conn->client->loop, &conn->client->pump);
    }
}

void api_client_conn_failed(struct api_conn *conn, const struct errmsg *msg)
{
    struct api_client *client = conn->client;
    struct api_call *only = conn->only;

    if (!conn->proven && !(conn->own && !only))
        back_off(client);
    if (only) {
        conn->only = NULL;
        only->conn = NULL;
        api_call_fail(only, -ECONNREFUSED, msg->text);
    } else if (!conn->own && !conn->proven && !count_being_made(client)) {
        fail_waiting(client, msg->text);
    }
    task_wake(client->loop, &client->pump);
}

/* --- the client --- */

int api_client_new(struct loop *loop, const struct kube_access *access, struct api_client **ret_client)
{
    struct api_client *client = calloc(1, sizeof(*client));

    if (!client)
        return -ENOMEM;
    client->loop = loop;
    client->access = access;
    list_init(&client->calls);
    list_init(&client->waiting);
    list_init(&client->conns);
    task_init(&client->pump, pump);
    if (timer_init(loop, &client->retry, retry) < 0) {
        free(client);
        return -ENOMEM;
    }
    *ret_client = client;
    return 0;
}

void api_client_free(struct api_client *client)
{
    if (!client)
        return;
    while (!list_empty(&client->calls))
        api_call_cancel(CONTAINER_OF(client->calls.next, struct api_call, link));
    while (!list_empty(&client->conns))
        api_conn_free(CONTAINER_OF(client->conns.next, struct api_conn, link));
    exec_plugin_stop(client->access);
    task_cancel(&client->pump);
    timer_release(client->loop, &client->retry);
    resolver_free(client->resolver);
    free(client);
}

struct slice api_client_server(const struct api_client *client)
{
    return client->access->server;
}

struct loop *api_client_loop(const struct api_client *client)
{
    return client->loop;
}

/*
 * For the tests of the API client and what stands on it: a client, and an API
 * server in the same loop that the test answers for, over TLS and socket pairs.
 * Time stands still but for api_pass().
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "kube/api/api_client.h"
#include "net/x509/x509_fixture.h"

struct api_world {
    struct sys sys;
    struct sys_ops ops;
    int64_t now_ns;
    struct loop loop;
    struct authority authority;
    struct workload workload;
    struct tls_context *tls; /* of the server */
    struct kube_access access;
    struct buffer ca;
    struct api_client *client;
    bool http1;       /* what the server speaks */
    bool refuse;      /* connections are refused */
    unsigned connects;
    struct list peers;  /* the server's connections */
    struct list served; /* requests, oldest first */
};

/* A request at the server. Lives until api_world_release(). */
struct served {
    struct list link;
    struct api_world *world;
    struct http_stream *stream; /* NULL: over */
    struct arena arena;
    char method[16], path[512], authorization[256], content_type[64], accept[256], if_none_match[64], as[64], as_group[64];
    struct buffer body;
    bool taken;   /* api_next() gave it */
    bool ended;   /* the request is whole */
    bool gone;    /* the client gave it up */
};

void api_world_init(struct api_world *world, bool http1);
void api_world_release(struct api_world *world);
/* Turns until nothing happens any more. */
void api_settle(struct api_world *world);
void api_pass(struct api_world *world, int64_t ns);
/* The oldest request that was not given yet, as "GET /path"; fails the test when there is none, or another. */
struct served *api_next(struct api_world *world, const char *expected);
/* The oldest to a path that begins so and was not given yet; NULL when there is none. And the same, failing the test then. */
struct served *api_find(struct api_world *world, const char *path);
struct served *api_take(struct api_world *world, const char *path);
/* No request waits to be given. */
void api_expect_quiet(struct api_world *world);
/* A whole answer; `fields` is NULL or "name: value". */
void api_answer(struct served *served, unsigned status, const char *field, const char *body);
/* Part of one: the head comes with the first. */
void api_send(struct served *served, const char *bytes);
void api_end(struct served *served);
/* Breaks all connections. */
void api_cut(struct api_world *world);
/* Says goodbye on all. */
void api_goodbye(struct api_world *world);
/* The connections that there are stay open, and nobody reads them any more. */
void api_mute(struct api_world *world);

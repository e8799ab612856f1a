/*
 * Objects that one of several replicas writes: the one that holds a Lease
 * (kube/lease.h). What to write about which objects a job says; here are the lease, what waits, the requests, what becomes of their
 * answers, and what is counted.
 *
 *     writer_new() before the source begins -> the store is synced -> writer_end() -> writer_free()
 *
 * While this replica holds the lease, job->touch() names for each change of the store the objects that it may concern. Each is looked at once
 * in a turn: job->look() begins a request where something differs, and job->next() of its answer the next one, until nothing is left to ask. Then
 * the object rests a moment, in which what was written comes back from the server. An object that is written again as it was written before, which
 * somebody else must have undone, rests longer each time. All objects are looked at when the lease is taken and every five minutes, in case a write
 * failed for good.
 *
 * Answers: failures that pass (none, 401, 429, 5xx) bring the object back, after a pause of all. Others are for next(): 409 (it has changed since
 * it was read; the object comes back where nothing more is asked), 404 (it is gone) and refusals, which are logged. Without the lease nothing is
 * kept and nothing is begun; what is under way ends before another replica may begin (LEASE_WRITE_TIMEOUT_NS).
 *
 * Bounded: LIMIT_WRITER_QUEUE (beyond it, all are looked at, a queue full at a time), LIMIT_WRITER_CALLS at once, and LIMIT_WRITER_RATE objects in a
 * second. The loop's thread.
 */
#pragma once

#include "control/controller.h"
#include "kube/api/api_client.h"

struct writer;

/* An object that is looked at. */
struct writer_item {
    enum kube_kind kind;
    struct slice namespace_, name;
    void *state; /* the job's, while requests are under way; job->forget() gives it back */
};

enum writer_verb { WRITER_READ, WRITER_CREATE, WRITER_PATCH, WRITER_DELETE, WRITER_VERBS };

struct writer_job {
    const char *component; /* of the log's lines: "policy" */
    const char *what;      /* for people: "the status of routes" */
    const char *label;     /* of its metrics: "status" */
    const char *lease;
    uint32_t kinds;        /* that touch() is to hear of */
    void (*touch)(struct writer *writer, const struct kube_object *changed);
    void (*touch_all)(struct writer *writer);
    /* 1: a request is under way (writer_ask()); 0: it is as it should be; a negative errno: to be looked at again. */
    int (*look)(struct writer *writer, struct writer_item *item);
    /* Of an answer to a request of this verb, but for failures that pass. Returns as look(); 0: all is done. */
    int (*next)(struct writer *writer, struct writer_item *item, const struct api_answer *answer, enum writer_verb verb);
    void (*forget)(struct writer_item *item); /* NULL: it has no state */
};

/* The metric families, before the first shard: the first id or a negative errno. */
int writer_register(struct metrics *metrics);
/* Job and client outlive it. 0 or -ENOMEM. */
int writer_new(struct controller *controller, struct api_client *client, const struct writer_job *job, struct writer **ret_writer);
/* Gives the lease up: another replica need not wait. NULL is allowed. */
void writer_end(struct writer *writer);
/* NULL is allowed. */
void writer_free(struct writer *writer);

struct controller *writer_controller(const struct writer *writer);
/* For job->touch() and touch_all(). */
void writer_touch(struct writer *writer, enum kube_kind kind, struct slice namespace_, struct slice name);
/*
 * For look() and next(), once each. `digest` of a request that writes: of all that look() found to write; 0 for others. 1, or a
 * negative errno.
 */
int writer_ask(struct writer *writer, struct writer_item *item, enum writer_verb verb, uint64_t digest, struct api_request *request);

/*
 * The control thread's work for everything in the directory: runs the streams of
 * what is watched, turns messages into snapshots, and publishes them.
 *
 *     WATCHED_PORT       InboundServerPolicies.WatchPort
 *     WATCHED_TARGET     Destination.GetProfile (where the address is in the profile networks) and
 *                        OutboundPolicies.Watch
 *     WATCHED_ENDPOINTS  Destination.Get
 *
 * While a stream is down, what it said last stays published; its age is a metric.
 * A target or endpoints never heard of fail after FIRST_ANSWER_NS with
 * discovery-unavailable, and are published as soon as they are known.
 */
#pragma once

#include "proxy/proxy.h"
#include "proxy/watch/control_client.h"

struct streams {
    struct proxy *proxy;
    struct loop *loop;
    struct control_client *destination, *policy;
    struct task changed;  /* the directory has news */
    struct list watches;  /* struct watch_base of all kinds */
    struct list eager;    /* leases on the ports that the environment names */
    bool started;
};

struct directory;
/* How snapshots of each kind are counted; before anything is leased. */
void streams_register(struct directory *directory);
int streams_init(struct streams *streams, struct proxy *proxy, struct loop *loop, struct control_client *destination,
                 struct control_client *policy);
/* From now on (after the first certificate) streams run. */
void streams_start(struct streams *streams);
/*
 * The port, as text, of the first that the environment names and whose policy has never been heard; empty when all are known. What comes
 * in to such a port would wait, and be refused in the end: a proxy is not ready before.
 */
struct slice streams_unknown_port(const struct streams *streams);
void streams_release(struct streams *streams);

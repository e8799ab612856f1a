/*
 * What those programs of the image share that stay and follow the API server (cni/repair_main.c, cni/taint_main.c): flags, loop, signals,
 * access, and an admin port with /live, /ready and /metrics.
 *
 *     agent_read_flags() -> agent_open() -> the program's own part -> agent_run() -> the program's own part ends -> agent_close()
 *
 * One thread. Agents are small: no connection but to the API server, and pages for people and scrapers.
 */
#pragma once

#include "event/signals.h"
#include "kube/api/api_client.h"
#include "kube/report.h"
#include "mesh/metrics.h"
#include "netfilter/journal.h"

enum { AGENT_EXIT_USAGE = 64, AGENT_EXIT_START = 71 };

struct http_admin;

/* A value: of the flag, as --name VALUE or --name=VALUE; else of the variable. */
struct agent_flag {
    const char *name, *variable; /* NULL: no variable */
    const char **value;          /* as it was before: the default */
    bool required;
    const char *help;
};

/* What the program says of itself. */
struct agent_part {
    bool (*is_ready)(void *owner);
    void (*measure)(void *owner); /* before metrics are written; NULL is allowed */
    void (*on_end)(void *owner);  /* told to end; what is sent now still has `linger_ns`; NULL is allowed */
    int64_t linger_ns;
    void *owner;
};

struct agent {
    const char *name;
    struct journal log;
    struct loop loop;
    struct signals signals;
    struct reporter reporter; /* into the log */
    struct kube_access access;
    struct api_client *client;
    struct metrics metrics;
    struct metric_shard *shard;
    struct agent_part part;
    struct http_admin *admin;
    struct timer end, sweep;
    const char *admin_addr, *log_level, *log_format, *kubeconfig;
    int families; /* of the program */
    bool open;
};

/*
 * Every agent's flags and those given (ending with one without a name). -1: go on; else the status to end with, everything said on the
 * standard streams. `agent->admin_addr` has its default before.
 */
int agent_read_flags(struct agent *agent, int argc, char *argv[], const struct agent_flag *flags);
/* The families are the program's metrics. 0, or the status to end with; said in the log. Close it in any case. */
int agent_open(struct agent *agent, const char *name, const struct metric_family *families, unsigned family_count);
/* Serves the admin port, and returns the status when it was told to end. */
int agent_run(struct agent *agent, const struct agent_part *part);
void agent_close(struct agent *agent);

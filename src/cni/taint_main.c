#include "cni/agent.h"
#include "cni/agents.h"
#include "cni/taint.h"

#include <string.h>
#include <unistd.h>

static const int64_t LINGER_NS = 500 * NS_PER_MS; /* for the end of the lease */

static bool is_ready(void *owner)
{
    return taint_is_ready(owner);
}

static void measure(void *owner)
{
    taint_measure(owner);
}

static void on_end(void *owner)
{
    taint_give_up(owner);
}

static int run(struct agent *agent, const char *key, const char *labels, const char *identity)
{
    const struct taint_options options = {
        .client = agent->client, .reporter = &agent->reporter, .log = &agent->log, .shard = agent->shard, .families = agent->families,
        .namespace_ = agent->access.namespace_, .labels = labels, .key = key, .identity = identity};
    struct agent_part part = {.is_ready = is_ready, .measure = measure, .on_end = on_end, .linger_ns = LINGER_NS};
    struct taint *taint;
    int r;

    if (!options.namespace_.len) {
        journal_line(&agent->log, JOURNAL_ERROR, "the access to the API server says no namespace; expected that of the plugin's pods");
        return AGENT_EXIT_START;
    }
    r = taint_new(&options, &taint);
    if (r < 0) {
        journal_line(&agent->log, JOURNAL_ERROR, "cannot follow nodes: %s", strerror(-r));
        return AGENT_EXIT_START;
    }
    part.owner = taint;
    r = agent_run(agent, &part);
    taint_free(taint);
    return r;
}

int taint_main(int argc, char *argv[])
{
    char host[256] = "linkerd-cni-taint-controller";
    const char *key = "linkerd.io/cni-not-ready", *labels = "k8s-app=linkerd-cni", *pod = host;
    const struct agent_flag flags[] = {
        {"taint", NULL, &key, true, "key of the taint that is taken off"},
        {"selector", NULL, &labels, true, "labels of the plugin's pods, in the namespace that we run in"},
        {"pod-name", "POD_NAME", &pod, true, "the pod that this is: who holds the lease"},
        {NULL},
    };
    struct agent agent = {.admin_addr = "[::]:9990"};
    int status;

    (void)gethostname(host, sizeof(host) - 1);
    status = agent_read_flags(&agent, argc, argv, flags);
    if (status >= 0)
        return status;
    status = agent_open(&agent, "linkerd-cni-taint-controller", taint_families, TAINT_FAMILIES);
    if (status == 0)
        status = run(&agent, key, labels, pod);
    agent_close(&agent);
    return status;
}

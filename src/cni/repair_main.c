#include "cni/agent.h"
#include "cni/agents.h"
#include "cni/repair.h"

#include <string.h>

static bool is_ready(void *owner)
{
    return repair_is_ready(owner);
}

static void measure(void *owner)
{
    repair_measure(owner);
}

static int run(struct agent *agent, const char *node, const char *pod)
{
    const struct repair_options options = {
        .client = agent->client, .reporter = &agent->reporter, .log = &agent->log, .shard = agent->shard, .families = agent->families,
        .node = node, .namespace_ = agent->access.namespace_, .pod = agent->access.namespace_.len ? pod : NULL};
    struct agent_part part = {.is_ready = is_ready, .measure = measure};
    struct repair *repair;
    int r = repair_new(&options, &repair);

    if (r < 0) {
        journal_line(&agent->log, JOURNAL_ERROR, "cannot follow the pods of the node %s: %s", node, strerror(-r));
        return AGENT_EXIT_START;
    }
    part.owner = repair;
    r = agent_run(agent, &part);
    repair_free(repair);
    return r;
}

int repair_main(int argc, char *argv[])
{
    const char *node = NULL, *pod = NULL;
    const struct agent_flag flags[] = {
        {"node-name", "LINKERD_CNI_REPAIR_CONTROLLER_NODE_NAME", &node, true, "the node whose pods are repaired"},
        {"controller-pod-name", "LINKERD_CNI_REPAIR_CONTROLLER_POD_NAME", &pod, false, "the pod that this is part of, with the installer"},
        {NULL},
    };
    struct agent agent = {.admin_addr = "[::]:9990"};
    int status = agent_read_flags(&agent, argc, argv, flags);

    if (status >= 0)
        return status;
    status = agent_open(&agent, "linkerd-cni-repair-controller", repair_families, REPAIR_FAMILIES);
    if (status == 0)
        status = run(&agent, node, pod);
    agent_close(&agent);
    return status;
}

/* A pod goes away under load as Kubernetes does it: withdrawn and told to end at about the same time. No request is lost. */
#include "sim/scenarios/scenarios.h"

static void load(struct mesh *mesh, int requests)
{
    for (int i = 0; i < requests && !mesh->world.failure; i++) {
        struct exchange *exchange = mesh_ask(mesh, world_one_in(&mesh->world, 3) ? EXCHANGE_POST : EXCHANGE_GET,
                                             (size_t)world_between(&mesh->world, 1, 3000), 80);

        if (exchange)
            exchange->delay_ms = (unsigned)world_between(&mesh->world, 0, 300);
        mesh_run(mesh, world_between(&mesh->world, 0, 60) * NS_PER_MS);
    }
}

static bool is_drained(struct world *world)
{
    const struct mesh *mesh = world->owner;

    return sim_proxy_open(&mesh->pods[0].proxy) == 0;
}

static void run(struct mesh *mesh)
{
    bool withdrawn_first;

    mesh_init(mesh, 2, 1 + 2);
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    load(mesh, 15);
    withdrawn_first = world_one_in(&mesh->world, 2);
    if (withdrawn_first)
        mesh_list(mesh, 0, false);
    load(mesh, (int)world_between(&mesh->world, 0, 5));
    sim_proxy_drain(&mesh->pods[0].proxy, DRAIN_GENTLY);
    load(mesh, (int)world_between(&mesh->world, 0, 5));
    if (!withdrawn_first)
        mesh_list(mesh, 0, false);
    load(mesh, 15);
    mesh_run(mesh, 2 * NS_PER_S); /* as long as it takes until nobody asks it for more */
    sim_proxy_drain(&mesh->pods[0].proxy, DRAIN_LAST);  /* the application listens no more */
    if (!world_run_until(&mesh->world, is_drained, mesh->world.now_ns + 60 * NS_PER_S))
        world_fail(&mesh->world, "a drain ends", "%u connections are open after a minute", sim_proxy_open(&mesh->pods[0].proxy));
    sim_proxy_stop(&mesh->pods[0].proxy);
    load(mesh, 5);
    mesh_finish(mesh, 30 * NS_PER_S);
    for (unsigned i = 0; i < mesh->exchange_count; i++)
        if (mesh->exchanges[i].outcome != OUTCOME_ANSWERED || mesh->exchanges[i].status != 200)
            world_fail(&mesh->world, "a drain loses no request", "exchange %u: outcome %d, status %u %s", i,
                       mesh->exchanges[i].outcome, mesh->exchanges[i].status, mesh->exchanges[i].error);
    mesh_end(mesh);
}

const struct scenario scenario_drain = {"drain", "a pod goes away under load", run};

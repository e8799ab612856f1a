/* A pod goes away under load as Kubernetes does it: withdrawn and told to end at about the same time. No request is lost. */
#include "sim/scenarios/scenarios.h"

static const int64_t GRACE_NS = 120 * NS_PER_S;
enum { LAST_MS = 7000 }; /* what the longest request takes: it is under way when the application ceases to listen */

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

static bool has_ended(struct world *world)
{
    return sim_proxy_ended(&((const struct mesh *)world->owner)->pods[0].proxy);
}

/*
 * The application ends, and the proxy with it once `last`, which is long, has its answer; or it never does, and the grace
 * period, 2 minutes from `told_ns`, is the end.
 */
static void await_end(struct mesh *mesh, int64_t told_ns, const struct exchange *last)
{
    struct world *world = &mesh->world;
    bool application_ends = !world_one_in(world, 4);
    int64_t expected = application_ends ? last->began_ns + LAST_MS * NS_PER_MS : told_ns + GRACE_NS;

    if (has_ended(world))
        world_fail(world, "a proxy serves as long as its application listens", "it has ended");
    if (application_ends)
        app_refuse(&mesh->pods[0].app, 8080);
    if (!world_run_until(world, has_ended, expected + 1 * NS_PER_S))
        world_fail(world, "a drain ends", "%u connections are open a second after it should have",
                   sim_proxy_open(&mesh->pods[0].proxy));
    else if (world->now_ns < expected)
        world_fail(world, "a proxy serves as long as its application listens", "it ended %lld ms before the grace period was over",
                   (long long)((expected - world->now_ns) / NS_PER_MS));
    sim_proxy_stop(&mesh->pods[0].proxy);
}

static void run(struct mesh *mesh)
{
    struct exchange *last;
    bool withdrawn_first;
    int64_t told_ns;

    mesh_init(mesh, 2, 1 + 2);
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    last = mesh_ask_at(mesh, EXCHANGE_GET, 100, mesh->pods[0].host->name, 8080);
    last->delay_ms = LAST_MS;
    load(mesh, 15);
    withdrawn_first = world_one_in(&mesh->world, 2);
    if (withdrawn_first)
        mesh_list(mesh, 0, false);
    load(mesh, (int)world_between(&mesh->world, 0, 5));
    told_ns = mesh->world.now_ns;
    sim_proxy_terminate(&mesh->pods[0].proxy);
    load(mesh, (int)world_between(&mesh->world, 0, 5));
    if (!withdrawn_first)
        mesh_list(mesh, 0, false);
    load(mesh, 15);
    mesh_run(mesh, 2 * NS_PER_S); /* as long as it takes until nobody asks it for more */
    if (!mesh->world.failure)
        await_end(mesh, told_ns, last);
    load(mesh, 5);
    mesh_finish(mesh, 30 * NS_PER_S);
    for (unsigned i = 0; i < mesh->exchange_count; i++)
        if (mesh->exchanges[i].outcome != OUTCOME_ANSWERED || mesh->exchanges[i].status != 200)
            world_fail(&mesh->world, "a drain loses no request", "exchange %u: outcome %d, status %u %s", i,
                       mesh->exchanges[i].outcome, mesh->exchanges[i].status, mesh->exchanges[i].error);
    mesh_end(mesh);
}

const struct scenario scenario_drain = {"drain", "a pod goes away under load", run};

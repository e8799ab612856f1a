/*
 * Requests of all sizes against endpoints that refuse, reset, stall, cut answers short and lose connections, with cuts of the
 * network between. What goes wrong ends with a reason in bounded time; once all is well, everything is answered.
 */
#include "sim/scenarios/scenarios.h"

static void ask_something(struct mesh *mesh)
{
    struct world *world = &mesh->world;
    enum exchange_kind kind = world_one_in(world, 3) ? EXCHANGE_POST : world_one_in(world, 4) ? EXCHANGE_BYTES : EXCHANGE_GET;
    size_t size = world_one_in(world, 5) ? (size_t)world_between(world, 0, 60000) : (size_t)world_between(world, 1, 800);
    struct exchange *exchange;

    if (world_one_in(world, 8))
        size = 0;
    if (net_faults(world->net)->segment_max < 1000)
        size /= 16; /* piece by piece: less of it */
    exchange = mesh_ask(mesh, kind, size, kind == EXCHANGE_BYTES ? 90 : 80);

    if (exchange)
        exchange->delay_ms = world_one_in(world, 3) ? (unsigned)world_between(world, 0, 500) : 0;
}

static void disturb(struct mesh *mesh)
{
    struct world *world = &mesh->world;
    struct pod *pod = &mesh->pods[world_between(world, 0, mesh->pod_count - 1)];

    world_note(world, "disturb %s", pod->host->name);
    switch (world_between(world, 0, 8)) {
    case 0:
        app_refuse(&pod->app, 8080);
        break;
    case 1:
        app_behave(&pod->app, 8080, SERVE_RESET);
        break;
    case 2:
        app_behave(&pod->app, 8080, SERVE_CUT);
        break;
    case 3:
        net_cut(world->net, mesh->client_host, pod->host);
        break;
    case 4:
        net_heal_all(world->net);
        break;
    case 5:
        net_reset(world->net, pod->host);
        break;
    case 6:
        if (mesh->exchange_count)
            exchange_abandon(&mesh->exchanges[world_between(world, 0, mesh->exchange_count - 1)]);
        break;
    case 7:
        net_faults(world->net)->reset_one_in = world_one_in(world, 2) ? 0 : 200;
        break;
    default:
        app_behave(&pod->app, 8080, SERVE_HTTP);
        break;
    }
}

static void make_well(struct mesh *mesh)
{
    net_heal_all(mesh->world.net);
    net_faults(mesh->world.net)->reset_one_in = 0;
    for (unsigned i = 0; i < mesh->pod_count; i++)
        app_behave(&mesh->pods[i].app, 8080, SERVE_HTTP);
}

static void run(struct mesh *mesh)
{
    unsigned first;

    mesh_init(mesh, 3, 1 + 4);
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    for (int i = 0; i < 40; i++) {
        if (world_one_in(&mesh->world, 3))
            disturb(mesh);
        ask_something(mesh);
        mesh_run(mesh, world_between(&mesh->world, 0, 400) * NS_PER_MS);
    }
    make_well(mesh);
    mesh_finish(mesh, 120 * NS_PER_S);
    mesh_run(mesh, 70 * NS_PER_S); /* the longest time for which an endpoint is left alone */
    first = mesh->exchange_count;
    for (int i = 0; i < 6; i++)
        mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_finish(mesh, 30 * NS_PER_S);
    for (unsigned i = first; i < mesh->exchange_count; i++)
        if (mesh->exchanges[i].outcome != OUTCOME_ANSWERED || mesh->exchanges[i].status != 200)
            world_fail(&mesh->world, "once all is well, requests are answered", "exchange %u: %u %s", i, mesh->exchanges[i].status,
                       mesh->exchanges[i].error);
    mesh_end(mesh);
}

const struct scenario scenario_requests = {"requests", "endpoints that refuse, reset, stall and cut answers short", run};

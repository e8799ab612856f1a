/*
 * Everything at once: endpoints, control plane, network and proxies fail in any order, proxies are told to end at once and start
 * anew, descriptors run out. Only what always holds is asked for; and that nothing is kept at rest.
 */
#include "sim/scenarios/scenarios.h"

static void ask_something(struct mesh *mesh)
{
    struct world *world = &mesh->world;
    size_t size = (size_t)world_between(world, 0, world_one_in(world, 6) ? 40000 : 600);
    struct exchange *exchange;

    switch (world_between(world, 0, 7)) {
    case 0:
        mesh_ask(mesh, EXCHANGE_GREETING, 0, 91);
        break;
    case 1:
        exchange = mesh_ask(mesh, EXCHANGE_BYTES, size, 90);
        if (exchange)
            exchange->hold = world_one_in(world, 3);
        break;
    case 2:
        mesh_ask_at(mesh, EXCHANGE_GET, size, mesh->pods[0].host->name, 8080); /* a pod by its address */
        break;
    case 3:
        mesh_ask_at(mesh, EXCHANGE_GET, size, "10.96.0.77", 80); /* a service that is not there */
        break;
    case 4:
        exchange = mesh_ask(mesh, EXCHANGE_GET, size, 80);
        if (exchange && world_one_in(world, 2))
            exchange_speak_later(exchange, world_between(world, 1, 12000) * NS_PER_MS);
        break;
    default:
        exchange = mesh_ask(mesh, world_one_in(world, 3) ? EXCHANGE_POST : EXCHANGE_GET, size, 80);
        if (exchange)
            exchange->delay_ms = (unsigned)world_between(world, 0, 800);
        break;
    }
}

static void disturb_network(struct mesh *mesh, struct pod *pod)
{
    struct world *world = &mesh->world;

    switch (world_between(world, 0, 5)) {
    case 0:
        net_cut(world->net, mesh->client_host, pod->host);
        break;
    case 1:
        net_cut(world->net, mesh->control_host, pod->host);
        break;
    case 2:
        net_reset(world->net, pod->host);
        break;
    case 3:
        net_mute(world->net, pod->host);
        break;
    case 4:
        net_faults(world->net)->reset_one_in = world_one_in(world, 2) ? 0 : (unsigned)world_between(world, 20, 500);
        break;
    default:
        net_heal_all(world->net);
        mesh->cut_off = false;
        break;
    }
}

static void disturb_application(struct mesh *mesh, struct pod *pod)
{
    struct world *world = &mesh->world;
    static const enum behaviour behaviours[] = {SERVE_HTTP, SERVE_RESET, SERVE_CUT, SERVE_STALL};

    if (world_one_in(world, 4))
        app_refuse(&pod->app, 8080);
    else
        app_behave(&pod->app, 8080, behaviours[world_between(world, 0, 3)]);
    if (mesh->exchange_count && world_one_in(world, 2))
        exchange_abandon(&mesh->exchanges[world_between(world, 0, mesh->exchange_count - 1)]);
}

static void disturb_control_plane(struct mesh *mesh)
{
    struct world *world = &mesh->world;
    unsigned pod = (unsigned)world_between(world, 0, mesh->pod_count - 1);

    mesh_disturbed(mesh, INT64_MAX / 2); /* who knows what when is for the scenario discovery */
    switch (world_between(world, 0, 4)) {
    case 0:
        mesh_cut_controller(mesh, !mesh->cut_off);
        break;
    case 1:
        if (mesh->controller.running)
            mesh_stop_controller(mesh);
        else
            mesh_start_controller(mesh);
        break;
    case 2:
        mesh->policies = *mesh->policies ? "" : MESH_DENY;
        mesh_publish(mesh);
        break;
    default:
        mesh_list(mesh, pod, !mesh->pods[pod].listed);
        break;
    }
}

static void disturb_proxy(struct mesh *mesh, struct pod *pod)
{
    struct world *world = &mesh->world;
    struct process *process = world_one_in(world, 2) ? mesh->client_proxy.process : pod->proxy.process;

    if (pod->proxy.process && world_one_in(world, 3))
        mesh_restart_proxy(mesh, pod);
    else if (pod->proxy.process && world_one_in(world, 3))
        sim_proxy_terminate(&pod->proxy);
    else if (process)
        process->open_max = world_one_in(world, 2) ? 4096 : (unsigned)world_between(world, 5, 40);
}

static void disturb(struct mesh *mesh)
{
    struct pod *pod = &mesh->pods[world_between(&mesh->world, 0, mesh->pod_count - 1)];

    switch (world_between(&mesh->world, 0, 3)) {
    case 0:
        disturb_network(mesh, pod);
        break;
    case 1:
        disturb_application(mesh, pod);
        break;
    case 2:
        disturb_control_plane(mesh);
        break;
    default:
        disturb_proxy(mesh, pod);
        break;
    }
}

static void make_well(struct mesh *mesh)
{
    net_heal_all(mesh->world.net);
    net_faults(mesh->world.net)->reset_one_in = 0;
    mesh->client_proxy.process->open_max = 4096;
    if (!mesh->controller.running)
        mesh_start_controller(mesh);
    mesh->policies = "";
    mesh_publish(mesh);
    for (unsigned i = 0; i < mesh->pod_count; i++) {
        app_behave(&mesh->pods[i].app, 8080, SERVE_HTTP);
        if (mesh->pods[i].meshed)
            mesh_restart_proxy(mesh, &mesh->pods[i]);
        mesh_list(mesh, i, true);
    }
}

static void run(struct mesh *mesh)
{
    unsigned first;

    mesh_init(mesh, 3, 0);
    mesh_some_meshed(mesh);
    mesh_start(mesh, false);
    mesh_run(mesh, world_between(&mesh->world, 0, 1000) * NS_PER_MS);
    for (int i = 0; i < 50 && !mesh->world.failure; i++) {
        if (world_one_in(&mesh->world, 2))
            disturb(mesh);
        ask_something(mesh);
        mesh_run(mesh, world_between(&mesh->world, 0, 600) * NS_PER_MS);
    }
    for (unsigned i = 0; i < mesh->exchange_count; i++) /* what waits for a server that says nothing */
        if (world_one_in(&mesh->world, 2))
            exchange_abandon(&mesh->exchanges[i]);
    if (!mesh->world.failure)
        make_well(mesh);
    mesh_run(mesh, 120 * NS_PER_S);
    first = mesh->exchange_count;
    for (int i = 0; i < 6; i++)
        mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_run(mesh, 20 * NS_PER_S);
    for (unsigned i = first; i < mesh->exchange_count; i++)
        if (mesh->exchanges[i].outcome != OUTCOME_ANSWERED || mesh->exchanges[i].status != 200)
            world_fail(&mesh->world, "once all is well, requests are answered", "exchange %u: %u %s", i, mesh->exchanges[i].status,
                       mesh->exchanges[i].error);
    mesh_end(mesh);
}

const struct scenario scenario_chaos = {"chaos", "everything fails in any order; proxies end at once and start anew", run};

/*
 * Endpoints come and go while the control plane breaks off, restarts and is cut off. What was withdrawn is not dialled a
 * second later; what is known stays in use while nobody can be asked; what was never heard of fails in bounded time.
 */
#include "sim/scenarios/scenarios.h"

static void change(struct mesh *mesh)
{
    struct world *world = &mesh->world;
    unsigned pod = (unsigned)world_between(world, 0, mesh->pod_count - 1);

    switch (world_between(world, 0, 6)) {
    case 0:
        net_reset(world->net, mesh->control_host);
        mesh_disturbed(mesh, world->now_ns);
        break;
    case 1:
        mesh_cut_controller(mesh, !mesh->cut_off);
        break;
    case 2:
        if (mesh->controller.running)
            mesh_stop_controller(mesh);
        else
            mesh_start_controller(mesh);
        break;
    case 3:
        net_mute(world->net, mesh->control_host);
        mesh_disturbed(mesh, world->now_ns + 20 * NS_PER_S); /* a ping and its time-out pass before it is noticed */
        break;
    default:
        mesh_list(mesh, pod, !mesh->pods[pod].listed);
        break;
    }
}

static void run(struct mesh *mesh)
{
    struct exchange *unknown;
    unsigned first;

    mesh_init(mesh, 3, 1 + 2);
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    for (int i = 0; i < 30; i++) {
        if (world_one_in(&mesh->world, 2))
            change(mesh);
        mesh_ask(mesh, EXCHANGE_GET, (size_t)world_between(&mesh->world, 0, 2000), 80);
        mesh_run(mesh, world_between(&mesh->world, 0, 3000) * NS_PER_MS);
    }
    mesh_finish(mesh, 60 * NS_PER_S);
    /* A destination never heard of, while nobody can be asked. */
    mesh_cut_controller(mesh, true);
    unknown = mesh_ask_at(mesh, EXCHANGE_GET, 10, "10.96.0.99", 80);
    mesh_finish(mesh, 12 * NS_PER_S);
    if (unknown && unknown->status == 200)
        world_fail(&mesh->world, "what was never heard of is not reached", "exchange %u", unknown->number);
    /* All is well again. */
    mesh_cut_controller(mesh, false);
    if (!mesh->controller.running)
        mesh_start_controller(mesh);
    for (unsigned i = 0; i < mesh->pod_count; i++)
        mesh_list(mesh, i, true);
    mesh_run(mesh, 70 * NS_PER_S);
    first = mesh->exchange_count;
    for (int i = 0; i < 5; i++)
        mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_finish(mesh, 10 * NS_PER_S);
    for (unsigned i = first; i < mesh->exchange_count; i++)
        if (mesh->exchanges[i].outcome != OUTCOME_ANSWERED || mesh->exchanges[i].status != 200)
            world_fail(&mesh->world, "once all is well, requests are answered", "exchange %u: %u %s", i, mesh->exchanges[i].status,
                       mesh->exchanges[i].error);
    mesh_end(mesh);
}

const struct scenario scenario_discovery = {"discovery", "endpoints come and go, the control plane too", run};

/*
 * Policy while connections run. Before its first answer a port forwards nothing; a permit that is revoked ends the
 * connections that it let in; one that is given lets new ones in.
 */
#include "sim/scenarios/scenarios.h"

static void expect(struct mesh *mesh, const struct exchange *exchange, unsigned status, const char *invariant)
{
    if (exchange && exchange->ended && exchange->status != status)
        world_fail(&mesh->world, invariant, "exchange %u: outcome %d, status %u %s", exchange->number, exchange->outcome,
                   exchange->status, exchange->error);
}

static void nobody_knows(struct mesh *mesh)
{
    const struct exchange *exchange;

    mesh_ask(mesh, EXCHANGE_BYTES, 20, 90);
    exchange = mesh_ask_at(mesh, EXCHANGE_GET, 10, mesh->pods[0].host->name, 8080);
    mesh_finish(mesh, 30 * NS_PER_S);
    if (exchange && exchange->arrivals)
        world_fail(&mesh->world, "nothing is forwarded before the first policy", "exchange %u", exchange->number);
}

static void run(struct mesh *mesh)
{
    struct world *world = &mesh->world;
    struct exchange *held, *asked;

    mesh_init(mesh, 1, 1);
    mesh_start(mesh, true);
    nobody_knows(mesh);
    mesh_start_controller(mesh);
    mesh_run(mesh, 70 * NS_PER_S);
    held = mesh_ask(mesh, EXCHANGE_BYTES, (size_t)world_between(world, 1, 5000), 90);
    if (held)
        held->hold = true;
    asked = mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_run(mesh, 12 * NS_PER_S);
    expect(mesh, asked, 200, "what is allowed is answered");
    if (held && held->ended)
        world_fail(world, "an allowed connection goes on", "exchange %u: %s", held->number, held->error);
    mesh->policies = MESH_DENY;
    mesh_publish(mesh);
    mesh_run(mesh, 1 * NS_PER_S);
    if (held && !held->ended)
        world_fail(world, "a revoked permit ends the connection", "exchange %u is open a second later", held->number);
    asked = mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_ask(mesh, EXCHANGE_BYTES, 100, 90);
    mesh_finish(mesh, 10 * NS_PER_S);
    expect(mesh, asked, 403, "what is not allowed is refused");
    if (asked && asked->arrivals)
        world_fail(world, "what is not allowed is not forwarded", "exchange %u", asked->number);
    if (mesh->exchange_count && mesh->exchanges[mesh->exchange_count - 1].outcome == OUTCOME_ANSWERED)
        world_fail(world, "what is not allowed is not forwarded", "exchange %u", mesh->exchange_count - 1);
    mesh->policies = "";
    mesh_publish(mesh);
    mesh_run(mesh, 1 * NS_PER_S);
    asked = mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_finish(mesh, 10 * NS_PER_S);
    expect(mesh, asked, 200, "what is allowed again is answered");
    mesh_end(mesh);
}

const struct scenario scenario_policy = {"policy", "permits are given and revoked while connections run", run};

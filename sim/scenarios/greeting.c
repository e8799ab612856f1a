/*
 * Protocols in which the server speaks first, on a port whose protocol is detected: its first byte is there within 200 ms,
 * between two proxies and to a pod without one. A client that hesitates and then speaks HTTP gets the normal path.
 */
#include "sim/scenarios/scenarios.h"

static const int64_t FIRST_BYTE_NS = 200 * NS_PER_MS;

static void run(struct mesh *mesh)
{
    struct world *world = &mesh->world;

    mesh_init(mesh, 2, 0);
    mesh_some_meshed(mesh);
    net_faults(world->net)->segment_max = 1460; /* what is measured is not how small the pieces are */
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    for (int i = 0; i < 25; i++) {
        struct exchange *exchange;

        if (world_one_in(world, 2)) {
            mesh_ask(mesh, EXCHANGE_GREETING, 0, 91);
        } else {
            exchange = mesh_ask(mesh, EXCHANGE_GET, (size_t)world_between(world, 0, 5000), 80);
            if (exchange && !world_one_in(world, 4)) {
                struct exchange *slow = mesh_ask(mesh, EXCHANGE_GET, 20, 80);

                if (slow)
                    exchange_speak_later(slow, world_between(world, 1, 400) * NS_PER_MS);
            }
        }
        mesh_run(mesh, world_between(world, 0, 300) * NS_PER_MS);
    }
    mesh_finish(mesh, 30 * NS_PER_S);
    for (unsigned i = 0; i < mesh->exchange_count; i++) {
        const struct exchange *exchange = &mesh->exchanges[i];
        int64_t took = exchange->first_byte_ns - exchange->began_ns;

        if (exchange->outcome != OUTCOME_ANSWERED || (exchange->kind == EXCHANGE_GET && exchange->status != 200))
            world_fail(world, "all are answered", "exchange %u: outcome %d, status %u %s", i, exchange->outcome, exchange->status,
                       exchange->error);
        else if (exchange->kind == EXCHANGE_GREETING && took > FIRST_BYTE_NS)
            world_fail(world, "the server's first byte arrives within 200 ms", "exchange %u: %lld us", i, (long long)(took / 1000));
    }
    mesh_end(mesh);
}

const struct scenario scenario_greeting = {"greeting", "the server speaks first, or the client late", run};

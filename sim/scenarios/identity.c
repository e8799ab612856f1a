/*
 * With true certificates: they are renewed under load and nothing is lost; and an endpoint that proves to be somebody else,
 * is vouched for by nobody known, or shows what is over gets no byte of a request, until it is itself again.
 */
#include "sim/scenarios/scenarios.h"

static const int64_t LIFETIME_NS = 60 * NS_PER_S, LEFT_ALONE_NS = 70 * NS_PER_S; /* longer than the backoff's maximum */

static void renew_one(struct mesh *mesh)
{
    struct sim_proxy *proxies[] = {&mesh->client_proxy, &mesh->control_proxy, &mesh->pods[0].proxy, &mesh->pods[1].proxy};
    struct sim_proxy *proxy = proxies[world_between(&mesh->world, 0, 3)];

    sim_proxy_certify(proxy, proxy->identity, LIFETIME_NS, ISSUER_OF_MESH);
}

static void under_load(struct mesh *mesh)
{
    static const enum exchange_kind kinds[] = {EXCHANGE_GET, EXCHANGE_POST, EXCHANGE_BYTES};
    struct world *world = &mesh->world;

    for (int i = 0; i < 25; i++) {
        enum exchange_kind kind = kinds[world_between(world, 0, 2)];
        struct exchange *exchange = mesh_ask(mesh, kind, (size_t)world_between(world, 1, 5000), kind == EXCHANGE_BYTES ? 90 : 80);

        if (exchange && world_one_in(world, 3))
            exchange->delay_ms = (unsigned)world_between(world, 0, 1000);
        if (world_one_in(world, 3))
            renew_one(mesh);
        mesh_run(mesh, world_between(world, 0, 500) * NS_PER_MS);
    }
    mesh_finish(mesh, 30 * NS_PER_S);
    for (unsigned i = 0; i < mesh->exchange_count; i++)
        if (mesh->exchanges[i].outcome != OUTCOME_ANSWERED || (mesh->exchanges[i].status && mesh->exchanges[i].status != 200))
            world_fail(world, "a renewal loses nothing", "exchange %u: outcome %d, status %u %s", i, mesh->exchanges[i].outcome,
                       mesh->exchanges[i].status, mesh->exchanges[i].error);
}

/* The only endpoint left shows something else than it should. */
static void become_wrong(struct mesh *mesh)
{
    static const char SOMEBODY[] = "other.shop.serviceaccount.identity.linkerd.cluster.local";
    struct sim_proxy *proxy = &mesh->pods[0].proxy;

    switch (world_between(&mesh->world, 0, 2)) {
    case 0:
        sim_proxy_certify(proxy, SOMEBODY, 3600 * NS_PER_S, ISSUER_OF_MESH);
        break;
    case 1:
        sim_proxy_certify(proxy, proxy->identity, 3600 * NS_PER_S, ISSUER_UNKNOWN);
        break;
    default:
        sim_proxy_certify(proxy, proxy->identity, 1 * NS_PER_S, ISSUER_OF_MESH);
        break;
    }
    mesh_run(mesh, 15 * NS_PER_S); /* what is over is over; what is open and unused is closed */
}

static void run(struct mesh *mesh)
{
    struct exchange *refused, *answered;

    mesh_init(mesh, 2, 1 + 2);
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    under_load(mesh);
    sim_proxy_certify(&mesh->client_proxy, mesh->client_proxy.identity, 3600 * NS_PER_S, ISSUER_OF_MESH);
    sim_proxy_certify(&mesh->control_proxy, mesh->control_proxy.identity, 3600 * NS_PER_S, ISSUER_OF_MESH);
    mesh_list(mesh, 1, false);
    become_wrong(mesh);
    refused = mesh_ask(mesh, EXCHANGE_POST, 1000, 80);
    mesh_run(mesh, 10 * NS_PER_S);
    if (refused && (!refused->ended || refused->status == 200 || refused->arrivals))
        world_fail(&mesh->world, "nobody else gets a request", "exchange %u: status %u, arrived %u times", refused->number,
                   refused->status, refused->arrivals);
    sim_proxy_certify(&mesh->pods[0].proxy, mesh->pods[0].proxy.identity, 3600 * NS_PER_S, ISSUER_OF_MESH);
    mesh_run(mesh, LEFT_ALONE_NS);
    answered = mesh_ask(mesh, EXCHANGE_GET, 100, 80);
    mesh_run(mesh, 10 * NS_PER_S);
    if (answered && answered->status != 200)
        world_fail(&mesh->world, "who is itself again is believed", "exchange %u: status %u %s", answered->number, answered->status,
                   answered->error);
    mesh_end(mesh);
}

const struct scenario scenario_identity = {"identity", "certificates are renewed, and wrong ones refused", run};

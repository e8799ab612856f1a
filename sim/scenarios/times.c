/* Limits in time hold at their time: not before, and not much after. */
#include "sim/scenarios/scenarios.h"

static void expect(struct mesh *mesh, const struct exchange *exchange, int64_t least_ns, int64_t most_ns, unsigned status,
                   const char *what)
{
    int64_t took;

    if (!exchange || mesh->world.failure)
        return;
    took = exchange->ended_ns - exchange->began_ns;
    if (!exchange->ended || took < least_ns || took > most_ns || exchange->status != status)
        world_fail(&mesh->world, what, "exchange %u: %s after %lld ms, status %u (%s); expected %u from %lld to %lld ms",
                   exchange->number, exchange->ended ? "ended" : "runs", (long long)(took / NS_PER_MS), exchange->status,
                   exchange->error, status, (long long)(least_ns / NS_PER_MS), (long long)(most_ns / NS_PER_MS));
}

static void run(struct mesh *mesh)
{
    const struct exchange *nowhere, *empty, *silent;

    mesh_init(mesh, 1, 0);
    mesh_some_meshed(mesh);
    net_faults(mesh->world.net)->segment_max = 1460;
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    /* An address that answers nothing: LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT, 1 s, then fail-fast. */
    nowhere = mesh_ask_at(mesh, EXCHANGE_GET, 10, "10.1.9.9", 80);
    mesh_run(mesh, 10 * NS_PER_S);
    expect(mesh, nowhere, 1000 * NS_PER_MS, 4100 * NS_PER_MS, 504, "connecting has its time");
    /* A service without endpoints: LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT, 3 s at most. */
    mesh_list(mesh, 0, false);
    mesh_run(mesh, 1 * NS_PER_S);
    empty = mesh_ask(mesh, EXCHANGE_GET, 10, 80);
    mesh_run(mesh, 10 * NS_PER_S);
    expect(mesh, empty, 2990 * NS_PER_MS, 3100 * NS_PER_MS, 504, "a service without endpoints fails in its time");
    mesh_list(mesh, 0, true);
    mesh_run(mesh, 1 * NS_PER_S);
    /* A client that says nothing, to a server that says nothing: opaque after the detect time, which is forwarded. */
    app_behave(&mesh->pods[0].app, 8080, SERVE_STALL);
    silent = mesh_ask(mesh, EXCHANGE_GREETING, 0, 80);
    mesh_run(mesh, 60 * NS_PER_S);
    if (silent && silent->ended)
        world_fail(&mesh->world, "a silent connection is not broken off", "exchange %u: %s", silent->number, silent->error);
    mesh_end(mesh);
}

const struct scenario scenario_times = {"times", "connect and fail-fast times, and silence", run};

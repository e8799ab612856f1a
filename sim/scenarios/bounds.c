/*
 * Each limit in time by itself, on a mesh that is otherwise well: what it ends happens at its time, not before and not much
 * after. The bounds are those that docs/environment.md and the annotations promise.
 */
#include "sim/scenarios/scenarios.h"

static const int64_t DETECT_NS = 10 * NS_PER_S;   /* LINKERD2_PROXY_OUTBOUND_DETECT_TIMEOUT, of heads too */
static const int64_t FIRST_ANSWER_NS = 3 * NS_PER_S; /* LINKERD2_PROXY_CONTROL_STREAM_INITIAL_TIMEOUT */
static const int64_t IDLE_NS = 5 * NS_PER_S;      /* LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT */
static const int64_t SLACK_NS = 100 * NS_PER_MS;  /* for the network: latency, segments, small buffers */

/* Services like web's, whose annotations limit requests. */
static const char TIMED[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: request, namespace: shop, annotations: {timeout.linkerd.io/request: 2s}}\n"
    "spec: {clusterIP: 10.96.0.11, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: response, namespace: shop, annotations: {timeout.linkerd.io/response: 3s}}\n"
    "spec: {clusterIP: 10.96.0.12, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: idle, namespace: shop, annotations: {timeout.linkerd.io/idle: 4s}}\n"
    "spec: {clusterIP: 10.96.0.13, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n";

/* It ended `after_ns` from its beginning, thus. */
static void expect(struct mesh *mesh, const struct exchange *exchange, int64_t after_ns, enum outcome outcome, unsigned status,
                   const char *what)
{
    int64_t took;

    if (!exchange || mesh->world.failure)
        return;
    took = exchange->ended_ns - exchange->began_ns;
    if (!exchange->ended || took < after_ns || took > after_ns + SLACK_NS || exchange->outcome != outcome || exchange->status != status)
        world_fail(&mesh->world, what, "exchange %u: %s after %lld ms, outcome %d, status %u (%s); expected %d, %u, from %lld ms on",
                   exchange->number, exchange->ended ? "ended" : "runs", (long long)(took / NS_PER_MS), exchange->outcome,
                   exchange->status, exchange->error, outcome, status, (long long)(after_ns / NS_PER_MS));
}

/* A proxy that does not know detects; the one that it sends to does so again, unless it has been told. */
static void detection(struct mesh *mesh)
{
    int64_t twice = mesh->pods[0].meshed ? 2 * DETECT_NS : DETECT_NS;
    struct exchange *line, *head;

    line = mesh_ask(mesh, EXCHANGE_HALF_LINE, 0, 90);
    head = mesh_ask(mesh, EXCHANGE_HALF_HEAD, 0, 80);
    mesh_run(mesh, twice + 1 * NS_PER_S);
    expect(mesh, line, twice, OUTCOME_ANSWERED, 0, "half a line is opaque when detection is over");
    expect(mesh, head, DETECT_NS, OUTCOME_ANSWERED, 408, "half a head is refused in its time");
}

static void requests(struct mesh *mesh)
{
    static const struct {
        const char *addr, *what;
        int64_t after_ns;
    } cases[] = {{"10.96.0.11", "a request has its time", 2 * NS_PER_S},
                 {"10.96.0.12", "a response has its time", 3 * NS_PER_S},
                 {"10.96.0.13", "an idle stream has its time", 4 * NS_PER_S}};
    struct exchange *late[3];

    for (int i = 0; i < 3; i++) {
        late[i] = mesh_ask_at(mesh, EXCHANGE_GET, 10, cases[i].addr, 80);
        if (late[i])
            late[i]->delay_ms = 20000;
    }
    mesh_run(mesh, 30 * NS_PER_S);
    for (int i = 0; i < 3; i++)
        expect(mesh, late[i], cases[i].after_ns, OUTCOME_ANSWERED, 504, cases[i].what);
}

static void nobody_to_ask(struct mesh *mesh)
{
    struct exchange *unknown;

    mesh_cut_controller(mesh, true);
    unknown = mesh_ask_at(mesh, EXCHANGE_GET, 10, "10.96.0.99", 80);
    mesh_run(mesh, FIRST_ANSWER_NS + 1 * NS_PER_S);
    expect(mesh, unknown, FIRST_ANSWER_NS, OUTCOME_BROKEN, 0, "a destination never seen is given up in its time");
    mesh_cut_controller(mesh, false);
    mesh_run(mesh, 70 * NS_PER_S);
}

/* What a refusing endpoint is tried: 100 ms after the first failure, then twice as long each time, a tenth more at most. */
static void backoff(struct mesh *mesh)
{
    int64_t wait = 100 * NS_PER_MS, end;
    struct dials *dials = &mesh->dials;

    app_refuse(&mesh->pods[0].app, 8080);
    *dials = (struct dials){0};
    end = mesh->world.now_ns + 20 * NS_PER_S;
    while (mesh->world.now_ns < end && !mesh->world.failure) {
        mesh_ask(mesh, EXCHANGE_GET, 10, 80);
        mesh_run(mesh, 100 * NS_PER_MS);
    }
    for (unsigned i = 1; i < dials->count && !mesh->pods[0].meshed; i++) {
        if (dials->at_ns[i] - dials->at_ns[i - 1] < wait)
            world_fail(&mesh->world, "a refusing endpoint is left alone for a while", "dial %u came %lld ms after the one before", i,
                       (long long)((dials->at_ns[i] - dials->at_ns[i - 1]) / NS_PER_MS));
        wait = wait < 30 * NS_PER_S ? wait * 2 : wait;
    }
    app_behave(&mesh->pods[0].app, 8080, SERVE_HTTP);
    mesh_run(mesh, 70 * NS_PER_S);
}

static bool is_forgotten(struct world *world)
{
    struct directory *directory = &((struct mesh *)world->owner)->client_proxy.proxy.directory;

    return !directory_count(directory, WATCHED_TARGET) && !directory_count(directory, WATCHED_ENDPOINTS);
}

static void forgetting(struct mesh *mesh)
{
    struct exchange *last = mesh_ask(mesh, EXCHANGE_GET, 10, 80);
    struct world *world = &mesh->world;
    int64_t took;

    mesh_run(mesh, 1 * NS_PER_S);
    if (!last || !last->ended || world->failure)
        return;
    world_run_until(world, is_forgotten, world->now_ns + 60 * NS_PER_S);
    took = world->now_ns - last->ended_ns;
    if (took < IDLE_NS || took > 2 * IDLE_NS + SLACK_NS)
        world_fail(world, "an unused destination is forgotten in its time", "it was after %lld ms", (long long)(took / NS_PER_MS));
}

static void run(struct mesh *mesh)
{
    mesh_init(mesh, 1, 0);
    mesh_some_meshed(mesh);
    net_faults(mesh->world.net)->segment_max = 1460;
    mesh->policies = TIMED;
    mesh_start(mesh, false);
    mesh_run(mesh, 1 * NS_PER_S);
    detection(mesh);
    requests(mesh);
    nobody_to_ask(mesh);
    backoff(mesh);
    forgetting(mesh);
    mesh_end(mesh);
}

const struct scenario scenario_bounds = {"bounds", "each limit in time, by itself", run};

#include "sim/mesh.h"

#include "base/duration.h"

static const int64_t STREAM_BACKOFF_NS = 67 * NS_PER_S; /* after a failure, with its jitter: until then a stream may wait */
static const int64_t REST_NS = 400 * NS_PER_S; /* longer than every idle time */

/* --- manifests --- */

const char MESH_DENY[] =
    "apiVersion: policy.linkerd.io/v1beta3\nkind: Server\nmetadata: {name: http, namespace: shop}\n"
    "spec: {podSelector: {matchLabels: {app: web}}, port: 8080}\n---\n"
    "apiVersion: policy.linkerd.io/v1beta3\nkind: Server\nmetadata: {name: echo, namespace: shop}\n"
    "spec: {podSelector: {matchLabels: {app: web}}, port: 9090}\n";

static const char SERVICE[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec:\n  clusterIP: 10.96.0.10\n"
    "  selector: {app: web}\n  ports:\n  - {name: http, port: 80, targetPort: 8080}\n"
    "  - {name: echo, port: 90, targetPort: 9090}\n  - {name: greet, port: 91, targetPort: 9091}\n";

static void put_pod(struct buffer *to, const char *name, const char *namespace_, const char *account, const char *ip, bool meshed)
{
    buffer_printf(to,
                  "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  namespace: %s\n  labels: {app: %s%s}\n"
                  "spec: {serviceAccountName: %s, containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]}\n"
                  "status: {podIP: %s, podIPs: [{ip: %s}], phase: Running}\n",
                  name, namespace_, account, meshed ? ", linkerd.io/control-plane-ns: linkerd" : "", account, ip, ip);
}

void mesh_publish(struct mesh *mesh)
{
    struct buffer text;
    char name[32];

    buffer_init(&text, 1024 * 1024);
    buffer_add(&text, slice_str(SERVICE));
    put_pod(&text, "client-1", "shop", "client", mesh->client_host->name, true);
    put_pod(&text, "control-1", "linkerd", "linkerd-controller", mesh->control_host->name, true);
    for (unsigned i = 0; i < mesh->pod_count; i++) {
        snprintf(name, sizeof(name), "web-%u", i);
        if (mesh->pods[i].listed)
            put_pod(&text, name, "shop", "web", mesh->pods[i].host->name, mesh->pods[i].meshed);
    }
    buffer_printf(&text, "---\n%s", mesh->policies);
    buffer_add_byte(&text, 0);
    sim_controller_apply(&mesh->controller, "mesh.yaml", text.data);
    buffer_release(&text);
}

void mesh_list(struct mesh *mesh, unsigned pod, bool listed)
{
    struct pod *which = &mesh->pods[pod];

    world_note(&mesh->world, "pod %u is %s", pod, listed ? "listed" : "withdrawn");
    if (which->listed && !listed)
        which->withdrawn_ns = mesh->world.now_ns;
    which->listed = listed;
    mesh_publish(mesh);
}

/* --- the control plane comes and goes --- */

void mesh_disturbed(struct mesh *mesh, int64_t until_ns)
{
    if (until_ns > mesh->disturbed_ns)
        mesh->disturbed_ns = until_ns;
}

void mesh_start_controller(struct mesh *mesh)
{
    sim_controller_start(&mesh->controller, mesh->controller_process);
    mesh_publish(mesh);
    mesh_disturbed(mesh, mesh->world.now_ns + STREAM_BACKOFF_NS);
}

void mesh_stop_controller(struct mesh *mesh)
{
    sim_controller_stop(&mesh->controller);
    mesh_disturbed(mesh, mesh->world.now_ns);
}

void mesh_cut_controller(struct mesh *mesh, bool cut)
{
    (cut ? net_cut : net_heal)(mesh->world.net, mesh->client_host, mesh->control_host);
    mesh->cut_off = cut;
    mesh_disturbed(mesh, mesh->world.now_ns);
}

/* --- invariants --- */

static void note_dial(struct dials *dials, int64_t now_ns)
{
    if (dials->count < MESH_DIALS_MAX)
        dials->at_ns[dials->count++] = now_ns;
}

/* No endpoint that was withdrawn is dialled a second later, while the proxy could know. */
static void on_dial(void *owner, struct process *from, struct addr to)
{
    struct mesh *mesh = owner;
    int64_t now = mesh->world.now_ns;

    if (from == mesh->client_proxy.process && to.port == 8080)
        note_dial(&mesh->dials, now);
    if (from != mesh->client_proxy.process || mesh->cut_off || !mesh->controller.running)
        return;
    for (unsigned i = 0; i < mesh->pod_count; i++) {
        const struct pod *pod = &mesh->pods[i];
        const struct control_client *client = &mesh->client_proxy.destination;

        if (!ip_eq(pod->host->ip, to.ip) || pod->listed || !pod->withdrawn_ns)
            continue;
        if (now - pod->withdrawn_ns > 1 * NS_PER_S && now - mesh->disturbed_ns > 1 * NS_PER_S && client->state == CONTROL_READY &&
            client->ready_since_ns < now - 1 * NS_PER_S)
            world_fail(&mesh->world, "a withdrawn endpoint is not dialled", "pod %u, withdrawn %lld ms ago", i,
                       (long long)((now - pod->withdrawn_ns) / NS_PER_MS));
    }
}

static void on_request(void *owner, struct app *app, unsigned number)
{
    struct mesh *mesh = owner;

    world_note(&mesh->world, "request %u arrived at %s", number, app->process->host->name);
    if (number >= mesh->exchange_count)
        world_fail(&mesh->world, "servers get what clients sent", "request %u was never made", number);
    else if (++mesh->exchanges[number].arrivals > 1 && mesh->exchanges[number].kind == EXCHANGE_POST)
        world_fail(&mesh->world, "no request that changes something is sent twice", "request %u", number);
}

void mesh_check(struct mesh *mesh)
{
    for (unsigned i = 0; i < mesh->exchange_count; i++) {
        const struct exchange *exchange = &mesh->exchanges[i];

        if (!exchange->ended)
            world_fail(&mesh->world, "every exchange ends", "exchange %u (kind %d, began at %lld us) has not", i, exchange->kind,
                       (long long)(exchange->began_ns / NS_PER_US));
        else if (exchange->outcome == OUTCOME_WRONG)
            world_fail(&mesh->world, "an answer is the request's own", "exchange %u: %s", i, exchange->error);
        else if (exchange->outcome == OUTCOME_ANSWERED && exchange->status && exchange->status != 200 && exchange->status != 403 && exchange->status != 502 && !exchange->error[0])
            world_fail(&mesh->world, "every refusal has a reason", "exchange %u: status %u", i, exchange->status);
    }
}

static void check_loop(struct mesh *mesh, const struct loop *loop, const char *what)
{
    if (loop->pages.lent)
        world_fail(&mesh->world, "no buffer is kept at rest", "%s holds %zu pages", what, loop->pages.lent);
}

static void check_proxy(struct mesh *mesh, struct sim_proxy *sim)
{
    struct proxy *proxy = &sim->proxy;
    const char *name = sim->process->host->name;

    check_loop(mesh, &sim->loop, name);
    for (unsigned i = 0; i < proxy->workers_running; i++) {
        const struct worker *worker = &proxy->workers[i];

        check_loop(mesh, worker->loop, name);
        if (worker->conn_count || worker->open || worker->speculating)
            world_fail(&mesh->world, "no connection is kept at rest", "%s: %u connections, %u counted, %u early ones", name,
                       worker->conn_count, worker->open, worker->speculating);
    }
    if (proxy->in_flight[0] || proxy->in_flight[1])
        world_fail(&mesh->world, "no request is kept at rest", "%s: %u inbound, %u outbound", name, proxy->in_flight[0],
                   proxy->in_flight[1]);
    if (directory_count(&proxy->directory, WATCHED_TARGET) || directory_count(&proxy->directory, WATCHED_ENDPOINTS))
        world_fail(&mesh->world, "no destination is watched at rest", "%s: %u targets, %u services", name,
                   directory_count(&proxy->directory, WATCHED_TARGET), directory_count(&proxy->directory, WATCHED_ENDPOINTS));
}

static void check_app(struct mesh *mesh, const struct app *app)
{
    if (app->peer_count)
        world_fail(&mesh->world, "no connection is kept at rest", "%s/%s has %u", app->process->host->name, app->process->name,
                   app->peer_count);
}

static void check_rest(struct mesh *mesh)
{
    check_app(mesh, &mesh->client);
    check_proxy(mesh, &mesh->client_proxy);
    for (unsigned i = 0; i < mesh->pod_count; i++) {
        check_app(mesh, &mesh->pods[i].app);
        if (mesh->pods[i].proxy.process)
            check_proxy(mesh, &mesh->pods[i].proxy);
    }
}

/* --- beginning and end --- */

static void draw_faults(struct world *world)
{
    static const size_t segments[] = {1, 7, 100, 1460, 16384, 65536};
    struct net_faults *faults = net_faults(world->net);

    faults->latency_min_ns = world_between(world, 10, 200) * NS_PER_US;
    faults->latency_max_ns = faults->latency_min_ns + world_between(world, 0, 3000) * NS_PER_US;
    faults->segment_max = segments[world_between(world, 0, 5)];
    if (faults->segment_max == 1 && !world_one_in(world, 4))
        faults->segment_max = 300; /* byte by byte takes long: less often */
    faults->buffer_max = (size_t)1 << world_between(world, 11, 18);
}

void mesh_init(struct mesh *mesh, unsigned pods, unsigned meshed)
{
    uint64_t seed = mesh->world.seed;
    bool tracing = mesh->world.tracing;
    char ip[32];

    *mesh = (struct mesh){.pod_count = pods, .policies = ""};
    world_init(&mesh->world, seed);
    mesh->world.tracing = tracing;
    mesh->world.owner = mesh;
    draw_faults(&mesh->world);
    mesh->control_host = world_host(&mesh->world, "10.1.0.1");
    mesh->client_host = world_host(&mesh->world, "10.1.0.2");
    for (unsigned i = 0; i < pods; i++) {
        snprintf(ip, sizeof(ip), "10.1.1.%u", i + 1);
        mesh->pods[i] = (struct pod){.mesh = mesh, .host = world_host(&mesh->world, ip), .meshed = meshed & 1u << i, .listed = true};
    }
    net_on_dial(mesh->world.net, on_dial, mesh);
}

void mesh_some_meshed(struct mesh *mesh)
{
    for (unsigned i = 0; i < mesh->pod_count; i++)
        mesh->pods[i].meshed = world_one_in(&mesh->world, 2);
}

static void start_proxy(struct mesh *mesh, struct sim_proxy *proxy, struct host *host, const char *namespace_, const char *pod,
                        const char *account)
{
    static const char CONTROL[] = "linkerd-controller.linkerd.serviceaccount.identity.linkerd.cluster.local";
    const char *at = host == mesh->control_host ? "localhost" : mesh->control_host->name;
    char identity[128];

    snprintf(identity, sizeof(identity), "%s.%s.serviceaccount.identity.linkerd.cluster.local", account, namespace_);
    sim_proxy_set(proxy, "LINKERD2_PROXY_DESTINATION_SVC_ADDR", "%s:8086", at);
    sim_proxy_set(proxy, "LINKERD2_PROXY_DESTINATION_SVC_NAME", "%s", CONTROL);
    sim_proxy_set(proxy, "LINKERD2_PROXY_POLICY_SVC_ADDR", "%s:8090", at);
    sim_proxy_set(proxy, "LINKERD2_PROXY_POLICY_SVC_NAME", "%s", CONTROL);
    sim_proxy_set(proxy, "LINKERD2_PROXY_POLICY_WORKLOAD", "{\"ns\":\"%s\",\"pod\":\"%s\"}", namespace_, pod);
    sim_proxy_set(proxy, "LINKERD2_PROXY_DESTINATION_CONTEXT", "{\"ns\":\"%s\",\"pod\":\"%s\"}", namespace_, pod);
    sim_proxy_set(proxy, "LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS", "10.0.0.0/8");
    sim_proxy_set(proxy, "LINKERD2_PROXY_CORES", "%d", (int)world_between(&mesh->world, 1, 2));
    sim_proxy_start(proxy, host, identity);
}

void mesh_start(struct mesh *mesh, bool without_controller)
{
    mesh->controller_process = host_process(mesh->control_host, "controller", false);
    if (!without_controller)
        mesh_start_controller(mesh);
    mesh->disturbed_ns = 0; /* nobody has failed yet */
    start_proxy(mesh, &mesh->control_proxy, mesh->control_host, "linkerd", "control-1", "linkerd-controller");
    start_proxy(mesh, &mesh->client_proxy, mesh->client_host, "shop", "client-1", "client");
    app_start(&mesh->client, mesh->client_host, "client");
    for (unsigned i = 0; i < mesh->pod_count; i++) {
        struct pod *pod = &mesh->pods[i];
        char name[32];

        snprintf(name, sizeof(name), "web-%u", i);
        app_start(&pod->app, pod->host, "web");
        pod->app.on_request = on_request;
        pod->app.owner = mesh;
        app_serve(&pod->app, 8080, SERVE_HTTP);
        app_serve(&pod->app, 9090, SERVE_ECHO);
        app_serve(&pod->app, 9091, SERVE_GREETING);
        if (pod->meshed)
            start_proxy(mesh, &pod->proxy, pod->host, "shop", name, "web");
    }
}

void mesh_restart_proxy(struct mesh *mesh, struct pod *pod)
{
    char name[32];

    snprintf(name, sizeof(name), "web-%u", (unsigned)(pod - mesh->pods));
    if (pod->proxy.process)
        sim_proxy_stop(&pod->proxy);
    pod->proxy = (struct sim_proxy){0};
    if (!mesh->world.failure)
        start_proxy(mesh, &pod->proxy, pod->host, "shop", name, "web");
}

/* A control connection's ping may be on its way, half read, at any one moment: what is kept is there at every moment. */
static bool holds_no_page(struct world *world)
{
    LIST_FOR_EACH (link, &world->loops) {
        const struct world_loop *turned = CONTAINER_OF(link, struct world_loop, link);

        if (turned->process->is_proxy && turned->loop->pages.lent)
            return false;
    }
    return true;
}

static void abandon_all(struct mesh *mesh)
{
    for (unsigned i = 0; i < mesh->exchange_count; i++)
        if (!mesh->exchanges[i].ended)
            exchange_abandon(&mesh->exchanges[i]);
    for (unsigned i = 0; i < mesh->pod_count; i++) /* a server that never answers holds its half of a request for ever */
        app_drop(&mesh->pods[i].app);
}

void mesh_end(struct mesh *mesh)
{
    if (!mesh->world.failure) {
        net_heal_all(mesh->world.net);
        net_give_up(mesh->world.net);
        abandon_all(mesh);
        world_run(&mesh->world, mesh->world.now_ns + REST_NS);
        world_run_until(&mesh->world, holds_no_page, mesh->world.now_ns + 1 * NS_PER_S);
        check_rest(mesh);
    }
    for (unsigned i = 0; i < mesh->pod_count; i++)
        if (mesh->pods[i].proxy.process)
            sim_proxy_stop(&mesh->pods[i].proxy);
    sim_proxy_stop(&mesh->client_proxy);
    sim_proxy_stop(&mesh->control_proxy);
    for (unsigned i = 0; i < mesh->pod_count; i++)
        app_stop(&mesh->pods[i].app);
    app_stop(&mesh->client);
    sim_controller_stop(&mesh->controller);
    identity_release(&mesh->world);
    world_release(&mesh->world);
}

/* --- exchanges --- */

/* What the kernel does with a process that has ended: its ports refuse. */
static void reap(struct mesh *mesh)
{
    for (unsigned i = 0; i < mesh->pod_count; i++)
        if (mesh->pods[i].proxy.process && sim_proxy_ended(&mesh->pods[i].proxy))
            sim_proxy_stop(&mesh->pods[i].proxy);
}

void mesh_run(struct mesh *mesh, int64_t for_ns)
{
    world_run(&mesh->world, mesh->world.now_ns + for_ns);
    if (!mesh->world.failure)
        reap(mesh);
}

struct exchange *mesh_ask_at(struct mesh *mesh, enum exchange_kind kind, size_t size, const char *addr, uint16_t port)
{
    struct exchange *exchange = &mesh->exchanges[mesh->exchange_count];
    struct addr to = {.port = port};

    if (mesh->exchange_count == MESH_EXCHANGES_MAX || mesh->world.failure || ip_parse(slice_str(addr), &to.ip) < 0)
        return NULL;
    *exchange = (struct exchange){.number = mesh->exchange_count++, .kind = kind, .size = size};
    exchange_start(&mesh->client, exchange, to);
    return exchange;
}

struct exchange *mesh_ask(struct mesh *mesh, enum exchange_kind kind, size_t size, uint16_t port)
{
    return mesh_ask_at(mesh, kind, size, "10.96.0.10", port);
}

static bool all_ended(struct world *world)
{
    const struct mesh *mesh = world->owner;

    for (unsigned i = 0; i < mesh->exchange_count; i++)
        if (!mesh->exchanges[i].ended)
            return false;
    return true;
}

void mesh_finish(struct mesh *mesh, int64_t within_ns)
{
    world_run_until(&mesh->world, all_ended, mesh->world.now_ns + within_ns);
    if (!mesh->world.failure)
        mesh_check(mesh);
}

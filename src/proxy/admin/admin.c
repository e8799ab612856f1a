#include "proxy/admin/admin.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "event/log.h"
#include "net/http/http_admin.h"
#include "net/tls/tls.h"
#include "proxy/admin/balancers.h"
#include "proxy/admin/connections.h"
#include "proxy/admin/process.h"

extern char **environ;

struct admin {
    struct proxy *proxy;
    struct loop *loop;
    struct http_admin *http;
    struct timer sweep;
    const struct admin_host *host;
    void *owner;
};

static const int64_t SWEEP_NS = 60 * NS_PER_S, SWEEP_SOONEST_NS = 1 * NS_PER_S;

static bool from_loopback(const struct admin_request *request, struct admin_response *response)
{
    if (ip_is_loopback(request->peer.ip))
        return true;
    response->status = 403;
    buffer_add_lit(&response->body, "allowed from loopback only\n");
    return false;
}

static bool is_method(const struct admin_request *request, struct admin_response *response, struct slice allowed)
{
    struct slice rest = allowed, part;

    while (slice_split(&rest, ',', &part))
        if (slice_eq(slice_trim(part), request->method))
            return true;
    response->status = 405;
    response->allow = allowed;
    return false;
}

static void metrics_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    if (!is_method(request, response, SLICE_LIT("GET, HEAD")))
        return;
    response->content_type = SLICE_LIT("text/plain; version=0.0.4; charset=utf-8");
    response->gzip = true;
    (void)metrics_write(&admin->proxy->metrics, &response->body);
    balancers_metrics(admin->proxy, admin->loop, &response->body);
    process_metrics(admin->proxy, &response->body);
}

static void ready_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    struct buffer why;

    buffer_init(&why, 1024);
    if (admin->host->ready(admin->owner, &why)) {
        buffer_add_lit(&response->body, "ready\n");
    } else {
        response->status = 503;
        buffer_printf(&response->body, "not ready: %.*s\n", SLICE_ARGS(buffer_slice(&why)));
    }
    buffer_release(&why);
}

static void live_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    buffer_add_lit(&response->body, "live\n");
}

static void log_level_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    if (!from_loopback(request, response) || !is_method(request, response, SLICE_LIT("GET, PUT")))
        return;
    if (slice_eq(request->method, SLICE_LIT("GET"))) {
        log_filter(admin->proxy->log, &response->body);
        buffer_add_byte(&response->body, '\n');
        return;
    }
    if (log_set_filter(admin->proxy->log, slice_trim(request->body)) == 0) {
        response->status = 204;
        return;
    }
    response->status = 400;
    buffer_printf(&response->body, "\"%.*s\" is not a log filter: expected levels (off, error, warn, info, debug, trace) "
                                   "and target=level, as \"warn,linkerd=info\"\n",
                  SLICE_ARGS(request->body));
}

static void shutdown_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    if (!admin->proxy->config.shutdown_endpoint) {
        response->status = 404;
        buffer_add_lit(&response->body, "the shutdown endpoint is disabled (LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED)\n");
        return;
    }
    if (!is_method(request, response, SLICE_LIT("POST")) || !from_loopback(request, response))
        return;
    buffer_add_lit(&response->body, "shutdown\n");
    admin->host->shut_down(admin->owner);
}

/* The proxy's own variables. The trust anchors are public; a token never stands in the environment. */
static void env_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    bool first = true;

    if (!is_method(request, response, SLICE_LIT("GET, HEAD")))
        return;
    response->content_type = SLICE_LIT("application/json");
    buffer_add_byte(&response->body, '{');
    for (char **variable = environ; *variable; variable++) {
        struct slice whole = slice_str(*variable), value;
        size_t eq = slice_find(whole, '=');

        if (!slice_starts(whole, SLICE_LIT("LINKERD2_PROXY_")) && !slice_starts(whole, SLICE_LIT("CLINKERD_")))
            continue;
        value = slice_skip(whole, eq + 1);
        if (!first)
            buffer_add_byte(&response->body, ',');
        first = false;
        buffer_add_json(&response->body, slice_take(whole, eq));
        buffer_add_byte(&response->body, ':');
        buffer_add_json(&response->body, value);
    }
    buffer_add_lit(&response->body, "}\n");
}

/* The anchors in force, which may not be the environment's any more: `linkerd check --proxy` compares them. */
static void trust_bundle_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;
    struct tls_context *context = admin->host->tls(admin->owner);
    const struct x509_bundle *anchors = context ? tls_credentials_anchors(tls_context_credentials(context)) : NULL;

    if (!is_method(request, response, SLICE_LIT("GET, HEAD")))
        return;
    if (!anchors) {
        response->status = 503;
        buffer_add_lit(&response->body, "there is no certificate yet\n");
        return;
    }
    response->content_type = SLICE_LIT("application/pem-certificate-chain");
    for (size_t i = 0; i < anchors->count; i++)
        (void)x509_cert_write_pem(anchors->certs[i], &response->body); /* an error stays in the buffer */
}

static void connections(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    if (!from_loopback(request, response) || !is_method(request, response, SLICE_LIT("GET, HEAD")))
        return;
    connections_page(admin->proxy, &response->body);
}

#define PAGE(path, serve) {{(path), sizeof(path) - 1}, (serve)}
static const struct admin_page pages[] = {
    PAGE("/metrics", metrics_page),
    PAGE("/ready", ready_page),
    PAGE("/live", live_page),
    PAGE("/proxy-log-level", log_level_page),
    PAGE("/shutdown", shutdown_page),
    PAGE("/env.json", env_page),
    PAGE("/connections", connections),
    PAGE("/trust-bundle", trust_bundle_page),
    {{NULL, 0}, NULL},
};

/* A short retain time is kept too. */
static int64_t sweep_every(const struct admin *admin)
{
    int64_t retain = admin->proxy->config.metrics_retain_ns;

    return retain >= SWEEP_NS ? SWEEP_NS : retain > SWEEP_SOONEST_NS ? retain : SWEEP_SOONEST_NS;
}

static void sweep(struct timer *timer)
{
    struct admin *admin = CONTAINER_OF(timer, struct admin, sweep);

    metrics_sweep(&admin->proxy->metrics, admin->loop->now_ns);
    timer_set(admin->loop, timer, admin->loop->now_ns + sweep_every(admin));
}

static struct tls_context *tls(void *owner)
{
    struct admin *admin = owner;

    return admin->host->tls(admin->owner);
}

int admin_new(struct proxy *proxy, struct loop *loop, int listening_fd, const struct admin_host *host, void *owner, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    int r;

    if (!admin)
        return -ENOMEM;
    *admin = (struct admin){.proxy = proxy, .loop = loop, .host = host, .owner = owner};
    r = timer_init(loop, &admin->sweep, sweep);
    if (r == 0)
        r = http_admin_on(loop, listening_fd, pages, tls, admin, &admin->http);
    if (r < 0) {
        timer_release(loop, &admin->sweep);
        free(admin);
        return r;
    }
    timer_set(loop, &admin->sweep, loop->now_ns + sweep_every(admin));
    *ret_admin = admin;
    return 0;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    http_admin_free(admin->http);
    timer_release(admin->loop, &admin->sweep);
    free(admin);
}

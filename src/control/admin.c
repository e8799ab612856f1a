#include "control/admin.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "net/http/http_admin.h"

static const int64_t SWEEP_NS = 60 * NS_PER_S;

struct admin {
    struct controller *controller;
    struct admin_hooks hooks;
    struct http_admin *http;
    struct timer sweep;
};

static bool is_get(const struct admin_request *request, struct admin_response *response)
{
    if (slice_eq(request->method, SLICE_LIT("GET")) || slice_eq(request->method, SLICE_LIT("HEAD")))
        return true;
    response->status = 405;
    response->allow = SLICE_LIT("GET, HEAD");
    return false;
}

static void metrics_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    if (!is_get(request, response))
        return;
    if (admin->hooks.measure)
        admin->hooks.measure(admin->hooks.owner);
    response->content_type = SLICE_LIT("text/plain; version=0.0.4; charset=utf-8");
    response->gzip = true;
    (void)metrics_write(&admin->controller->metrics, &response->body);
    /* By this, `linkerd version` and `linkerd check` know what runs here. */
    buffer_printf(&response->body, "# HELP controller_build_info The build.\n# TYPE controller_build_info gauge\n"
                                   "controller_build_info{vendor=\"clinkerd\",version=\"%s\"} 1\n", CLINKERD_VERSION);
}

static void ready_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct admin *admin = owner;

    if (!is_get(request, response))
        return;
    if (admin->hooks.is_ready(admin->hooks.owner)) {
        buffer_add_lit(&response->body, "ok\n");
        return;
    }
    response->status = 503;
    buffer_add_lit(&response->body, "not ready\n");
}

static void live_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    if (is_get(request, response))
        buffer_add_lit(&response->body, "live\n");
}

static void ping_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    if (is_get(request, response))
        buffer_add_lit(&response->body, "pong\n");
}

static const struct admin_page pages[] = {
    {{"/metrics", 8}, metrics_page}, {{"/ready", 6}, ready_page}, {{"/live", 5}, live_page}, {{"/ping", 5}, ping_page}, {{NULL, 0}, NULL},
};

static void sweep(struct timer *timer)
{
    struct admin *admin = CONTAINER_OF(timer, struct admin, sweep);
    struct loop *loop = &admin->controller->loop;

    metrics_sweep(&admin->controller->metrics, loop->now_ns);
    timer_set(loop, timer, loop->now_ns + SWEEP_NS);
}

int admin_new(struct controller *controller, struct addr addr, const struct admin_hooks *hooks, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    int r;

    if (!admin)
        return -ENOMEM;
    admin->controller = controller;
    admin->hooks = *hooks;
    r = timer_init(&controller->loop, &admin->sweep, sweep);
    if (r == 0)
        r = http_admin_new(&controller->loop, addr, pages, admin, &admin->http);
    if (r < 0) {
        admin_free(admin);
        return r;
    }
    timer_set(&controller->loop, &admin->sweep, controller->loop.now_ns + SWEEP_NS);
    *ret_admin = admin;
    return 0;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    http_admin_free(admin->http);
    timer_release(&admin->controller->loop, &admin->sweep);
    free(admin);
}

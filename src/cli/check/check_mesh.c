/* What `linkerd check` says of the control plane and of proxies, by asking them. */
#include <errno.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/check/check.h"
#include "cli/versions.h"
#include "event/loop.h"
#include "event/sys.h"

static const int64_t ATTEMPT_NS = 5 * NS_PER_S;
static const int64_t PAUSE_NS = 200 * NS_PER_MS;

static int64_t left(const struct checks *checks)
{
    struct sys *sys = sys_linux();

    return checks->deadline_ns - sys->ops->now(sys);
}

static void pause_before_retry(const struct checks *checks)
{
    struct loop loop;

    if (loop_init(&loop, sys_linux(), 1) < 0)
        return;
    loop_turn(&loop, PAUSE_NS < left(checks) ? PAUSE_NS : left(checks));
    loop_release(&loop);
}

static int try_port(const char *address, int64_t timeout_ns, struct errmsg *msg)
{
    struct ask *ask = NULL;
    int r = ask_open(address, timeout_ns, msg, &ask);

    ask_close(ask);
    return r;
}

static int try_ready(const char *address, int64_t timeout_ns, struct errmsg *msg)
{
    struct ask *ask;
    struct buffer body;
    unsigned status = 0;
    int r = ask_open(address, timeout_ns, msg, &ask);

    if (r < 0)
        return r;
    buffer_init(&body, LIMIT_ADMIN_ANSWER);
    r = ask_get(ask, "/ready", msg, &status, &body);
    if (r == 0 && status != 200) {
        struct slice text = slice_trim(buffer_slice(&body));

        text = slice_take(slice_take(text, slice_find(text, '\n')), 200);
        r = errmsg_set(msg, -EREMOTEIO, "%s: /ready answers %u%s%.*s", address, status, text.len ? ": " : "",
                       SLICE_ARGS(text));
    }
    buffer_release(&body);
    ask_close(ask);
    return r;
}

/* Asks until it is well or the time of --wait is over; once at least. A wrong address is not asked twice. */
static void wait_for(struct checks *checks, const char *anchor, const char *what, const char *address,
                     int (*attempt)(const char *address, int64_t timeout_ns, struct errmsg *msg))
{
    struct check_row row = {.anchor = anchor};
    int r;

    errmsg_set(&row.what, 0, "%s (%s)", what, address);
    while ((r = attempt(address, ATTEMPT_NS, &row.error)) < 0 && r != -EINVAL && left(checks) > 0)
        pause_before_retry(checks);
    row.result = r < 0 ? CHECK_ERROR : CHECK_OK;
    checks_add(checks, &row);
}

void check_control_plane(struct checks *checks)
{
    const struct check_options *options = checks->options;

    wait_for(checks, "control-plane-ports", "the destination service accepts connections", options->api_addr, try_port);
    wait_for(checks, "control-plane-ports", "the policy service accepts connections", options->policy_addr, try_port);
    wait_for(checks, "control-plane-ports", "the identity service accepts connections", options->identity_addr, try_port);
    wait_for(checks, "control-plane-ready", "the control plane is ready", options->admin_addr, try_ready);
}

void check_proxies(struct checks *checks)
{
    const struct words *proxies = &checks->options->proxies;

    for (size_t i = 0; i < proxies->count; i++)
        wait_for(checks, "proxy-ready", "the proxy is ready", proxies->items[i], try_ready);
}

static void check_version(struct checks *checks, const char *what, const char *address)
{
    struct check_row row = {.anchor = "versions-equal"};
    char version[VERSION_TEXT_MAX];

    errmsg_set(&row.what, 0, "%s and this program have the same version (%s)", what, address);
    if (version_of(address, ATTEMPT_NS, &row.error, version) < 0) {
        row.result = CHECK_WARNING;
    } else if (strcmp(version, CLINKERD_VERSION) != 0) {
        row.result = CHECK_WARNING;
        errmsg_set(&row.error, 0, "%s runs %s, this program is %s", address, version, CLINKERD_VERSION);
    }
    checks_add(checks, &row);
}

void check_versions(struct checks *checks)
{
    const struct words *proxies = &checks->options->proxies;

    check_version(checks, "the control plane", checks->options->admin_addr);
    for (size_t i = 0; i < proxies->count; i++)
        check_version(checks, "the proxy", proxies->items[i]);
}

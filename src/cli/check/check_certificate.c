/* What `linkerd check` says of the certificates that proxies have, by their metrics. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/check/check.h"
#include "cli/files.h"

static const int64_t ATTEMPT_NS = 5 * NS_PER_S;
static const int64_t SKEW_NS = 20 * NS_PER_S; /* what the identity service allows clocks to differ by, unless told otherwise */

/* Of a family without labels: its value, in seconds of wall clock. */
static bool value_in(struct slice metrics, const char *name, int64_t *ret_wall_ns)
{
    struct slice line;
    char number[32];

    while (slice_split(&metrics, '\n', &line)) {
        struct slice rest;
        char *end;
        double seconds;

        if (!slice_starts(line, slice_str(name)) || line.len <= strlen(name) || line.ptr[strlen(name)] != ' ')
            continue;
        rest = slice_trim(slice_skip(line, strlen(name)));
        if (!rest.len || rest.len >= sizeof(number))
            return false;
        memcpy(number, rest.ptr, rest.len);
        number[rest.len] = '\0';
        seconds = strtod(number, &end);
        if (*end || !(seconds > 0 && seconds < 9e9))
            return false;
        *ret_wall_ns = (int64_t)(seconds * (double)NS_PER_S);
        return true;
    }
    return false;
}

static int get_metrics(const char *address, struct errmsg *msg, struct buffer *body)
{
    struct ask *ask;
    unsigned status = 0;
    int r = ask_open(address, ATTEMPT_NS, msg, &ask);

    if (r < 0)
        return r;
    r = ask_get(ask, "/metrics", msg, &status, body);
    if (r == 0 && status != 200)
        r = errmsg_set(msg, -EREMOTEIO, "%s: /metrics answers %u", address, status);
    ask_close(ask);
    return r;
}

static void add_validity(struct checks *checks, const char *address, struct slice metrics, const struct errmsg *unread)
{
    struct check_row row = {.anchor = "proxy-certificate"};
    int64_t expires, now = wall_now();
    char text[DURATION_TEXT_MAX], when[32];

    errmsg_set(&row.what, 0, "the proxy has a valid certificate (%s)", address);
    if (*unread->text) {
        row.result = CHECK_ERROR;
        row.error = *unread;
    } else if (!value_in(metrics, "control_identity_cert_expiration_timestamp_seconds", &expires)) {
        row.result = CHECK_ERROR;
        errmsg_set(&row.error, 0, "%s: its metrics tell of no certificate", address);
    } else if (expires <= now) {
        row.result = CHECK_ERROR;
        errmsg_set(&row.error, 0, "%s: its certificate expired at %s", address, wall_format(expires, when));
    } else {
        errmsg_set(&row.what, 0, "the proxy has a valid certificate, for %s more (%s)",
                   duration_format((expires - now) / NS_PER_S * NS_PER_S, text), address);
    }
    checks_add(checks, &row);
}

/* A certificate that was renewed in the future was renewed by another clock. */
static void add_clock(struct checks *checks, const char *address, struct slice metrics)
{
    struct check_row row = {.anchor = "clock-skew"};
    int64_t renewed, now = wall_now();
    char text[DURATION_TEXT_MAX];

    if (!value_in(metrics, "control_identity_cert_refresh_timestamp_seconds", &renewed))
        return;
    errmsg_set(&row.what, 0, "the proxy's clock is not ahead of this one (%s)", address);
    if (renewed > now + SKEW_NS) {
        row.result = CHECK_ERROR;
        errmsg_set(&row.error, 0, "%s: its certificate was renewed %s from now, by this clock", address,
                   duration_format((renewed - now) / NS_PER_S * NS_PER_S, text));
    }
    checks_add(checks, &row);
}

void check_proxy_certificates(struct checks *checks)
{
    const struct words *proxies = &checks->options->proxies;

    for (size_t i = 0; i < proxies->count; i++) {
        struct errmsg msg = {""};
        struct buffer body;

        buffer_init(&body, LIMIT_ADMIN_ANSWER);
        if (get_metrics(proxies->items[i], &msg, &body) < 0 && !*msg.text)
            errmsg_set(&msg, 0, "no memory");
        add_validity(checks, proxies->items[i], buffer_slice(&body), &msg);
        add_clock(checks, proxies->items[i], buffer_slice(&body));
        buffer_release(&body);
    }
}

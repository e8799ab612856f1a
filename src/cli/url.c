#include "cli/url.h"

#include <errno.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "event/loop.h"
#include "kube/api/api_client.h"

enum { PAGES_MAX = 16384 };

static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

bool url_is(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* --- its parts --- */

/* "https://host:port", without what follows. */
static struct slice base_of(struct slice url)
{
    size_t begin = slice_find_slice(url, SLICE_LIT("://")) + 3, end = begin;

    while (end < url.len && !strchr("/?#", url.ptr[end]))
        end++;
    return slice_take(url, end);
}

/* The path with its query. */
static struct slice path_of(struct slice url)
{
    struct slice path = slice_skip(url, base_of(url).len);

    return slice_take(path, slice_find(path, '#'));
}

static bool is_printable(struct slice url)
{
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= ' ' || (unsigned char)url.ptr[i] >= 0x7f)
            return false;
    return true;
}

int url_join(struct slice url, struct slice location, struct buffer *ret_url)
{
    struct slice base = base_of(url), path = slice_skip(url, base.len);
    size_t folder = slice_take(path, slice_find(path, '?')).len, scheme = slice_find_slice(location, SLICE_LIT("://"));

    if (!location.len || !is_printable(location))
        return -EINVAL;
    if (scheme < location.len && scheme < slice_find(location, '/'))
        return buffer_add(ret_url, location);
    if (slice_starts(location, SLICE_LIT("//"))) {
        buffer_add(ret_url, slice_take(url, slice_find(url, ':') + 1));
        return buffer_add(ret_url, location);
    }
    buffer_add(ret_url, base);
    if (location.ptr[0] != '/') {
        while (folder > 0 && path.ptr[folder - 1] != '/')
            folder--;
        buffer_add(ret_url, folder ? slice_take(path, folder) : SLICE_LIT("/"));
    }
    return buffer_add(ret_url, location);
}

/* --- one question --- */

struct reading {
    struct loop loop;
    struct kube_access access;
    struct api_client *client;
    struct api_call *call;
    struct buffer *bytes, *location;
    bool over;
    int status, error;
    struct errmsg *msg;
};

static void on_data(struct api_call *call, struct slice bytes)
{
    struct reading *reading = api_call_owner(call);

    if (buffer_add(reading->bytes, bytes) < 0)
        reading->over = true;
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct reading *reading = api_call_owner(call);

    reading->over = true;
    reading->call = NULL;
    reading->status = answer->status;
    reading->error = answer->error;
    if (answer->error)
        errmsg_set(reading->msg, answer->error, "%s", answer->why);
    buffer_add(reading->location, answer->location);
}

static int wait_for_it(struct reading *reading)
{
    struct sys *sys = reading->loop.sys;
    int64_t deadline_ns = sys->ops->now(sys) + TIMEOUT_NS;

    while (!reading->over) {
        int64_t left = deadline_ns - sys->ops->now(sys);

        if (left <= 0)
            return errmsg_set(reading->msg, -ETIMEDOUT, "it was not here whole within 30 s");
        loop_turn(&reading->loop, left);
    }
    if (buffer_error(reading->bytes))
        return errmsg_set(reading->msg, buffer_error(reading->bytes), "larger than %zu bytes", reading->bytes->max);
    return 0;
}

static int ask(struct reading *reading, struct slice url)
{
    static const struct api_call_events events = {.on_data = on_data, .on_end = on_end};
    struct slice path = path_of(url);
    struct buffer text;
    int r = kube_access_set_server(&reading->access, base_of(url), reading->msg);

    buffer_init(&text, LIMIT_URL + 1);
    buffer_printf(&text, "%s%.*s", path.len && path.ptr[0] == '/' ? "" : "/", SLICE_ARGS(path));
    reading->access.origin = SLICE_LIT("the command line");
    if (r == 0)
        r = kube_access_use_environment(&reading->access, reading->msg);
    if (r == 0)
        r = api_client_new(&reading->loop, &reading->access, &reading->client);
    if (r == 0)
        r = api_call_start(reading->client, &(struct api_request){.path = buffer_slice(&text), .accept = SLICE_LIT("*/*"), .timeout_ns = TIMEOUT_NS}, &events,
                           reading, &reading->call);
    buffer_release(&text);
    if (r == 0)
        r = wait_for_it(reading);
    api_call_cancel(reading->call);
    return r;
}

/* 0: it is here; 1: it is at *ret_location. */
static int read_one(struct slice url, struct errmsg *msg, struct buffer *ret_bytes, struct buffer *ret_location)
{
    struct reading reading = {.bytes = ret_bytes, .location = ret_location, .msg = msg};
    int r = loop_init(&reading.loop, sys_linux(), PAGES_MAX);

    if (r < 0)
        return r;
    arena_init(&reading.access.arena, LIMIT_KUBECONFIG);
    r = ask(&reading, url);
    api_client_free(reading.client);
    while (loop_turn(&reading.loop, 0))
        ; /* what is to be freed at the end of a turn */
    loop_release(&reading.loop);
    kube_access_release(&reading.access);
    if (r == 0 && reading.status >= 300 && reading.status < 400 && ret_location->len)
        return 1;
    return r < 0 ? r : reading.error;
}

/* --- with redirections --- */

static int follow(struct slice url, struct slice location, struct errmsg *msg, struct buffer *ret_url)
{
    int r = url_join(url, location, ret_url);

    if (r < 0 || ret_url->len > LIMIT_URL)
        return errmsg_set(msg, -EPROTO, "it is redirected to something that is no URL");
    buffer_add_byte(ret_url, '\0');
    if (buffer_error(ret_url))
        return buffer_error(ret_url);
    if (!url_is(ret_url->data) || (slice_starts(url, SLICE_LIT("https://")) && !slice_starts(buffer_slice(ret_url), SLICE_LIT("https://"))))
        return errmsg_set(msg, -EPROTO, "it is redirected to %.200s, which is less safe than https", ret_url->data);
    ret_url->len--;
    return 0;
}

int url_read(const char *url, struct errmsg *msg, struct buffer *ret_bytes)
{
    struct buffer at, location, next;
    int r = strlen(url) <= LIMIT_URL && is_printable(slice_str(url)) ? 1 : errmsg_set(msg, -EINVAL, "it is too long, or has spaces or control characters");

    buffer_init(&at, LIMIT_URL + 1);
    buffer_init(&location, LIMIT_URL + 1);
    buffer_init(&next, LIMIT_URL + 2);
    buffer_add(&at, slice_str(url));
    for (int turn = 0; r == 1; turn++) {
        buffer_clear(&location);
        r = turn <= LIMIT_REDIRECTIONS ? read_one(buffer_slice(&at), msg, ret_bytes, &location)
                                       : errmsg_set(msg, -ELOOP, "it is redirected more than %d times", LIMIT_REDIRECTIONS);
        if (r != 1)
            break;
        buffer_clear(&next);
        r = follow(buffer_slice(&at), buffer_slice(&location), msg, &next);
        buffer_clear(&at);
        if (r == 0)
            r = buffer_add(&at, buffer_slice(&next)) < 0 ? -ENOMEM : 1;
    }
    buffer_release(&at);
    buffer_release(&location);
    buffer_release(&next);
    return r < 0 && !slice_starts(slice_str(msg->text), SLICE_LIT("GET ")) ? errmsg_prefix(msg, r, "%.200s", url) : r;
}

#include "cli/cluster/kube.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "event/loop.h"
#include "kube/access/kubeconfig.h"
#include "kube/api/api_client.h"

enum { PAGES_MAX = 16384, PAGE_OF_LIST = 100 };

struct kube {
    struct kube_access access;
    struct loop loop;
    struct api_client *client;
    int64_t timeout_ns;
    /* the question that runs */
    bool is_answered;
    int status, error;
    char why[512];
    struct buffer body;
};

/* --- which cluster --- */

static int read_access(const struct kube_flags *flags, struct kube *kube, struct errmsg *msg)
{
    const char *files = flags->kubeconfig, *home = getenv("HOME");
    const bool is_named = *files || (getenv("KUBECONFIG") && *getenv("KUBECONFIG"));
    char own[4096];
    int r;

    if (!*files)
        files = getenv("KUBECONFIG");
    if (!files || !*files) {
        snprintf(own, sizeof(own), "%s/.kube/config", home ? home : "");
        files = own;
    }
    r = kubeconfig_load(files, slice_str(flags->context), &kube->access, msg);
    if (r != -ENOENT || is_named)
        return r;
    if (kube_access_in_pod(getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"), KUBE_POD_DIRECTORY, &kube->access, msg) == 0)
        return 0;
    return errmsg_set(msg, -ENOENT, "%s: there is no such file: name the cluster by --kubeconfig or KUBECONFIG", files);
}

bool kube_is_configured(const struct kube_flags *flags)
{
    const char *files = getenv("KUBECONFIG"), *home = getenv("HOME");
    char own[4096];

    if (*flags->kubeconfig || *flags->context || (files && *files))
        return true;
    snprintf(own, sizeof(own), "%s/.kube/config", home ? home : "");
    return access(own, F_OK) == 0 || (getenv("KUBERNETES_SERVICE_HOST") && access(KUBE_POD_DIRECTORY "/token", F_OK) == 0);
}

int kube_open(const struct kube_flags *flags, int64_t timeout_ns, struct errmsg *msg, struct kube **ret_kube)
{
    struct kube *kube = calloc(1, sizeof(*kube));
    int r;

    if (!kube)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    r = read_access(flags, kube, msg);
    if (r == 0)
        r = kube_access_impersonate(&kube->access, slice_str(flags->as), flags->as_groups.items, flags->as_groups.count, msg);
    if (r < 0) {
        kube_access_release(&kube->access);
        free(kube);
        return r;
    }
    buffer_init(&kube->body, LIMIT_API_ANSWER);
    kube->timeout_ns = timeout_ns;
    r = loop_init(&kube->loop, sys_linux(), PAGES_MAX);
    if (r < 0) {
        kube_access_release(&kube->access);
        free(kube);
        return errmsg_set(msg, r, "cannot wait for events: %s", strerror(-r));
    }
    r = api_client_new(&kube->loop, &kube->access, &kube->client);
    if (r < 0) {
        kube_close(kube);
        return errmsg_set(msg, r, "out of memory");
    }
    *ret_kube = kube;
    return 0;
}

void kube_close(struct kube *kube)
{
    if (!kube)
        return;
    api_client_free(kube->client);
    while (loop_turn(&kube->loop, 0))
        ; /* what is to be freed at the end of a turn */
    loop_release(&kube->loop);
    kube_access_release(&kube->access);
    buffer_release(&kube->body);
    free(kube);
}

const struct kube_access *kube_access(const struct kube *kube)
{
    return &kube->access;
}

struct slice kube_server(const struct kube *kube)
{
    return kube->access.server;
}

struct slice kube_namespace(const struct kube *kube)
{
    return kube->access.namespace_.len ? kube->access.namespace_ : SLICE_LIT("default");
}

/* --- one question --- */

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct kube *kube = api_call_owner(call);

    kube->is_answered = true;
    kube->status = answer->status;
    kube->error = answer->error;
    snprintf(kube->why, sizeof(kube->why), "%s", answer->why ? answer->why : "");
    if (buffer_add(&kube->body, answer->body) < 0)
        kube->error = -ENOMEM;
}

static void verbose(const struct kube *kube, const struct api_request *request, int64_t begin_ns)
{
    char text[DURATION_TEXT_MAX];
    int64_t took_ns = kube->loop.sys->ops->now(kube->loop.sys) - begin_ns;

    if (getenv(VERBOSE_VARIABLE))
        fprintf(stderr, "linkerd: %s %.*s%.*s: %d (%s)\n", request->method ? request->method : "GET", SLICE_ARGS(kube->access.server),
                SLICE_ARGS(request->path), kube->status, duration_format(took_ns, text));
}

/* Waits; the client keeps the deadline. */
static int ask(struct kube *kube, const struct api_request *request, struct errmsg *msg)
{
    static const struct api_call_events events = {NULL, on_end, NULL};
    int64_t begin_ns = kube->loop.sys->ops->now(kube->loop.sys);
    struct api_call *call;
    int r;

    kube->is_answered = false;
    buffer_clear(&kube->body);
    r = api_call_start(kube->client, request, &events, kube, &call);
    if (r < 0)
        return errmsg_set(msg, r, "out of memory");
    while (!kube->is_answered)
        loop_turn(&kube->loop, kube->timeout_ns);
    verbose(kube, request, begin_ns);
    return 0;
}

/* Kubernetes' Status object has the reason in its message. */
static struct slice server_words(const struct kube *kube, json_t *status)
{
    const char *text = json_string_value(json_object_get(status, "message"));

    return text ? slice_str(text) : slice_str(kube->why);
}

static int error_of_status(int status, int error)
{
    switch (status) {
    case 0:
        return error ? error : -EPROTO;
    case 400:
    case 422:
        return -EINVAL;
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    case 410:
        return -ESTALE;
    }
    return status >= 300 ? -EREMOTEIO : error;
}

static int outcome(struct kube *kube, const struct api_request *request, struct errmsg *msg, json_t **ret_object)
{
    struct slice body = buffer_slice(&kube->body);
    json_t *object = body.len ? json_loadb(body.ptr, body.len, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    int r = error_of_status(kube->status, kube->error);

    if (r < 0) {
        struct slice words = server_words(kube, object);

        errmsg_set(msg, r, "%.*s%.*s: %.*s", SLICE_ARGS(kube->access.server), SLICE_ARGS(request->path), SLICE_ARGS(words));
    } else if (!json_is_object(object)) {
        r = errmsg_set(msg, -EPROTO, "%.*s%.*s: the answer is no %s", SLICE_ARGS(kube->access.server), SLICE_ARGS(request->path),
                       object ? "object" : "JSON");
    }
    if (r == 0 && ret_object)
        *ret_object = json_incref(object);
    json_decref(object);
    return r;
}

static int ask_json(struct kube *kube, const struct api_request *request, struct errmsg *msg, json_t **ret_object)
{
    int r = ask(kube, request, msg);

    return r < 0 ? r : outcome(kube, request, msg, ret_object);
}

int kube_get(struct kube *kube, const char *path, struct errmsg *msg, json_t **ret_object)
{
    struct api_request request = {.path = slice_str(path), .timeout_ns = kube->timeout_ns};

    return ask_json(kube, &request, msg, ret_object);
}

int kube_send(struct kube *kube, const char *method, const char *path, const char *content_type, const json_t *body, struct errmsg *msg,
              json_t **ret_object)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    struct api_request request = {.method = method, .path = slice_str(path), .timeout_ns = kube->timeout_ns};
    int r;

    if (body && !text)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    if (body) {
        request.content_type = slice_str(content_type ? content_type : API_JSON);
        request.body = slice_str(text);
    }
    r = ask_json(kube, &request, msg, ret_object);
    free(text);
    return r;
}

/* --- lists --- */

static void add_escaped(struct buffer *path, const char *text)
{
    for (; *text; text++)
        if ((*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z') || strchr("-._~", *text))
            buffer_add_byte(path, *text);
        else
            buffer_printf(path, "%%%02X", (unsigned char)*text);
}

static int page_path(const char *path, const char *more, struct buffer *ret_path)
{
    buffer_printf(ret_path, "%s%climit=%d", path, strchr(path, '?') ? '&' : '?', PAGE_OF_LIST);
    if (more && *more) {
        buffer_add_lit(ret_path, "&continue=");
        add_escaped(ret_path, more);
    }
    return buffer_error(ret_path);
}

static int get_page(struct kube *kube, struct slice accept, const char *path, const char *more, struct errmsg *msg, json_t **ret_page)
{
    struct buffer text;
    int r;

    buffer_init(&text, LIMIT_API_TEXT);
    r = page_path(path, more, &text);
    if (r < 0)
        errmsg_set(msg, r, "out of memory");
    else
        r = ask_json(kube, &(struct api_request){.path = buffer_slice(&text), .accept = accept, .timeout_ns = kube->timeout_ns}, msg, ret_page);
    buffer_release(&text);
    return r;
}

/*
 * A server that answers with something else, as a proxy in front of it may, has not said that there are none. Nor may it send us in a circle.
 */
static int check_page(struct kube *kube, const char *path, const char *before, const json_t *page, struct errmsg *msg)
{
    const json_t *items = json_object_get(page, "items");
    const char *more = json_string_value(json_object_get(json_object_get(page, "metadata"), "continue"));

    if (!json_is_array(items) && !json_is_null(items))
        return errmsg_set(msg, -EPROTO, "%.*s%s: the answer is no list: expected items", SLICE_ARGS(kube->access.server), path);
    if (before && more && *more && strcmp(before, more) == 0)
        return errmsg_set(msg, -EPROTO, "%.*s%s: the list does not end: two pages have the same next one", SLICE_ARGS(kube->access.server), path);
    return 0;
}

static int tell(json_t *page, kube_each *each, void *owner, struct errmsg *msg)
{
    json_t *item;
    size_t index;
    int r = 0;

    json_array_foreach (json_object_get(page, "items"), index, item)
        if (r == 0)
            r = each(owner, item, msg);
    return r;
}

static int list(struct kube *kube, struct slice accept, const char *path, kube_each *each, void *owner, struct errmsg *msg)
{
    json_t *page = NULL;
    const char *more = NULL;
    int r;

    do {
        json_t *next = NULL;

        r = get_page(kube, accept, path, more, msg, &next);
        r = r == 0 ? check_page(kube, path, more, next, msg) : r;
        json_decref(page); /* held `more` */
        page = next;
        if (r == 0)
            r = tell(page, each, owner, msg);
        more = json_string_value(json_object_get(json_object_get(page, "metadata"), "continue"));
    } while (r == 0 && more && *more);
    json_decref(page);
    return r;
}

int kube_list(struct kube *kube, const char *path, kube_each *each, void *owner, struct errmsg *msg)
{
    return list(kube, SLICE_NULL, path, each, owner, msg);
}

int kube_list_metadata(struct kube *kube, const char *path, kube_each *each, void *owner, struct errmsg *msg)
{
    return list(kube, SLICE_LIT("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), path, each, owner, msg);
}

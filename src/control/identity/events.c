#include "control/identity/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "codec/yaml/yaml.h"

#define DEPLOYMENT "linkerd-identity"

static const int64_t DAY_NS = 86400 * NS_PER_S;
static const int64_t UID_TIMEOUT_NS = 5 * NS_PER_S;
enum { EARLY = 8, TEXT_MAX = 512, UID_MAX = 64 };

/* Of the Deployment, while its uid is being asked for. */
struct early {
    const char *reason;
    enum event_type type;
    char text[TEXT_MAX];
};

struct identity_events {
    struct api_client *client;
    struct identity_events_options options;
    struct event_sink *sink;
    struct api_call *asking; /* for the uid */
    char uid[UID_MAX];       /* "": not known */
    struct early early[EARLY];
    unsigned early_count;
    int64_t told_days[IDENTITY_CERTS];
};

/* --- the Deployment --- */

static void post(struct identity_events *events, const struct early *event)
{
    const struct event_object deployment = {
        .api_version = SLICE_LIT("apps/v1"),
        .kind = SLICE_LIT("Deployment"),
        .namespace_ = events->options.control_namespace,
        .name = SLICE_LIT(DEPLOYMENT),
        .uid = slice_str(events->uid),
    };

    event_sink_post(events->sink, &deployment, event->type, slice_str(event->reason), slice_str(event->text));
}

static void read_uid(struct identity_events *events, struct slice answer)
{
    struct yaml_node *root = NULL;
    const struct yaml_node *uid;
    struct yaml_problem problem;
    struct arena arena;

    arena_init(&arena, (size_t)2 * LIMIT_API_ANSWER);
    if (yaml_parse(&arena, answer, 1, JSON, &root, &problem) == 0) {
        uid = yaml_get_lit(yaml_get_lit(root, "metadata"), "uid");
        if (uid && uid->kind == YAML_STRING && uid->text.len < UID_MAX)
            snprintf(events->uid, sizeof(events->uid), "%.*s", SLICE_ARGS(uid->text));
    }
    arena_release(&arena);
}

static void on_uid(struct api_call *call, const struct api_answer *answer)
{
    struct identity_events *events = api_call_owner(call);

    events->asking = NULL;
    if (!answer->error)
        read_uid(events, answer->body);
    for (unsigned i = 0; i < events->early_count; i++)
        post(events, &events->early[i]);
    events->early_count = 0;
}

static const struct api_call_events uid_events = {.on_end = on_uid};

/* True: an answer comes. */
static bool ask_uid(struct identity_events *events)
{
    struct api_request request = {.timeout_ns = UID_TIMEOUT_NS};
    struct buffer path;
    int r;

    buffer_init(&path, 1024);
    buffer_printf(&path, "/apis/apps/v1/namespaces/%.*s/deployments/" DEPLOYMENT, SLICE_ARGS(events->options.control_namespace));
    request.path = buffer_slice(&path);
    r = buffer_error(&path) ? buffer_error(&path) : api_call_start(events->client, &request, &uid_events, events, &events->asking);
    buffer_release(&path);
    return r == 0;
}

static void tell_deployment(struct identity_events *events, enum event_type type, const char *reason, const char *text)
{
    struct early early = {.reason = reason, .type = type};

    snprintf(early.text, sizeof(early.text), "%s", text);
    if (!events->uid[0] && (events->asking || ask_uid(events)) && events->early_count < EARLY)
        events->early[events->early_count++] = early;
    else
        post(events, &early);
}

/* --- events --- */

static void tell_account(struct identity_events *events, const struct token_subject *subject, const char *text)
{
    const struct event_object account = {
        .api_version = SLICE_LIT("v1"),
        .kind = SLICE_LIT("ServiceAccount"),
        .namespace_ = slice_str(subject->namespace),
        .name = slice_str(subject->service_account),
    };

    event_sink_post(events->sink, &account, EVENT_NORMAL, slice_str(identity_event_name(IDENTITY_ISSUED)), slice_str(text));
}

void identity_events_tell(struct identity_events *events, enum identity_event event, const struct token_subject *subject, const char *text)
{
    if (subject)
        tell_account(events, subject, text);
    else
        tell_deployment(events, event == IDENTITY_ISSUER_UPDATED ? EVENT_NORMAL : EVENT_WARNING, identity_event_name(event), text);
}

bool identity_is_expiring(int64_t not_before_ns, int64_t not_after_ns, int64_t wall_ns)
{
    int64_t sixth = (not_after_ns - not_before_ns) / 6;

    return not_after_ns - wall_ns < (sixth < 60 * DAY_NS ? sixth : 60 * DAY_NS);
}

void identity_events_expiring(struct identity_events *events, enum identity_certificate which, const struct x509_cert *cert, int64_t wall_ns)
{
    static const char *const reasons[] = {"IssuerExpiring", "TrustAnchorExpiring"};
    int64_t days = x509_cert_days_left(cert, wall_ns);
    char text[TEXT_MAX];
    struct buffer subject;

    if (days == events->told_days[which])
        return;
    events->told_days[which] = days;
    buffer_init(&subject, 1024);
    x509_cert_subject(cert, &subject);
    snprintf(text, sizeof(text), "%s %.*s ends in %lld days: %s", which == IDENTITY_CERT_ISSUER ? "the issuer" : "the trust anchor",
             SLICE_ARGS(slice_take(buffer_slice(&subject), 200)), (long long)days,
             which == IDENTITY_CERT_ISSUER ? "replace the certificate in the Secret linkerd-identity-issuer before"
                                           : "add its successor to the trust roots before, then replace the issuer");
    buffer_release(&subject);
    tell_deployment(events, EVENT_WARNING, reasons[which], text);
}

/* --- life --- */

int identity_events_new(struct api_client *client, const struct identity_events_options *options, struct identity_events **ret_events)
{
    struct identity_events *events = calloc(1, sizeof(*events));

    if (!events)
        return -ENOMEM;
    events->client = client;
    events->options = *options;
    for (int i = 0; i < IDENTITY_CERTS; i++)
        events->told_days[i] = INT64_MIN;
    if (event_sink_new(client, &(struct event_sink_options){DEPLOYMENT, options->instance, options->on_trouble, options->owner}, &events->sink) < 0) {
        free(events);
        return -ENOMEM;
    }
    *ret_events = events;
    return 0;
}

struct event_sink_counts identity_events_counts(const struct identity_events *events)
{
    return event_sink_counts(events->sink);
}

void identity_events_free(struct identity_events *events)
{
    if (!events)
        return;
    api_call_cancel(events->asking);
    event_sink_free(events->sink);
    free(events);
}

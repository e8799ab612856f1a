#include "inject/overrides.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "inject/override_value.h"
#include "inject/quantity.h"

#define CONFIG "config.linkerd.io/"
#define ALPHA "config.alpha.linkerd.io/"
#define BETA "config.beta.linkerd.io/"

#define PORT "a port from 1 to 65535"
#define PORTS "ports and ranges with commas between them, such as 25,8000-8010"
#define BOOLEAN "true or false"
#define SWITCH "enabled or disabled"
#define DURATION "a duration such as 300ms or 1m30s"
#define QUANTITY "a quantity such as 100m, 1.5 or 250Mi"
#define IMAGE "the name of an image, without version"
#define VERSION "a tag, or a digest such as sha256:0a1b..."

static const char *const pull_policies[] = {"Always", "IfNotPresent", "Never", NULL};
static const char *const log_formats[] = {"plain", "json", NULL};
static const char *const log_headers[] = {"off", "insecure", "", NULL};
static const char *const access_logs[] = {"apache", "json", "", NULL};
static const char *const policies[] = {"all-unauthenticated", "all-authenticated", "cluster-unauthenticated", "cluster-authenticated",
                                       "deny", "audit", NULL};

#define PULL_POLICY "Always, IfNotPresent or Never"

/* Where two lead to one value, the later wins. */
static const struct override_row rows[] = {
    /* name, inherited, form, path, expected */
    {CONFIG "proxy-image", true, form_image, "proxy.image.name", IMAGE},
    {CONFIG "proxy-version", true, form_version, "proxy.image.version", VERSION},
    {CONFIG "image-pull-policy", true, form_choice, "proxy.image.pullPolicy", PULL_POLICY, .choices = pull_policies},
    {CONFIG "debug-image", false, form_image, "debugContainer.image.name", IMAGE},
    {CONFIG "debug-image-version", false, form_version, "debugContainer.image.version", VERSION},
    {CONFIG "debug-image-pull-policy", false, form_choice, "debugContainer.image.pullPolicy", PULL_POLICY, .choices = pull_policies},
    {CONFIG "enable-debug-sidecar", true, form_boolean, "debugContainer.enabled", BOOLEAN},
    {CONFIG "control-port", true, form_port, "proxy.ports.control", PORT},
    {CONFIG "inbound-port", true, form_port, "proxy.ports.inbound", PORT},
    {CONFIG "outbound-port", true, form_port, "proxy.ports.outbound", PORT},
    {CONFIG "admin-port", true, form_port, "proxy.ports.admin", PORT},
    {CONFIG "skip-inbound-ports", true, form_ports, "proxyInit.ignoreInboundPorts", PORTS, .empty = true},
    {CONFIG "skip-outbound-ports", true, form_ports, "proxyInit.ignoreOutboundPorts", PORTS, .empty = true},
    {CONFIG "skip-subnets", true, form_networks, "proxyInit.skipSubnets", "networks with commas between them, such as 10.0.0.0/8", .empty = true},
    {CONFIG "opaque-ports", true, form_opaque_ports, "proxy.opaquePorts", PORTS, .empty = true},
    {CONFIG "proxy-cpu-request", true, form_quantity, "proxy.resources.cpu.request", QUANTITY},
    {CONFIG "proxy-cpu-limit", true, form_quantity, "proxy.resources.cpu.limit", QUANTITY},
    {CONFIG "proxy-cpu-ratio-limit", false, form_ratio, "proxy.runtime.workers.maximumCPURatio", "a number between 0 and 1"},
    {CONFIG "proxy-memory-request", true, form_quantity, "proxy.resources.memory.request", QUANTITY},
    {CONFIG "proxy-memory-limit", true, form_quantity, "proxy.resources.memory.limit", QUANTITY},
    {CONFIG "proxy-ephemeral-storage-request", true, form_quantity, "proxy.resources.ephemeral-storage.request", QUANTITY},
    {CONFIG "proxy-ephemeral-storage-limit", true, form_quantity, "proxy.resources.ephemeral-storage.limit", QUANTITY},
    {CONFIG "proxy-uid", true, form_uid, "proxy.uid", "a user id above 0"},
    {CONFIG "proxy-gid", true, form_gid, "proxy.gid", "a group id"},
    {CONFIG "proxy-log-level", true, form_text, "proxy.logLevel", "a log filter such as warn,linkerd=info"},
    {CONFIG "proxy-log-format", true, form_choice, "proxy.logFormat", "plain or json", .choices = log_formats},
    {CONFIG "proxy-log-http-headers", true, form_choice, "proxy.logHTTPHeaders", "off or insecure", .choices = log_headers},
    {CONFIG "access-log", true, form_choice, "proxy.accessLog", "apache or json", .empty = true, .choices = access_logs},
    {CONFIG "proxy-admin-shutdown", true, form_switch, "proxy.enableShutdownEndpoint", SWITCH},
    {CONFIG "enable-external-profiles", true, form_boolean, "proxy.enableExternalProfiles", BOOLEAN},
    {CONFIG "proxy-require-identity-inbound-ports", true, form_ports, "proxy.requireIdentityOnInboundPorts", PORTS, .protects = true,
     .empty = true},
    {CONFIG "default-inbound-policy", true, form_choice, "proxy.defaultInboundPolicy",
     "all-unauthenticated, all-authenticated, cluster-unauthenticated, cluster-authenticated, deny or audit", .protects = true,
     .choices = policies},
    {CONFIG "proxy-metrics-hostname-labels", true, form_boolean, "proxy.metrics.hostnameLabels", BOOLEAN},
    {CONFIG "proxy-outbound-connect-timeout", true, form_milliseconds, "proxy.outboundConnectTimeout", DURATION},
    {CONFIG "proxy-inbound-connect-timeout", true, form_milliseconds, "proxy.inboundConnectTimeout", DURATION},
    {CONFIG "proxy-outbound-discovery-cache-unused-timeout", true, form_whole_seconds, "proxy.outboundDiscoveryCacheUnusedTimeout",
     "a duration of a second or more, such as 5s"},
    {CONFIG "proxy-inbound-discovery-cache-unused-timeout", true, form_whole_seconds, "proxy.inboundDiscoveryCacheUnusedTimeout",
     "a duration of a second or more, such as 90s"},
    {CONFIG "proxy-disable-outbound-protocol-detect-timeout", true, form_boolean, "proxy.disableOutboundProtocolDetectTimeout", BOOLEAN},
    {CONFIG "proxy-disable-inbound-protocol-detect-timeout", true, form_boolean, "proxy.disableInboundProtocolDetectTimeout", BOOLEAN},
    {CONFIG "shutdown-grace-period", true, form_milliseconds, "proxy.shutdownGracePeriod", DURATION},
    {CONFIG "close-wait-timeout", false, form_timeout_seconds, "proxyInit.closeWaitTimeoutSecs", "a duration of a second or more, such as 60s"},
    {CONFIG "enable-gateway", false, form_boolean, "proxy.isGateway", BOOLEAN},
    {ALPHA "proxy-wait-before-exit-seconds", true, form_seconds, "proxy.waitBeforeExitSeconds", "a number of seconds"},
    {ALPHA "proxy-enable-native-sidecar", true, form_boolean, "proxy.nativeSidecar", BOOLEAN},
    {BETA "proxy-enable-native-sidecar", false, form_boolean, "proxy.nativeSidecar", BOOLEAN},
    {CONFIG "proxy-enable-native-sidecar", true, form_boolean, "proxy.nativeSidecar", BOOLEAN},
    {CONFIG "proxy-await", true, form_switch, "proxy.await", SWITCH},
    {CONFIG "proxy-additional-env", true, form_environment, "proxy.additionalEnv", "a list of variables as JSON, [{\"name\": \"A\", \"value\": \"b\"}]"},

    /* Of Linkerd 2.8. */
    {CONFIG "init-image", true},
    {CONFIG "init-image-version", true},
    {CONFIG "disable-identity", true},
    {CONFIG "disable-tap", true},
    {CONFIG "proxy-destination-get-networks", true},
    {CONFIG "trace-collector", true},
    {ALPHA "trace-collector-service-account", true},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* --- values --- */

static json_t *value_at(json_t *values, const char *path)
{
    struct slice rest = slice_str(path), name;

    while (values && slice_split(&rest, '.', &name))
        values = json_object_getn(values, name.ptr, name.len);
    return values;
}

/* Takes the value over. What lies on the way is made where it is missing. */
static int put_at(json_t *values, const char *path, json_t *value)
{
    struct slice rest = slice_str(path), name;

    while (slice_split(&rest, '.', &name) && rest.ptr) {
        json_t *next = json_object_getn(values, name.ptr, name.len);

        if (!json_is_object(next)) {
            next = json_object();
            if (json_object_setn_new_nocheck(values, name.ptr, name.len, next) < 0) {
                json_decref(value);
                return -ENOMEM;
            }
        }
        values = next;
    }
    return json_object_setn_new_nocheck(values, name.ptr, name.len, value) < 0 ? -ENOMEM : 0;
}

/* --- one annotation --- */

/* The part of a value that is shown in a sentence. */
static struct slice shown(const char *text)
{
    return slice_take(slice_str(text), LIMIT_INJECT_WARNING / 4);
}

static int refuse(struct overriding *o, const struct override_row *row, const char *text)
{
    return errmsg_set(&o->denial, -EPERM, "%s: is \"%.*s\": expected %s; without it the pod would be less protected than it asks for",
                      row->name, SLICE_ARGS(shown(text)), row->expected);
}

/* Needs a right that linkerd-init has only as root. With CNI there is no linkerd-init, and no effect. */
static bool has_rights(struct overriding *o, const struct override_row *row)
{
    json_t *init = json_object_get(o->values, "proxyInit");

    if (row->form != form_timeout_seconds || json_is_true(json_object_get(init, "runAsRoot")))
        return true;
    notes_add(o->notes, "%s: has no effect: it needs the value proxyInit.runAsRoot of the installation%s", row->name,
              json_is_true(json_object_get(o->values, "cniEnabled")) ? ", and no CNI plugin" : "");
    return false;
}

static void note_use(struct overriding *o, const struct override_row *row, const json_t *value)
{
    if (row->form == form_image && strcmp(row->path, "proxy.image.name") == 0)
        o->proxy_image = true;
    else if (row->form == form_image)
        o->debug_image = true;
    else if (strcmp(row->path, "debugContainer.enabled") == 0)
        o->debug = json_is_true(value);
    else if (strcmp(row->path, "proxy.resources.cpu.request") == 0)
        o->cpu_request = true;
    else if (strcmp(row->path, "proxy.resources.cpu.limit") == 0)
        o->cpu_limit = true;
}

/* 1 when the text took effect, 0 when it did not. */
static int apply_text(struct overriding *o, const struct override_row *row, const char *text, bool own)
{
    struct override_text in = {
        .row = row, .text = slice_str(text), .spec = o->workload->spec, .own = own, .notes = o->notes};
    json_t *value = NULL;
    int r;

    if (!row->form) {
        notes_add(o->notes, "%s: has no effect since Linkerd 2.9", row->name);
        return 0;
    }
    if (*text == 0 && !row->empty)
        return 0;
    in.before = value_at(o->values, row->path);
    r = has_rights(o, row) ? row->form(&in, &value) : 0;
    if (r == -ENOMEM)
        return r;
    if (r < 0 && row->protects && !mutation("bad-policy-ignored"))
        return refuse(o, row, text);
    if (r < 0)
        notes_add(o->notes, "%s: is \"%.*s\": expected %s; it is ignored", row->name, SLICE_ARGS(shown(text)), row->expected);
    if (!value)
        return 0;
    note_use(o, row, value);
    r = put_at(o->values, row->path, value);
    return r < 0 ? r : 1;
}

/* Variables are added up; of everything else the pod's own counts, and the namespace's where that says nothing. */
static int apply_row(struct overriding *o, const struct override_row *row)
{
    const char *own = meta_annotation(o->workload->meta, row->name);
    const char *of_namespace = row->inherited ? json_string_value(json_object_get(o->namespace_annotations, row->name)) : NULL;
    int r = 0, applied = 0;

    if (own && row->form != form_environment && !(of_namespace && mutation("namespace-over-workload")))
        applied = apply_text(o, row, own, true);
    if (applied == 0 && of_namespace) {
        r = apply_text(o, row, of_namespace, false);
        if (r > 0 && !own && json_object_set_new_nocheck(o->inherited, row->name, json_string_nocheck(of_namespace)) < 0)
            return -ENOMEM;
    }
    if (r >= 0 && own && row->form == form_environment)
        applied = apply_text(o, row, own, true);
    return applied < 0 ? applied : r < 0 ? r : 0;
}

/* --- what follows from them --- */

/* A proxy has as many threads as its request has whole cores, and at most as its limit has. */
static int set_workers(struct overriding *o, const char *quantity, const char *workers)
{
    json_t *text = value_at(o->values, quantity);
    double cores;

    if (!json_is_string(text) || !json_string_length(text) ||
        quantity_read(slice_of(json_string_value(text), json_string_length(text)), &cores) < 0 || cores > INT32_MAX)
        return 0;
    return put_at(o->values, workers, json_integer((json_int_t)ceil(cores)));
}

static int count_workers(struct overriding *o)
{
    int r = 0;

    if (o->cpu_request) {
        r = set_workers(o, "proxy.resources.cpu.request", "proxy.runtime.workers.minimum");
        if (r == 0)
            r = put_at(o->values, "proxy.cores", json_null());
    }
    if (r == 0 && o->cpu_limit)
        r = set_workers(o, "proxy.resources.cpu.limit", "proxy.runtime.workers.maximum");
    return r;
}

/* --- pods that could not start --- */

static int check_resources(struct overriding *o)
{
    static const char *const names[] = {"cpu", "memory", "ephemeral-storage"};
    json_t *resources = value_at(o->values, "proxy.resources");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *request = member_text(json_object_get(resources, names[i]), "request");
        const char *limit = member_text(json_object_get(resources, names[i]), "limit");
        double asked, allowed;

        if (quantity_read(slice_str(request), &asked) == 0 && quantity_read(slice_str(limit), &allowed) == 0 && asked > allowed)
            return errmsg_set(&o->denial, -EPERM,
                              "the proxy could not start: its %s request is %.40s and its limit is %.40s: expected a limit that is not less; see "
                              CONFIG "proxy-%s-request and -limit", names[i], request, limit, names[i]);
    }
    return 0;
}

static int check_ports(struct overriding *o)
{
    static const char *const names[] = {"inbound", "outbound", "admin", "control"};
    enum { PORT_NAMES = sizeof(names) / sizeof(names[0]) };
    json_t *ports = value_at(o->values, "proxy.ports");

    for (size_t i = 0; i < PORT_NAMES; i++)
        for (size_t k = i + 1; k < PORT_NAMES; k++) {
            double one = json_number_value(json_object_get(ports, names[i]));

            if (one == json_number_value(json_object_get(ports, names[k])))
                return errmsg_set(&o->denial, -EPERM,
                                  "the proxy could not start: its %s port and its %s port are both %.0f; see " CONFIG "%s-port and " CONFIG
                                  "%s-port", names[i], names[k], one, names[i], names[k]);
        }
    return 0;
}

/* --- names that nobody knows --- */

static bool is_known(const char *name)
{
    static const char *const others[] = {CONFIG "pod-inbound-ports", CONFIG "admission-webhooks"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(name, others[i]) == 0)
            return true;
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(name, rows[i].name) == 0)
            return true;
    return false;
}

const char *override_name(size_t index)
{
    return index < ROWS ? rows[index].name : NULL;
}

static bool is_config(const char *name)
{
    return strncmp(name, CONFIG, strlen(CONFIG)) == 0 || strncmp(name, ALPHA, strlen(ALPHA)) == 0 || strncmp(name, BETA, strlen(BETA)) == 0;
}

static void note_unknown(struct overriding *o)
{
    const char *name;
    json_t *value;

    json_object_foreach (member_object(o->workload->meta, "annotations"), name, value)
        if (is_config(name) && !is_known(name))
            notes_add(o->notes, "%s: there is no such annotation", name);
}

int overrides_apply(struct overriding *o)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ROWS; i++)
        r = apply_row(o, &rows[i]);
    if (r == 0)
        r = count_workers(o);
    if (r == 0)
        r = check_resources(o);
    if (r == 0)
        r = check_ports(o);
    note_unknown(o);
    return r;
}

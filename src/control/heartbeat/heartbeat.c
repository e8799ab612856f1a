#include "control/heartbeat/heartbeat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "control/heartbeat/facts.h"
#include "event/log.h"
#include "kube/access/kubeconfig.h"
#include "kube/api/api_client.h"

enum { EXIT_USAGE = 64, EXIT_START = 71, PAGES = 1024 };

static const int64_t TIMEOUT_NS = 20 * NS_PER_S;

struct options {
    const char *namespace_, *prometheus, *address, *kubeconfig, *log_level, *log_format;
    bool dry_run;
};

struct heartbeat {
    struct options options;
    struct sys *sys;
    struct loop loop;
    struct log *log;
    struct kube_access cluster_access, prometheus_access, address_access;
    struct api_client *cluster, *prometheus, *address;
    struct facts facts;
    unsigned step;
    int status;
};

/* --- what is asked, in this order --- */

#define INJECTIONS "sum(proxy_inject_admission_responses_total{job=\"linkerd-controller\",skip=\"false\"})"
#define CONTAINER(name, labels)                                                                                                                \
    {.query = "max(container_memory_working_set_bytes{container=\"" name "\"" labels ",job=\"kubernetes-nodes-cadvisor\"})", .fact = "max-mem-" name}, \
        {.query = "max(quantile_over_time(0.95,rate(container_cpu_usage_seconds_total{container=\"" name "\"" labels                            \
                  ",job=\"kubernetes-nodes-cadvisor\"}[5m])[24h:5m]))",                                                                        \
         .fact = "p95-cpu-" name, .digits = 3}

struct step {
    const char *path; /* of the API server; NS stands for the namespace */
    bool (*read)(struct facts *facts, struct slice answer);
    const char *query; /* of Prometheus, for `fact` */
    const char *fact;  /* what it is for */
    int digits;
};

static const struct step steps[] = {
    {.path = "/api/v1/namespaces/NS/configmaps/linkerd-config", .read = facts_read_config, .fact = "uuid"},
    {.path = "/version", .read = facts_read_version, .fact = "k8s-version"},
    {.path = "/api/v1/namespaces?labelSelector=linkerd.io%2Fextension", .read = facts_read_extensions, .fact = "ext-*"},
    {.path = "/apis/linkerd.io/v1alpha2/serviceprofiles?limit=1", .read = facts_read_profiles, .fact = "service-profile-count"},
    {.query = "sum(rate(request_total{direction=\"inbound\",job=\"linkerd-proxy\"}[30s]))", .fact = "total-rps"},
    {.query = "count(count by (pod) (request_total{job=\"linkerd-proxy\"}))", .fact = "meshed-pods"},
    {.query = INJECTIONS, .fact = "proxy-injector-injections"},
    CONTAINER("linkerd-proxy", ""),
    CONTAINER("destination", ",namespace=\"linkerd\""),
    CONTAINER("prometheus", ",namespace=\"linkerd\""),
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static void next(struct heartbeat *heartbeat);

static void on_fact(struct api_call *call, const struct api_answer *answer)
{
    struct heartbeat *heartbeat = api_call_owner(call);
    const struct step *step = &steps[heartbeat->step];
    bool found = !answer->error && (step->read ? step->read(&heartbeat->facts, answer->body)
                                               : facts_read_number(&heartbeat->facts, step->fact, step->digits, answer->body));

    if (!found)
        log_line(heartbeat->log, LOG_WARN, "heartbeat", "%s is left out: %s", step->fact, answer->error ? answer->why : "the answer does not have it");
    heartbeat->step++;
    if (step->query && answer->error && !answer->status) /* nobody is there: further questions would wait in vain */
        heartbeat->step = STEPS;
    next(heartbeat);
}

static const struct api_call_events fact_events = {.on_end = on_fact};

/* With the namespace in the place of NS. */
static void write_path(struct buffer *out, const char *path, const char *ns)
{
    struct slice text = slice_str(path);
    size_t at = slice_find_slice(text, SLICE_LIT("/NS/"));

    buffer_add(out, slice_take(text, at));
    if (at == text.len)
        return;
    buffer_printf(out, "/%s", ns);
    buffer_add(out, slice_skip(text, at + 3));
}

static int ask(struct heartbeat *heartbeat, const struct step *step)
{
    struct api_request request = {.timeout_ns = TIMEOUT_NS};
    struct api_call *call;
    struct buffer path;
    int r;

    buffer_init(&path, 4096);
    if (step->path) {
        write_path(&path, step->path, heartbeat->options.namespace_);
    } else {
        buffer_add_lit(&path, "/api/v1/query?query=");
        facts_escape(&path, slice_str(step->query));
    }
    request.path = buffer_slice(&path);
    r = buffer_error(&path) ? buffer_error(&path)
                            : api_call_start(step->path ? heartbeat->cluster : heartbeat->prometheus, &request, &fact_events, heartbeat, &call);
    buffer_release(&path);
    return r;
}

/* --- sending --- */

static void on_sent(struct api_call *call, const struct api_answer *answer)
{
    struct heartbeat *heartbeat = api_call_owner(call);

    if (answer->error)
        log_line(heartbeat->log, LOG_ERROR, "heartbeat", "it could not be sent: %s", answer->why);
    else
        log_line(heartbeat->log, LOG_INFO, "heartbeat", "sent to %s", heartbeat->options.address);
    heartbeat->status = answer->error ? EXIT_FAILURE : EXIT_SUCCESS;
    loop_stop(&heartbeat->loop);
}

static const struct api_call_events sent_events = {.on_end = on_sent};

static int send_query(struct heartbeat *heartbeat, struct slice query)
{
    struct api_request request = {.timeout_ns = TIMEOUT_NS};
    struct api_call *call;
    struct buffer path;
    int r;

    buffer_init(&path, 64 * 1024);
    buffer_printf(&path, "%s?%.*s", heartbeat->address_access.prefix.len ? "" : "/", SLICE_ARGS(query));
    request.path = buffer_slice(&path);
    r = buffer_error(&path) ? buffer_error(&path) : api_call_start(heartbeat->address, &request, &sent_events, heartbeat, &call);
    buffer_release(&path);
    return r;
}

/* All is known that can be. */
static void finish(struct heartbeat *heartbeat)
{
    struct buffer query;

    buffer_init(&query, 64 * 1024);
    facts_query(&heartbeat->facts, &query);
    if (heartbeat->options.dry_run) {
        printf("GET %s?%.*s\n", heartbeat->options.address ? heartbeat->options.address : "(no -address)", SLICE_ARGS(buffer_slice(&query)));
        heartbeat->status = EXIT_SUCCESS;
        loop_stop(&heartbeat->loop);
    } else if (send_query(heartbeat, buffer_slice(&query)) < 0) {
        log_line(heartbeat->log, LOG_ERROR, "heartbeat", "it could not be sent: no memory");
        loop_stop(&heartbeat->loop);
    }
    buffer_release(&query);
}

static void next(struct heartbeat *heartbeat)
{
    while (heartbeat->step < STEPS && !heartbeat->prometheus && steps[heartbeat->step].query)
        heartbeat->step++;
    if (heartbeat->step == STEPS)
        finish(heartbeat);
    else if (ask(heartbeat, &steps[heartbeat->step]) < 0)
        loop_stop(&heartbeat->loop);
}

/* --- starting --- */

static int connect_to(struct heartbeat *heartbeat, const char *what, const char *url, struct kube_access *access, struct api_client **ret_client)
{
    struct errmsg msg = {""};
    int r;

    if (!url)
        return 0;
    arena_init(&access->arena, 64 * 1024);
    access->origin = slice_str(what);
    r = kube_access_set_server(access, slice_str(url), &msg);
    if (r == 0)
        r = kube_access_use_environment(access, &msg);
    if (r == 0)
        r = api_client_new(&heartbeat->loop, access, ret_client);
    if (r < 0)
        log_line(heartbeat->log, LOG_ERROR, "heartbeat", "%s: %s", what, msg.text[0] ? msg.text : "no memory");
    return r;
}

static int enter_cluster(struct heartbeat *heartbeat)
{
    struct errmsg msg = {""};
    int r = heartbeat->options.kubeconfig
                ? kubeconfig_load(heartbeat->options.kubeconfig, SLICE_LIT(""), &heartbeat->cluster_access, &msg)
                : kube_access_in_pod(getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"), KUBE_POD_DIRECTORY, &heartbeat->cluster_access, &msg);

    if (r == 0)
        r = api_client_new(&heartbeat->loop, &heartbeat->cluster_access, &heartbeat->cluster);
    if (r < 0)
        log_line(heartbeat->log, LOG_ERROR, "heartbeat", "no access to a Kubernetes API server: %s", msg.text[0] ? msg.text : "no memory");
    return r;
}

static void beat(struct heartbeat *heartbeat)
{
    int r = enter_cluster(heartbeat);

    if (r == 0)
        r = connect_to(heartbeat, "-prometheus-url", heartbeat->options.prometheus, &heartbeat->prometheus_access, &heartbeat->prometheus);
    if (r == 0)
        r = connect_to(heartbeat, "-address", heartbeat->options.address, &heartbeat->address_access, &heartbeat->address);
    if (r == 0) {
        facts_add(&heartbeat->facts, "source", SLICE_LIT("heartbeat"));
        facts_add(&heartbeat->facts, "version", SLICE_LIT(CLINKERD_VERSION));
        next(heartbeat);
        loop_run(&heartbeat->loop);
    }
    api_client_free(heartbeat->cluster);
    api_client_free(heartbeat->prometheus);
    api_client_free(heartbeat->address);
    kube_access_release(&heartbeat->cluster_access);
    kube_access_release(&heartbeat->prometheus_access);
    kube_access_release(&heartbeat->address_access);
}

/* --- the command line --- */

static const char usage[] = "linkerd-controller heartbeat [flags]\n\n"
                            "Tells one address how large this mesh is, and ends. Flags, with one dash or two:\n"
                            "  -dry-run                     print what would be sent, and send nothing\n"
                            "  -address URL                 whom to tell; without it nothing is sent\n"
                            "  -prometheus-url URL          whom to ask for rates and sizes\n"
                            "  -controller-namespace NAME   where the control plane is (linkerd)\n"
                            "  -kubeconfig FILE             access to the API server (that of the pod we run in)\n"
                            "  -log-level LEVEL             (info)\n"
                            "  -log-format FORMAT           plain or json (plain)\n";

/* What is left of an argument behind its dashes and this name: "", "=VALUE"; NULL: another flag. */
static const char *behind(const char *argument, const char *name)
{
    size_t len = strlen(name);

    argument += argument[0] == '-' ? 1 : 0;
    argument += argument[0] == '-' ? 1 : 0;
    return strncmp(argument, name, len) == 0 && (argument[len] == '\0' || argument[len] == '=') ? argument + len : NULL;
}

/* How many arguments it took, the value may be one of its own; 0: it is none of ours, or its value is missing. */
static int read_flag(struct options *options, int argc, char *const argv[])
{
    const struct {
        const char *name;
        const char **to;
    } flags[] = {{"controller-namespace", &options->namespace_}, {"prometheus-url", &options->prometheus}, {"address", &options->address},
                 {"kubeconfig", &options->kubeconfig}, {"log-level", &options->log_level}, {"log-format", &options->log_format}};

    if (argv[0][0] != '-')
        return 0;
    if (strcmp(argv[0], "--dry-run") == 0 || strcmp(argv[0], "-dry-run") == 0) {
        options->dry_run = true;
        return 1;
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        const char *rest = behind(argv[0], flags[i].name);
        const char *value = !rest ? NULL : *rest ? rest + 1 : argc > 1 ? argv[1] : NULL;

        if (value) {
            *flags[i].to = value[0] ? value : NULL;
            return *rest ? 1 : 2;
        }
    }
    return 0;
}

static int read_options(struct options *options, int argc, char *const argv[])
{
    *options = (struct options){.namespace_ = "linkerd"};
    for (int i = 0, took; i < argc; i += took)
        if ((took = read_flag(options, argc - i, argv + i)) == 0) {
            fprintf(stderr, "linkerd-controller heartbeat: \"%s\" is no flag, or its value is missing; see linkerd-controller heartbeat --help\n", argv[i]);
            return -EINVAL;
        }
    if (!options->namespace_)
        fprintf(stderr, "linkerd-controller heartbeat: -controller-namespace: is empty: expected the namespace of the control plane\n");
    if (options->log_format && strcmp(options->log_format, "plain") != 0 && strcmp(options->log_format, "json") != 0) {
        fprintf(stderr, "linkerd-controller heartbeat: -log-format=%s is not valid: expected plain or json\n", options->log_format);
        return -EINVAL;
    }
    return options->namespace_ ? 0 : -EINVAL;
}

static bool is_help(int argc, char *const argv[])
{
    return argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-help") == 0 || strcmp(argv[0], "-h") == 0);
}

int heartbeat_main(int argc, char *const argv[])
{
    struct heartbeat *heartbeat;
    enum log_format format = LOG_PLAIN;
    int status;

    if (is_help(argc, argv)) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    heartbeat = calloc(1, sizeof(*heartbeat));
    if (!heartbeat)
        return EXIT_START;
    heartbeat->status = EXIT_START;
    heartbeat->sys = sys_linux();
    if (read_options(&heartbeat->options, argc, argv) < 0) {
        heartbeat->status = EXIT_USAGE;
        goto done;
    }
    if (!heartbeat->options.address && !heartbeat->options.dry_run) {
        printf("linkerd-controller heartbeat: there is no -address: nothing is sent\n");
        heartbeat->status = EXIT_SUCCESS;
        goto done;
    }
    if (heartbeat->options.log_format && strcmp(heartbeat->options.log_format, "json") == 0)
        format = LOG_JSON;
    if (log_new(heartbeat->sys, STDERR_FILENO, format, slice_str(heartbeat->options.log_level ? heartbeat->options.log_level : "info"), &heartbeat->log) < 0) {
        fprintf(stderr, "linkerd-controller heartbeat: -log-level=%s is not valid\n", heartbeat->options.log_level);
        heartbeat->status = EXIT_USAGE;
        goto done;
    }
    if (loop_init(&heartbeat->loop, heartbeat->sys, PAGES) == 0) {
        beat(heartbeat);
        loop_release(&heartbeat->loop);
    }
    log_free(heartbeat->log);
done:
    status = heartbeat->status;
    free(heartbeat);
    return status;
}

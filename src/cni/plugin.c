#include "cni/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cni/conf.h"
#include "cni/lookup.h"
#include "cni/pod.h"
#include "cni/request.h"
#include "netfilter/families.h"
#include "netfilter/netns.h"

enum { STATUS_FAILED = 1, WARNINGS_MAX = 64 * 1024, PATH_TEXT_MAX = 2 * POD_NAME_MAX + 64 };

static const int64_t LOOKUP_NS = 20 * NS_PER_S; /* well below what a runtime grants a sandbox */

/* One call of us. */
struct run {
    struct request request;
    struct conf conf;
    struct journal log;
    struct failure failure;
};

static const char *from_environment(const void *owner, const char *name)
{
    return getenv(name);
}

/* --- what is printed --- */

static int print_json(const json_t *value)
{
    int r = value && json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17)) == 0 ? 0 : -1;

    return putchar('\n') == EOF || fflush(stdout) != 0 ? -1 : r;
}

static int print_failure(const struct run *run)
{
    const struct failure *failure = &run->failure;
    const char *version = run->conf.version ? run->conf.version : "1.0.0";
    json_t *value = json_pack("{s:s, s:i, s:s, s:s}", "cniVersion", version, "code", (int)failure->code, "msg",
                              failure->msg.text, "details", failure->details.text);

    print_json(value); /* there is nobody left to tell if that fails */
    json_decref(value);
    return STATUS_FAILED;
}

/* prevResult as it came; where there is none, a result without interfaces and addresses, since we make none. */
static int print_result(struct run *run)
{
    json_t *value = run->conf.prev_result ? json_copy((json_t *)run->conf.prev_result) : json_object();
    int r = 0;

    if (value && !json_object_get(value, "cniVersion"))
        r = json_object_set_new(value, "cniVersion", json_string(run->conf.version));
    if (r == 0)
        r = print_json(value);
    json_decref(value);
    return r < 0 ? failure_set(&run->failure, CNI_IO, "look for what ended the runtime's side of the pipe", "the result cannot be printed") : 0;
}

/* --- the pod --- */

static int cannot_read(struct run *run, const char *what, const struct errmsg *msg)
{
    return failure_set(&run->failure, CNI_TRY_AGAIN, "the pod gets no network until linkerd-cni can read it, since it could be one of the mesh: "
                       "look whether the API server can be reached from this node, whether the pods of the DaemonSet linkerd-cni are "
                       "running (they keep the kubeconfig's token fresh), and whether ClusterRole linkerd-cni allows to get pods, "
                       "namespaces and services", "cannot read %s: %s", what, msg->text);
}

static int get(struct run *run, struct lookup *lookup, const char *what, const char *path, json_t **ret_object)
{
    struct errmsg msg = {""};

    return lookup_get(lookup, path, ret_object, &msg) < 0 ? cannot_read(run, what, &msg) : 0;
}

/* A control plane that cannot see the Service is still to reach the API server: the usual ports. */
static int skip_api_server(struct run *run, struct lookup *lookup)
{
    struct errmsg msg = {""};
    json_t *service = NULL;
    int r = lookup_get(lookup, "/api/v1/namespaces/default/services/kubernetes", &service, &msg);

    if (r < 0)
        journal_line(&run->log, JOURNAL_WARN, "ports 443 and 6443 are skipped, since Service default/kubernetes cannot be read: %s", msg.text);
    r = pod_skip_api_server(service, &run->conf.redirect);
    json_decref(service);
    return r;
}

static void log_warnings(struct run *run, const struct buffer *warnings)
{
    struct slice rest = buffer_slice(warnings), line;

    while (slice_split(&rest, '\n', &line))
        if (line.len)
            journal_line(&run->log, JOURNAL_WARN, "pod %s/%s: %.*s", run->request.namespace, run->request.pod, SLICE_ARGS(line));
}

static int override_by(struct run *run, struct lookup *lookup, const json_t *pod)
{
    char path[PATH_TEXT_MAX];
    struct buffer warnings;
    json_t *namespace;
    int r;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s", run->request.namespace);
    if (get(run, lookup, "the pod's namespace", path, &namespace) < 0)
        return -1;
    buffer_init(&warnings, WARNINGS_MAX);
    r = pod_override(pod, namespace, &run->conf.redirect, &warnings);
    log_warnings(run, &warnings);
    buffer_release(&warnings);
    json_decref(namespace);
    if (r == 0 && pod_is_control_plane(pod))
        r = skip_api_server(run, lookup);
    return r < 0 ? failure_set(&run->failure, CNI_TRY_AGAIN, "see the log for what is too long, or free memory on this node",
                               "the pod's annotations cannot be used: %s", strerror(-r)) : 0;
}

static int ask(struct run *run, struct lookup *lookup, bool *ret_meshed)
{
    static const char *const said[] = {[POD_MESHED] = "has a proxy", [POD_PLAIN] = "has no proxy: no rules are made",
                                       [POD_HAS_INIT] = "has linkerd-init, which makes its rules: none are made here"};
    char path[PATH_TEXT_MAX];
    enum pod_kind kind;
    json_t *pod;
    int r = 0;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", run->request.namespace, run->request.pod);
    if (get(run, lookup, "the pod", path, &pod) < 0)
        return -1;
    kind = pod_kind(pod);
    journal_line(&run->log, JOURNAL_DEBUG, "pod %s/%s %s", run->request.namespace, run->request.pod, said[kind]);
    if (kind == POD_MESHED)
        r = override_by(run, lookup, pod);
    json_decref(pod);
    *ret_meshed = kind == POD_MESHED;
    return r;
}

static int read_pod(struct run *run, bool *ret_meshed)
{
    struct errmsg msg = {""};
    struct lookup *lookup;
    int r;

    if (!run->conf.kubeconfig)
        return failure_set(&run->failure, CNI_CONFIG, "set it to the kubeconfig that the DaemonSet linkerd-cni writes, such as "
                           "/etc/cni/net.d/ZZZ-linkerd-cni-kubeconfig", "kubernetes.kubeconfig is not set, so the pod cannot be read");
    r = lookup_open(run->conf.kubeconfig, LOOKUP_NS, &lookup, &msg);
    if (r < 0)
        return cannot_read(run, "the pod", &msg);
    r = ask(run, lookup, ret_meshed);
    lookup_close(lookup);
    return r;
}

/* --- its network namespace --- */

/* The rules of a pod in the namespace of the node would send the node's own traffic to a port where nobody listens. */
static int refuse_own_namespace(struct run *run)
{
    struct stat ours, theirs;

    if (stat("/proc/self/ns/net", &ours) < 0 || stat(run->request.netns, &theirs) < 0 || ours.st_ino != theirs.st_ino ||
        ours.st_dev != theirs.st_dev)
        return 0; /* one that is not there is refused when it is entered */
    return failure_set(&run->failure, CNI_ENVIRONMENT, "linkerd-cni makes rules for pods with a network of their own only",
                       "CNI_NETNS %s is the network namespace of the node itself", run->request.netns);
}

static int show(struct run *run)
{
    static const struct saved nothing;
    struct buffer text;

    buffer_init(&text, LIMIT_COMMAND_OUTPUT);
    for (int version = 4; version <= (run->conf.ipv6 ? 6 : 4); version += 2)
        rules_install(&run->conf.redirect, version, &nothing, &text);
    journal_line(&run->log, JOURNAL_WARN, "simulate is set, so nothing is done; it would be:\n%.*s", SLICE_ARGS(buffer_slice(&text)));
    buffer_release(&text);
    return 0;
}

static int apply(struct run *run)
{
    bool check = run->request.command == CNI_CHECK;
    struct families families;
    struct errmsg msg = {""};
    int r;

    if (run->conf.simulate)
        return check ? 0 : show(run);
    if (refuse_own_namespace(run) < 0)
        return -1;
    if (netns_enter(run->request.netns, &msg) < 0)
        return failure_set(&run->failure, CNI_ENVIRONMENT, "the runtime makes the namespace before it calls plugins, and runs them as root",
                           "%s", msg.text);
    families_init(&families, run->conf.ipv6, run->conf.wait, &run->log);
    r = families_find_tools(&families, run->conf.mode, &msg);
    if (r == 0)
        r = check ? families_check(&families, &run->conf.redirect, &msg) : families_install(&families, &run->conf.redirect, &msg);
    if (r < 0)
        return failure_set(&run->failure, CNI_RULES, check ? "delete the pod: its successor gets the rules when it is made" :
                           "the pod is started when the rules can be made; iptables of the node is used, as iptables-mode has it",
                           "pod %s/%s: %s", run->request.namespace, run->request.pod, msg.text);
    return 0;
}

/* --- the commands --- */

static int redirect_pod(struct run *run)
{
    bool meshed = false;

    if (!run->request.pod[0] || !run->request.namespace[0]) {
        journal_line(&run->log, JOURNAL_DEBUG, "no pod is named in CNI_ARGS: no rules are made");
        return 0;
    }
    if (read_pod(run, &meshed) < 0)
        return -1;
    return meshed ? apply(run) : 0;
}

static int run_add(struct run *run)
{
    return redirect_pod(run) < 0 ? -1 : print_result(run);
}

static int run_nothing(struct run *run)
{
    return 0;
}

static int run_status(struct run *run)
{
    static const char details[] = "sandboxes would be refused; look at the pods of the DaemonSet linkerd-cni on this node";
    struct lookup *lookup;
    struct families families;
    struct errmsg msg = {""};

    if (!run->conf.kubeconfig)
        return failure_set(&run->failure, CNI_UNAVAILABLE, details, "kubernetes.kubeconfig is not set");
    if (lookup_open(run->conf.kubeconfig, LOOKUP_NS, &lookup, &msg) < 0)
        return failure_set(&run->failure, CNI_UNAVAILABLE, details, "%s", msg.text);
    lookup_close(lookup);
    families_init(&families, run->conf.ipv6, run->conf.wait, &run->log);
    if (families_find_tools(&families, run->conf.mode, &msg) < 0)
        return failure_set(&run->failure, CNI_UNAVAILABLE, details, "%s", msg.text);
    return 0;
}

static const struct {
    int (*run)(struct run *run);
    const char *since; /* the version of the specification that brought it */
} commands[CNI_COMMAND_COUNT] = {
    [CNI_ADD] = {run_add, "0.3.0"},
    [CNI_DEL] = {run_nothing, "0.3.0"},
    [CNI_CHECK] = {redirect_pod, "0.4.0"},
    [CNI_GC] = {run_nothing, "1.1.0"},
    [CNI_STATUS] = {run_status, "1.1.0"},
};

static int check_since(struct run *run)
{
    const char *since = commands[run->request.command].since;
    int have = 0, needed = 0;

    if (conf_version_find(run->conf.version, &have) == 0 && conf_version_find(since, &needed) == 0 && have >= needed)
        return 0;
    return failure_set(&run->failure, CNI_VERSION, "raise cniVersion in the network configuration", "%s came with CNI %s; the configuration says %s",
                       cni_command_name(run->request.command), since, run->conf.version);
}

/* --- from beginning to end --- */

static int read_input(struct buffer *input, struct failure *failure)
{
    for (;;) {
        char *room = buffer_room(input, 16384);
        ssize_t n = room ? read(STDIN_FILENO, room, 16384) : -1;

        if (!room)
            return failure_set(failure, CNI_DECODE, "look for what has grown in the network configuration",
                               "the network configuration is larger than %d bytes", LIMIT_CNI_CONFIG);
        if (n < 0 && errno != EINTR)
            return failure_set(failure, CNI_IO, "a runtime gives the network configuration there", "cannot read standard input: %s",
                               strerror(errno));
        if (n == 0)
            return 0;
        buffer_grew(input, n > 0 ? (size_t)n : 0);
    }
}

static int run_command(struct run *run, struct slice input)
{
    if (conf_read(input, &run->conf, &run->failure) < 0) {
        /* A pod must be able to go away whatever has become of the configuration. */
        return run->request.command == CNI_DEL && run->failure.code == CNI_CONFIG ? 0 : -1;
    }
    run->log.level = run->conf.log_level;
    if (check_since(run) < 0)
        return -1;
    return commands[run->request.command].run(run);
}

/* In the version that the runtime asked in, where it is one of ours. */
static int print_versions(struct slice input)
{
    json_t *asked = json_loadb(input.ptr ? input.ptr : "", input.len, 0, NULL), *list = json_array(), *value;
    const char *version = json_string_value(json_object_get(asked, "cniVersion"));
    const char *const *all = conf_versions();
    int place = 0, r;

    while (all[place])
        json_array_append_new(list, json_string(all[place++]));
    if (!version || conf_version_find(version, &place) < 0)
        place--;
    value = json_pack("{s:s, s:o}", "cniVersion", all[place], "supportedVersions", list);
    r = print_json(value);
    json_decref(value);
    json_decref(asked);
    return r < 0 ? STATUS_FAILED : 0;
}

int plugin_main(void)
{
    struct run run = {.log = {stderr, JOURNAL_INFO, false}};
    struct buffer input;
    int status = 0, r;

    buffer_init(&input, LIMIT_CNI_CONFIG + 16384);
    r = request_read(from_environment, NULL, &run.request, &run.failure);
    if (r == 0)
        r = read_input(&input, &run.failure);
    if (r == 0 && run.request.command == CNI_VERSION_COMMAND)
        status = print_versions(buffer_slice(&input));
    else if (r == 0)
        r = run_command(&run, buffer_slice(&input));
    if (r < 0) {
        journal_line(&run.log, JOURNAL_ERROR, "%s", run.failure.msg.text);
        status = print_failure(&run);
    }
    conf_release(&run.conf);
    buffer_release(&input);
    return status;
}

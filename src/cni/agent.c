#include "cni/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "kube/access/kubeconfig.h"
#include "net/http/http_admin.h"

enum { PAGES_MAX = 1024, OWN_FLAGS = 4 };

static const int64_t SWEEP_NS = 60 * NS_PER_S;

/* --- flags --- */

static const struct agent_flag *find_flag(const struct agent_flag *flags, struct slice name)
{
    for (; flags->name; flags++)
        if (slice_eq(slice_str(flags->name), name))
            return flags;
    return NULL;
}

static void print_flags(const struct agent_flag *flags)
{
    for (; flags->name; flags++) {
        printf("  --%s VALUE\n        %s", flags->name, flags->help);
        if (flags->variable)
            printf("; else the variable %s", flags->variable);
        if (*flags->value && **flags->value)
            printf("; else %s", *flags->value);
        putchar('\n');
    }
}

/* 1: it was taken, and so was the word behind it; 0: it was taken; -1: nobody knows it. */
static int take_flag(const struct agent_flag *own, const struct agent_flag *flags, const char *word, const char *next)
{
    size_t dashes = strspn(word, "-"), len = strcspn(word, "=");
    struct slice name = slice_of(word + dashes, len > dashes ? len - dashes : 0);
    const struct agent_flag *flag = find_flag(own, name);

    if (!flag)
        flag = find_flag(flags, name);
    if (!flag || dashes == 0 || dashes > 2 || (!word[len] && !next))
        return -1;
    *flag->value = word[len] ? word + len + 1 : next;
    return !word[len];
}

static void read_variables(const struct agent_flag *flags)
{
    for (; flags->name; flags++) {
        const char *value = flags->variable ? getenv(flags->variable) : NULL;

        if (value && *value)
            *flags->value = value;
    }
}

static int check_required(const char *program, const struct agent_flag *flags)
{
    for (; flags->name; flags++)
        if (flags->required && (!*flags->value || !**flags->value)) {
            fprintf(stderr, "%s: --%s is missing (or the variable %s): %s\n", program, flags->name, flags->variable ? flags->variable : "-", flags->help);
            return AGENT_EXIT_USAGE;
        }
    return -1;
}

int agent_read_flags(struct agent *agent, int argc, char *argv[], const struct agent_flag *flags)
{
    const struct agent_flag own[OWN_FLAGS + 1] = {
        {"admin-addr", NULL, &agent->admin_addr, true, "address of /live, /ready and /metrics"},
        {"log-level", NULL, &agent->log_level, true, "error, warn, info or debug"},
        {"log-format", NULL, &agent->log_format, true, "plain or json"},
        {"kubeconfig", NULL, &agent->kubeconfig, false, "access to the API server, instead of that of the pod we run in"},
        {NULL},
    };

    agent->log_level = "info";
    agent->log_format = "plain";
    read_variables(flags);
    for (int i = 1; i < argc; i++) {
        int taken = take_flag(own, flags, argv[i], argv[i + 1]);

        if (strcmp(argv[i], "--help") == 0) {
            print_flags(own);
            print_flags(flags);
            return 0;
        }
        if (taken < 0) {
            fprintf(stderr, "%s: %s is no flag of it, or lacks its value; --help lists them\n", argv[0], argv[i]);
            return AGENT_EXIT_USAGE;
        }
        i += taken;
    }
    return check_required(argv[0], flags);
}

/* --- log --- */

/* "info", or directives as Linkerd's controllers take them: of "linkerd_cni_repair_controller=debug,warn" our part is ours. */
static int read_level(const char *text, enum journal_level *ret_level)
{
    struct slice rest = slice_str(text), one;
    bool named = false;

    while (slice_split(&rest, ',', &one)) {
        size_t equals = slice_find(one, '=');
        struct slice level = equals < one.len ? slice_skip(one, equals + 1) : one;
        bool ours = equals < one.len && slice_starts(one, SLICE_LIT("linkerd"));
        enum journal_level found;
        char word[16];

        if (level.len >= sizeof(word))
            return -EINVAL;
        memcpy(word, level.ptr ? level.ptr : "", level.len);
        word[level.len] = '\0';
        if (journal_level_parse(word, &found) < 0)
            return -EINVAL;
        if (ours || (!named && equals >= one.len))
            *ret_level = found;
        named |= ours;
    }
    return 0;
}

static void on_report(struct reporter *reporter, const struct report *report)
{
    static const enum journal_level levels[] = {[REPORT_INFO] = JOURNAL_INFO, [REPORT_WARNING] = JOURNAL_WARN, [REPORT_ERROR] = JOURNAL_ERROR};
    struct agent *agent = CONTAINER_OF(reporter, struct agent, reporter);
    struct buffer text;

    buffer_init(&text, 4096);
    report_format(report, &text);
    journal_line(&agent->log, levels[report->severity], "%.*s", SLICE_ARGS(buffer_slice(&text)));
    buffer_release(&text);
}

/* --- pages --- */

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
    struct agent *agent = owner;

    if (!is_get(request, response))
        return;
    if (agent->part.measure)
        agent->part.measure(agent->part.owner);
    response->content_type = SLICE_LIT("text/plain; version=0.0.4; charset=utf-8");
    response->gzip = true;
    (void)metrics_write(&agent->metrics, &response->body);
}

static void ready_page(void *owner, const struct admin_request *request, struct admin_response *response)
{
    struct agent *agent = owner;

    if (!is_get(request, response))
        return;
    if (agent->part.is_ready(agent->part.owner)) {
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

static const struct admin_page pages[] = {
    {{"/metrics", 8}, metrics_page}, {{"/ready", 6}, ready_page}, {{"/live", 5}, live_page}, {{NULL, 0}, NULL},
};

/* --- from beginning to end --- */

static void on_end(struct timer *timer)
{
    loop_stop(&CONTAINER_OF(timer, struct agent, end)->loop);
}

static void on_sweep(struct timer *timer)
{
    struct agent *agent = CONTAINER_OF(timer, struct agent, sweep);

    metrics_sweep(&agent->metrics, agent->loop.now_ns);
    timer_set(&agent->loop, timer, agent->loop.now_ns + SWEEP_NS);
}

static void on_signal(struct signals *signals, int number)
{
    struct agent *agent = CONTAINER_OF(signals, struct agent, signals);

    if (timer_is_set(&agent->end))
        return;
    journal_line(&agent->log, JOURNAL_INFO, "told to end (signal %d)", number);
    if (agent->part.on_end)
        agent->part.on_end(agent->part.owner);
    timer_set(&agent->loop, &agent->end, agent->loop.now_ns + agent->part.linger_ns);
}

static int open_loop(struct agent *agent)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    int r = signals_start(&agent->signals, &agent->loop, numbers, on_signal);

    if (r == 0)
        r = timer_init(&agent->loop, &agent->end, on_end);
    if (r == 0)
        r = timer_init(&agent->loop, &agent->sweep, on_sweep);
    return r;
}

static int open_client(struct agent *agent)
{
    struct errmsg msg = {""};
    int r = agent->kubeconfig ? kubeconfig_load(agent->kubeconfig, SLICE_LIT(""), &agent->access, &msg)
                              : kube_access_in_pod(getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"), KUBE_POD_DIRECTORY,
                                                   &agent->access, &msg);

    if (r == 0)
        r = api_client_new(&agent->loop, &agent->access, &agent->client);
    if (r < 0)
        journal_line(&agent->log, JOURNAL_ERROR, "no access to the API server: %s", *msg.text ? msg.text : strerror(-r));
    return r;
}

static int read_settings(struct agent *agent)
{
    struct addr addr;

    if (read_level(agent->log_level, &agent->log.level) < 0)
        journal_line(&agent->log, JOURNAL_ERROR, "--log-level=%s is not valid: expected error, warn, info or debug", agent->log_level);
    else if (journal_format_parse(agent->log_format, &agent->log.json) < 0)
        journal_line(&agent->log, JOURNAL_ERROR, "--log-format=%s is not valid: expected plain or json", agent->log_format);
    else if (addr_parse(slice_str(agent->admin_addr), &addr) < 0)
        journal_line(&agent->log, JOURNAL_ERROR, "--admin-addr=%s is not valid: expected an address with a port, as [::]:9990", agent->admin_addr);
    else
        return 0;
    return -EINVAL;
}

int agent_open(struct agent *agent, const char *name, const struct metric_family *families, unsigned family_count)
{
    struct sys *sys = sys_linux();
    uint64_t secret;
    int r;

    agent->name = name;
    agent->log = (struct journal){stderr, JOURNAL_INFO, false};
    agent->reporter.report = on_report;
    agent->signals.watch.fd = -1;
    if (read_settings(agent) < 0)
        return AGENT_EXIT_USAGE;
    r = loop_init(&agent->loop, sys, PAGES_MAX);
    if (r == 0) {
        agent->open = true;
        sys->ops->random(sys, &secret, sizeof(secret));
        metrics_init(&agent->metrics, LIMIT_METRIC_SERIES, 600 * NS_PER_S, secret);
        agent->families = metrics_add_table(&agent->metrics, families, family_count);
        agent->shard = agent->families < 0 ? NULL : metrics_shard_new(&agent->metrics);
        r = agent->shard ? open_loop(agent) : -ENOMEM;
    }
    if (r < 0)
        journal_line(&agent->log, JOURNAL_ERROR, "cannot begin: %s", strerror(-r));
    return r < 0 || open_client(agent) < 0 ? AGENT_EXIT_START : 0;
}

int agent_run(struct agent *agent, const struct agent_part *part)
{
    struct addr addr;
    int r;

    agent->part = *part;
    addr_parse(slice_str(agent->admin_addr), &addr);
    r = http_admin_new(&agent->loop, addr, pages, agent, &agent->admin);
    if (r < 0) {
        journal_line(&agent->log, JOURNAL_ERROR, "cannot listen on --admin-addr=%s: %s", agent->admin_addr, strerror(-r));
        return AGENT_EXIT_START;
    }
    journal_line(&agent->log, JOURNAL_INFO, "%s of Clinkerd " CLINKERD_VERSION " follows %.*s", agent->name, SLICE_ARGS(agent->access.server));
    timer_set(&agent->loop, &agent->sweep, agent->loop.now_ns + SWEEP_NS);
    loop_run(&agent->loop);
    return 0;
}

void agent_close(struct agent *agent)
{
    if (!agent->open)
        return;
    http_admin_free(agent->admin);
    api_client_free(agent->client);
    kube_access_release(&agent->access);
    timer_release(&agent->loop, &agent->end);
    timer_release(&agent->loop, &agent->sweep);
    if (agent->signals.watch.fd >= 0)
        signals_stop(&agent->signals);
    while (loop_turn(&agent->loop, 0))
        ; /* what is to be freed at the end of a turn */
    loop_release(&agent->loop);
    metrics_release(&agent->metrics);
}

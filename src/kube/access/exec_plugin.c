#include "kube/access/exec_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "kube/file.h"

static const int64_t TIMEOUT_NS = 60 * NS_PER_S;
static const int64_t TIMEOUT_ASKING_NS = 300 * NS_PER_S; /* people look for their phones */

struct exec_plugin {
    /* what it gave */
    struct arena arena;
    struct exec_credential credential;
    unsigned generation, certificates;
    bool good;
    /* the run */
    const struct kube_access *access;
    struct loop *loop; /* NULL: it does not run */
    pid_t pid;
    struct watch output, exit;
    struct task work;
    struct timer deadline;
    struct buffer printed;
    struct errmsg failure; /* why we ended it; "" */
    void (*done)(void *owner, int error, const struct errmsg *msg);
    void *owner;
};

int exec_plugin_new(struct exec_plugin **ret_plugin)
{
    struct exec_plugin *plugin = calloc(1, sizeof(*plugin));

    if (!plugin)
        return -ENOMEM;
    arena_init(&plugin->arena, LIMIT_EXEC_ARENA);
    *ret_plugin = plugin;
    return 0;
}

void exec_plugin_free(struct exec_plugin *plugin)
{
    if (!plugin)
        return;
    arena_release(&plugin->arena);
    free(plugin);
}

/* --- what it gave --- */

const struct exec_credential *exec_plugin_credential(const struct exec_plugin *plugin)
{
    return plugin && plugin->generation ? &plugin->credential : NULL;
}

bool exec_plugin_ready(const struct kube_access *access, int64_t wall_ns)
{
    const struct exec_plugin *plugin = access->plugin;

    if (!plugin || access->token.len || access->token_file.len)
        return true;
    return plugin->good && wall_ns < plugin->credential.expires_ns;
}

unsigned exec_plugin_generation(const struct kube_access *access)
{
    return access->plugin ? access->plugin->generation : 0;
}

unsigned exec_plugin_certificates(const struct kube_access *access)
{
    return access->plugin ? access->plugin->certificates : 0;
}

void exec_plugin_refused(const struct kube_access *access, unsigned generation)
{
    if (access->plugin && access->plugin->generation == generation)
        access->plugin->good = false;
}

static int take_output(struct exec_plugin *plugin, struct errmsg *msg)
{
    struct exec_credential credential;
    struct arena arena;
    int r;

    arena_init(&arena, LIMIT_EXEC_ARENA);
    r = exec_credential_read(&arena, buffer_slice(&plugin->printed), plugin->access->exec.version, &credential, msg);
    if (r < 0) {
        arena_release(&arena);
        return errmsg_prefix(msg, r, "what it printed");
    }
    plugin->certificates += !slice_eq(credential.certificate_pem, plugin->credential.certificate_pem);
    arena_release(&plugin->arena);
    plugin->arena = arena;
    plugin->credential = credential;
    plugin->generation++;
    plugin->good = true;
    return 0;
}

/* --- its end --- */

static void close_watch(struct exec_plugin *plugin, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    watch_close(plugin->loop, watch, false);
    watch->fd = -1;
}

/* Gives back what the run had; the process has been waited for. */
static void end_run(struct exec_plugin *plugin)
{
    close_watch(plugin, &plugin->output);
    close_watch(plugin, &plugin->exit);
    task_cancel(&plugin->work);
    timer_release(plugin->loop, &plugin->deadline);
    file_forget(&plugin->printed);
    plugin->loop = NULL;
}

static void give_up(struct exec_plugin *plugin, const char *why)
{
    errmsg_set(&plugin->failure, 0, "%s", why);
    kill(plugin->pid, SIGKILL); /* its end is told by `exit` */
}

void exec_plugin_stop(const struct kube_access *access)
{
    struct exec_plugin *plugin = access->plugin;

    if (!plugin || !plugin->loop)
        return;
    kill(plugin->pid, SIGKILL);
    while (waitpid(plugin->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    end_run(plugin);
}

static int outcome(struct exec_plugin *plugin, int status, struct errmsg *msg)
{
    if (plugin->failure.text[0])
        return errmsg_set(msg, -ETIMEDOUT, "%s", plugin->failure.text);
    if (WIFSIGNALED(status))
        return errmsg_set(msg, -EIO, "signal %d ended it", WTERMSIG(status));
    if (WEXITSTATUS(status))
        return errmsg_set(msg, -EIO, "it ended with status %d; it says why above, or in its own documentation", WEXITSTATUS(status));
    return take_output(plugin, msg);
}

static void finish(struct exec_plugin *plugin, int status)
{
    struct errmsg msg = {""};
    int r = outcome(plugin, status, &msg);

    if (r < 0)
        errmsg_prefix(&msg, r, "credential plug-in \"%.*s\"", SLICE_ARGS(slice_take(plugin->access->exec.command, 200)));
    end_run(plugin);
    plugin->done(plugin->owner, r, &msg);
}

/* --- while it runs --- */

static void read_output(struct exec_plugin *plugin)
{
    while (plugin->output.fd >= 0) {
        char bytes[4096];
        ssize_t n = read(plugin->output.fd, bytes, sizeof(bytes));

        if (n < 0)
            break;
        if (n == 0)
            close_watch(plugin, &plugin->output);
        else if (buffer_add(&plugin->printed, slice_of(bytes, (size_t)n)) < 0 && !plugin->failure.text[0])
            give_up(plugin, "it printed more than a credential may have");
        explicit_bzero(bytes, sizeof(bytes));
    }
}

static void work(struct task *task)
{
    struct exec_plugin *plugin = CONTAINER_OF(task, struct exec_plugin, work);
    int status;

    read_output(plugin);
    if (waitpid(plugin->pid, &status, WNOHANG) != plugin->pid)
        return;
    read_output(plugin); /* what it wrote in the meantime */
    finish(plugin, status);
}

static void output_ready(struct watch *watch, unsigned what)
{
    struct exec_plugin *plugin = CONTAINER_OF(watch, struct exec_plugin, output);

    task_wake(plugin->loop, &plugin->work);
}

static void exit_ready(struct watch *watch, unsigned what)
{
    struct exec_plugin *plugin = CONTAINER_OF(watch, struct exec_plugin, exit);

    task_wake(plugin->loop, &plugin->work);
}

static void too_late(struct timer *timer)
{
    give_up(CONTAINER_OF(timer, struct exec_plugin, deadline), "it did not end in time");
}

/* --- its start --- */

static int write_info(const struct kube_access *access, bool asks, struct buffer *to, struct errmsg *msg)
{
    struct exec_cluster cluster = {access->server, access->tls_server_name, access->ca_pem, access->proxy_url, access->exec.cluster_config, access->insecure};
    struct buffer ca = {0};
    int r = 0;

    if (access->exec.provide_cluster && !cluster.ca_pem.len && access->ca_file.len) {
        r = file_load(access->ca_file, LIMIT_PEM, &ca, msg);
        cluster.ca_pem = buffer_slice(&ca);
    }
    if (r == 0)
        r = exec_info_write(access->exec.version, asks, access->exec.provide_cluster ? &cluster : NULL, to);
    buffer_release(&ca);
    return r;
}

/* Whether the entry of an environment has the name of one of ours. */
static bool is_replaced(const struct kube_exec *exec, const char *entry)
{
    struct slice name = slice_take(slice_str(entry), slice_find(slice_str(entry), '=') + 1);

    for (size_t i = 0; i < exec->variable_count; i++)
        if (slice_starts(exec->variables[i], name))
            return true;
    return slice_eq(name, SLICE_LIT("KUBERNETES_EXEC_INFO="));
}

static char **make_environment(struct arena *arena, const struct kube_exec *exec, struct slice info)
{
    size_t count = 0, at = 0;
    char **all;

    while (environ[count])
        count++;
    all = arena_zalloc(arena, count + exec->variable_count + 2, sizeof(*all));
    if (!all)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_replaced(exec, environ[i]))
            all[at++] = environ[i];
    for (size_t i = 0; i < exec->variable_count; i++)
        all[at++] = (char *)(uintptr_t)exec->variables[i].ptr;
    all[at] = (char *)(uintptr_t)arena_printf(arena, "KUBERNETES_EXEC_INFO=%.*s", SLICE_ARGS(info)).ptr;
    return all[at] ? all : NULL;
}

static char **make_arguments(struct arena *arena, const struct kube_exec *exec)
{
    char **all = arena_zalloc(arena, exec->argument_count + 2, sizeof(*all));

    if (!all)
        return NULL;
    all[0] = (char *)(uintptr_t)exec->command.ptr;
    for (size_t i = 0; i < exec->argument_count; i++)
        all[i + 1] = (char *)(uintptr_t)exec->arguments[i].ptr;
    return all;
}

/* As a shell would start it: no signal is held back or ignored, and no descriptor of ours is there but the three. */
static int spawn(char **arguments, char **environment, bool asks, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int r;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (r == 0 && !asks)
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (r == 0)
        r = posix_spawnp(ret_pid, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int say_no_start(const struct kube_exec *exec, int error, struct errmsg *msg)
{
    return errmsg_set(msg, error, "credential plug-in \"%.*s\" of the kubeconfig cannot be run: %s%s%.*s", SLICE_ARGS(slice_take(exec->command, 200)),
                      error == -ENOENT ? "there is no such program" : strerror(-error), exec->install_hint.len ? "\n" : "",
                      SLICE_ARGS(slice_take(exec->install_hint, 250)));
}

/* The process is there; its descriptors are to be watched. */
static int watch_process(struct exec_plugin *plugin, int output)
{
    int pidfd = pidfd_open(plugin->pid, 0), r;

    r = pidfd < 0 ? -errno : watch_start(plugin->loop, &plugin->exit, pidfd, 0, exit_ready);
    if (r < 0) {
        if (pidfd >= 0)
            close(pidfd);
        plugin->exit.fd = -1;
        close(output);
        return r;
    }
    r = watch_start(plugin->loop, &plugin->output, output, 0, output_ready);
    if (r < 0) {
        plugin->output.fd = -1;
        close(output);
    }
    return r;
}

static int start_process(struct exec_plugin *plugin, bool asks, struct errmsg *msg)
{
    const struct kube_exec *exec = &plugin->access->exec;
    struct buffer info;
    struct arena arena;
    char **arguments, **environment;
    int fds[2], r;

    buffer_init(&info, LIMIT_EXEC_INFO);
    arena_init(&arena, LIMIT_EXEC_ARENA);
    r = write_info(plugin->access, asks, &info, msg);
    arguments = make_arguments(&arena, exec);
    environment = r == 0 ? make_environment(&arena, exec, buffer_slice(&info)) : NULL;
    if (r == 0 && (!arguments || !environment))
        r = -ENOMEM;
    if (r == 0 && pipe2(fds, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0) {
        r = spawn(arguments, environment, asks, fds[1], &plugin->pid);
        close(fds[1]);
        if (r < 0) {
            close(fds[0]);
            r = say_no_start(exec, r, msg);
        } else {
            fcntl(fds[0], F_SETFL, O_NONBLOCK);
            r = watch_process(plugin, fds[0]);
            if (r < 0)
                exec_plugin_stop(plugin->access);
        }
    }
    arena_release(&arena);
    buffer_release(&info);
    return r;
}

int exec_plugin_start(const struct kube_access *access, struct loop *loop, void (*done)(void *owner, int error, const struct errmsg *msg), void *owner,
                      struct errmsg *msg)
{
    struct exec_plugin *plugin = access->plugin;
    bool asks = access->exec.interactive != EXEC_NEVER && isatty(STDIN_FILENO);
    int r;

    if (plugin->loop)
        return errmsg_set(msg, -EBUSY, "the credential plug-in runs already");
    if (access->exec.interactive == EXEC_ALWAYS && !asks)
        return errmsg_set(msg, -ENOTTY, "credential plug-in \"%.*s\" must ask you something (interactiveMode: Always), but standard input is no terminal",
                          SLICE_ARGS(slice_take(access->exec.command, 200)));
    r = timer_init(loop, &plugin->deadline, too_late);
    if (r < 0)
        return errmsg_set(msg, r, "no memory");
    plugin->access = access;
    plugin->loop = loop;
    plugin->output.fd = plugin->exit.fd = -1;
    plugin->failure.text[0] = '\0';
    plugin->done = done;
    plugin->owner = owner;
    task_init(&plugin->work, work);
    buffer_init(&plugin->printed, LIMIT_EXEC_OUTPUT);
    errmsg_set(msg, 0, "no memory for the credential plug-in");
    r = start_process(plugin, asks, msg);
    if (r < 0) {
        if (plugin->loop)
            end_run(plugin);
        return r;
    }
    timer_set(loop, &plugin->deadline, loop->now_ns + (asks ? TIMEOUT_ASKING_NS : TIMEOUT_NS));
    return 0;
}

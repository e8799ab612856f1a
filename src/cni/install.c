#include "cni/install.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cni/credentials.h"
#include "cni/install_options.h"
#include "cni/network.h"
#include "event/loop.h"
#include "event/signals.h"

#define PLUGIN "linkerd-cni"
#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

enum { PAGES_MAX = 16, ENDING_TRIES = 10, PROBLEMS_MAX = 64 * 1024 };

static const int64_t QUIET_NS = 100 * NS_PER_MS; /* others write several files, or one in several steps */
static const int64_t LOOK_NS = 60 * NS_PER_S;    /* what inotify does not tell: directories that are mounted anew */
static const int64_t RETRY_NS = 5 * NS_PER_S;
static const int64_t AWAY_NS = 300 * NS_PER_MS;  /* the entry has to stay away for so long before the plugin goes */

struct install {
    struct install_options options;
    struct journal log;
    struct loop loop;
    struct signals signals;
    struct watch watch;   /* inotify */
    struct timer timer;   /* the next look at everything */
    int64_t first_ns;     /* the first event since the last look; 0: none */
    struct network network;
    enum network_state state;
    struct stat plugin;   /* of the node, as we have seen or written it */
    struct buffer problems, told;
    unsigned tries;       /* while ending */
    bool ending, placed;
    int status;
};

static const char *from_environment(const void *owner, const char *name)
{
    return getenv(name);
}

/* --- what is told: not the same again and again --- */

static void tell_lines(struct install *install, struct slice text)
{
    struct slice line;

    while (slice_split(&text, '\n', &line))
        if (line.len)
            journal_line(&install->log, JOURNAL_WARN, "%.*s", SLICE_ARGS(line));
}

static void tell(struct install *install)
{
    if (!slice_eq(buffer_slice(&install->problems), buffer_slice(&install->told))) {
        tell_lines(install, buffer_slice(&install->problems));
        buffer_clear(&install->told);
        buffer_add(&install->told, buffer_slice(&install->problems));
    }
    buffer_clear(&install->problems);
}

static void complain(struct install *install, const struct errmsg *msg)
{
    buffer_printf(&install->problems, "%s\n", msg->text);
}

static void tell_state(struct install *install, enum network_state state)
{
    if (state == NETWORK_WRITTEN)
        journal_line(&install->log, JOURNAL_INFO, install->placed ? "others have written in %s: the entry of linkerd-cni is in its network again"
                                                               : "the entry of linkerd-cni is in the network of %s", install->options.net);
    else if (state == NETWORK_WAITS && install->state != NETWORK_WAITS)
        journal_line(&install->log, JOURNAL_WARN, "others remove the entry of linkerd-cni in %s again and again; it comes back more slowly. Look which "
                     "program writes there: pods of the mesh that start now may get no rules", install->options.net);
    else if (state == NETWORK_NONE)
        buffer_printf(&install->problems, "there is no network configuration in %s that can take the entry of linkerd-cni; it waits "
                                          "for one (the network plugin of the cluster writes it)\n", install->options.net);
    else if (state == NETWORK_IS_THERE && !install->placed)
        journal_line(&install->log, JOURNAL_INFO, "the entry of linkerd-cni is in the network of %s already", install->options.net);
    install->placed = install->placed || state == NETWORK_WRITTEN || state == NETWORK_IS_THERE;
    install->state = state;
}

/* --- the plugin --- */

static bool is_as_seen(const struct stat *seen, const struct stat *now)
{
    return seen->st_ino == now->st_ino && seen->st_dev == now->st_dev && seen->st_size == now->st_size && seen->st_mode == now->st_mode &&
           seen->st_mtim.tv_sec == now->st_mtim.tv_sec && seen->st_mtim.tv_nsec == now->st_mtim.tv_nsec;
}

static int copy_plugin(const struct folder *from, const struct folder *to, struct errmsg *msg)
{
    struct buffer ours, there;
    struct stat status = {0};
    int r;

    buffer_init(&ours, LIMIT_CNI_PROGRAM);
    buffer_init(&there, LIMIT_CNI_PROGRAM);
    r = folder_read(from, PLUGIN, &ours, NULL, msg);
    if (r == 0 && (folder_read(to, PLUGIN, &there, &status, NULL) < 0 || (status.st_mode & 07777) != 0755 ||
                   !slice_eq(buffer_slice(&ours), buffer_slice(&there))))
        r = folder_write(to, PLUGIN, buffer_slice(&ours), 0755, NULL, msg);
    buffer_release(&ours);
    buffer_release(&there);
    return r;
}

/* Compared byte for byte only when it is not the file that was compared before. */
static int place_plugin(struct install *install, const struct folder *to, struct errmsg *msg)
{
    struct folder from = {0};
    struct stat now;
    int r;

    if (fstatat(to->fd, PLUGIN, &now, AT_SYMLINK_NOFOLLOW) == 0 && is_as_seen(&install->plugin, &now))
        return 0;
    r = folder_open(&from, install->options.source, msg);
    if (r == 0)
        r = copy_plugin(&from, to, msg);
    folder_close(&from);
    if (r == 0 && fstatat(to->fd, PLUGIN, &install->plugin, AT_SYMLINK_NOFOLLOW) < 0)
        r = errmsg_set(msg, -errno, "cannot look at %s/" PLUGIN ": %s", to->path, strerror(errno));
    return r;
}

/* --- all three, in order --- */

struct node {
    struct folder net, bin;
};

static int open_node(struct install *install, struct node *node, struct errmsg *msg)
{
    int r = folder_open(&node->bin, install->options.bin, msg);

    node->net.fd = -1;
    return r == 0 ? folder_open(&node->net, install->options.net, msg) : r;
}

static void close_node(struct node *node)
{
    folder_close(&node->bin);
    folder_close(&node->net);
}

static int place(struct install *install, const struct node *node, enum network_state *ret_state, struct errmsg *msg)
{
    int64_t now = install->loop.sys ? install->loop.sys->ops->now(install->loop.sys) : 0;
    int r = place_plugin(install, &node->bin, msg);

    if (r == 0)
        r = credentials_write(&install->options.credentials, &node->net, msg);
    if (r == 0)
        r = network_apply(&install->network, &node->net, slice_str(install->options.entry), now, &install->problems, ret_state, msg);
    return r;
}

static int apply(struct install *install)
{
    enum network_state state = NETWORK_NONE;
    struct node node = {0};
    struct errmsg msg = {""};
    int r = open_node(install, &node, &msg);

    if (r == 0)
        r = place(install, &node, &state, &msg);
    close_node(&node);
    if (r == 0)
        tell_state(install, state);
    else if (r != -ESTALE)
        complain(install, &msg);
    tell(install);
    return r;
}

/* Leftovers of predecessors that were killed. */
static void sweep(struct install *install)
{
    struct node node = {0};
    struct errmsg msg = {""};
    int r = open_node(install, &node, &msg);

    if (r == 0)
        r = folder_sweep(&node.net, &msg);
    if (r == 0)
        r = folder_sweep(&node.bin, &msg);
    close_node(&node);
    if (r < 0)
        complain(install, &msg);
}

/* --- the end --- */

static void finish(struct install *install, int status)
{
    install->status = status;
    loop_stop(&install->loop);
}

static int remove_files(const struct node *node, struct errmsg *msg)
{
    int r = folder_remove(&node->net, CREDENTIALS_FILE, msg);

    return r == 0 ? folder_remove(&node->bin, PLUGIN, msg) : r;
}

/* 1: the entry is away since the last step, and so are the files now; 0: look again; or a negative errno. */
static int try_to_end(struct install *install, struct errmsg *msg)
{
    struct node node = {0};
    bool changed = false;
    int r = open_node(install, &node, msg);

    if (r == 0)
        r = network_revert(&node.net, &install->problems, &changed, msg);
    if (r == 0 && !changed && install->tries)
        r = remove_files(&node, msg) < 0 ? -EIO : 1;
    close_node(&node);
    return r;
}

/* The plugin goes when the entry was away for a while: a program that read the list with the entry in it may still write it back. */
static void end_step(struct install *install)
{
    struct errmsg msg = {""};
    int r = try_to_end(install, &msg);

    tell(install);
    if (r == 1) {
        journal_line(&install->log, JOURNAL_INFO, "linkerd-cni is removed from this node");
        finish(install, 0);
    } else if (++install->tries > ENDING_TRIES) {
        journal_line(&install->log, JOURNAL_ERROR, "linkerd-cni stays on this node, so that pods can be started: %s", r == 0 ?
                     "others write its entry back; look which program writes network configurations" : *msg.text ? msg.text :
                     "a network configuration that cannot be edited names it");
        finish(install, 1);
    } else {
        timer_set(&install->loop, &install->timer, install->loop.now_ns + AWAY_NS);
    }
}

static void on_signal(struct signals *signals, int number)
{
    struct install *install = CONTAINER_OF(signals, struct install, signals);

    if (install->ending)
        return;
    journal_line(&install->log, JOURNAL_INFO, "told to end (signal %d): the entry of linkerd-cni is removed, then the plugin", number);
    install->ending = true;
    timer_set(&install->loop, &install->timer, install->loop.now_ns);
}

/* --- what happens meanwhile --- */

/* Watching one directory twice is watching it once. */
static void follow(struct install *install)
{
    const char *const paths[] = {install->options.net, install->options.bin, install->options.credentials.directory};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (inotify_add_watch(install->watch.fd, paths[i], WATCHED) < 0 && errno != ENOENT)
            buffer_printf(&install->problems, "cannot follow %s: %s; it is looked at every minute%s\n", paths[i], strerror(errno),
                          errno == ENOSPC ? " (raise fs.inotify.max_user_watches)" : "");
}

static void look(struct install *install)
{
    int64_t next = LOOK_NS;
    int r;

    install->first_ns = 0;
    follow(install);
    r = apply(install);
    if (r == -ESTALE)
        next = QUIET_NS;
    else if (r < 0)
        next = RETRY_NS;
    timer_set(&install->loop, &install->timer, r == 0 && install->state == NETWORK_WAITS ? install->network.not_before_ns
                                                                                          : install->loop.now_ns + next);
}

static void on_timer(struct timer *timer)
{
    struct install *install = CONTAINER_OF(timer, struct install, timer);

    if (install->ending)
        end_step(install);
    else
        look(install);
}

/* When it was quiet, but not for ever where it never is; and not before others have had their time. */
static void look_soon(struct install *install)
{
    int64_t now = install->loop.now_ns, at = now + QUIET_NS;

    if (install->first_ns == 0)
        install->first_ns = now;
    if (at > install->first_ns + 10 * QUIET_NS)
        at = install->first_ns + 10 * QUIET_NS;
    if (install->state == NETWORK_WAITS && at < install->network.not_before_ns)
        at = install->network.not_before_ns;
    timer_set(&install->loop, &install->timer, at);
}

static void on_inotify(struct watch *watch, unsigned what)
{
    struct install *install = CONTAINER_OF(watch, struct install, watch);
    char bytes[16 * 1024];
    bool any = false;

    while (read(watch->fd, bytes, sizeof(bytes)) > 0)
        any = true;
    if (any && !install->ending)
        look_soon(install);
}

/* --- from beginning to end --- */

static int start_loop(struct install *install, struct errmsg *msg)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    int r = loop_init(&install->loop, sys_linux(), PAGES_MAX), fd;

    if (r == 0)
        r = signals_start(&install->signals, &install->loop, numbers, on_signal);
    if (r == 0)
        r = timer_init(&install->loop, &install->timer, on_timer);
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (r == 0 && fd < 0)
        r = -errno;
    if (r == 0)
        r = watch_start(&install->loop, &install->watch, fd, 0, on_inotify);
    return r < 0 ? errmsg_set(msg, r, "cannot wait for events: %s", strerror(-r)) : 0;
}

static void stop_loop(struct install *install)
{
    watch_close(&install->loop, &install->watch, false);
    signals_stop(&install->signals);
    timer_release(&install->loop, &install->timer);
    loop_release(&install->loop);
}

/* The loop starts first, since from then on no signal is lost: being told to end means to take everything back. */
static int run(struct install *install)
{
    struct errmsg msg = {""};

    if (!install->options.stay) {
        sweep(install);
        return apply(install) < 0 || install->state == NETWORK_NONE;
    }
    if (start_loop(install, &msg) < 0) {
        journal_line(&install->log, JOURNAL_ERROR, "%s", msg.text);
        return 1;
    }
    sweep(install);
    timer_set(&install->loop, &install->timer, install->loop.now_ns);
    loop_run(&install->loop);
    stop_loop(install);
    return install->status;
}

/* --- the probe --- */

static int refuse(void *owner, const char *call, const char *name)
{
    return -EROFS;
}

/* Nothing would be written: everything is there. */
static int is_ready(struct install *install)
{
    enum network_state state = NETWORK_NONE;
    struct node node = {.net = {.gate = refuse}, .bin = {.gate = refuse}};
    struct errmsg msg = {""};
    int r = open_node(install, &node, &msg);

    if (r == 0)
        r = place(install, &node, &state, &msg);
    close_node(&node);
    if (r == 0 && state == NETWORK_IS_THERE)
        return 0;
    fprintf(stderr, "not ready: %s\n", r == -EROFS || !*msg.text ? "plugin, kubeconfig and entry are not all on the node" : msg.text);
    return 1;
}

int install_main(int argc, char *argv[])
{
    bool probe = argc == 2 && strcmp(argv[1], "ready") == 0;
    struct install install = {.log = {stderr, JOURNAL_INFO, false}};
    struct errmsg msg = {""};
    int status = 1;

    buffer_init(&install.problems, PROBLEMS_MAX);
    buffer_init(&install.told, PROBLEMS_MAX);
    if (argc > 1 && !probe)
        journal_line(&install.log, JOURNAL_ERROR, "linkerd2-cni-install takes no arguments but `ready`; it is configured by its environment");
    else if (install_options_read(from_environment, NULL, &install.options, &msg) < 0)
        journal_line(&install.log, JOURNAL_ERROR, "%s", msg.text);
    else
        status = probe ? is_ready(&install) : run(&install);
    install_options_release(&install.options);
    buffer_release(&install.problems);
    buffer_release(&install.told);
    return status;
}

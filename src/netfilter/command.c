#include "netfilter/command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"

/* A run under way. Descriptors are -1 once they are closed. */
struct run {
    pid_t pid;
    int pidfd;
    int input, output, errors; /* our ends */
    struct slice unsent;
    int64_t deadline_ns;
    bool ended;
    struct command_result *result;
};

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A socket pair rather than pipes: MSG_NOSIGNAL spares us SIGPIPE when the program does not read its input. */
static int open_pair(int *ret_ours, int *ret_theirs)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
        close(pair[0]);
        close(pair[1]);
        return -errno;
    }
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    return 0;
}

/* Standard descriptors, and no signal blocked or ignored, whatever is so in this process. */
static int spawn(const char *const *argv, const int theirs[3], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    int r;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    r = 0;
    for (int fd = 0; fd < 3 && r == 0; fd++)
        r = posix_spawn_file_actions_adddup2(&actions, theirs[fd], fd);
    if (r == 0)
        r = posix_spawn(ret_pid, argv[0], &actions, &attr, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int start(struct run *run, const char *const *argv)
{
    int theirs[3] = {-1, -1, -1};
    int r = open_pair(&run->input, &theirs[0]);

    if (r == 0)
        r = open_pair(&run->output, &theirs[1]);
    if (r == 0)
        r = open_pair(&run->errors, &theirs[2]);
    if (r == 0)
        r = spawn(argv, theirs, &run->pid);
    if (r == 0) {
        run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
        if (run->pidfd < 0)
            r = -errno;
    }
    for (int i = 0; i < 3; i++)
        close_fd(&theirs[i]);
    return r;
}

static void send_input(struct run *run)
{
    while (run->input >= 0) {
        ssize_t n;

        if (run->unsent.len == 0) {
            close_fd(&run->input);
            return;
        }
        n = send(run->input, run->unsent.ptr, run->unsent.len, MSG_NOSIGNAL);
        if (n >= 0)
            run->unsent = slice_skip(run->unsent, (size_t)n);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            close_fd(&run->input); /* it does not want the rest; its status will say why */
    }
}

/* Reads what is there; the descriptor is closed at the end of file. */
static void read_output(int *fd, struct buffer *to)
{
    char bytes[16384];

    while (*fd >= 0) {
        ssize_t n = read(*fd, bytes, sizeof(bytes));

        if (n > 0) {
            size_t room = to->max - to->len;

            if ((size_t)n > room && buffer_error(to) == 0)
                buffer_add(to, slice_of(bytes, room)); /* what fits; then the error sticks */
            buffer_add(to, slice_of(bytes, (size_t)n));
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            close_fd(fd);
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* Waits for something to happen, at most until the deadline. -ETIMEDOUT then. */
static int wait_some(struct run *run)
{
    struct pollfd fds[] = {
        {run->pidfd, POLLIN, 0},
        {run->output, POLLIN, 0},
        {run->errors, POLLIN, 0},
        {run->input, POLLOUT, 0},
    };
    int64_t left = run->deadline_ns - now_ns();

    if (left <= 0)
        return -ETIMEDOUT;
    if (poll(fds, sizeof(fds) / sizeof(fds[0]), (int)(left / NS_PER_MS) + 1) < 0 && errno != EINTR)
        return -errno;
    run->ended = fds[0].revents != 0;
    return 0;
}

/* Until the program itself ended: one that it left behind may hold the outputs open, and is not waited for. */
static int follow(struct run *run)
{
    int r = 0;

    while (r == 0 && !run->ended) {
        r = wait_some(run);
        send_input(run);
        read_output(&run->output, &run->result->output);
        read_output(&run->errors, &run->result->errors);
    }
    return r;
}

static void reap(struct run *run)
{
    int status;

    if (run->pid <= 0)
        return;
    if (!run->ended)
        kill(run->pid, SIGKILL);
    while (waitpid(run->pid, &status, 0) < 0)
        if (errno != EINTR)
            return;
    run->result->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int explain(const struct command *command, int r, bool started, struct errmsg *msg)
{
    char span[DURATION_TEXT_MAX];
    const char *name = command->argv[0];

    if (r == -ETIMEDOUT)
        return errmsg_set(msg, r, "%s did not end within %s and was killed", name,
                          duration_format(command->timeout_ns, span));
    if (r == -ENOBUFS)
        return errmsg_set(msg, r, "%s printed more than %d bytes", name, LIMIT_COMMAND_OUTPUT);
    return errmsg_set(msg, r, "%s %s: %s", started ? "lost track of" : "cannot run", name, strerror(-r));
}

int command_run(const struct command *command, struct errmsg *msg, struct command_result *ret_result)
{
    struct run run = {
        .pid = -1, .pidfd = -1, .input = -1, .output = -1, .errors = -1,
        .unsent = command->input,
        .deadline_ns = now_ns() + command->timeout_ns,
        .result = ret_result,
    };
    int r;

    ret_result->status = -1;
    buffer_init(&ret_result->output, LIMIT_COMMAND_OUTPUT);
    buffer_init(&ret_result->errors, LIMIT_COMMAND_ERRORS);
    r = start(&run, command->argv);
    if (r == 0)
        r = follow(&run);
    reap(&run);
    close_fd(&run.input);
    close_fd(&run.output);
    close_fd(&run.errors);
    close_fd(&run.pidfd);
    if (r == 0)
        r = buffer_error(&ret_result->output);
    return r < 0 ? explain(command, r, run.pid > 0, msg) : 0;
}

void command_result_release(struct command_result *result)
{
    buffer_release(&result->output);
    buffer_release(&result->errors);
}

void command_keep_net_capabilities(void)
{
    static const unsigned wanted[] = {CAP_NET_ADMIN, CAP_NET_RAW};
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (geteuid() == 0 || syscall(SYS_capget, &header, data) < 0)
        return;
    for (size_t i = 0; i < 2; i++)
        if (data[0].permitted & (1u << wanted[i]))
            data[0].inheritable |= 1u << wanted[i];
    if (syscall(SYS_capset, &header, data) < 0)
        return;
    for (size_t i = 0; i < 2; i++)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, wanted[i], 0, 0);
}

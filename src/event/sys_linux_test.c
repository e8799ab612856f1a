#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/duration.h"
#include "event/sys.h"

/* From now on the kernel has no epoll_pwait2, as before 5.11. */
static bool forget_epoll_pwait2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           epoll_pwait2(-1, NULL, 0, NULL, NULL) < 0 && errno == ENOSYS;
}

enum { WAITED = 10, NO_FILTER, WOKEN_EARLY, NOT_TOLD };

/* What a loop asks for: a wait that ends by time, one that is woken, one that does not wait. */
static int wait_three_times(void)
{
    struct sys *sys = sys_linux();
    struct sys_event event;
    struct poll *poll;
    int64_t begin, token = 0;
    int ends[2];

    if (!forget_epoll_pwait2())
        return NO_FILTER;
    if (sys->ops->poll_new(sys, &poll) < 0 || pipe(ends) < 0 || sys->ops->poll_add(sys, poll, ends[0], 0, &token) < 0)
        return NOT_TOLD;
    begin = sys->ops->now(sys);
    if (sys->ops->poll_wait(sys, poll, &event, 1, NS_PER_MS + 1) != 0 || sys->ops->now(sys) - begin <= NS_PER_MS)
        return WOKEN_EARLY;
    if (write(ends[1], "x", 1) != 1 || sys->ops->poll_wait(sys, poll, &event, 1, -1) != 1 || event.token != &token)
        return NOT_TOLD;
    sys->ops->poll_wake(sys, poll);
    if (sys->ops->poll_wait(sys, poll, &event, 1, -1) != 0 || sys->ops->poll_wait(sys, poll, &event, 1, 0) != 0)
        return NOT_TOLD;
    sys->ops->poll_free(sys, poll);
    return WAITED;
}

static void test_waits_on_an_old_kernel(void **state)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(wait_three_times());
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_FILTER)
        skip(); /* no seccomp here */
    assert_int_equal(WEXITSTATUS(status), WAITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_waits_on_an_old_kernel)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/limits.h"
#include "proxy/app_ports.h"

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

static void line(FILE *file, unsigned port, unsigned state)
{
    fprintf(file, "%4d: 0100007F:%04X 00000000:0000 %02X 00000000:00000000 00:00000000 00000000  1000        0 23 1 0 100 0 0 10 0\n", 1,
            port, state);
}

/* What a table with these lines says: a port listened on, many others before it, one that is only connected. */
static int look(const struct app_ports *ports, unsigned others, unsigned listened, unsigned connected)
{
    char path[] = "/tmp/app-ports-XXXXXX";
    int fd = mkstemp(path), r;
    FILE *file = fdopen(fd, "w");
    const char *const paths[] = {"/nowhere", path, NULL};

    fputs(HEADING, file);
    for (unsigned i = 0; i < others; i++)
        line(file, 20000 + i % 1000, 0x0a);
    if (listened)
        line(file, listened, 0x0a);
    if (connected)
        line(file, connected, 0x01);
    line(file, 443, 0x0a); /* behind another one: the kernel never writes so, and nobody reads so far */
    fclose(file);
    r = app_ports_listening(ports, paths);
    unlink(path);
    return r;
}

static void test_tables(void **state)
{
    static const char *const missing[] = {"/nowhere", "/nowhere/else", NULL};
    static struct app_ports ports;

    assert_true(app_ports_none(&ports));
    assert_int_equal(look(&ports, 3, 8080, 0), 0);
    app_ports_use(&ports, 8080);
    app_ports_use(&ports, 443);
    assert_false(app_ports_none(&ports));
    assert_true(app_ports_have(&ports, 8080) && !app_ports_have(&ports, 8081));
    assert_int_equal(look(&ports, 0, 8080, 0), 1);
    assert_int_equal(look(&ports, 500, 8080, 0), 1); /* several reads, lines cut between them */
    assert_int_equal(look(&ports, 500, 8081, 8080), 0);
    assert_int_equal(look(&ports, 500, 0, 8080), 0);
    assert_int_equal(look(&ports, LIMIT_PROC_TCP / 80, 8081, 8080), 1); /* too long to exclude it */
    assert_int_equal(app_ports_listening(&ports, missing), -ENOENT);
}

static void test_own_ports_do_not_count(void **state)
{
    static struct app_ports ports;

    app_ports_add_own(&ports, 4191);
    app_ports_use(&ports, 4191);
    assert_true(app_ports_none(&ports));
}

/* The kernel itself. */
static void test_a_listener_comes_and_goes(void **state)
{
    static struct app_ports ports;
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0)
        skip();
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    app_ports_use(&ports, ntohs(sa.sin6_port));
    assert_int_equal(app_ports_listening(&ports, app_ports_proc), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(app_ports_listening(&ports, app_ports_proc), 1);
    close(fd);
    assert_int_equal(app_ports_listening(&ports, app_ports_proc), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables), cmocka_unit_test(test_own_ports_do_not_count),
                                       cmocka_unit_test(test_a_listener_comes_and_goes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

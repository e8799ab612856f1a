#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/proc_tcp.h"

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        enum proc_tcp expected;
        uint16_t port;
    } cases[] = {
        {"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", PROC_TCP_NONE, 0},
        {"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 23 1 0 100 0 0 10 0", PROC_TCP_LISTENS, 8080},
        {"  17: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0", PROC_TCP_LISTENS, 80},
        {" 100: 0100007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000  0 0 0", PROC_TCP_OTHER, 8080},
        {" 100: 0100007F:ffff 0100007F:A1B2 0a", PROC_TCP_LISTENS, 65535},
        {"", PROC_TCP_NONE, 0},
        {"0: 0100007F:1F90", PROC_TCP_NONE, 0},
        {"0: 0100007F:1F901 00000000:0000 0A", PROC_TCP_NONE, 0},
        {"0: 0100007F 00000000:0000 0A", PROC_TCP_NONE, 0},
        {"0: 0100007F:1F9G 00000000:0000 0A", PROC_TCP_NONE, 0},
        {"0: 0100007F:1F90 00000000:0000 0", PROC_TCP_NONE, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint16_t port = 0;

        assert_int_equal(proc_tcp_line(slice_str(cases[i].line), &port), cases[i].expected);
        assert_int_equal(port, cases[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The log's filter, which the environment and the admin port give: what is in force, written and given again, is the same. */
#include <assert.h>
#include <fcntl.h>

#include "event/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct log *log; /* one for all inputs: it has a thread */
    struct buffer first, second;

    if (!log && log_new(sys_linux(), open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_PLAIN, SLICE_LIT("info"), &log) < 0)
        __builtin_trap();
    if (log_set_filter(log, slice_of(data, size)) < 0)
        return 0;
    buffer_init(&first, 1 << 20);
    buffer_init(&second, 1 << 20);
    log_filter(log, &first);
    assert(log_set_filter(log, buffer_slice(&first)) == 0);
    log_filter(log, &second);
    assert(slice_eq(buffer_slice(&first), buffer_slice(&second)));
    (void)log_enabled(log, LOG_DEBUG, "inbound");
    buffer_release(&first);
    buffer_release(&second);
    return 0;
}

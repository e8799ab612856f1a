/* ClientHello: total, and every prefix of one that was found is still undecided. */
#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of its own, so that a read behind the prefix is seen. */
static enum client_hello_result parse_prefix(const uint8_t *data, size_t len)
{
    struct client_hello hello;
    char *copy = malloc(len ? len : 1);
    enum client_hello_result is;

    assert(copy);
    if (len)
        memcpy(copy, data, len);
    is = client_hello_parse(slice_of(copy, len), &hello);
    free(copy);
    return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_hello hello;
    enum client_hello_result is = client_hello_parse(slice_of(data, size), &hello), before = CLIENT_HELLO_MORE;

    assert(is != CLIENT_HELLO_MORE || size < LIMIT_CLIENT_HELLO);
    if (is == CLIENT_HELLO_FOUND)
        for (size_t i = 0; i < hello.server_name_len; i++)
            assert(hello.server_name[i] > 0x20 && hello.server_name[i] < 0x7f);
    if (size > 2000)
        return 0;
    for (size_t len = 0; len <= size; len++) { /* undecided, then one verdict for good */
        enum client_hello_result now = parse_prefix(data, len);

        assert(before == CLIENT_HELLO_MORE || now == before);
        before = now;
    }
    assert(before == is);
    return 0;
}

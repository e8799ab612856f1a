/* The transport header: total; what is accepted comes back the same after encoding. */
#include <assert.h>
#include <errno.h>

#include "codec/transport_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char bytes[TRANSPORT_HEADER_MAX];
    struct transport_header header, again;
    ssize_t n = transport_header_decode(slice_of(data, size), &header);
    int len;

    assert(n <= (ssize_t)size && (n >= 0 || n == -ENOMSG || n == -EMSGSIZE || n == -EBADMSG));
    for (size_t part = 0; n > 0 && part < (size_t)n; part++)
        assert(transport_header_decode(slice_of(data, part), &again) == 0);
    if (n <= 0)
        return 0;
    len = transport_header_encode(&header, bytes);
    assert(len > 0 && transport_header_decode(slice_of(bytes, (size_t)len), &again) == len);
    assert(again.port == header.port && again.session == header.session && slice_eq(again.name, header.name));
    return 0;
}

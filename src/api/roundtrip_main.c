/* For roundtrip_test.py: the encoded message named by the argument, from standard input through plain structs to output. */
#include <stdio.h>

#include "api/roundtrip.h"
#include "base/limits.h"

int main(int argc, char **argv)
{
    const struct roundtrip *trip = argc == 2 ? roundtrip_find(argv[1]) : NULL;
    static char bytes[LIMIT_GRPC_MESSAGE];
    struct errmsg msg = {0};
    struct buffer out;
    int r;

    if (!trip)
        return 2;
    buffer_init(&out, LIMIT_SNAPSHOT);
    r = trip->run(slice_of(bytes, fread(bytes, 1, sizeof(bytes), stdin)), &msg, &out);
    if (r == 0)
        fwrite(out.data, 1, out.len, stdout);
    else
        fprintf(stderr, "%s: %d: %s\n", argv[1], r, msg.text);
    buffer_release(&out);
    return r == 0 ? 0 : 1;
}

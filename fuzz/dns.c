/* DNS questions: total; one that is understood is the same after writing it anew; answers of any size fit. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "codec/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct dns_query *query, size_t size)
{
    uint8_t *room = malloc(size);
    struct dns_answer answer;
    size_t len;

    assert(room);
    dns_answer_init(&answer, query, room, size);
    for (uint32_t i = 0; i < 50; i++) {
        dns_answer_address(&answer, DNS_ANSWER, SLICE_NULL, i, ip_v4(i));
        dns_answer_srv(&answer, i, 1, 2, SLICE_LIT("web.default.svc.cluster.local"));
    }
    dns_answer_soa(&answer, DNS_AUTHORITY, SLICE_LIT("cluster.local"), 1, 5);
    len = dns_answer_end(&answer, DNS_NOERROR, true);
    assert(len >= DNS_HEADER && len <= size);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_query query, again;
    char text[DNS_TEXT_MAX], second[DNS_TEXT_MAX];
    uint8_t written[512];
    int r = dns_query_read(slice_of(data, size), &query), len;

    assert(r == 0 || r == -EINVAL || r == -EBADMSG);
    if (r == -EBADMSG)
        return 0;
    assert(query.udp_size >= DNS_UDP_PLAIN && query.name_len <= DNS_NAME_MAX);
    answer(&query, 512);
    answer(&query, 1232);
    if (r < 0 || query.opcode || dns_query_text(&query, text) < 0)
        return 0;
    len = dns_query_write(query.id, slice_str(text), query.type, query.edns ? query.udp_size : 0, written, sizeof(written));
    assert(len > 0 && dns_query_read(slice_of(written, (size_t)len), &again) == 0);
    assert(dns_query_text(&again, second) == 0 && strcmp(text, second) == 0);
    assert(again.id == query.id && again.type == query.type && again.edns == query.edns);
    return 0;
}

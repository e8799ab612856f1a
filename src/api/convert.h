/*
 * Internal to api/: what all conversions between protobuf-c structs and plain
 * structs share.
 *
 * Decoding reads a message in a scratch arena and copies what counts into the
 * arena of the result. Functions named take_* return 0, -EPROTO (the message says
 * something that we cannot follow; the sentence names the field, each level
 * putting its own name in front) or -ENOMEM.
 *
 * Encoding builds a message in a scratch arena that may point into the plain structs.
 * Its errors stick in the encoder, as those of a buffer do: functions named
 * give_* return something usable or NULL, which stands for an absent field.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/ip.h"
#include "base/slice.h"
#include "destination.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "inbound.pb-c.h"
#include "mesh/metadata.h"
#include "meta.pb-c.h"
#include "net.pb-c.h"
#include "outbound.pb-c.h"

struct decoder {
    struct arena *arena; /* of the result */
    struct errmsg *msg;  /* never NULL */
};

struct encoder {
    struct arena *arena; /* dropped after packing */
    struct errmsg *msg;
    int error;
};

/*
 * Converts the elements of a repeated field: `from` is an array of `n` pointers to messages, `to` and `count` the
 * plain array, allocated here. take(decoder, message, element). The value is 0 or the first failure, its sentence
 * beginning with name[index].
 */
#define TAKE_LIST(decoder, name, take, from, n, to, count)                                                  \
    __extension__({                                                                                         \
        size_t n_ = (n), i_ = 0;                                                                            \
        int r_ = 0;                                                                                         \
        (to) = n_ ? arena_zalloc((decoder)->arena, n_, sizeof(*(to))) : NULL;                               \
        (count) = n_;                                                                                       \
        if (n_ && !(to))                                                                                    \
            r_ = errmsg_set((decoder)->msg, -ENOMEM, "no memory");                                          \
        while (r_ == 0 && i_ < n_) {                                                                        \
            r_ = take((decoder), (from)[i_], &(to)[i_]);                                                    \
            if (r_ < 0)                                                                                     \
                errmsg_prefix((decoder)->msg, r_, "%s[%zu]", (name), i_);                                   \
            i_++;                                                                                           \
        }                                                                                                   \
        r_;                                                                                                 \
    })

/*
 * The other way: `list` and `n` are the repeated field; give(encoder, &element) makes one message. Nothing is given
 * once the encoder has failed.
 */
#define GIVE_LIST(encoder, give, from, count, list, n)                                                      \
    do {                                                                                                    \
        size_t n_ = (count);                                                                                \
        (list) = n_ ? give_memory((encoder), n_, sizeof(*(list))) : NULL;                                   \
        (n) = (list) ? n_ : 0;                                                                              \
        for (size_t i_ = 0; i_ < (n) && !(encoder)->error; i_++)                                            \
            (list)[i_] = give((encoder), &(from)[i_]);                                                      \
    } while (0)

/* A message of this protobuf-c type, initialised, or NULL: GIVE(encoder, Net__IPv6, net__ipv6). */
#define GIVE(encoder, type, name) GIVE_EXPANDED(encoder, type, name) /* the name may be a macro */
#define GIVE_EXPANDED(encoder, type, name)                                                                  \
    __extension__({                                                                                         \
        type *new_ = give_memory((encoder), 1, sizeof(type));                                               \
        if (new_)                                                                                           \
            name##__init(new_);                                                                             \
        new_;                                                                                               \
    })

/* A copy of a string or of bytes in the result's arena. */
int take_text(struct decoder *d, const char *from, struct slice *ret_text);
int take_bytes(struct decoder *d, ProtobufCBinaryData from, struct slice *ret_bytes);
int take_texts(struct decoder *d, const char **from, size_t n, struct slice **ret_texts, size_t *ret_count);
/* A missing duration leaves *ret_ns as it is; spans beyond a century become one. Negative: -EPROTO. */
int take_duration(struct decoder *d, const char *name, const Google__Protobuf__Duration *from, int64_t *ret_ns);
int take_ip(struct decoder *d, const Net__IPAddress *from, struct ip *ret_ip);
int take_addr(struct decoder *d, const Net__TcpAddress *from, struct addr *ret_addr); /* port 1 to 65535 */
int take_cidr(struct decoder *d, const Net__IPNetwork *from, struct cidr *ret_net);
/* A missing message gives METADATA_NONE; one without a kind is -EPROTO. */
int take_metadata(struct decoder *d, const Meta__Metadata *from, struct metadata *ret_metadata);

/* Sorts by name; of several with one name the last stays, as in a map. */
void labels_sort(struct labels *labels);
/* A map<string,string>: every map has an entry type of its own with the same members. */
#define TAKE_LABELS(decoder, from, n, to)                                                                   \
    __extension__({                                                                                         \
        int labels_r_ = TAKE_LIST((decoder), "labels", TAKE_LABEL, (from), (n), (to)->items, (to)->count);  \
        if (labels_r_ == 0)                                                                                 \
            labels_sort(to);                                                                                \
        labels_r_;                                                                                          \
    })
#define TAKE_LABEL(decoder, entry, label) take_label((decoder), (entry)->key, (entry)->value, (label))
int take_label(struct decoder *d, const char *key, const char *value, struct label *ret_label);

/* RFC 9110: tokens, and field values (visible characters, spaces and tabs, bytes above 0x7f). */
bool text_is_token(struct slice text);
bool text_is_field_value(struct slice text);
/* Host names as certificates and client hellos have them: letters, digits, - and _ in labels of 1 to 63. */
bool text_is_dns_name(struct slice text);
/* host[:port] of a URI, without user. */
bool text_is_authority(struct slice text);

/* Zeroed, or NULL with the encoder's error set. */
void *give_memory(struct encoder *e, size_t count, size_t size);
/* Never NULL; text with a NUL or that is not UTF-8 is an error (-EINVAL). */
const char *give_text(struct encoder *e, struct slice text);
ProtobufCBinaryData give_bytes(struct slice bytes);
void give_texts(struct encoder *e, const struct slice *texts, size_t count, const char ***ret_texts, size_t *ret_n);
/* NULL for 0, which stands for none; the second form gives 0 as 0. */
Google__Protobuf__Duration *give_duration(struct encoder *e, int64_t ns);
Google__Protobuf__Duration *give_duration_always(struct encoder *e, int64_t ns);
Net__IPAddress *give_ip(struct encoder *e, const struct ip *ip);
Net__TcpAddress *give_addr(struct encoder *e, const struct addr *addr);
Net__IPNetwork *give_cidr(struct encoder *e, const struct cidr *net);
/* NULL for METADATA_NONE. */
Meta__Metadata *give_metadata(struct encoder *e, const struct metadata *metadata);
/* The entries of a map: `type` and `name` as for GIVE. */
#define GIVE_LABELS(encoder, type, init, from, list, n)                                                     \
    do {                                                                                                    \
        size_t count_ = (from)->count;                                                                      \
        (list) = count_ ? give_memory((encoder), count_, sizeof(*(list))) : NULL;                           \
        (n) = (list) ? count_ : 0;                                                                          \
        for (size_t i_ = 0; i_ < (n); i_++) {                                                               \
            (list)[i_] = GIVE((encoder), type, init);                                                       \
            if (!(list)[i_])                                                                                \
                break;                                                                                      \
            (list)[i_]->key = give_text((encoder), (from)->items[i_].name);                                 \
            (list)[i_]->value = give_text((encoder), (from)->items[i_].value);                              \
        }                                                                                                   \
    } while (0)

/* Packs what was given, unless the encoder has failed. 0 or a negative code. */
int give_end(struct encoder *e, const ProtobufCMessage *message, struct buffer *out);

/* One endpoint, in updates, policies and profiles; take_endpoint() skips nothing, see endpoint_decode.c. */
struct endpoint_info;
int take_endpoint(struct decoder *d, const Destination__WeightedAddr *from, struct endpoint_info *ret_endpoint);
Destination__WeightedAddr *give_endpoint(struct encoder *e, const struct endpoint_info *endpoint);

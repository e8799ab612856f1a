/* Objects that were decoded of a document, with what was said of it: for the tests of decoding. */
#pragma once

#include "base/buffer.h"
#include "kube/decode/decode.h"

struct decode_result {
    struct decode_sink sink;
    struct reporter reporter;
    struct kube_object *objects[16];
    size_t count, broken, ignored;
    struct buffer reports;
};

/* Collects what is decoded into it. */
void decode_result_init(struct decode_result *result);
void decode_result_release(struct decode_result *result);
/* Initializes and decodes. */
void decode_text(struct decode_result *result, const char *text, bool need_addresses);
/* One good object without any report. */
const struct kube_object *decode_good(struct decode_result *result, const char *text);

struct ip address_of(const char *text);
#define assert_slice(slice, text) assert_true(slice_eq((slice), SLICE_LIT(text)))

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/failing_memory.h"
#include "base/limits.h"
#include "base/rng.h"
#include "net/grpc/grpc_message.h"
#include "net/grpc/grpc_queue.h"

static struct grpc_message *message_of(const char *text)
{
    struct grpc_message *message = grpc_message_new(slice_str(text));

    assert_non_null(message);
    return message;
}

static void assert_front(const struct grpc_queue *queue, const char *text)
{
    struct slice front = slice_skip(grpc_queue_front(queue), GRPC_PREFIX);

    assert_true(slice_eq(front, slice_str(text)));
}

static void test_prefix(void **state)
{
    struct grpc_message *message = message_of("abc"), *empty = grpc_message_new(SLICE_NULL);
    static char long_one[LIMIT_GRPC_MESSAGE + 1];

    assert_int_equal(message->len, 8);
    assert_memory_equal(message->bytes, "\0\0\0\0\3abc", 8);
    assert_int_equal(empty->len, GRPC_PREFIX);
    assert_memory_equal(empty->bytes, "\0\0\0\0\0", GRPC_PREFIX);
    assert_null(grpc_message_new(slice_of(long_one, sizeof(long_one))));
    grpc_message_unref(message);
    grpc_message_unref(empty);
    grpc_message_unref(NULL);
}

/* One message in many queues: it is there until the last has passed it on. */
static void test_shared(void **state)
{
    struct grpc_queue queues[3] = {0};
    struct grpc_message *message = message_of("shared");

    for (int i = 0; i < 3; i++)
        assert_int_equal(grpc_queue_add(&queues[i], message), 0);
    grpc_message_unref(message);
    assert_int_equal(message->refs, 3);
    grpc_queue_drop(&queues[0], message->len);
    assert_true(grpc_queue_empty(&queues[0]));
    grpc_queue_drop(&queues[1], 2);
    grpc_queue_clear(&queues[1]);
    assert_int_equal(message->refs, 1);
    assert_front(&queues[2], "shared");
    grpc_queue_clear(&queues[2]);
    assert_int_equal(queues[2].bytes, 0);
}

/* In order, whatever pieces the stream takes. */
static void test_pieces(void **state)
{
    struct grpc_queue queue = {0};
    char said[2000], heard[2000];
    size_t said_len = 0, heard_len = 0, added = 0;
    struct rng rng;

    rng_seed(&rng, 1);
    while (heard_len < sizeof(heard) - 100) {
        if (said_len < sizeof(said) - 100 && rng_below(&rng, 2)) {
            char text[32];
            struct grpc_message *message;

            (void)snprintf(text, sizeof(text), "message %zu", added++);
            message = message_of(text);
            memcpy(said + said_len, message->bytes, message->len);
            said_len += message->len;
            assert_int_equal(grpc_queue_add(&queue, message), 0);
            grpc_message_unref(message);
        } else if (!grpc_queue_empty(&queue)) {
            struct slice front = grpc_queue_front(&queue);
            size_t n = (size_t)rng_below(&rng, front.len + 1);

            memcpy(heard + heard_len, front.ptr, n);
            heard_len += n;
            grpc_queue_drop(&queue, n);
        }
        assert_int_equal(queue.bytes, said_len - heard_len);
        if (said_len >= sizeof(said) - 100 && grpc_queue_empty(&queue))
            break;
    }
    assert_in_range(added, 50, 1000);
    assert_memory_equal(said, heard, heard_len);
    grpc_queue_clear(&queue);
}

/* A message that an empty stream takes in part has its place; one behind it is refused whole. */
static void test_no_memory(void **state)
{
    struct grpc_queue queue = {0};
    struct grpc_message *first = message_of("first"), *second = message_of("second");

    failing_memory_set(0);
    assert_null(grpc_message_new(SLICE_LIT("third")));
    failing_memory_set(0);
    assert_int_equal(grpc_queue_add(&queue, first), 0);
    assert_int_equal(grpc_queue_add(&queue, second), -ENOMEM);
    assert_true(failing_memory_end());
    assert_int_equal(second->refs, 1);
    assert_int_equal(queue.bytes, first->len);
    assert_int_equal(grpc_queue_add(&queue, second), 0);
    grpc_queue_drop(&queue, first->len);
    assert_front(&queue, "second");
    grpc_queue_clear(&queue);
    grpc_message_unref(first);
    grpc_message_unref(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/chain.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"

/* The linker sends the containers' allocations here; after `allocations_left` of them there is no memory. */
static int allocations_left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool allowed(void)
{
    if (allocations_left == 0)
        return false;
    if (allocations_left > 0)
        allocations_left--;
    return true;
}

void *__wrap_malloc(size_t size) { return allowed() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return allowed() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *memory, size_t size) { return allowed() ? __real_realloc(memory, size) : NULL; }

/* --- arena --- */

static void arena_memory(void **state)
{
    struct arena arena;
    struct slice s;
    char *zero;

    arena_init(&arena, 64 * 1024);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 0));
    for (size_t size = 1; size < 3000; size = size * 3 + 1) {
        char *memory = arena_alloc(&arena, size);

        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, 0xee, size);
    }
    zero = arena_zalloc(&arena, 10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zero[i], 0);
    s = arena_dup(&arena, SLICE_LIT("a\0b"));
    assert_true(slice_eq(s, SLICE_LIT("a\0b")));
    assert_int_equal(s.ptr[3], '\0');
    assert_int_equal(arena_dup(&arena, SLICE_NULL).len, 0);
    s = arena_printf(&arena, "%s-%d", "x", 42);
    assert_true(slice_eq(s, SLICE_LIT("x-42")));
    arena_release(&arena);
    assert_int_equal(arena.used, 0);
}

static void arena_limit(void **state)
{
    struct arena arena;
    size_t got = 0;

    arena_init(&arena, 10 * 1024);
    assert_null(arena_alloc(&arena, 10 * 1024)); /* the block's head counts as well */
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_zalloc(&arena, SIZE_MAX / 2, 4));
    while (arena_alloc(&arena, 100))
        got += 112;
    assert_true(got > 8 * 1024 && got <= 10 * 1024);
    assert_true(arena.used <= arena.max);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 100)); /* all of it may be had again */
    arena_release(&arena);

    arena_init(&arena, 100);
    assert_non_null(arena_alloc(&arena, 64)); /* less than a usual block */
    assert_null(arena_alloc(&arena, 64));
    arena_release(&arena);
}

static char order[8], a[] = "a", b[] = "b", c[] = "c";

static void note(void *what)
{
    order[strlen(order)] = *(const char *)what;
}

static void arena_cleanups(void **state)
{
    struct arena arena;

    memset(order, 0, sizeof(order));
    arena_init(&arena, 64 * 1024);
    assert_int_equal(arena_on_release(&arena, note, a), 0);
    assert_int_equal(arena_on_release(&arena, note, b), 0);
    arena_reset(&arena);
    assert_string_equal(order, "ba");
    assert_int_equal(arena_on_release(&arena, note, c), 0);
    arena_release(&arena);
    assert_string_equal(order, "bac");
    arena_release(&arena);
    assert_string_equal(order, "bac");

    arena_init(&arena, 16); /* no room to register */
    assert_int_equal(arena_on_release(&arena, note, a), -ENOMEM);
    arena_release(&arena);
    assert_string_equal(order, "bac");
}

static void arena_no_memory(void **state)
{
    struct arena arena;

    arena_init(&arena, 64 * 1024);
    allocations_left = 0;
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_printf(&arena, "x").ptr);
    assert_null(arena_dup(&arena, SLICE_LIT("x")).ptr);
    assert_int_equal(arena_on_release(&arena, note, a), -ENOMEM);
    allocations_left = 1;
    assert_non_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, 5000));
    assert_non_null(arena_alloc(&arena, 1)); /* what is there still serves */
    allocations_left = -1;
    arena_release(&arena);
}

/* --- buffer --- */

static void buffer_bytes(void **state)
{
    struct buffer buffer;
    char *room;

    buffer_init(&buffer, 1000);
    assert_int_equal(buffer_add(&buffer, SLICE_NULL), 0);
    assert_int_equal(buffer_add_lit(&buffer, "ab"), 0);
    assert_int_equal(buffer_add_byte(&buffer, '\0'), 0);
    assert_int_equal(buffer_printf(&buffer, "%05d", 42), 0);
    assert_true(slice_eq(buffer_slice(&buffer), SLICE_LIT("ab\0" "00042")));
    room = buffer_room(&buffer, 500);
    assert_non_null(room);
    memset(room, 'x', 500);
    buffer_grew(&buffer, 2);
    assert_true(slice_eq(buffer_slice(&buffer), SLICE_LIT("ab\0" "00042xx")));
    buffer_drop(&buffer, 3);
    assert_true(slice_eq(buffer_slice(&buffer), SLICE_LIT("00042xx")));
    buffer_drop(&buffer, 100);
    assert_int_equal(buffer.len, 0);
    buffer_release(&buffer);
    assert_null(buffer.data);
}

static void buffer_limit(void **state)
{
    struct buffer buffer;

    buffer_init(&buffer, 8);
    assert_int_equal(buffer_printf(&buffer, "%s", "12345678"), 0); /* exactly the maximum */
    assert_int_equal(buffer.len, 8);
    assert_int_equal(buffer_add_lit(&buffer, "9"), -ENOBUFS);
    assert_int_equal(buffer_add(&buffer, SLICE_NULL), -ENOBUFS); /* sticks */
    assert_null(buffer_room(&buffer, 0));
    assert_int_equal(buffer_error(&buffer), -ENOBUFS);
    assert_int_equal(buffer.len, 8);
    buffer_clear(&buffer);
    assert_int_equal(buffer_add_lit(&buffer, "ok"), 0);
    assert_int_equal(buffer_printf(&buffer, "%s", "1234567"), -ENOBUFS);
    assert_true(slice_eq(buffer_slice(&buffer), SLICE_LIT("ok")));
    buffer_release(&buffer);
}

static void buffer_no_memory(void **state)
{
    struct buffer buffer;

    buffer_init(&buffer, 10000);
    allocations_left = 1;
    assert_int_equal(buffer_add_lit(&buffer, "kept"), 0);
    assert_null(buffer_room(&buffer, 5000));
    allocations_left = -1;
    assert_int_equal(buffer_add_lit(&buffer, "lost"), -ENOMEM);
    assert_true(slice_eq(buffer_slice(&buffer), SLICE_LIT("kept")));
    buffer_release(&buffer);
}

/* --- chain --- */

static size_t check_chain(const struct chain *chain, unsigned char first)
{
    static unsigned char copy[20 * LIMIT_BUFFER_PAGE];
    struct iovec iov[32];
    size_t len = chain_copy(chain, copy, sizeof(copy)), sum = 0;
    int n = chain_iovec(chain, iov, 32);

    assert_int_equal(len, chain->len);
    for (size_t i = 0; i < len; i++)
        if (copy[i] != (unsigned char)(first + i))
            fail_msg("byte %zu differs", i);
    for (int i = 0; i < n; i++) {
        assert_true(iov[i].iov_len > 0);
        sum += iov[i].iov_len;
    }
    assert_int_equal(sum, len);
    if (len)
        assert_int_equal((unsigned char)chain_front(chain).ptr[0], first);
    else
        assert_int_equal(chain_front(chain).len, 0);
    return len;
}

static void chain_quotas(void **state)
{
    enum { MOST = 4 * LIMIT_BUFFER_PAGE, PAGES = 256, CHAINS = 80 };
    struct page_pool pool;
    struct chain chains[CHAINS];
    char bytes[1024] = {0};

    page_pool_init(&pool, 0, PAGES);
    for (unsigned i = 0; i < CHAINS; i++) { /* each as full as it may be, none drained */
        chain_init(&chains[i], &pool);
        while (chains[i].len < chain_quota(&chains[i], MOST))
            assert_int_equal(chain_add(&chains[i], slice_of(bytes, sizeof(bytes))), 0);
        assert_true(i >= PAGES / 2 / 4 || chains[i].len == MOST);
    }
    assert_int_equal(chains[CHAINS - 1].len, LIMIT_BUFFER_PAGE);
    assert_true(pool.lent < PAGES);
    for (unsigned i = 0; i < CHAINS; i++)
        chain_clear(&chains[i]);
    assert_int_equal(chain_quota(&chains[0], MOST), MOST);
    page_pool_release(&pool);
}

static void chain_fifo(void **state)
{
    static char bytes[3 * LIMIT_BUFFER_PAGE];
    struct page_pool pool;
    struct chain chain;
    struct rng rng;
    size_t in = 0, out = 0;

    rng_seed(&rng, 1);
    page_pool_init(&pool, 2, 16);
    chain_init(&chain, &pool);
    for (int i = 0; i < 500; i++) {
        size_t len = (size_t)rng_below(&rng, sizeof(bytes)), room;
        char *to;

        for (size_t j = 0; j < len; j++)
            bytes[j] = (char)(in + j);
        if (rng_below(&rng, 2)) {
            if (chain_add(&chain, slice_of(bytes, len)) == 0)
                in += len;
        } else if ((to = chain_room(&chain, 1 + len / 10, &room))) {
            if (len > room)
                len = room;
            memcpy(to, bytes, len);
            chain_grew(&chain, len);
            in += len;
        }
        assert_int_equal(check_chain(&chain, (unsigned char)out), in - out);
        len = (size_t)rng_below(&rng, chain.len + 1);
        chain_drop(&chain, len);
        out += len;
        assert_int_equal(check_chain(&chain, (unsigned char)out), in - out);
    }
    chain_drop(&chain, chain.len);
    assert_true(chain_empty(&chain));
    assert_null(chain.first);
    assert_int_equal(pool.lent, 0);
    page_pool_release(&pool);
}

static void chain_limits(void **state)
{
    static char bytes[3 * LIMIT_BUFFER_PAGE];
    struct page_pool pool;
    struct chain chain;
    size_t room;

    page_pool_init(&pool, 1, 2);
    chain_init(&chain, &pool);
    assert_int_equal(chain_add(&chain, SLICE_LIT("keep")), 0);
    assert_int_equal(chain_add(&chain, slice_of(bytes, sizeof(bytes))), -ENOMEM);
    assert_true(slice_eq(chain_front(&chain), SLICE_LIT("keep"))); /* all or nothing */
    assert_int_equal(chain.len, 4);
    assert_int_equal(pool.lent, 1);
    assert_non_null(chain_room(&chain, LIMIT_BUFFER_PAGE, &room));
    assert_int_equal(room, LIMIT_BUFFER_PAGE);
    assert_null(page_borrow(&pool));
    chain_clear(&chain);
    assert_int_equal(pool.lent, 0);
    assert_int_equal(pool.free_count, 1);
    page_pool_trim(&pool);
    allocations_left = 0;
    assert_null(page_borrow(&pool));
    assert_null(chain_room(&chain, 1, &room));
    assert_int_equal(chain_add(&chain, SLICE_LIT("x")), -ENOMEM);
    allocations_left = -1;
    page_return(&pool, NULL);
    page_pool_release(&pool);
}

/* Room that was asked for and not used must neither show nor be lost. */
static void chain_unused_room(void **state)
{
    struct page_pool pool;
    struct chain one, two;
    size_t room;

    page_pool_init(&pool, 4, 8);
    chain_init(&one, &pool);
    chain_init(&two, &pool);
    assert_non_null(chain_room(&one, 1, &room));
    assert_int_equal(chain_add(&two, SLICE_LIT("moved")), 0);
    chain_move(&one, &two);
    assert_true(chain_empty(&two));
    assert_true(slice_eq(chain_front(&one), SLICE_LIT("moved")));
    assert_non_null(chain_room(&two, 1, &room));
    chain_move(&one, &two); /* nothing but an empty page */
    assert_int_equal(one.len, 5);
    assert_non_null(chain_room(&two, 1, &room));
    chain_grew(&two, 0);
    assert_null(two.first);
    chain_drop(&one, 5);
    assert_int_equal(pool.lent, 0);
    page_pool_release(&pool);
}

static void chain_pages(void **state)
{
    struct page_pool pool;
    struct chain chain;
    struct page *page;
    size_t room;

    page_pool_init(&pool, 4, 8);
    chain_init(&chain, &pool);
    assert_non_null(chain_room(&chain, 1, &room));
    page = page_borrow(&pool);
    memcpy(page->data, "xpage", 5);
    page->start = 1;
    page->end = 5;
    chain_add_page(&chain, page);
    assert_int_equal(chain_add(&chain, SLICE_LIT("+")), 0);
    assert_true(slice_eq(chain_front(&chain), SLICE_LIT("page+")));
    chain_clear(&chain);
    assert_int_equal(pool.lent, 0);
    page_pool_release(&pool);
}

/* As a read does that fills `len` bytes of the vectors in their order. */
static void fill_space(struct chain_space *space, size_t len, unsigned char *next)
{
    for (int i = 0; i < space->count && len; i++) {
        size_t part = len < space->iov[i].iov_len ? len : space->iov[i].iov_len;

        for (size_t at = 0; at < part; at++)
            ((unsigned char *)space->iov[i].iov_base)[at] = (*next)++;
        len -= part;
    }
}

static void reserve_and_commit(struct chain *chain, size_t want, size_t written, unsigned char *next)
{
    struct chain_space space;
    size_t before = chain->len;

    assert_true(chain_reserve(chain, want, &space) > 0);
    assert_true(space.room >= want && space.room < want + LIMIT_BUFFER_PAGE);
    fill_space(&space, written, next);
    chain_commit(chain, &space, written);
    assert_int_equal(chain->len, before + written);
}

static void chain_spaces(void **state)
{
    static unsigned char all[8 * LIMIT_BUFFER_PAGE];
    struct page_pool pool;
    struct chain_space space;
    struct chain chain;
    unsigned char next = 0;

    page_pool_init(&pool, 2, 8);
    chain_init(&chain, &pool);
    reserve_and_commit(&chain, 4 * LIMIT_BUFFER_PAGE, 0, &next); /* nothing came: nothing is held */
    assert_null(chain.first);
    assert_int_equal(pool.lent, 0);
    reserve_and_commit(&chain, 4 * LIMIT_BUFFER_PAGE, LIMIT_BUFFER_PAGE + 10, &next);
    assert_int_equal(pool.lent, 2);
    reserve_and_commit(&chain, 2 * LIMIT_BUFFER_PAGE, 100, &next); /* behind what is there */
    assert_int_equal(pool.lent, 2);
    reserve_and_commit(&chain, LIMIT_BUFFER_PAGE, LIMIT_BUFFER_PAGE, &next);
    assert_int_equal(pool.lent, 3);
    assert_int_equal(chain_reserve(&chain, SIZE_MAX, &space), 6); /* as many as there may be */
    assert_int_equal(pool.lent, 8);
    fill_space(&space, space.room, &next);
    chain_commit(&chain, &space, space.room);
    assert_int_equal(chain_reserve(&chain, 1, &space), 0);
    assert_int_equal(chain_copy(&chain, all, sizeof(all)), chain.len);
    assert_int_equal(chain.len, sizeof(all));
    for (size_t i = 0; i < chain.len; i++)
        assert_int_equal(all[i], (unsigned char)i);
    chain_clear(&chain);
    assert_int_equal(pool.lent, 0);
    page_pool_release(&pool);
}

/* --- list --- */

struct item {
    int number;
    struct list link;
};

static int digits_of(struct list *head)
{
    int number = 0;

    LIST_FOR_EACH (pos, head)
        number = number * 10 + CONTAINER_OF(pos, struct item, link)->number;
    return number;
}

static void lists(void **state)
{
    struct item items[5];
    struct list one, two;

    list_init(&one);
    list_init(&two);
    assert_null(list_pop(&one));
    for (int i = 0; i < 5; i++) {
        items[i].number = i + 1;
        list_init(&items[i].link);
        list_remove(&items[i].link); /* harmless */
        if (i < 3)
            list_push(&one, &items[i].link);
        else
            list_push_front(&two, &items[i].link);
    }
    assert_int_equal(digits_of(&one), 123);
    assert_int_equal(digits_of(&two), 54);
    list_splice(&one, &two);
    assert_int_equal(digits_of(&one), 12354);
    assert_true(list_empty(&two));
    list_splice(&one, &two);
    list_remove(&items[1].link);
    list_remove(&items[1].link);
    list_add_before(&items[0].link, &items[1].link);
    assert_int_equal(digits_of(&one), 21354);
    LIST_FOR_EACH (pos, &one)
        if (CONTAINER_OF(pos, struct item, link)->number != 3)
            list_remove(pos);
    assert_int_equal(digits_of(&one), 3);
    assert_ptr_equal(list_pop(&one), &items[2].link);
    assert_true(list_empty(&one));
}

/* --- map --- */

struct word {
    char text[8];
    struct map_entry entry;
};

static void maps(void **state)
{
    static struct word words[1000];
    struct map map;
    int next = 0;

    map_init(&map, 1, 2);
    assert_null(map_find(&map, SLICE_LIT("")));
    for (int i = 0; i < 1000; i++) {
        snprintf(words[i].text, sizeof(words[i].text), "w%d", i);
        assert_int_equal(map_add(&map, &words[i].entry, slice_str(words[i].text)), 0);
    }
    assert_int_equal(map.count, 1000);
    MAP_FOR_EACH (link, &map)
        assert_ptr_equal(MAP_ENTRY(link), &words[next++].entry);
    for (int i = 0; i < 1000; i += 2)
        map_remove(&map, &words[i].entry);
    assert_int_equal(map.count, 500);
    for (int i = 0; i < 1000; i++)
        assert_ptr_equal(map_find(&map, slice_str(words[i].text)), i % 2 ? &words[i].entry : NULL);
    assert_null(map_find(&map, SLICE_LIT("w1\0")));
    MAP_FOR_EACH (link, &map)
        map_remove(&map, MAP_ENTRY(link));
    assert_int_equal(map.count, 0);
    assert_null(map_find(&map, SLICE_LIT("w1")));
    map_release(&map);
    assert_null(map.table);
}

static void map_no_memory(void **state)
{
    static struct word words[100];
    struct map map;

    map_init(&map, 0, 0);
    allocations_left = 0;
    assert_int_equal(map_add(&map, &words[0].entry, SLICE_LIT("a")), -ENOMEM);
    assert_int_equal(map.count, 0);
    allocations_left = 1;
    for (int i = 0; i < 100; i++) { /* slower, but served */
        snprintf(words[i].text, sizeof(words[i].text), "%d", i);
        assert_int_equal(map_add(&map, &words[i].entry, slice_str(words[i].text)), 0);
    }
    allocations_left = -1;
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(map_find(&map, slice_str(words[i].text)), &words[i].entry);
    map_release(&map);
}

static void map_hash(void **state)
{
    /* SipHash-1-3 under a key of zeros: what hash(bytes) of CPython gives with PYTHONHASHSEED=0. */
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {
        {"a", 0x407448d2b89b1813},
        {"abcdefg", 0x6db12aae9070f506},
        {"abcdefgh", 0x3f7b849c0b8e35ea},
        {"hello, world. this is long", 0x0fe68b469aae97dd},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(siphash13(cases[i].text, strlen(cases[i].text), 0, 0), cases[i].hash);
    assert_true(siphash13("a", 1, 0, 1) != siphash13("a", 1, 0, 0));
    assert_true(siphash13("a", 1, 1, 0) != siphash13("a", 1, 0, 0));
}

/* --- heap --- */

static void heap_order(void **state)
{
    struct heap_entry entries[300] = {{0}};
    struct heap heap;
    struct rng rng;
    uint64_t last_key = 0;
    uint32_t last_serial = 0;
    size_t count = 0;

    rng_seed(&rng, 3);
    heap_init(&heap);
    heap.serial = UINT32_MAX - 150; /* wraps around on the way */
    assert_null(heap_first(&heap));
    for (int i = 0; i < 300; i++)
        assert_int_equal(heap_add(&heap, &entries[i], rng_below(&rng, 20)), 0);
    for (int i = 0; i < 300; i += 3) {
        heap_remove(&heap, &entries[i]);
        heap_remove(&heap, &entries[i]); /* in no heap: nothing */
        assert_int_equal(entries[i].place, 0);
    }
    while (heap_first(&heap)) {
        struct heap_entry *first = heap_first(&heap);

        assert_true(first->key > last_key || (first->key == last_key && (count == 0 || !heap_added_before(first, last_serial))));
        last_key = first->key;
        last_serial = first->serial;
        heap_remove(&heap, first);
        count++;
    }
    assert_int_equal(count, 200);
    heap_release(&heap);
}

/* Any sequence of additions and removals leaves every entry where it says it is, none before its parent. */
static void heap_random(void **state)
{
    struct heap_entry entries[64] = {{0}};
    struct heap heap;
    struct rng rng;

    rng_seed(&rng, 4);
    heap_init(&heap);
    for (int i = 0; i < 20000; i++) {
        struct heap_entry *entry = &entries[rng_below(&rng, 64)];

        if (entry->place)
            heap_remove(&heap, entry);
        else
            assert_int_equal(heap_add(&heap, entry, rng_below(&rng, 10)), 0);
        for (size_t place = 1; place <= heap.count; place++) {
            const struct heap_entry *e = heap.slots[place - 1], *up = place > 1 ? heap.slots[place / 2 - 1] : NULL;

            if (e->place != place || (up && (e->key < up->key || (e->key == up->key && heap_added_before(e, up->serial)))))
                fail_msg("broken at %zu", place);
        }
    }
    heap_release(&heap);
}

static void heap_no_memory(void **state)
{
    struct heap_entry entries[40] = {{0}};
    struct heap heap;

    heap_init(&heap);
    allocations_left = 0;
    assert_int_equal(heap_add(&heap, &entries[0], 1), -ENOMEM);
    assert_int_equal(entries[0].place, 0);
    allocations_left = 1;
    for (int i = 0; i < 40; i++)
        assert_int_equal(heap_add(&heap, &entries[i], 1), i < 16 ? 0 : -ENOMEM);
    allocations_left = -1;
    assert_int_equal(heap.count, 16);
    assert_ptr_equal(heap_first(&heap), &entries[0]);
    heap_release(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory),      cmocka_unit_test(arena_limit),   cmocka_unit_test(arena_cleanups),
        cmocka_unit_test(arena_no_memory),   cmocka_unit_test(buffer_bytes),  cmocka_unit_test(buffer_limit),
        cmocka_unit_test(buffer_no_memory),  cmocka_unit_test(chain_quotas), cmocka_unit_test(chain_fifo),    cmocka_unit_test(chain_limits),
        cmocka_unit_test(chain_unused_room), cmocka_unit_test(chain_pages),   cmocka_unit_test(chain_spaces),
        cmocka_unit_test(lists),             cmocka_unit_test(maps),          cmocka_unit_test(map_no_memory),
        cmocka_unit_test(map_hash),          cmocka_unit_test(heap_order),    cmocka_unit_test(heap_random),
        cmocka_unit_test(heap_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

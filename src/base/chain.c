#include "base/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mutation.h"

void page_pool_init(struct page_pool *pool, size_t keep, size_t max_pages)
{
    *pool = (struct page_pool){.keep = keep, .max_pages = max_pages};
}

void page_pool_trim(struct page_pool *pool)
{
    while (pool->free) {
        struct page *page = pool->free;

        pool->free = page->next;
        free(page);
    }
    pool->free_count = 0;
}

void page_pool_release(struct page_pool *pool)
{
    assert(pool->lent == 0);
    page_pool_trim(pool);
}

struct page *page_borrow(struct page_pool *pool)
{
    struct page *page = pool->free;

    if (pool->lent >= pool->max_pages)
        return NULL;
    if (page) {
        pool->free = page->next;
        pool->free_count--;
    } else {
        page = malloc(sizeof(*page));
        if (!page)
            return NULL;
    }
    pool->lent++;
    page->next = NULL;
    page->start = page->end = 0;
    return page;
}

void page_return(struct page_pool *pool, struct page *page)
{
    if (!page)
        return;
    assert(pool->lent > 0);
    pool->lent--;
    if (pool->free_count >= pool->keep) {
        free(page);
        return;
    }
    page->next = pool->free;
    pool->free = page;
    pool->free_count++;
}

void chain_init(struct chain *chain, struct page_pool *pool)
{
    *chain = (struct chain){.pool = pool};
}

size_t chain_quota(const struct chain *chain, size_t most)
{
    const struct page_pool *pool = chain->pool;
    size_t half = pool->max_pages / 2, over = pool->lent > half ? pool->lent - half : 0, quota;

    if (!over || mutation("chains-take-all-pages"))
        return most;
    quota = over < half ? most - most * over / half : 0;
    return quota > LIMIT_BUFFER_PAGE ? quota : LIMIT_BUFFER_PAGE;
}

void chain_clear(struct chain *chain)
{
    while (chain->first) {
        struct page *page = chain->first;

        chain->first = page->next;
        page_return(chain->pool, page);
    }
    chain->last = NULL;
    chain->len = 0;
}

char *chain_room(struct chain *chain, size_t least, size_t *ret_len)
{
    struct page *page = chain->last;

    assert(least <= LIMIT_BUFFER_PAGE);
    if (!page || LIMIT_BUFFER_PAGE - page->end < (least ? least : 1)) {
        page = page_borrow(chain->pool);
        if (!page)
            return NULL;
        chain_add_page(chain, page);
    }
    *ret_len = LIMIT_BUFFER_PAGE - page->end;
    return page->data + page->end;
}

void chain_grew(struct chain *chain, size_t written)
{
    assert(written <= LIMIT_BUFFER_PAGE - chain->last->end);
    chain->last->end += (uint32_t)written;
    chain->len += written;
    if (chain->len == 0)
        chain_clear(chain);
}

enum { WORTH_A_VECTOR = 4096 }; /* a page with less room is left as it is: small reads cost as much as large ones */

int chain_reserve(struct chain *chain, size_t want, struct chain_space *space)
{
    struct page **link = &space->fresh, *page = chain->last;

    space->fresh = NULL;
    space->room = 0;
    space->count = 0;
    space->behind = page && LIMIT_BUFFER_PAGE - page->end >= WORTH_A_VECTOR;
    if (space->behind) {
        space->room = LIMIT_BUFFER_PAGE - page->end;
        space->iov[space->count++] = (struct iovec){page->data + page->end, space->room};
    }
    while ((space->count == 0 || space->room < want) && space->count < CHAIN_SPACE_MAX) {
        page = page_borrow(chain->pool);
        if (!page)
            break;
        *link = page;
        link = &page->next;
        space->iov[space->count++] = (struct iovec){page->data, LIMIT_BUFFER_PAGE};
        space->room += LIMIT_BUFFER_PAGE;
    }
    return space->count;
}

void chain_commit(struct chain *chain, struct chain_space *space, size_t written)
{
    struct page *page;

    assert(written <= space->room);
    if (space->behind) {
        size_t part = written < space->iov[0].iov_len ? written : space->iov[0].iov_len;

        chain_grew(chain, part);
        written -= part;
    }
    while ((page = space->fresh)) {
        space->fresh = page->next;
        if (written == 0) {
            page_return(chain->pool, page);
            continue;
        }
        page->end = (uint32_t)(written < LIMIT_BUFFER_PAGE ? written : LIMIT_BUFFER_PAGE);
        written -= page->end;
        chain_add_page(chain, page);
    }
}

/* Room that was asked for and not used would stand before what comes now. */
static void drop_unused_room(struct chain *chain)
{
    if (chain->len == 0)
        chain_clear(chain);
}

void chain_add_page(struct chain *chain, struct page *page)
{
    drop_unused_room(chain);
    page->next = NULL;
    if (chain->last)
        chain->last->next = page;
    else
        chain->first = page;
    chain->last = page;
    chain->len += page->end - page->start;
}

struct chain_mark chain_mark(struct chain *chain)
{
    drop_unused_room(chain);
    return (struct chain_mark){chain->last, chain->last ? chain->last->end : 0, chain->len};
}

void chain_cut(struct chain *chain, struct chain_mark mark)
{
    struct page *extra = mark.last ? mark.last->next : chain->first;

    while (extra) {
        struct page *next = extra->next;

        page_return(chain->pool, extra);
        extra = next;
    }
    if (mark.last) {
        mark.last->next = NULL;
        mark.last->end = mark.end;
    } else {
        chain->first = NULL;
    }
    chain->last = mark.last;
    chain->len = mark.len;
}

int chain_add(struct chain *chain, struct slice bytes)
{
    struct chain_mark mark = chain_mark(chain);

    while (bytes.len) {
        size_t room, part;
        char *to = chain_room(chain, 1, &room);

        if (!to) {
            chain_cut(chain, mark);
            return -ENOMEM;
        }
        part = bytes.len < room ? bytes.len : room;
        memcpy(to, bytes.ptr, part);
        chain_grew(chain, part);
        bytes = slice_skip(bytes, part);
    }
    return 0;
}

void chain_move(struct chain *to, struct chain *from)
{
    assert(to->pool == from->pool);
    drop_unused_room(to);
    drop_unused_room(from);
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->len += from->len;
    from->first = from->last = NULL;
    from->len = 0;
}

struct slice chain_front(const struct chain *chain)
{
    const struct page *page = chain->first;

    return page ? slice_of(page->data + page->start, page->end - page->start) : SLICE_NULL;
}

int chain_iovec(const struct chain *chain, struct iovec *iov, int max)
{
    int n = 0;

    for (struct page *page = chain->first; page && n < max; page = page->next)
        if (page->end > page->start)
            iov[n++] = (struct iovec){page->data + page->start, page->end - page->start};
    return n;
}

void chain_drop(struct chain *chain, size_t count)
{
    assert(count <= chain->len);
    chain->len -= count;
    while (chain->first) {
        struct page *page = chain->first;
        size_t have = page->end - page->start;

        if (count < have) {
            page->start += (uint32_t)count;
            return;
        }
        count -= have;
        chain->first = page->next;
        if (!chain->first)
            chain->last = NULL;
        page_return(chain->pool, page);
    }
}

size_t chain_copy(const struct chain *chain, void *to, size_t max)
{
    size_t done = 0;

    for (struct page *page = chain->first; page && done < max; page = page->next) {
        size_t part = page->end - page->start;

        if (part > max - done)
            part = max - done;
        memcpy((char *)to + done, page->data + page->start, part);
        done += part;
    }
    return done;
}

/*
 * Bytes on their way, in pages borrowed from a pool: what waits to be written
 * to a connection, or was received and not taken yet. A chain is a FIFO of
 * pages; empty, it holds none, so an idle connection costs no buffer.
 *
 *     writer:  room = chain_room(chain, least, &len);  ...;  chain_grew(chain, n);
 *     reader:  n = chain_iovec(chain, iov, max);       ...;  chain_drop(chain, n);
 *
 * One page holds at most one full TLS record of payload (16384 bytes), which is
 * why a flush can hand a page to the tls filter as it is. A pool belongs to one
 * thread, and so do the chains that borrow from it. The pool keeps some pages
 * for the next borrower and gives the rest back to the system; `max_pages`
 * bounds what all chains of a thread hold together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/limits.h"
#include "base/slice.h"

struct page {
    struct page *next;
    uint32_t start, end; /* the bytes in it: data[start..end) */
    char data[LIMIT_BUFFER_PAGE];
};

struct page_pool {
    struct page *free;
    size_t free_count, keep; /* pages kept for the next borrower, and how many may be */
    size_t lent, max_pages;
};

void page_pool_init(struct page_pool *pool, size_t keep, size_t max_pages);
/* All pages must have come back. */
void page_pool_release(struct page_pool *pool);
/* An empty page, or NULL at the maximum or without memory. */
struct page *page_borrow(struct page_pool *pool);
/* NULL is allowed. */
void page_return(struct page_pool *pool, struct page *page);
/* Gives kept pages back to the system (called when the thread becomes idle). */
void page_pool_trim(struct page_pool *pool);

struct chain {
    struct page_pool *pool;
    struct page *first, *last;
    size_t len;
};

void chain_init(struct chain *chain, struct page_pool *pool);
/* Returns all pages; the chain is empty and may be used on. */
void chain_clear(struct chain *chain);
/*
 * How many bytes may wait in the chain now: `most` until half of the pool's pages are lent, then in proportion less, and
 * a page at least. Thus many chains that nobody drains leave pages for those that are drained.
 */
size_t chain_quota(const struct chain *chain, size_t most);
static inline bool chain_empty(const struct chain *chain) { return chain->len == 0; }

/*
 * At least `least` (at most LIMIT_BUFFER_PAGE) contiguous bytes to write at, behind what is there: the
 * pointer, and in *ret_len how many there are. NULL when no page can be had.
 */
char *chain_room(struct chain *chain, size_t least, size_t *ret_len);
void chain_grew(struct chain *chain, size_t written);
/*
 * Room for one read over several pages: the rest of the last page, if that is worth it, and new ones, at least `want`
 * bytes in all if that many can be had. The number of vectors, 0 when no page can be had; chain_commit() must follow
 * before anything else is done to the chain. What was not written goes back to the pool.
 */
enum { CHAIN_SPACE_MAX = 16 };
struct chain_space {
    struct page *fresh; /* not in the chain yet */
    size_t room;        /* of all vectors */
    int count;
    bool behind; /* the first vector is the rest of the last page */
    struct iovec iov[CHAIN_SPACE_MAX];
};
int chain_reserve(struct chain *chain, size_t want, struct chain_space *space);
void chain_commit(struct chain *chain, struct chain_space *space, size_t written);
/* Copies all of the bytes in, over as many pages as it takes. 0 or -ENOMEM; then nothing was added. */
int chain_add(struct chain *chain, struct slice bytes);
/* Where the chain ends now, to be able to take back what is added from here on. Nothing may be dropped in between. */
struct chain_mark {
    struct page *last;
    uint32_t end;
    size_t len;
};
struct chain_mark chain_mark(struct chain *chain);
void chain_cut(struct chain *chain, struct chain_mark mark);
/* Moves the page with its bytes to the end; the chain owns it now. It must come from the chain's pool. */
void chain_add_page(struct chain *chain, struct page *page);
/* Moves all of `from` to the end of `to`; both borrow from the same pool. */
void chain_move(struct chain *to, struct chain *from);

/* The contiguous bytes at the front (empty when the chain is). */
struct slice chain_front(const struct chain *chain);
/* Fills up to `max` vectors from the front; how many. */
int chain_iovec(const struct chain *chain, struct iovec *iov, int max);
/* Drops bytes at the front, returning pages that became empty. count <= len. */
void chain_drop(struct chain *chain, size_t count);
/* Copies up to `max` bytes from the front without dropping them; how many. */
size_t chain_copy(const struct chain *chain, void *to, size_t max);

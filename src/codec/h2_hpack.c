/*
 * The two halves of HPACK, made when first needed. An idle inflater takes 1.3 KiB, a deflater 2.1 KiB, and
 * each entry of a table some 200 bytes, so the deflater is dropped by h2_trim(); the next block then begins with table
 * size updates that empty the peer's copy (RFC 7541 section 4.2). The inflater cannot be: its table is the peer's to
 * change.
 */
#include <errno.h>
#include <stdlib.h>

#include "codec/h2_parts.h"

static void *hpack_malloc(size_t size, void *user)
{
    return malloc(size);
}

static void hpack_free(void *what, void *user)
{
    free(what);
}

static void *hpack_calloc(size_t count, size_t size, void *user)
{
    return calloc(count, size);
}

static void *hpack_realloc(void *what, size_t size, void *user)
{
    return realloc(what, size);
}

/* Through our own malloc, so that tests can count it and make it fail. nghttp2 only reads it. */
static const nghttp2_mem memory = {NULL, hpack_malloc, hpack_free, hpack_calloc, hpack_realloc};

static int inflater_new(struct h2_conn *conn)
{
    return nghttp2_hd_inflate_new2(&conn->inflater, (nghttp2_mem *)(uintptr_t)&memory) == 0 ? 0 : -ENOMEM;
}

int h2_hpack_next(struct h2_conn *conn, struct slice *block, nghttp2_nv *ret_field)
{
    int flags = 0;
    ssize_t n;

    if (!conn->inflater && inflater_new(conn) < 0)
        return -ENOMEM;
    if (block->len) {
        n = nghttp2_hd_inflate_hd2(conn->inflater, ret_field, &flags, (const uint8_t *)block->ptr, block->len, 1);
        if (n < 0)
            return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EBADMSG;
        *block = slice_skip(*block, (size_t)n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            return 1;
    }
    nghttp2_hd_inflate_end_headers(conn->inflater);
    return 0;
}

static uint32_t table_size(const struct h2_conn *conn)
{
    return conn->peer.header_table < LIMIT_H2_HEADER_TABLE ? conn->peer.header_table : LIMIT_H2_HEADER_TABLE;
}

nghttp2_hd_deflater *h2_hpack_deflater(struct h2_conn *conn)
{
    if (conn->deflater)
        return conn->deflater;
    if (nghttp2_hd_deflate_new2(&conn->deflater, LIMIT_H2_HEADER_TABLE, (nghttp2_mem *)(uintptr_t)&memory) != 0) {
        conn->deflater = NULL;
        return NULL;
    }
    if (conn->table_tell) {
        /* Twice: nghttp2 then tells the lower size first. It fails for no reason while the table is empty. */
        nghttp2_hd_deflate_change_table_size(conn->deflater, conn->table_low);
        nghttp2_hd_deflate_change_table_size(conn->deflater, table_size(conn));
        conn->table_tell = false;
        conn->table_low = UINT32_MAX;
    }
    return conn->deflater;
}

int h2_hpack_peer_table(struct h2_conn *conn, uint32_t size)
{
    if (conn->peer.header_table == size)
        return 0;
    conn->peer.header_table = size;
    if (conn->deflater)
        return nghttp2_hd_deflate_change_table_size(conn->deflater, table_size(conn)) == 0 ? 0 : -ENOMEM;
    conn->table_tell = true;
    if (conn->table_low > table_size(conn))
        conn->table_low = table_size(conn);
    return 0;
}

void h2_hpack_drop_deflater(struct h2_conn *conn)
{
    if (!conn->deflater)
        return;
    nghttp2_hd_deflate_del(conn->deflater);
    conn->deflater = NULL;
    conn->table_tell = true;
    conn->table_low = 0;
}

void h2_hpack_release(struct h2_conn *conn)
{
    if (conn->deflater)
        nghttp2_hd_deflate_del(conn->deflater);
    if (conn->inflater)
        nghttp2_hd_inflate_del(conn->inflater);
    conn->deflater = NULL;
    conn->inflater = NULL;
}

/*
 * For tests: drives one HTTP/2 engine by a small text and writes down what it does as text.
 *
 *     in TYPE STREAM [es] [eh] [pad=N] [prio=N] REST   a frame for the engine; REST by type:
 *          HEADERS, CONTINUATION    GET (the four pseudo fields of a GET of /), 200 (:status), name=value ...; ~ in
 *                                   a value is a space, %XX any byte; an item +name=value is added to the table
 *          DATA                     text, or *N for N bytes
 *          SETTINGS                 id=value ..., or ack
 *          RST_STREAM, WINDOW_UPDATE, PING (ack), GOAWAY, PRIORITY   numbers
 *     raw HEX                       bytes as they are
 *     do respond STREAM STATUS [end] [name=value ...]
 *     do data STREAM TEXT|*N [end]; do trailers STREAM name=value ...; do reset STREAM CODE; do consume STREAM N; do keep STREAM N
 *     do release STREAM; do request METHOD PATH [end] [name=value ...]; do ping; do notice; do goaway; do close; do
 * trim do drain                      the peer has read everything: `out` is emptied do time SECONDS passes
 *
 * What it writes, a line each: "head 1 GET / ...", "data 1 hello end", "reset 1 us PROTOCOL_ERROR detail", "out
 * RST_STREAM 1 CANCEL", "failed PROTOCOL_ERROR detail" and so on. Data is consumed at once unless `hold`. The handshake
 * is not written.
 */
#pragma once

#include "codec/h2/h2.h"

struct nghttp2_hd_inflater;

struct script {
    struct h2_conn conn;
    struct h2_config config;
    struct page_pool pages;
    struct chain out;
    struct arena arena;
    struct buffer log;
    struct h2_stream *streams[64];        /* announced and not released, by id / 2 */
    struct nghttp2_hd_inflater *inflater; /* of the frames that come out */
    struct buffer block;                  /* HEADERS and CONTINUATION of one block, until it is complete */
    int64_t now_ns;
    bool hold;          /* data is consumed by "do consume" only */
    bool refuse;        /* head_arena says NULL */
    bool deaf;          /* the peer reads nothing until "do drain" */
    bool quiet;         /* on_data, on_writable and WINDOW_UPDATE are not written */
    size_t cut;         /* input is given in pieces of this size; 0: at once. What is written stays the same */
    struct buffer data; /* of the frame being read */
    size_t data_line;   /* where its line begins in the log */
};

void script_init(struct script *script, enum h2_role role);
void script_release(struct script *script);
/* Runs the lines; returns the log so far, NUL terminated, and begins a new one with the next call. */
const char *script_run(struct script *script, const char *lines);

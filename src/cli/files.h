/* Whole files of bounded size, read and written for commands. Sentences begin with the file's name. */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "net/x509/x509.h"

/* Appends at most as many bytes as the buffer may hold. "-" is standard input. */
int file_read(const char *path, struct errmsg *msg, struct buffer *ret_bytes);
/*
 * Writes a new file with these permissions, whole or not at all. One that is there already is -EEXIST, unless `replace`;
 * it is then replaced in one step.
 */
int file_write(const char *path, struct slice bytes, unsigned mode, bool replace, struct errmsg *msg);
/* One that is there already is fine; the folder that it goes into must be there. */
int directory_make(const char *path, struct errmsg *msg);
/* DIRECTORY/NAME into `out`. -ENAMETOOLONG. */
int file_join(const char *directory, const char *name, struct errmsg *msg, char *out, size_t size);

/* The certificates of a PEM file. */
int file_read_certs(const char *path, struct errmsg *msg, struct x509_bundle *ret_bundle);
int file_read_key(const char *path, struct errmsg *msg, struct x509_key **ret_key);

/* Nanoseconds since 1970. */
int64_t wall_now(void);
/* "2026-11-23T13:28:00Z" into 32 bytes. */
char *wall_format(int64_t wall_ns, char out[32]);

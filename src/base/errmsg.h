/*
 * The sentence that goes with an error code: what failed, which object, what
 * was expected, what to do. Functions that read what a person wrote (a file, a
 * flag, a variable) take a `struct errmsg *` last before their outputs; NULL is
 * allowed and means that nobody will read it. Library folders fill it, programs
 * print it, once. The text is bounded and always NUL terminated.
 */
#pragma once

struct errmsg {
    char text[512]; /* without a newline at its end; "" when nothing failed */
};

/* Writes the sentence and returns `code` (negative), so that a check can end in one line. */
int errmsg_set(struct errmsg *msg, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "format: " in front of what is there already. Returns `code`. */
int errmsg_prefix(struct errmsg *msg, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

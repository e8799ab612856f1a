/*
 * What a command of `linkerd` is: a row in the table of main.c and a file of its
 * own. A command reads its options, writes its result to standard output and
 * what is wrong to standard error, and returns the exit status:
 *
 *     0   done
 *     1   it failed, or the command line is wrong; one sentence on standard error says what to do
 *     2   known to users of Linkerd, but not available here yet
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/flags.h"

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_NOT_YET = 2 };

struct command {
    const char *name;    /* the words behind `linkerd`: "certs anchor" */
    const char *alias;   /* the same under another name, or NULL */
    const char *usage;   /* arguments, for the help: "FILE", or "" */
    const char *summary; /* one line; NULL: a name that only says that it is not available yet */
    const char *about;   /* paragraphs for its own help, or NULL */
    struct flag_table flags;
    size_t options_size;
    size_t min_arguments, max_arguments;
    int (*run)(void *options, const struct words *arguments); /* NULL: only a group of others */
};

#define FLAGS(array) {array, sizeof(array) / sizeof((array)[0]), NULL}
/* With another table behind it (struct flag_table). */
#define FLAGS_AND(array, others) {array, sizeof(array) / sizeof((array)[0]), &(others)}

/* In the order of the help. */
extern const struct command version_command;
extern const struct command certs_anchor_command, certs_issuer_command, certs_show_command;
extern const struct command token_key_command, token_issue_command, token_check_command;
extern const struct command check_command;
extern const struct command identity_command, logs_command;
extern const struct command install_command, upgrade_command, prune_command, uninstall_command, install_sp_command, install_cni_command;
extern const struct command inject_command, uninject_command;
extern const struct command completion_command, doc_command;
extern const struct command diagnostics_metrics_command, diagnostics_endpoints_command, diagnostics_profile_command;
extern const struct command diagnostics_policy_command, diagnostics_controller_metrics_command;

/* Prints "linkerd: SENTENCE" on standard error. Returns STATUS_FAILED. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The commands of the program in the order of the help (main.c); NULL beyond the last. */
const struct command *command_at(size_t index);

/*
 * First answers, as they go out: when a thousand proxies ask for the same at once, as after a restart of the control plane,
 * it is described and encoded for the first of them. An answer belongs to a view and is good until the view is made anew.
 * Those not wanted for longest go when all together become too many bytes.
 */
#pragma once

#include "base/list.h"
#include "net/grpc/grpc.h"

struct answers {
    struct list kept; /* struct answer, that which was wanted last in front */
    size_t bytes;
};

/* All zero: nothing is kept. */
struct answer {
    struct list link; /* in answers->kept while it is */
    struct grpc_message **messages;
    size_t count, bytes; /* of the messages, prefixes left aside */
};

void answers_init(struct answers *answers);
static inline bool answer_is_made(const struct answer *answer) { return answer->count > 0; }
/* One more message of it. 0, or -ENOMEM: the answer is forgotten. */
int answer_add(struct answer *answer, struct slice message);
/* All messages were added, or it is wanted again: others may have to go for it. */
void answers_keep(struct answers *answers, struct answer *answer);
void answers_forget(struct answers *answers, struct answer *answer);
/* 0 or the error of the reply that failed. */
int answer_send(const struct answer *answer, struct grpc_server_call *call);

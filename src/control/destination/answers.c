#include "control/destination/answers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"

void answers_init(struct answers *answers)
{
    list_init(&answers->kept);
    answers->bytes = 0;
}

static void release(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        grpc_message_unref(answer->messages[i]);
    free(answer->messages);
    *answer = (struct answer){0};
}

int answer_add(struct answer *answer, struct slice bytes)
{
    struct grpc_message **more = realloc(answer->messages, (answer->count + 1) * sizeof(*more));
    struct grpc_message *message = more ? grpc_message_new(bytes) : NULL;

    if (more)
        answer->messages = more;
    if (!message) {
        release(answer);
        return -ENOMEM;
    }
    answer->messages[answer->count++] = message;
    answer->bytes += bytes.len;
    return 0;
}

void answers_forget(struct answers *answers, struct answer *answer)
{
    if (answer->link.next) {
        list_remove(&answer->link);
        answers->bytes -= answer->bytes;
    }
    release(answer);
}

void answers_keep(struct answers *answers, struct answer *answer)
{
    if (answer->link.next) {
        list_remove(&answer->link);
    } else {
        answers->bytes += answer->bytes;
        list_init(&answer->link);
    }
    while (answers->bytes > LIMIT_FIRST_ANSWERS && !list_empty(&answers->kept))
        answers_forget(answers, CONTAINER_OF(answers->kept.prev, struct answer, link));
    list_push_front(&answers->kept, &answer->link);
}

int answer_send(const struct answer *answer, struct grpc_server_call *call)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < answer->count; i++)
        r = grpc_reply_message(call, answer->messages[i]);
    return r;
}

#include "control/identity/token_review.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/list.h"
#include "codec/yaml/yaml.h"

static const int64_t TIMEOUT_NS = 10 * NS_PER_S;

struct reviewer {
    struct token_validator validator;
    struct api_client *client;
};

/* One token that is being looked at. */
struct review {
    struct api_call *call;
    token_done *done;
    void *owner;
};

/* --- what the server says --- */

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_LIT("");
}

static bool is_for_us(const struct yaml_node *audiences)
{
    if (!audiences || audiences->kind != YAML_LIST)
        return false;
    for (const struct yaml_item *item = audiences->items; item; item = item->next)
        if (slice_eq(text_of(item->value), SLICE_LIT(TOKEN_AUDIENCE)))
            return true;
    return false;
}

static bool keep(char to[64], struct slice name)
{
    if (!name.len || name.len >= 64)
        return false;
    memcpy(to, name.ptr, name.len);
    to[name.len] = '\0';
    return true;
}

/* "system:serviceaccount:NS:SA". */
static bool read_user(struct slice user, struct token_subject *subject)
{
    struct slice prefix = SLICE_LIT("system:serviceaccount:"), rest = slice_skip(user, prefix.len);
    size_t colon = slice_find(rest, ':');

    return slice_starts(user, prefix) && slice_find(slice_skip(rest, colon + 1), ':') == slice_skip(rest, colon + 1).len &&
           keep(subject->namespace, slice_take(rest, colon)) && keep(subject->service_account, slice_skip(rest, colon + 1));
}

static enum token_verdict refuse(enum token_verdict verdict, struct errmsg *why, const char *sentence, struct slice more)
{
    errmsg_set(why, 0, "%s%.*s", sentence, SLICE_ARGS(slice_take(more, 200)));
    return verdict;
}

static enum token_verdict read_status(const struct yaml_node *status, struct token_subject *ret_subject, struct errmsg *why)
{
    const struct yaml_node *authenticated = yaml_get_lit(status, "authenticated");
    struct slice error = text_of(yaml_get_lit(status, "error")), user = text_of(yaml_get_lit(yaml_get_lit(status, "user"), "username"));
    struct token_subject subject;

    if (!status || status->kind != YAML_MAP)
        return refuse(TOKEN_UNAVAILABLE, why, "the API server's answer is no TokenReview", SLICE_NULL);
    if (!authenticated || authenticated->kind != YAML_BOOLEAN || !authenticated->boolean)
        return refuse(TOKEN_NOT_AUTHENTICATED, why, "the API server does not accept the token: ", error.len ? error : SLICE_LIT("it gives no reason"));
    if (!is_for_us(yaml_get_lit(status, "audiences")))
        return refuse(TOKEN_NOT_AUTHENTICATED, why, "the token is not for the audience ", SLICE_LIT(TOKEN_AUDIENCE));
    if (!read_user(user, &subject))
        return refuse(TOKEN_MALFORMED, why, "the token is not one of a service account but of ", user);
    *ret_subject = subject;
    return TOKEN_VALID;
}

enum token_verdict token_review_read(struct slice answer, struct token_subject *ret_subject, struct errmsg *why)
{
    struct arena arena;
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    enum token_verdict verdict;

    arena_init(&arena, (size_t)2 * LIMIT_API_ANSWER);
    why->text[0] = '\0';
    if (yaml_parse(&arena, answer, 1, JSON, &root, &problem) < 0)
        root = NULL;
    verdict = read_status(yaml_get_lit(root, "status"), ret_subject, why);
    arena_release(&arena);
    return verdict;
}

/* --- asking --- */

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct review *review = api_call_owner(call);
    struct token_subject subject;
    struct errmsg why;
    enum token_verdict verdict = TOKEN_UNAVAILABLE;

    if (answer->error)
        errmsg_set(&why, 0, "%s", answer->why);
    else
        verdict = token_review_read(answer->body, &subject, &why);
    review->done(review->owner, verdict, verdict == TOKEN_VALID ? &subject : NULL, verdict == TOKEN_VALID ? "" : why.text);
    free(review);
}

static const struct api_call_events events = {.on_end = on_end};

static int ask(struct reviewer *reviewer, struct slice token, struct review *review)
{
    struct api_request request = {.method = "POST", .path = SLICE_LIT("/apis/authentication.k8s.io/v1/tokenreviews"),
                                  .content_type = SLICE_LIT(API_JSON), .timeout_ns = TIMEOUT_NS};
    struct buffer body;
    int r;

    buffer_init(&body, (size_t)6 * LIMIT_TOKEN + 1024);
    buffer_add_lit(&body, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{\"audiences\":[\"" TOKEN_AUDIENCE "\"],\"token\":");
    buffer_add_json(&body, token);
    buffer_add_lit(&body, "}}");
    request.body = buffer_slice(&body);
    r = buffer_error(&body);
    if (r == 0)
        r = api_call_start(reviewer->client, &request, &events, review, &review->call);
    if (body.data)
        explicit_bzero(body.data, body.size);
    buffer_release(&body);
    return r;
}

static void *validate(struct token_validator *validator, struct slice token, int64_t wall_ns, token_done *done, void *owner)
{
    struct reviewer *reviewer = CONTAINER_OF(validator, struct reviewer, validator);
    struct review *review;

    if (token.len > LIMIT_TOKEN) {
        done(owner, TOKEN_MALFORMED, NULL, "the token is too long");
        return NULL;
    }
    review = calloc(1, sizeof(*review));
    if (review) {
        review->done = done;
        review->owner = owner;
        if (ask(reviewer, token, review) == 0)
            return review;
        free(review);
    }
    done(owner, TOKEN_UNAVAILABLE, NULL, "no memory, or too many requests to the API server");
    return NULL;
}

static void cancel(struct token_validator *validator, void *handle)
{
    struct review *review = handle;

    api_call_cancel(review->call);
    free(review);
}

static void free_validator(struct token_validator *validator)
{
    free(CONTAINER_OF(validator, struct reviewer, validator));
}

static const struct token_validator_ops ops = {validate, cancel, free_validator};

int token_review_new(struct api_client *client, struct token_validator **ret_validator)
{
    struct reviewer *reviewer = calloc(1, sizeof(*reviewer));

    if (!reviewer)
        return -ENOMEM;
    reviewer->validator.ops = &ops;
    reviewer->client = client;
    *ret_validator = &reviewer->validator;
    return 0;
}

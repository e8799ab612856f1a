#include "control/injector/review.h"

#include <errno.h>
#include <stdio.h>

#include "template/copy.h"

bool review_needs_namespace(const struct review *review)
{
    return strcmp(review->operation, "CREATE") == 0 && review->object && *review->namespace_ &&
           (strcmp(review->kind, "Pod") == 0 || strcmp(review->kind, "Service") == 0);
}

/* An object in a review may lack its kind: the question names it. */
static json_t *whole_object(const struct review *review)
{
    json_t *object = copy_shallow(review->object);

    if (object && json_object_set_new_nocheck(object, "kind", json_string(review->kind)) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* What cannot be rendered refuses the pod: a warning would come too late. */
static int ask(const struct review *review, const struct injector *injector, json_t *namespace_annotations, struct inject_answer *ret_answer)
{
    json_t *object = whole_object(review);
    struct inject_request request = {.object = object, .namespace_ = review->namespace_, .namespace_annotations = namespace_annotations};
    struct errmsg msg = {""};
    int r = object ? inject(injector, &request, &msg, ret_answer) : -ENOMEM;

    if (r < 0 && r != -ENOMEM) {
        *ret_answer = (struct inject_answer){.verdict = INJECT_REFUSED, .annotated_at = "", .denial = msg};
        r = 0;
    }
    json_decref(object);
    return r;
}

/* As many as there is room for, at least the first, and how many more there are. */
static void join(const json_t *warnings, struct errmsg *ret_text)
{
    static const char more[] = "; and 99 more, which `linkerd check` tells";
    char *text = ret_text->text;
    const json_t *warning;
    size_t i;

    *text = '\0';
    json_array_foreach (warnings, i, warning) {
        const char *one = json_string_value(warning);
        size_t used = strlen(text), left = sizeof(ret_text->text) - used;

        if (i > 0 && strlen(one) + sizeof(more) + 2 > left) {
            snprintf(text + used, left, "; and %zu more, which `linkerd check` tells", json_array_size(warnings) - i);
            return;
        }
        snprintf(text + used, i > 0 ? left : left - sizeof(more), "%s%s", i > 0 ? "; " : "", one);
    }
}

static void describe(const struct review *review, const struct inject_answer *answer, struct review_outcome *outcome)
{
    char *end = outcome->message.text;

    *outcome = (struct review_outcome){.verdict = answer->verdict, .skips = answer->skips, .annotated_at = answer->annotated_at,
                                       .warnings = json_array_size(answer->warnings)};
    join(answer->warnings, &outcome->warning);
    if (strcmp(review->kind, "Pod") != 0)
        return;
    if (answer->verdict == INJECT_YES)
        errmsg_set(&outcome->message, 0, "Linkerd sidecar proxy injected");
    else if (answer->verdict == INJECT_REFUSED)
        errmsg_set(&outcome->message, 0, "Linkerd sidecar proxy injection refused: %.400s", answer->denial.text);
    else
        errmsg_set(&outcome->message, 0, "Linkerd sidecar proxy injection skipped: ");
    for (enum inject_skip skip = 0; skip < SKIP_COUNT; skip++)
        if (answer->skips & (1U << skip)) {
            size_t used = strlen(end);

            snprintf(end + used, sizeof(outcome->message.text) - used, "%s%s", end[used - 1] == ' ' ? "" : ", ", inject_skip_text(skip));
        }
}

int review_answer(const struct review *review, const struct injector *injector, json_t *namespace_annotations, struct buffer *ret_body,
                  struct review_outcome *ret_outcome)
{
    struct inject_answer answer = {.verdict = INJECT_NO, .annotated_at = ""};
    int r = 0;

    *ret_outcome = (struct review_outcome){.verdict = INJECT_NO, .annotated_at = ""};
    if (review_needs_namespace(review)) {
        r = ask(review, injector, namespace_annotations, &answer);
        if (r == 0)
            describe(review, &answer, ret_outcome);
    }
    if (r == 0)
        r = review_write(review, &(struct review_verdict){.denial = answer.verdict == INJECT_REFUSED ? answer.denial.text : NULL,
                                                          .patch = answer.patch, .warnings = answer.warnings}, ret_body);
    inject_answer_release(&answer);
    return r;
}

/*
 * An intrusive doubly linked ring: the link is a member of the element, so that
 * joining and leaving take no memory and cannot fail. A head is a link that
 * belongs to no element. The list never owns its elements.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev; /* both NULL: never initialised; both itself: alone */
};

#define CONTAINER_OF(member_ptr, type, member) ((type *)(void *)((char *)(member_ptr) - offsetof(type, member)))
/* The removal of `pos` itself is allowed inside the loop; of its successor it is not. */
#define LIST_FOR_EACH(pos, head)                                                                            \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head);                           \
         pos = pos##_next, pos##_next = pos->next)

static inline void list_init(struct list *link) { link->next = link->prev = link; }
static inline bool list_empty(const struct list *head) { return head->next == head; }

static inline void list_add_before(struct list *where, struct list *link)
{
    link->prev = where->prev;
    link->next = where;
    where->prev->next = link;
    where->prev = link;
}

static inline void list_push(struct list *head, struct list *link) { list_add_before(head, link); }
static inline void list_push_front(struct list *head, struct list *link) { list_add_before(head->next, link); }

/* Leaves the link alone, so that removing twice does no harm. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* The first link taken off, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    struct list *link = head->next;

    if (link == head)
        return NULL;
    list_remove(link);
    return link;
}

/* Moves all of `from` to the end of `to`; `from` is empty after. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

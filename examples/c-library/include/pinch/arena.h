/* Arena: many small allocations, freed all at once.
 *
 * Memory comes from malloc in blocks that double up to 1 MiB. Nothing is freed singly. Every allocation is aligned for
 * any object type and is zeroed. With a limit, allocation fails (NULL) rather than hold more than `limit` bytes: use it
 * for input that somebody else wrote. An arena is used by one thread at a time. A zeroed `pn_arena` is ready for use.
 */
#ifndef PINCH_ARENA_H
#define PINCH_ARENA_H

#include "pinch/str.h"

typedef struct pn_arena {
    struct pn_block *blocks; /* newest first; private */
    size_t held;             /* bytes taken from malloc so far */
    size_t limit;            /* 0: none */
} pn_arena;

/* `size` zeroed bytes, or NULL if memory or the limit is exhausted. A size of 0 gives a pointer not to be followed. */
void *pn_alloc(pn_arena *arena, size_t size);

/* A copy of `text` with a NUL after it (not counted). `at` is NULL if there is no memory. */
pn_str pn_arena_copy(pn_arena *arena, pn_str text);

/* Frees everything; the arena is empty and can be used again, with the same limit. */
void pn_arena_free(pn_arena *arena);

#endif

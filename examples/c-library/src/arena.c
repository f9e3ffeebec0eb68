#include "pinch/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

typedef struct pn_block {
    struct pn_block *older;
    size_t used, size; /* of `bytes` */
    alignas(max_align_t) unsigned char bytes[];
} pn_block;

static pn_block *add_block(pn_arena *arena, size_t least) {
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size < least) size = least;
    if (arena->limit) {
        size_t left = arena->limit > arena->held ? arena->limit - arena->held : 0;
        if (left < sizeof(pn_block) || left - sizeof(pn_block) < least) return NULL;
        if (size > left - sizeof(pn_block)) size = left - sizeof(pn_block);
    }
    pn_block *block = calloc(1, sizeof(pn_block) + size);
    if (!block) return NULL;
    block->size = size;
    block->older = arena->blocks;
    arena->blocks = block;
    arena->held += sizeof(pn_block) + size;
    return block;
}

void *pn_alloc(pn_arena *arena, size_t size) {
    size_t const step = alignof(max_align_t);
    if (size > PTRDIFF_MAX - sizeof(pn_block) - step) return NULL;
    size = (size + step - 1) / step * step;
    pn_block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        block = add_block(arena, size);
        if (!block) return NULL;
    }
    void *start = block->bytes + block->used;
    block->used += size;
    return start;
}

pn_str pn_arena_copy(pn_arena *arena, pn_str text) {
    char *copy = text.len < SIZE_MAX ? pn_alloc(arena, text.len + 1) : NULL;
    if (!copy) return (pn_str){NULL, 0};
    if (text.len) memcpy(copy, text.at, text.len);
    return (pn_str){copy, text.len};
}

void pn_arena_free(pn_arena *arena) {
    for (pn_block *block = arena->blocks; block;) {
        pn_block *older = block->older;
        free(block);
        block = older;
    }
    arena->blocks = NULL;
    arena->held = 0;
}

#include "pinch/map.h"

#include "pinch/hash.h"

#include <stdlib.h>

typedef struct pn_slot {
    uint64_t hash;
    char *name; /* NULL: free */
    size_t len;
    void *value;
} pn_slot;

void pn_map_init(pn_map *map, const uint8_t key[16]) {
    *map = (pn_map){0};
    memcpy(map->key, key, sizeof map->key);
}

/* The slot that holds `name`, or the free one where it would go. There is always a free slot. */
static pn_slot *find(pn_slot *slots, size_t room, uint64_t hash, pn_str name) {
    for (size_t at = hash & (room - 1);; at = (at + 1) & (room - 1)) {
        pn_slot *slot = &slots[at];
        if (!slot->name) return slot;
        if (slot->hash == hash && pn_str_equal((pn_str){slot->name, slot->len}, name)) return slot;
    }
}

static bool grow(pn_map *map) {
    if (map->room > SIZE_MAX / 2 / sizeof(pn_slot)) return false;
    size_t room = map->room ? map->room * 2 : 8;
    pn_slot *slots = calloc(room, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < map->room; i++) {
        pn_slot *from = &map->slots[i];
        if (from->name) *find(slots, room, from->hash, (pn_str){from->name, from->len}) = *from;
    }
    free(map->slots);
    map->slots = slots;
    map->room = room;
    return true;
}

void *pn_map_get(const pn_map *map, pn_str name) {
    if (map->count == 0) return NULL;
    const pn_slot *slot = find(map->slots, map->room, pn_siphash(map->key, name), name);
    return slot->name ? slot->value : NULL;
}

bool pn_map_put(pn_map *map, pn_str name, void *value, void **old) {
    uint64_t hash = pn_siphash(map->key, name);
    if (old) *old = NULL;
    if (map->count) {
        pn_slot *slot = find(map->slots, map->room, hash, name);
        if (slot->name) {
            if (old) *old = slot->value;
            slot->value = value;
            return true;
        }
    }
    char *copy = malloc(name.len ? name.len : 1);
    if (!copy) return false;
    if (map->count >= map->room / 4 * 3 && !grow(map)) {
        free(copy);
        return false;
    }
    if (name.len) memcpy(copy, name.at, name.len);
    *find(map->slots, map->room, hash, name) = (pn_slot){hash, copy, name.len, value};
    map->count++;
    return true;
}

void *pn_map_remove(pn_map *map, pn_str name) {
    if (map->count == 0) return NULL;
    pn_slot *hole = find(map->slots, map->room, pn_siphash(map->key, name), name);
    if (!hole->name) return NULL;
    void *value = hole->value;
    free(hole->name);
    hole->name = NULL;
    map->count--;

    /* Move back what a probe would no longer reach: an entry goes into the hole if its home is not between the two. */
    size_t const mask = map->room - 1;
    size_t gap = (size_t)(hole - map->slots);
    for (size_t at = (gap + 1) & mask; map->slots[at].name; at = (at + 1) & mask) {
        size_t home = map->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            map->slots[gap] = map->slots[at];
            map->slots[at].name = NULL;
            gap = at;
        }
    }
    return value;
}

bool pn_map_next(const pn_map *map, size_t *at, pn_str *name, void **value) {
    while (*at < map->room) {
        const pn_slot *slot = &map->slots[(*at)++];
        if (slot->name) {
            *name = (pn_str){slot->name, slot->len};
            *value = slot->value;
            return true;
        }
    }
    return false;
}

void pn_map_free(pn_map *map) {
    for (size_t i = 0; i < map->room; i++) free(map->slots[i].name);
    free(map->slots);
    map->slots = NULL;
    map->room = map->count = 0;
}

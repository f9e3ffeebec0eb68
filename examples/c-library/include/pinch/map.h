/* Map: strings to pointers.
 *
 * Open addressing with linear probing over a power of two, at most three quarters full; removal shifts entries back, so
 * there are no tombstones and look-ups stay short. Keys are copied. Values are the caller's. The order of iteration is
 * unspecified, and adding or removing while iterating is not allowed. Used by one thread at a time.
 */
#ifndef PINCH_MAP_H
#define PINCH_MAP_H

#include "pinch/str.h"

typedef struct pn_map {
    struct pn_slot *slots; /* private */
    size_t room;           /* private */
    size_t count;
    uint8_t key[16];
} pn_map;

/* An empty map whose hashing is keyed with `key`: random bytes, unless all map keys are trusted. */
void pn_map_init(pn_map *map, const uint8_t key[16]);

/* The value of `name`, or NULL if it has none. */
void *pn_map_get(const pn_map *map, pn_str name);

/* Sets the value of `name` (not NULL); `*old`, if asked for, becomes the value before, or NULL. False: no memory, and
 * nothing has changed. */
bool pn_map_put(pn_map *map, pn_str name, void *value, void **old);

/* Removes `name` and returns what its value was, or NULL. */
void *pn_map_remove(pn_map *map, pn_str name);

/* Steps through the entries. Begin with `*at` 0; false at the end. `name` is valid until the entry is removed. */
bool pn_map_next(const pn_map *map, size_t *at, pn_str *name, void **value);

void pn_map_free(pn_map *map);

#endif

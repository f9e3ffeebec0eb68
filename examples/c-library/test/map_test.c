#include "check.h"

#include "pinch/hash.h"
#include "pinch/map.h"

static const uint8_t KEY[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void hashes_match_published_vectors(void) {
    const char bytes[15] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    CHECK(pn_siphash(KEY, (pn_str){NULL, 0}) == UINT64_C(0x726fdb47dd0e0e31));
    CHECK(pn_siphash(KEY, (pn_str){bytes, 8}) == UINT64_C(0x93f5f5799a932462));
    CHECK(pn_siphash(KEY, (pn_str){bytes, 15}) == UINT64_C(0xa129ca6149be45e5));
    CHECK(pn_crc32c(0, pn_cstr("123456789")) == 0xe3069283);
    CHECK(pn_crc32c(pn_crc32c(0, pn_cstr("1234")), pn_cstr("56789")) == 0xe3069283);
    CHECK(pn_crc32c(0, pn_cstr("")) == 0);
}

static void put_get_remove(void) {
    pn_map map;
    int one, two;
    void *old;
    pn_map_init(&map, KEY);
    CHECK(pn_map_get(&map, pn_cstr("jam")) == NULL);
    CHECK(pn_map_remove(&map, pn_cstr("jam")) == NULL);
    CHECK(pn_map_put(&map, pn_cstr("jam"), &one, &old) && old == NULL);
    CHECK(pn_map_put(&map, pn_cstr("jam"), &two, &old) && old == &one);
    CHECK(pn_map_put(&map, pn_cstr(""), &one, NULL));
    CHECK(map.count == 2 && pn_map_get(&map, pn_cstr("jam")) == &two);
    CHECK(pn_map_get(&map, (pn_str){NULL, 0}) == &one);
    CHECK(pn_map_remove(&map, pn_cstr("jam")) == &two);
    CHECK(pn_map_get(&map, pn_cstr("jam")) == NULL && map.count == 1);
    pn_map_free(&map);
}

/* A long walk of puts and removals, with an array as the plain truth. */
static void agrees_with_an_array(void) {
    enum { NAMES = 500, STEPS = 60000 };
    static int values[NAMES];
    static bool present[NAMES];
    size_t count = 0;
    uint32_t state = 1;
    pn_map map;
    pn_map_init(&map, KEY);
    for (int step = 0; step < STEPS; step++) {
        state = state * 1664525u + 1013904223u;
        size_t i = (state >> 8) % NAMES;
        pn_str name = {(const char *)&i, sizeof i};
        if (state >> 31) {
            if (!pn_map_put(&map, name, &values[i], NULL)) CHECK(!"memory");
            count += !present[i];
            present[i] = true;
        } else {
            if ((pn_map_remove(&map, name) != NULL) != present[i]) CHECK(!"removed what was there");
            count -= present[i];
            present[i] = false;
        }
        if (map.count != count) CHECK(!"count");
    }
    for (size_t i = 0; i < NAMES; i++) {
        void *value = pn_map_get(&map, (pn_str){(const char *)&i, sizeof i});
        CHECK(value == (present[i] ? &values[i] : NULL));
    }
    size_t at = 0, seen = 0;
    pn_str name;
    void *value;
    while (pn_map_next(&map, &at, &name, &value)) seen++;
    CHECK(seen == count);
    pn_map_free(&map);
}

int main(void) {
    hashes_match_published_vectors();
    put_get_remove();
    agrees_with_an_array();
    return check_report();
}

#include "check.h"

#include "pinch/arena.h"
#include "pinch/buf.h"

static void arena_aligns_zeroes_and_grows(void) {
    pn_arena arena = {0};
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *at = pn_alloc(&arena, size);
        CHECK(at != NULL);
        CHECK((uintptr_t)at % sizeof(void *) == 0);
        for (size_t i = 0; i < size; i++) {
            if (at[i] != 0) CHECK(!"zeroed");
            at[i] = 0xff;
        }
    }
    pn_str copy = pn_arena_copy(&arena, pn_cstr("a jar"));
    CHECK(pn_str_equal(copy, pn_cstr("a jar")) && copy.at[copy.len] == '\0');
    CHECK(pn_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(pn_alloc(&arena, PTRDIFF_MAX) == NULL);
    pn_arena_free(&arena);
    CHECK(arena.held == 0);
}

static void arena_keeps_its_limit(void) {
    pn_arena arena = {.limit = 10000};
    size_t given = 0;
    while (pn_alloc(&arena, 100)) given += 100;
    CHECK(given > 8000);
    CHECK(arena.held <= arena.limit);
    CHECK(pn_alloc(&arena, 20000) == NULL);
    pn_arena_free(&arena);
    CHECK(pn_alloc(&arena, 100) != NULL);
    pn_arena_free(&arena);
}

static void buf_builds_text(void) {
    pn_buf buf = {0};
    CHECK(pn_str_equal(pn_buf_str(&buf), pn_cstr("")));
    pn_buf_add(&buf, (pn_str){NULL, 0});
    pn_buf_printf(&buf, "%d jars", 12);
    pn_buf_char(&buf, ',');
    pn_buf_add(&buf, pn_cstr(" full"));
    CHECK(strcmp(buf.at, "12 jars, full") == 0);
    for (int i = 0; i < 10000; i++) pn_buf_char(&buf, 'x');
    CHECK(buf.len == 10013 && buf.at[buf.len] == '\0');
    pn_buf_free(&buf);
}

static void buf_failure_is_sticky(void) {
    pn_buf buf = {0};
    pn_buf_add(&buf, pn_cstr("kept"));
    CHECK(pn_buf_reserve(&buf, SIZE_MAX) == NULL);
    pn_buf_add(&buf, pn_cstr("lost"));
    CHECK(buf.failed && pn_str_equal(pn_buf_str(&buf), pn_cstr("kept")));
    pn_buf_clear(&buf);
    pn_buf_add(&buf, pn_cstr("new"));
    CHECK(!buf.failed && pn_str_equal(pn_buf_str(&buf), pn_cstr("new")));
    pn_buf_free(&buf);
}

int main(void) {
    arena_aligns_zeroes_and_grows();
    arena_keeps_its_limit();
    buf_builds_text();
    buf_failure_is_sticky();
    return check_report();
}

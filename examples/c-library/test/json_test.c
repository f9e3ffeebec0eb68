#include "check.h"

#include "pinch/json.h"

static bool round_trip(pn_str text, unsigned indent, pn_str want) {
    pn_arena arena = {.limit = 1 << 20};
    pn_buf out = {0};
    const pn_json *value = pn_json_parse(&arena, text, NULL);
    if (value) pn_json_write(&out, value, indent);
    bool same = value && pn_str_equal(pn_buf_str(&out), want);
    pn_buf_free(&out);
    pn_arena_free(&arena);
    return same;
}

static bool becomes(const char *text, const char *want) {
    return round_trip(pn_cstr(text), 0, pn_cstr(want));
}

static bool refused(const char *text, size_t line, size_t column, const char *message) {
    pn_arena arena = {.limit = 1 << 20};
    pn_json_error error = {0};
    bool none = pn_json_parse(&arena, pn_cstr(text), &error) == NULL;
    pn_arena_free(&arena);
    bool same = none && error.line == line && error.column == column && strcmp(error.message, message) == 0;
    if (!same && none) fprintf(stderr, "%zu:%zu: %s\n", error.line, error.column, error.message);
    return same;
}

static void values_survive(void) {
    CHECK(becomes(" [ 1 , -0.5e+3 , true , false , null ] ", "[1,-0.5e+3,true,false,null]"));
    CHECK(becomes("{\"a\":{\"b\":[]},\"c\":{}}", "{\"a\":{\"b\":[]},\"c\":{}}"));
    CHECK(becomes("123456789012345678901234567890", "123456789012345678901234567890"));
    CHECK(becomes("\"\\u0041\\u00e9\\ud83e\\uded9\\/\\b\\u0000\"", "\"A\xc3\xa9\xf0\x9f\xab\x99/\\u0008\\u0000\""));
    CHECK(round_trip(pn_cstr("{\"a\":[1,{}],\"b\":2}"), 2,
                     pn_cstr("{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": 2\n}")));
}

static void members_are_found(void) {
    pn_arena arena = {0};
    const pn_json *value = pn_json_parse(&arena, pn_cstr("{\"jar\":{\"full\":true,\"weight\":0.25,\"weight\":1.5}}"), NULL);
    const pn_json *jar = pn_json_get(value, "jar");
    CHECK(jar && jar->count == 3);
    CHECK(pn_json_get(jar, "full") && pn_json_get(jar, "full")->truth);
    CHECK(pn_json_get(jar, "weight") && pn_json_get(jar, "weight")->number == 1.5);
    CHECK(pn_json_get(pn_json_get(jar, "lid"), "colour") == NULL);
    pn_arena_free(&arena);
}

static void errors_have_a_place(void) {
    CHECK(refused("", 1, 1, "expected a value"));
    CHECK(refused("[1,\n 2,]", 2, 4, "expected a value"));
    CHECK(refused("[1 2]", 1, 4, "expected `,` or `]`"));
    CHECK(refused("{\"a\" 1}", 1, 6, "expected `:`"));
    CHECK(refused("{a:1}", 1, 2, "expected a string"));
    CHECK(refused("01", 1, 2, "expected the end"));
    CHECK(refused("1.", 1, 3, "expected a digit"));
    CHECK(refused("-", 1, 2, "expected a digit"));
    CHECK(refused("nul", 1, 4, "not a value"));
    CHECK(refused("\"abc", 1, 5, "string without an end"));
    CHECK(refused("\"abc\\", 1, 6, "string without an end"));
    CHECK(refused("\"a\tb\"", 1, 3, "control character in a string"));
    CHECK(refused("\"\\x\"", 1, 3, "unknown escape"));
    CHECK(refused("\"\\u12g4\"", 1, 6, "expected four hexadecimal digits"));
    CHECK(refused("\"\\ud800x\"", 1, 8, "half of a surrogate pair"));
    CHECK(refused("\"\\udc00\"", 1, 8, "half of a surrogate pair"));
    CHECK(refused("\"\xff\"", 1, 2, "not UTF-8"));
}

static void hostile_input_is_bounded(void) {
    static char deep[100000];
    memset(deep, '[', sizeof deep - 1);
    CHECK(refused(deep, 1, PN_JSON_DEPTH + 2, "nested too deeply"));
    for (size_t i = 1; i + 1 < sizeof deep; i++) deep[i] = i % 2 ? '1' : ',';
    pn_arena arena = {.limit = 4096};
    pn_json_error error;
    CHECK(pn_json_parse(&arena, pn_cstr(deep), &error) == NULL && strcmp(error.message, "out of memory") == 0);
    CHECK(arena.held <= arena.limit);
    pn_arena_free(&arena);
}

int main(void) {
    values_survive();
    members_are_found();
    errors_have_a_place();
    hostile_input_is_bounded();
    return check_report();
}

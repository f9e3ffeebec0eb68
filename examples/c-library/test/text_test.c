#include "check.h"

#include "pinch/encode.h"
#include "pinch/glob.h"
#include "pinch/utf8.h"

static void utf8_accepts_all_and_only_code_points(void) {
    for (uint32_t point = 0; point <= 0x110000; point++) {
        char bytes[4];
        size_t len = pn_utf8_encode(point, bytes);
        bool good = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        pn_str text = {bytes, len};
        if ((len != 0) != good) CHECK(!"encodes what is a code point");
        if (good && (pn_utf8_valid(text) != len || pn_utf8_next(&text) != point || text.len)) CHECK(!"round trip");
    }
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pn_str text = pn_cstr(bad[i]);
        CHECK(pn_utf8_valid(text) == 0);
        CHECK(pn_utf8_next(&text) == PN_UTF8_BAD && text.len == strlen(bad[i]) - 1);
    }
    CHECK(pn_utf8_valid(pn_cstr("caf\xc3\xa9 \xff")) == 6);
}

static bool decodes(pn_base64 kind, const char *text, const char *want) {
    pn_buf out = {0};
    bool ok = pn_base64_decode(&out, kind, pn_cstr(text));
    bool same = want ? ok && pn_str_equal(pn_buf_str(&out), pn_cstr(want)) : !ok && out.len == 0 && !out.failed;
    pn_buf_free(&out);
    return same;
}

static void base64_both_ways(void) {
    static const char *const pairs[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},        {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        pn_buf out = {0};
        pn_base64_encode(&out, PN_BASE64, pn_cstr(pairs[i][0]));
        CHECK(pn_str_equal(pn_buf_str(&out), pn_cstr(pairs[i][1])));
        CHECK(decodes(PN_BASE64, pairs[i][1], pairs[i][0]));
        pn_buf_free(&out);
    }
    CHECK(decodes(PN_BASE64_URL, "--__", "\xfb\xef\xff"));
    CHECK(decodes(PN_BASE64_URL, "Zg", "f"));
    static const char *const bad[] = {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "--__", "Zm9v\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(decodes(PN_BASE64, bad[i], NULL));
}

static void hex_both_ways(void) {
    pn_buf out = {0};
    pn_hex_encode(&out, (pn_str){"\x00\xff\x5a", 3});
    CHECK(strcmp(out.at, "00ff5a") == 0);
    pn_buf_clear(&out);
    CHECK(pn_hex_decode(&out, pn_cstr("00Ff5a")) && out.len == 3 && memcmp(out.at, "\x00\xff\x5a", 3) == 0);
    CHECK(!pn_hex_decode(&out, pn_cstr("0")) && !pn_hex_decode(&out, pn_cstr("0g")) && out.len == 3);
    pn_buf_free(&out);
}

static bool matches(const char *pattern, const char *path) {
    return pn_glob(pn_cstr(pattern), pn_cstr(path));
}

static void glob_patterns(void) {
    CHECK(matches("", "") && !matches("", "a") && !matches("a", ""));
    CHECK(matches("*.c", "map.c") && matches("*", "") && !matches("*.c", "src/map.c") && !matches("*.c", "map.cc"));
    CHECK(matches("a*b*c", "axxbyybc") && !matches("a*b*c", "axxbyyb"));
    CHECK(matches("?at", "cat") && !matches("?at", "at") && !matches("a?b", "a/b"));
    CHECK(matches("src/**/*.c", "src/map.c") && matches("src/**/*.c", "src/a/b/map.c") && !matches("src/**/*.c", "map.c"));
    CHECK(matches("**/test/*_test.c", "x/test/y/test/map_test.c") && matches("**", "a/b") && matches("a/**", "a/b/c"));
    CHECK(!matches("a/**", "b/a/c") && !matches("**/a/*", "a/b/c") && matches("**/a/*", "a/a/c"));
    CHECK(matches("**/x*/y", "xa/b/xc/y") && matches("x**y", "x--y") && !matches("x**y", "x/y"));
    CHECK(matches("[a-cx]", "b") && matches("[!a-c]", "d") && !matches("[!a-c]", "b") && !matches("[!a]", "/"));
    CHECK(matches("[]]", "]") && matches("[a-]", "-") && matches("[\\]]", "]") && matches("[a", "[a"));
    CHECK(matches("\\*", "*") && !matches("\\*", "a") && matches("a\\", "a\\"));
}

static void glob_is_never_slow(void) {
    char path[2001];
    memset(path, 'a', 2000);
    path[2000] = '\0';
    CHECK(!matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path));
    for (int i = 1; i < 2000; i += 2) path[i] = '/';
    CHECK(!matches("**/a/**/a/**/a/**/a/**/a*/**/b", path));
}

int main(void) {
    utf8_accepts_all_and_only_code_points();
    base64_both_ways();
    hex_both_ways();
    glob_patterns();
    glob_is_never_slow();
    return check_report();
}

#include "pinch/json.h"
#include "pinch/utf8.h"

void pn_json_write_string(pn_buf *out, pn_str text) {
    pn_buf_char(out, '"');
    while (text.len) {
        pn_str before = text;
        uint32_t point = pn_utf8_next(&text);
        switch (point) {
        case PN_UTF8_BAD: pn_buf_add(out, pn_cstr("\xef\xbf\xbd")); break;
        case '"': pn_buf_add(out, pn_cstr("\\\"")); break;
        case '\\': pn_buf_add(out, pn_cstr("\\\\")); break;
        case '\n': pn_buf_add(out, pn_cstr("\\n")); break;
        case '\r': pn_buf_add(out, pn_cstr("\\r")); break;
        case '\t': pn_buf_add(out, pn_cstr("\\t")); break;
        default:
            if (point < 0x20) pn_buf_printf(out, "\\u%04x", (unsigned)point);
            else pn_buf_add(out, (pn_str){before.at, before.len - text.len});
        }
    }
    pn_buf_char(out, '"');
}

static void new_line(pn_buf *out, unsigned indent, unsigned depth) {
    if (indent == 0) return;
    pn_buf_char(out, '\n');
    for (unsigned i = 0; i < indent * depth; i++) pn_buf_char(out, ' ');
}

static void write_at(pn_buf *out, const pn_json *value, unsigned indent, unsigned depth) {
    bool object = value->kind == PN_OBJECT;
    switch (value->kind) {
    case PN_NULL: pn_buf_add(out, pn_cstr("null")); return;
    case PN_BOOL: pn_buf_add(out, pn_cstr(value->truth ? "true" : "false")); return;
    case PN_NUMBER: pn_buf_add(out, value->text); return;
    case PN_STRING: pn_json_write_string(out, value->text); return;
    case PN_ARRAY:
    case PN_OBJECT: break;
    }
    pn_buf_char(out, object ? '{' : '[');
    for (const pn_json *child = value->first; child; child = child->next) {
        new_line(out, indent, depth + 1);
        if (object) {
            pn_json_write_string(out, child->name);
            pn_buf_add(out, pn_cstr(indent ? ": " : ":"));
        }
        write_at(out, child, indent, depth + 1);
        if (child->next) pn_buf_char(out, ',');
    }
    if (value->first) new_line(out, indent, depth);
    pn_buf_char(out, object ? '}' : ']');
}

void pn_json_write(pn_buf *out, const pn_json *value, unsigned indent) {
    write_at(out, value, indent, 0);
}

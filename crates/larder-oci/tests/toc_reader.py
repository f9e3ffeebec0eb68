#!/usr/bin/env python3
"""A second reader of `.toc` files (docs/formats/toc.md): lists a layer's entries, or decodes a span of its blob.

    toc_reader.py list FILE.toc
    toc_reader.py span FILE.toc BLOB NUMBER > bytes

Needs the module `zstandard`; checks no digests.
"""
import io, json, struct, sys, zlib
import zstandard

KINDS = "fdlhcbp"


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self):
        value = self.number()
        return (value >> 1) ^ -(value & 1)

    def take(self, length):
        self.at += length
        return self.data[self.at - length:self.at]

    def bytes(self):
        return self.take(self.number())

    def more(self):
        return self.at < len(self.data)


def sections(path):
    data = open(path, "rb").read()
    assert data[:8] == data[-8:] == b"LARDRTOC" and data[8:10] == b"\1\0"
    at, length = struct.unpack("<QI", data[-88:-76])
    directory = Cursor(data[at:at + length])
    found = {}
    for _ in range(directory.number()):
        kind, layer, place, size, frames = (directory.number() for _ in range(5))
        parts = []
        for _ in range(frames):
            packed, unpacked = directory.number(), directory.number()
            parts.append(zstandard.ZstdDecompressor().decompress(data[place:place + packed], max_output_size=unpacked))
            place += packed
        found[layer, kind] = b"".join(parts)
        assert len(found[layer, kind]) == size
    return found


def entries(section):
    cursor = Cursor(section)
    while cursor.more():
        block = Cursor(cursor.bytes())
        count = block.number()
        kind, shared, name, mode, uid, gid, time, nanos, size, place, target, device, extra = (Cursor(block.bytes()) for _ in range(13))
        path, seconds, end = b"", 0, 0
        for _ in range(count):
            what = KINDS[kind.take(1)[0]]
            path = path[:shared.number()] + name.bytes()
            seconds += time.signed()
            entry = dict(type=what, path=path.decode("utf-8", "surrogateescape"), mode=mode.number(), uid=uid.number(), gid=gid.number(), seconds=seconds, nanos=nanos.number())
            if what == "f":
                entry["size"] = size.number()
            if what in "lh":
                entry["target"] = target.bytes().decode("utf-8", "surrogateescape")
            if what in "cb":
                entry["device"] = [device.number(), device.number()]
            xattrs = {extra.bytes().decode(): extra.bytes().hex() for _ in range(extra.number())}
            if xattrs:
                entry["xattrs"] = xattrs
            stored = 0
            if what == "f":
                pieces, stored = extra.number(), entry["size"]
                if pieces:
                    stored = extra.number()
                    entry["sparse"] = [[extra.number(), extra.number()] for _ in range(pieces - 1)]
            if stored:
                entry["at"] = (end + 511) // 512 * 512 + 512 + place.signed()
                end = entry["at"] + stored
            else:
                end = (end + 511) // 512 * 512 + 512
            yield entry


def spans(section):
    cursor, out, bit, window = Cursor(section), 0, 0, 0
    while cursor.more():
        out, bit = out + cursor.number(), bit + cursor.number()
        start, header_bit, header, header_bits, runs = cursor.take(1)[0], bit, b"", 0, []
        if start == 1:
            header_bit, header_bits = bit - cursor.number(), cursor.number()
            header = cursor.take((header_bits + 7) // 8)
        end = 0
        for _ in range(cursor.number() if start != 2 else 0):
            at, length = end + cursor.number(), cursor.number()
            runs.append((at, length, window))
            window, end = window + length, at + length
        yield dict(out=out, bit=bit, start=start, header_bit=header_bit, header=header, header_bits=header_bits, runs=runs)


def inflate(span, blob, windows, length):
    dictionary = bytearray(32768)
    for at, size, place in span["runs"]:
        dictionary[at:at + size] = windows[place:place + size]
    # Bits are moved so that the block's header (its copy, if the span begins behind it) is at a byte's begin.
    bits = int.from_bytes(blob[span["bit"] // 8:], "little") >> span["bit"] % 8
    left = (len(blob) * 8 - span["bit"] + 7) // 8
    out = b""
    if span["start"] == 1:
        header = int.from_bytes(span["header"], "little")
        if header >> 1 & 3 == 0:  # stored: bytes that are left of it, then blocks at a byte's begin
            size = int.from_bytes(span["header"], "little") >> (span["header_bits"] - 32) & 0xFFFF
            size -= (span["bit"] - span["header_bit"] - span["header_bits"]) // 8
            at = span["bit"] // 8
            out = bytes(blob[at:at + size][:length])
            if len(out) == length:
                return out
            rest = dict(span, start=0, bit=(at + size) * 8, runs=[(0, 32768, 0)])
            last = header & 1
            return out + (members(blob[at + size + 8:], length - len(out)) if last else inflate(rest, blob, (bytes(dictionary) + out)[-32768:], length - len(out)))
        bits, left = bits << span["header_bits"] | header, left + len(span["header"])
    decoder = zlib.decompressobj(-15, zdict=bytes(dictionary))
    # Behind the last block of a member its trailer begins at a byte of the blob, not of what was moved: found by what was used.
    stream = (bits & (1 << left * 8) - 1).to_bytes(left, "little")
    out = decoder.decompress(stream, length)
    if len(out) == length:
        return out
    assert decoder.eof, "a span ends within a block"
    used = span["bit"] - span["header_bits"] * (span["start"] == 1) + (len(stream) - len(decoder.unused_data)) * 8
    for end in (used // 8 - 1, used // 8, used // 8 + 1, used // 8 + 2):  # the end of the last byte, in the blob's own bytes
        if blob[end + 8:end + 10] == b"\x1f\x8b":
            return out + members(blob[end + 8:], length - len(out))
    raise AssertionError("there is no next member")


def members(blob, length):
    out = b""
    while len(out) < length:
        decoder = zlib.decompressobj(31)
        out += decoder.decompress(blob, length - len(out))
        blob = decoder.unused_data
    return out


def main():
    found = sections(sys.argv[2])
    layer = min(number for number, kind in found if kind == 1)
    info = json.loads(found[layer, 1])
    if sys.argv[1] == "list":
        for entry in entries(found[layer, 2]):
            print(json.dumps(entry))
        return
    blob, number, all_spans = open(sys.argv[3], "rb").read(), int(sys.argv[4]), list(spans(found[layer, 3]))
    ends = [span["out"] for span in all_spans[1:]] + [info["size"]]
    first = max(at for at in range(number + 1) if all_spans[at]["start"] != 2)
    span, length = all_spans[first], ends[number] - all_spans[first]["out"]
    if info["compression"] == "gzip":
        data = inflate(span, blob, found[layer, 5], length)
    else:
        data = blob[span["bit"] // 8:]
        if info["compression"] == "zstd":
            data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(io.BytesIO(data), read_across_frames=True).read(length)
    sys.stdout.buffer.write(data[all_spans[number]["out"] - span["out"]:length])


main()

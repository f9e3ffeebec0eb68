#!/usr/bin/env python3
"""A second reader of `.toc` files (docs/formats/toc.md), which checks no digests: `toc_reader.py list FILE.toc` lists a
layer's entries, `toc_reader.py span FILE.toc BLOB NUMBER > bytes` decodes a span. Needs the module `zstandard`."""
import io, json, struct, sys, zlib, zstandard

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0
    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
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
    def text(self):
        return self.bytes().decode("utf-8", "surrogateescape")
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
            what = "fdlhcbp"[kind.take(1)[0]]
            path = path[:shared.number()] + name.bytes()
            seconds += time.signed()
            numbers = dict(mode=mode.number(), uid=uid.number(), gid=gid.number(), seconds=seconds, nanos=nanos.number())
            entry = dict(type=what, path=path.decode("utf-8", "surrogateescape"), **numbers)
            own = dict(f=("size", size.number), l=("target", target.text), h=("target", target.text),
                       c=("device", lambda: [device.number(), device.number()]))
            for name_of, read in [own["c" if what == "b" else what]] if what not in "dp" else []:
                entry[name_of] = read()
            entry["xattrs"] = {extra.text(): extra.bytes().hex() for _ in range(extra.number())}
            stored = 0
            if what == "f":
                pieces, stored = extra.number(), entry["size"]
                if pieces:
                    stored = extra.number()
                    entry["sparse"] = [[extra.number(), extra.number()] for _ in range(pieces - 1)]
            end = (end + 511) // 512 * 512 + 512
            if stored:
                entry["at"] = end + place.signed()
                end = entry["at"] + stored
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

def empty_block():
    """A dynamic block of 97 bits without content: so many of them move what follows to any place in a byte."""
    value = length = 0
    # Lengths of the code of lengths, for 16, 17, 18, …, 1: then 18 is 0, 1 is 01, 17 is 11 (lowest bit first).
    lengths = [(bits, 3) for bits in [0, 2, 1] + [0] * 14 + [2]]
    zeros = [(0, 1), (138 - 11, 7), (0, 1), (108 - 11, 7), (3, 2), (10 - 3, 3)]
    for bits, count in [(4, 3), (0, 5), (0, 5), (14, 4)] + lengths + zeros + [(1, 2), (1, 2), (0, 1)]:
        value, length = value | bits << length, length + count
    return value

def inflate(span, blob, windows, length):
    dictionary = bytearray(32768)
    for at, size, place in span["runs"]:
        dictionary[at:at + size] = windows[place:place + size]
    bits, count = 0, 0
    if span["start"] == 1:
        bits, count = int.from_bytes(span["header"], "little"), span["header_bits"]
        if bits >> 1 & 3 == 0:  # stored: what is left of the block, then what follows it
            at = span["bit"] // 8 + (bits >> count - 32 & 0xFFFF) - (span["bit"] - span["header_bit"] - count) // 8
            out = bytes(blob[span["bit"] // 8:at][:length])
            if len(out) < length and bits & 1:
                return out + members(blob[at + 8:], length - len(out))
            rest = dict(span, start=0, bit=at * 8, runs=[(0, 32768, 0)])
            return out + (inflate(rest, blob, (bytes(dictionary) + out)[-32768:], length - len(out)) if len(out) < length else b"")
    # zlib wants whole bytes: empty blocks come first, so many that all that follows stays where it was within its bytes.
    for _ in range((span["bit"] - count) % 8):
        bits, count = bits << 97 | empty_block(), count + 97
    bits |= int.from_bytes(blob[span["bit"] // 8:], "little") >> span["bit"] % 8 << count
    decoder = zlib.decompressobj(-15, zdict=bytes(dictionary))
    out = decoder.decompress(bits.to_bytes((len(blob) * 8 - span["bit"] + count + 7) // 8, "little"), length)
    return out if len(out) == length else out + members(decoder.unused_data[8:], length - len(out))

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
        return [print(json.dumps(entry)) for entry in entries(found[layer, 2])]
    blob, number, all_spans = open(sys.argv[3], "rb").read(), int(sys.argv[4]), list(spans(found[layer, 3]))
    ends = [span["out"] for span in all_spans[1:]] + [info["size"]]
    first = max(at for at in range(number + 1) if all_spans[at]["start"] != 2)
    span, length = all_spans[first], ends[number] - all_spans[first]["out"]
    data = blob[span["bit"] // 8:]
    if info["compression"] == "gzip":
        data = inflate(span, blob, found[layer, 5], length)
    elif info["compression"] == "zstd":
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        data = reader.stream_reader(io.BytesIO(data), read_across_frames=True).read(length)
    sys.stdout.buffer.write(data[all_spans[number]["out"] - span["out"]:length])

main()

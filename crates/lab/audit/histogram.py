"""HdrHistogram's compressed V2 form, read without the library that wrote it."""

import base64
import struct
import zlib

COOKIE, COMPRESSED = 0x1C849303, 0x1C849304


class Histogram:
    def __init__(self, text):
        data = base64.b64decode(text)
        cookie, length = struct.unpack(">II", data[:8])
        assert cookie & ~0xF0 == COMPRESSED & ~0xF0, hex(cookie)
        data = zlib.decompress(data[8 : 8 + length])
        cookie, length, _, digits, lowest, _, _ = struct.unpack(">IIIIQQd", data[:40])
        assert cookie & ~0xF0 == COOKIE & ~0xF0, hex(cookie)
        self.unit = lowest.bit_length() - 1
        precision = 2 * 10**digits
        self.half_bits = (precision - 1).bit_length() - 1
        self.counts = list(self.read(data[40 : 40 + length]))
        self.total = sum(count for _, count in self.counts)

    @staticmethod
    def read(data):
        """Pairs of index and count: zigzag numbers of at most nine bytes, where a negative one skips so many zeroes."""
        place, index = 0, 0
        while place < len(data):
            number = shift = 0
            for nth in range(9):
                byte = data[place]
                place += 1
                number |= byte << shift if nth == 8 else (byte & 0x7F) << shift
                shift += 7
                if nth < 8 and not byte & 0x80:
                    break
            number = (number >> 1) ^ -(number & 1)
            if number < 0:
                index -= number
            else:
                if number:
                    yield index, number
                index += 1

    def highest(self, index):
        """The greatest value that is counted at this index."""
        bucket = (index >> self.half_bits) - 1
        sub = (index & ((1 << self.half_bits) - 1)) + (1 << self.half_bits)
        if bucket < 0:
            sub, bucket = sub - (1 << self.half_bits), 0
        return (sub << (bucket + self.unit)) + (1 << (bucket + self.unit)) - 1

    def at(self, share):
        """The value that this share of all are not greater than."""
        wanted = max(1, -(-int(share * self.total * (1 << 40)) >> 40))
        wanted = min(max(1, wanted), self.total)
        seen = 0
        for index, count in self.counts:
            seen += count
            if seen >= wanted:
                return self.highest(index)
        return 0

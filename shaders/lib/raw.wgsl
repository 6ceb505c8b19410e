// A piece of a GGUF tensor as it lies in the file: blocks of any byte length, so reads may straddle words.
@group(1) @binding(4) var<storage, read> raw: array<u32>;

fn raw_u8(offset: u32) -> u32 {
  return (raw[offset >> 2u] >> (8u * (offset & 3u))) & 0xffu;
}

fn raw_u16(offset: u32) -> u32 {
  return raw_u8(offset) | (raw_u8(offset + 1u) << 8u);
}

fn raw_u32(offset: u32) -> u32 {
  let shift = 8u * (offset & 3u);
  let low = raw[offset >> 2u];
  if (shift == 0u) {
    return low;
  }
  return (low >> shift) | (raw[(offset >> 2u) + 1u] << (32u - shift));
}

// Rows of the KV cache: D elements of a key or value, by type.
//   f32: as they are; f16: packed halves (packing needs no shader-f16)
//   q8_0: D int8, four a word; then an f16 scale for each 32 of them, two a word; padded to 16 bytes
import constants::LANES;

// Of a row, in units of 16 bytes. LANES is D / 4.
@if(!kv_f16 && !kv_q8_0) const KV_ROW = u32(LANES);
@if(kv_f16) const KV_ROW = u32(LANES / 2);
@if(kv_q8_0) const KV_ROW = KV_SCALES + u32(LANES + 63) / 64u;

// Where a q8_0 row's scales begin, in units of 16 bytes, and quants of one scale, in words.
@if(kv_q8_0) const KV_SCALES = u32(LANES / 4);
@if(kv_q8_0) const KV_BLOCK = 8u;

@if(kv_f16)
fn pack_kv(v: vec4f) -> vec2u {
  return vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
}

@if(kv_f16)
fn unpack_kv(v: vec2u) -> vec4f {
  return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}

// Four quants; times their scale they are elements.
@if(kv_q8_0)
fn unpack_quants(word: u32) -> vec4f {
  return vec4f(unpack4xI8(word));
}

// Elements of the KV cache: vec4f, or four halves in a vec2u (packing needs no shader-f16).
@if(!kv_f16)
fn pack_kv(v: vec4f) -> vec4f {
  return v;
}

@if(!kv_f16)
fn unpack_kv(v: vec4f) -> vec4f {
  return v;
}

@if(kv_f16)
fn pack_kv(v: vec4f) -> vec2u {
  return vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
}

@if(kv_f16)
fn unpack_kv(v: vec2u) -> vec4f {
  return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}

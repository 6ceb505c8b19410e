import { expect, test } from 'vitest';
import { expertTypes, typesByBytes } from './tensor-types.ts';

const tensor = (name: string, type: 'F32' | 'Q4_K' | 'Q5_K' | 'Q6_K', byteLength: number) => ({
  name,
  type,
  byteLength,
});

const mixed = [
  tensor('token_embd.weight', 'Q6_K', 900),
  tensor('blk.0.ffn_gate_exps.weight', 'Q4_K', 40),
  tensor('blk.0.ffn_up_exps.weight', 'Q4_K', 40),
  tensor('blk.0.ffn_down_exps.weight', 'Q6_K', 60),
  tensor('blk.0.ffn_down_shexp.weight', 'F32', 500),
  tensor('blk.10.ffn_gate_up_exps.weight', 'Q4_K', 50),
  tensor('blk.10.ffn_down_exps.weight', 'Q5_K', 60),
  tensor('blk.11.ffn_down.weight', 'F32', 60),
  tensor('blk.12.ffn_gate_exps.weight', 'F32', 60),
];

test('types are named in the order of their bytes', () => {
  expect(typesByBytes(mixed)).toEqual(['Q6_K', 'F32', 'Q4_K', 'Q5_K']);
  expect(typesByBytes([])).toEqual([]);
});

test("each layer has the types of its experts, and no others'", () => {
  const types = expertTypes(mixed, 12);
  expect(types).toHaveLength(12);
  expect(types[0]).toEqual(['Q4_K', 'Q6_K']);
  expect(types[10]).toEqual(['Q5_K', 'Q4_K']);
  expect(types.filter((own) => own.length > 0)).toHaveLength(2);
});

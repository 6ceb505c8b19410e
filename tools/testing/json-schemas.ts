/** JSON schemas by the hundred, of every kind that `response_format` takes. Seeded: the same number, the same schemas. */
import type { Random } from '../../src/text/random.ts';

type Schema = Record<string, unknown>;

const NAMES = [
  'name',
  'age',
  'tags',
  'größe',
  'a b',
  'x-y',
  'id',
  'quote"d',
  'ünïcode',
  'type',
  'city',
  'q1',
  'back\\slash',
];
const WORDS = ['red', 'green', 'blau', 'größer', 'a "b" c', '', '日本', '1', 'null'];
const PATTERNS = [
  '^[a-z]{1,6}$',
  '^\\d{3}-\\d{4}$',
  '^(foo|bar)+$',
  '[0-9]',
  '^[^\\s"]+$',
  '^\\w+@\\w+\\.(com|org)$',
  '^[A-F0-9]{4}(?:-[A-F0-9]{4}){0,2}$',
  '^.{2,5}$',
  '^["\\\\/]+\\t?$',
  '^[äöü\\d]*$',
  '^\\S+-\\S+$',
  '^a|b$',
];
const FORMATS = ['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uri', 'uuid'];

export function randomSchema(random: Random): Schema {
  const integer = (from: number, to: number) => from + Math.floor(random.next() * (to - from + 1));
  const pick = <T>(list: readonly T[]): T => list[integer(0, list.length - 1)];
  const maybe = <T>(value: T, chance = 0.5): T | undefined => (random.next() < chance ? value : undefined);
  const definitions: Record<string, Schema> = {};

  const number = (): Schema => {
    const bound = () => Math.round((random.next() - 0.5) * 10 ** integer(0, 6) * 1000) / 10 ** integer(0, 5);
    const low = bound();
    return {
      type: 'number',
      [pick(['minimum', 'exclusiveMinimum'])]: maybe(low, 0.6),
      [pick(['maximum', 'exclusiveMaximum'])]: maybe(low + Math.abs(bound()) + 0.01, 0.6),
    };
  };
  const whole = (): Schema => {
    const low = integer(-1200, 1200);
    return {
      type: 'integer',
      [pick(['minimum', 'exclusiveMinimum'])]: maybe(low, 0.6),
      [pick(['maximum', 'exclusiveMaximum'])]: maybe(low + integer(2, 3000), 0.6),
      multipleOf: maybe(1, 0.1),
    };
  };
  const string = (): Schema => {
    const least = integer(0, 6);
    return pick<() => Schema>([
      () => ({ type: 'string' }),
      () => ({ type: 'string', minLength: maybe(least), maxLength: maybe(least + integer(0, 20)) }),
      () => ({ type: 'string', pattern: pick(PATTERNS) }),
      () => ({ type: 'string', format: pick(FORMATS) }),
    ])();
  };
  const object = (depth: number): Schema => {
    const count = random.next() < 0.1 ? 0 : integer(1, 4);
    const names = [...new Set(Array.from({ length: count }, () => pick(NAMES)))];
    return {
      type: 'object',
      description: maybe('An object.', 0.2),
      properties: names.length > 0 ? Object.fromEntries(names.map((name) => [name, value(depth - 1)])) : undefined,
      required: names.filter(() => random.next() < 0.6),
      additionalProperties: pick<() => unknown>([() => undefined, () => false, () => true, () => value(depth - 1)])(),
    };
  };
  const record = (depth: number): Schema => ({
    type: 'object',
    additionalProperties: value(depth - 1),
    propertyNames: maybe({ pattern: '^[a-z_]{1,8}$' }),
    minProperties: maybe(1),
    maxProperties: maybe(integer(1, 4)),
  });
  const array = (depth: number): Schema => {
    const least = integer(0, 2);
    return pick<() => Schema>([
      () => ({
        type: 'array',
        items: value(depth - 1),
        minItems: maybe(least),
        maxItems: maybe(least + integer(0, 3), 0.8),
      }),
      () => ({
        type: 'array',
        prefixItems: [value(depth - 1), value(depth - 1)],
        items: pick([false, undefined, value(depth - 1)]),
        maxItems: maybe(integer(2, 4)),
      }),
    ])();
  };
  const reference = (depth: number): Schema => {
    const name = `part${Object.keys(definitions).length}`;
    definitions[name] = {}; // may be meant by what it holds
    definitions[name] = pick<() => Schema>([
      () => value(depth - 1),
      () => ({
        type: 'object',
        properties: {
          value: value(depth - 1),
          next: { anyOf: [{ type: 'null' }, { $ref: `#/$defs/${name}` }] },
        },
        required: ['value', 'next'],
        additionalProperties: false,
      }),
    ])();
    return { $ref: `#/$defs/${name}` };
  };
  const kinds = (depth: number): Schema => ({
    oneOf: [1, 2].map((kind) => ({
      type: 'object',
      properties: { kind: { const: kind }, value: value(depth - 1) },
      required: ['kind', 'value'],
      additionalProperties: false,
    })),
  });
  const leaves: (() => Schema)[] = [
    number,
    whole,
    string,
    string,
    () => ({ type: pick(['boolean', 'null']) }),
    () => ({ enum: [pick(WORDS), pick(WORDS), integer(-5, 5), null, true] }),
    () => ({ const: pick<unknown>([...WORDS, 3.5, false, { a: [1, 'x'] }]) }),
    () => ({ type: ['string', 'null'], maxLength: 8 }),
    () => ({ type: ['integer', 'boolean'], minimum: 3 }),
  ];
  const branches: ((depth: number) => Schema)[] = [object, object, record, array, array, reference, kinds];
  function value(depth: number): Schema {
    if (depth <= 0 || random.next() < 0.25) return pick(leaves)();
    if (random.next() < 0.12) return { anyOf: [value(depth - 1), value(depth - 1)] };
    if (random.next() < 0.05) return { allOf: [value(depth - 1)] };
    return pick(branches)(depth);
  }

  const schema = random.next() < 0.8 ? object(3) : value(3);
  // Without what is undefined.
  return JSON.parse(JSON.stringify({ ...schema, $defs: definitions })) as Schema;
}

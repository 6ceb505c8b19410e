/** What can be told of a JSON schema without its values: where references lead, whether it ends, what is distinct. */

export type Schema = Readonly<Record<string, unknown>>;

export const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type Type = (typeof TYPES)[number];

/** References that lead to references. */
const DEEPEST_REFERENCE = 16;

export class SchemaFacts {
  readonly #document: unknown;
  /** Schemas that are known to have a value that ends. */
  readonly #ending = new Set<unknown>();

  constructor(document: unknown) {
    this.#document = document;
  }

  /** Whether some value ends: one whose required parts do not hold each other. */
  get hasFiniteValue(): boolean {
    return this.#ends(this.#document, []);
  }

  /** What `#` or `#/a/b` refers to; undefined: nothing, or something beyond this document. */
  referred(reference: string): unknown {
    if (reference === '#') return this.#document;
    let found = reference.startsWith('#/') ? this.#document : undefined;
    for (const key of decoded(reference).slice(2).split('/')) {
      const name = key.replaceAll('~1', '/').replaceAll('~0', '~');
      const inside = isRecord(found) || Array.isArray(found);
      found = inside && Object.hasOwn(found as object, name) ? (found as Schema)[name] : undefined;
    }
    return found;
  }

  /** Whether it is certain that no value satisfies both. */
  areDistinct(one: unknown, other: unknown): boolean {
    const [a, b] = [this.#resolved(one), this.#resolved(other)];
    if (!isRecord(a) || !isRecord(b)) return false;
    const [ours, theirs] = [valuesOf(a), valuesOf(b)];
    if (ours && theirs) return !ours.some((value) => theirs.some((other) => isSame(value, other)));
    const [types, others] = [typesOf(a), typesOf(b)];
    if (types && others && !types.some((type) => others.some((other) => mayBeAlike(type, other)))) return true;
    if (a.type !== 'object' || b.type !== 'object' || !isRecord(a.properties) || !isRecord(b.properties)) return false;
    const { properties, required } = a;
    const { properties: otherProperties, required: otherRequired } = b;
    if (!Array.isArray(required) || !Array.isArray(otherRequired)) return false;
    return required.some((name) => {
      const [mine, yours] = [properties[name], otherProperties[name]];
      if (!otherRequired.includes(name) || !isRecord(mine) || !isRecord(yours)) return false;
      return valuesOf(mine) !== undefined && valuesOf(yours) !== undefined && this.areDistinct(mine, yours);
    });
  }

  #resolved(schema: unknown): unknown {
    let found = schema;
    for (let depth = 0; depth < DEEPEST_REFERENCE && isRecord(found) && typeof found.$ref === 'string'; depth++) {
      found = this.referred(found.$ref);
    }
    return found;
  }

  #ends(schema: unknown, within: readonly unknown[]): boolean {
    if (schema === false || within.includes(schema)) return false;
    if (!isRecord(schema) || this.#ending.has(schema)) return true;
    const ends = this.#partsEnd(schema, [...within, schema]);
    if (ends) this.#ending.add(schema);
    return ends;
  }

  #partsEnd(schema: Schema, path: readonly unknown[]): boolean {
    const each = (value: unknown) => this.#ends(value, path);
    if (typeof schema.$ref === 'string') return each(this.referred(schema.$ref));
    for (const keyword of ['anyOf', 'oneOf', 'allOf']) {
      const list = schema[keyword];
      if (Array.isArray(list)) return list.some(each);
    }
    const others = Array.isArray(schema.type) && schema.type.some((type) => type !== 'object' && type !== 'array');
    if (others) return true;
    const { properties, required, items, minItems } = schema;
    if (isRecord(properties) && Array.isArray(required)) {
      if (!required.every((name) => !Object.hasOwn(properties, name) || each(properties[name]))) return false;
    }
    const listed = Array.isArray(items) ? items : (schema.prefixItems ?? []);
    if (Array.isArray(listed) && !listed.slice(0, typeof minItems === 'number' ? minItems : undefined).every(each)) {
      return false;
    }
    return !(isRecord(items) && typeof minItems === 'number' && minItems > 0) || each(items);
  }
}

/** As it stands where it is not what it looks like. */
function decoded(reference: string): string {
  try {
    return decodeURIComponent(reference);
  } catch {
    return reference;
  }
}

export function isRecord(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export function isOfType(value: unknown, type: Type): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isRecord(value);
  return typeof value === type;
}

function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if ('const' in schema) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}

function typesOf(schema: Schema): readonly unknown[] | undefined {
  const values = valuesOf(schema);
  if (values) return values.map((value) => TYPES.find((type) => type !== 'integer' && isOfType(value, type)));
  if (schema.type === undefined) return undefined;
  return Array.isArray(schema.type) ? schema.type : [schema.type];
}

function mayBeAlike(a: unknown, b: unknown): boolean {
  const number = (type: unknown) => (type === 'integer' ? 'number' : type);
  return number(a) === number(b);
}

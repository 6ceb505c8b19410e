/**
 * JSON Schema to a grammar of the JSON texts that it allows. What cannot be told by a grammar is refused by name; nothing is
 * left out silently. Where a schema allows more than a model should be offered, a part of it comes:
 *
 * - members and items that the schema does not speak of come only where it names none, or `additionalProperties` or `items`
 *   ask for them; all items of `prefixItems` come unless `minItems` is smaller;
 * - members come in the order of `properties`;
 * - without `type`, the types that the other keywords are about; a `format` beside a `pattern` says nothing.
 *
 * The library has a conversion of its own. It lets control characters into strings of bounded length, numbers beyond their
 * bounds and keywords without effect (0.1.27), so only its grammars are used.
 */
import { QwenError } from '../errors.ts';
import { choice, type Expression, literal, repeat, sequence } from './ebnf.ts';
import { type Bounds, integerGrammar, numberGrammar } from './json-numbers.ts';
import {
  BEHIND_STRING,
  FORMATS,
  otherNames,
  patternGrammar,
  QUOTE,
  restOfString,
  UnsupportedPattern,
} from './json-strings.ts';
import { isOfType, isRecord, isSame, type Schema, SchemaFacts, TYPES, type Type } from './schema-facts.ts';
import { type LengthLimit, probeOf } from './string-lengths.ts';

export interface SchemaGrammar {
  /** Rules, one a line; the value's is `root`. */
  readonly ebnf: string;
  /** See `PatternGrammar`. */
  readonly plainSpace: boolean;
  /** Of strings, which the rules only name; see `StringLengths`. */
  readonly lengths: readonly LengthLimit[];
}

/**
 * @param param where the schema stands in the request, for messages
 * @throws QwenError `invalid-request` that names the keyword
 */
export function jsonSchemaGrammar(schema: unknown, param: string): SchemaGrammar {
  const grammar = new Grammar(schema, param);
  const ebnf = grammar.text(grammar.root());
  return { ebnf, plainSpace: grammar.plainSpace, lengths: grammar.lengths };
}

/** Any JSON object. */
export const ANY_OBJECT = { type: 'object' } as const;

/** Keywords that constrain values of a type. */
const KEYWORDS: Readonly<Record<Type, readonly string[]>> = {
  object: [
    'properties',
    'required',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
  ],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  integer: [],
  boolean: [],
  null: [],
};

/** Those that say what a value is by other schemas or values; each stands alone. */
const WHOLE = ['$ref', 'const', 'enum', 'anyOf', 'oneOf', 'allOf'] as const;

const ANNOTATIONS = new Set(
  '$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly'.split(' '),
);

const CONSTRAINTS = new Set<string>(['type', ...WHOLE, ...Object.values(KEYWORDS).flat()]);

/** The rule of a string behind its opening quote. */
const REST = 'text';

const SPACE = '[\\u0020\\u0009\\u000a]*';
const COMMA = `${SPACE} "," ${SPACE}`;

/** More than any schema that was written by hand. */
const MOST_RULES = 5000;

/** Each is asked for at every string. */
const MOST_LIMITS = 200;

class Grammar {
  plainSpace = false;
  readonly lengths: LengthLimit[] = [];
  readonly #facts: SchemaFacts;
  readonly #param: string;
  readonly #rules = new Map<string, string>();
  readonly #names = new Map<string, string>();
  readonly #references = new Map<string, string>();

  constructor(document: unknown, param: string) {
    this.#facts = new SchemaFacts(document);
    this.#param = param;
  }

  root(): string {
    if (!this.#facts.hasFiniteValue) throw this.#refuse('', 'no value satisfies this schema, or none that ends');
    return this.#reference('#', '');
  }

  text(root: string): string {
    return [`root ::= ${root}`, ...Array.from(this.#rules, ([name, body]) => `${name} ::= ${body}`)].join('\n');
  }

  #value(schema: unknown, at: string): Expression {
    if (schema === true) return this.#any();
    if (schema === false) return undefined;
    if (!isRecord(schema)) throw this.#refuse(at, `a schema must be an object, true or false`);
    const constraints = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key) && schema[key] !== undefined);
    const unknown = constraints.find((key) => !CONSTRAINTS.has(key));
    if (unknown !== undefined) throw this.#refuse(at, `the keyword ${unknown} is not supported`, unknown);
    const whole = WHOLE.find((key) => Object.hasOwn(schema, key));
    if (whole !== undefined) {
      const beside = constraints.find((key) => key !== whole && key !== 'type');
      if (beside !== undefined) throw this.#refuse(at, `${beside} beside ${whole} is not supported`, beside);
      return this.#whole(schema, whole, at);
    }
    const types = this.#types(schema, at);
    if (types === undefined) return this.#any();
    return choice(...types.map((type) => this.#typed(schema, type, at)));
  }

  #whole(schema: Schema, keyword: (typeof WHOLE)[number], at: string): Expression {
    const value = schema[keyword];
    const here = `${at}.${keyword}`;
    const { type } = schema;
    if (keyword === 'const') return this.#literals(schema, [value], at);
    if (keyword === '$ref') {
      if (type !== undefined) throw this.#refuse(at, 'type beside $ref is not supported', 'type');
      if (typeof value !== 'string') throw this.#refuse(here, 'a reference must be a string');
      return this.#reference(value, here);
    }
    if (!Array.isArray(value) || value.length === 0) throw this.#refuse(here, `${keyword} must be a list, not empty`);
    if (keyword === 'enum') return this.#literals(schema, value, at);
    if (keyword === 'allOf' && value.length > 1)
      throw this.#refuse(here, 'allOf with several schemas is not supported');
    const branches = value.map((branch: unknown, i) => this.#branch(branch, type, `${here}[${i}]`));
    if (keyword === 'oneOf') this.#requireDistinct(branches, here);
    return choice(...branches.map((branch, i) => this.#value(branch, `${here}[${i}]`)));
  }

  /** What `type` says beside alternatives, said of each. */
  #branch(branch: unknown, type: unknown, at: string): unknown {
    if (type === undefined || !isRecord(branch) || isSame(branch.type, type)) return branch;
    if (branch.type === undefined && branch.$ref === undefined) return { ...branch, type };
    throw this.#refuse(at, 'another type than beside the alternatives is not supported', 'type');
  }

  #literals(schema: Schema, values: readonly unknown[], at: string): Expression {
    const types = schema.type === undefined ? undefined : this.#types(schema, at);
    const allowed = values.filter((value) => types === undefined || types.some((type) => isOfType(value, type)));
    return choice(...allowed.map((value) => literal(JSON.stringify(value))));
  }

  #types(schema: Schema, at: string): readonly Type[] | undefined {
    const { type } = schema;
    if (type === undefined) {
      const meant = TYPES.filter((each) => KEYWORDS[each].some((keyword) => schema[keyword] !== undefined));
      return meant.length > 0 ? meant : undefined;
    }
    const list: unknown[] = Array.isArray(type) ? type : [type];
    const wrong = list.find((each) => !(TYPES as readonly unknown[]).includes(each));
    if (wrong !== undefined || list.length === 0) {
      throw this.#refuse(at, `type must be one of ${TYPES.join(', ')}, or a list of them`, 'type');
    }
    return list as Type[];
  }

  #typed(schema: Schema, type: Type, at: string): Expression {
    switch (type) {
      case 'object':
        return this.#object(schema, at);
      case 'array':
        return this.#array(schema, at);
      case 'string':
        return this.#string(schema, at);
      case 'number':
      case 'integer':
        return this.#number(schema, type, at);
      case 'boolean':
        return '("true" | "false")';
      case 'null':
        return '"null"';
    }
  }

  #number(schema: Schema, type: 'number' | 'integer', at: string): Expression {
    const bounds: Record<string, number> = {};
    for (const keyword of KEYWORDS.number) {
      const value = schema[keyword];
      if (value === undefined) continue;
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        throw this.#refuse(at, `${keyword} must be a number`, keyword);
      }
      bounds[keyword] = value;
    }
    const { multipleOf } = bounds;
    if (multipleOf !== undefined && multipleOf !== 1) {
      throw this.#refuse(at, 'multipleOf other than 1 is not supported', 'multipleOf');
    }
    const whole = type === 'integer' || multipleOf === 1;
    return this.#rule((whole ? integerGrammar : numberGrammar)(bounds satisfies Bounds));
  }

  #string(schema: Schema, at: string): Expression {
    const [least, most] = this.#counts(schema, 'minLength', 'maxLength', at);
    const { pattern, format } = schema;
    for (const [keyword, value] of Object.entries({ pattern, format })) {
      if (value !== undefined && typeof value !== 'string') {
        throw this.#refuse(at, `${keyword} must be a string`, keyword);
      }
    }
    const shape = pattern ?? format;
    if (shape === undefined) {
      if (most !== undefined && most < least) return undefined;
      return least === 0 && most === undefined ? this.#anyString() : this.#limitedString(least, most ?? Infinity);
    }
    // Every format has a character.
    if (most !== undefined || least > (pattern === undefined ? 1 : 0)) {
      const length = most === undefined ? 'minLength' : 'maxLength';
      throw this.#refuse(
        at,
        `${length} beside ${pattern === undefined ? 'format' : 'pattern'} is not supported`,
        length,
      );
    }
    return this.#rule(sequence(quoted(this.#textOf(schema, at)), BEHIND_STRING));
  }

  #limitedString(least: number, most: number): Expression {
    let limit = this.lengths.findIndex((each) => each.least === least && each.most === most);
    if (limit < 0) limit = this.lengths.push({ least, most }) - 1;
    if (limit >= MOST_LIMITS) throw this.#refuse('', `it has more than ${MOST_LIMITS} lengths of strings`);
    return this.#rule(`${QUOTE} (${literal(probeOf(limit))} | ${this.#restOfString()})`);
  }

  /** What stands between the quotes of a string with a pattern or format. */
  #textOf({ pattern, format }: Schema, at: string): Expression {
    const expression = pattern ?? FORMATS.get(format as string);
    if (expression === undefined) {
      const known = [...FORMATS.keys()].join(', ');
      throw this.#refuse(at, `the format ${String(format)} is not supported: there are ${known}`, 'format');
    }
    try {
      const { text, plainSpace } = patternGrammar(expression as string);
      this.plainSpace ||= plainSpace;
      return text;
    } catch (error) {
      if (!(error instanceof UnsupportedPattern)) throw error;
      throw this.#refuse(at, `the pattern ${String(pattern)} is not supported: ${error.message}`, 'pattern');
    }
  }

  #array(schema: Schema, at: string): Expression {
    const tuple = Array.isArray(schema.items) ? schema.items : schema.prefixItems;
    if (tuple !== undefined && !Array.isArray(tuple))
      throw this.#refuse(at, 'prefixItems must be a list', 'prefixItems');
    const first: readonly unknown[] = tuple ?? [];
    const rest = (Array.isArray(schema.items) ? schema.additionalItems : schema.items) ?? first.length === 0;
    const [least, most] = this.#counts(schema, 'minItems', 'maxItems', at, first.length);
    if (schema.uniqueItems === true && (most === undefined || most > 1)) {
      throw this.#refuse(at, 'uniqueItems is not supported', 'uniqueItems');
    }
    const items = first.map((item, i) => this.#shared(this.#value(item, `${at}.prefixItems[${i}]`)));
    const more = this.#shared(this.#value(rest, `${at}.items`));
    const from = (index: number): Expression => {
      if (most !== undefined && index >= most) return '""';
      const comma = index > 0 ? COMMA : '""';
      if (index === items.length) {
        const leastMore = Math.max(0, least - index);
        const mostMore = most === undefined ? undefined : most - index;
        if (more === undefined) return leastMore === 0 ? '""' : undefined;
        if (index > 0) return repeat(sequence(comma, more), leastMore, mostMore);
        const others = repeat(sequence(COMMA, more), Math.max(0, least - 1), most === undefined ? undefined : most - 1);
        return repeat(sequence(more, others), Math.min(1, least), 1);
      }
      const tail = sequence(comma, items[index], from(index + 1));
      return index < least ? tail : choice('""', tail);
    };
    return this.#rule(sequence('"["', SPACE, from(0), SPACE, '"]"'));
  }

  #object(schema: Schema, at: string): Expression {
    const { members, required, other } = this.#members(schema, at);
    const [least, most] = this.#counts(schema, 'minProperties', 'maxProperties', at, 0);
    const named = members.size > 0;
    if (named) {
      if (least > required.size)
        throw this.#refuse(at, 'minProperties beside properties is not supported', 'minProperties');
      if (most !== undefined && (most < members.size || other !== undefined)) {
        throw this.#refuse(at, 'maxProperties beside properties is not supported', 'maxProperties');
      }
    } else if (least > 1) {
      // Names may come twice, and count once.
      throw this.#refuse(at, 'minProperties above 1 is not supported', 'minProperties');
    }
    const others = (least: number, most?: number) => repeat(sequence(COMMA, other), least, most);
    // From the last member to the first: what may follow when none has come yet, and when some have.
    let first = other
      ? repeat(sequence(other, others(0, most === undefined ? undefined : most - 1)), least, 1)
      : least === 0
        ? '""'
        : undefined;
    if (most === 0) first = '""';
    let next = others(0);
    if (other === undefined) next = '""';
    for (const [name, value] of [...members].reverse()) {
      const member = value && this.#shared(sequence(literal(JSON.stringify(name)), SPACE, '":"', SPACE, value));
      const behind = this.#shared(sequence(COMMA, member, next));
      const begun = sequence(member, next);
      first = this.#shared(required.has(name) ? begun : choice(begun, first));
      next = this.#shared(required.has(name) ? behind : choice(behind, next));
    }
    return this.#rule(sequence('"{"', SPACE, first, SPACE, '"}"'));
  }

  /** The members that a schema names, and what others may look like; undefined: there are none. */
  #members(schema: Schema, at: string) {
    const { properties = {}, required = [], propertyNames } = schema;
    if (!isRecord(properties)) throw this.#refuse(at, 'properties must be an object', 'properties');
    if (!Array.isArray(required) || required.some((name) => typeof name !== 'string')) {
      throw this.#refuse(at, 'required must be a list of names', 'required');
    }
    const listed = namesOf(propertyNames);
    let more = schema.additionalProperties ?? (Object.keys(properties).length === 0 && required.length === 0);
    const schemas = new Map<string, unknown>(
      Object.entries(properties).filter(([name]) => listed === undefined || listed.includes(name)),
    );
    for (const name of [...required, ...(listed ?? [])]) {
      if (!schemas.has(name)) schemas.set(name, schema.additionalProperties ?? true);
    }
    if (listed) more = false;
    const members = new Map<string, Expression>();
    for (const [name, value] of schemas) {
      const expression = this.#shared(this.#value(value, `${at}.properties.${name}`));
      if (expression !== undefined || required.includes(name)) members.set(name, expression);
    }
    return { members, required: new Set<string>(required), other: this.#others(schema, more, [...schemas.keys()], at) };

    function namesOf(names: unknown): readonly string[] | undefined {
      if (!isRecord(names)) return undefined;
      const values = 'const' in names ? [names.const] : names.enum;
      return Array.isArray(values) ? values.filter((value) => typeof value === 'string') : undefined;
    }
  }

  /** A member beside those that are named. */
  #others(schema: Schema, more: unknown, names: readonly string[], at: string): Expression {
    const { patternProperties, propertyNames } = schema;
    const member = (name: Expression, value: unknown, place: string) =>
      this.#shared(sequence(quoted(name), SPACE, '":"', SPACE, this.#shared(this.#value(value, `${at}.${place}`))));
    if (patternProperties !== undefined) {
      const patterns = isRecord(patternProperties) ? Object.entries(patternProperties) : [];
      const alone = patterns.length === 1 && names.length === 0 && propertyNames === undefined;
      if (!alone || (schema.additionalProperties ?? false) !== false) {
        const what = 'patternProperties with several patterns, or beside other members, is not supported';
        throw this.#refuse(at, what, 'patternProperties');
      }
      const [[pattern, value]] = patterns;
      return member(this.#textOf({ pattern }, at), value, `patternProperties.${pattern}`);
    }
    if (more === false) return undefined;
    return member(this.#name(propertyNames, names, at), more, 'additionalProperties');
  }

  #name(propertyNames: unknown, names: readonly string[], at: string): Expression {
    const { type: _type, ...limits } = isRecord(propertyNames) ? propertyNames : {};
    if (Object.keys(limits).length === 0) return otherNames(names, (body) => this.#rule(body)!);
    const string = names.length === 0 ? this.#value(propertyNames, `${at}.propertyNames`) : undefined;
    const body = string && this.#rules.get(string);
    const text = body && /^"\\u0022" (.*) "\\u0022" \(=/.exec(body)?.[1];
    if (!text) throw this.#refuse(at, 'propertyNames of this kind is not supported', 'propertyNames');
    return text;
  }

  #counts(schema: Schema, from: string, to: string, at: string, fallback = 0): [least: number, most?: number] {
    const [least, most] = [from, to].map((keyword) => {
      const value = schema[keyword];
      if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0))
        return value as number | undefined;
      throw this.#refuse(at, `${keyword} must be a whole number, at least 0`, keyword);
    });
    return [least ?? Math.min(fallback, most ?? fallback), most];
  }

  #reference(reference: string, at: string): string {
    const known = this.#references.get(reference);
    if (known !== undefined) return known;
    const name = `reference_${this.#references.size}`;
    this.#references.set(reference, name);
    const body = this.#value(this.#referred(reference, at), reference === '#' ? '' : `.${reference}`);
    if (body === undefined) throw this.#refuse(at, `no value satisfies ${reference}`);
    this.#rules.set(name, body);
    return name;
  }

  #referred(reference: string, at: string): unknown {
    const found = this.#facts.referred(reference);
    if (found === undefined) throw this.#refuse(at, `${reference} is not found: references lead into this schema`);
    return found;
  }

  /** `oneOf` may be read as `anyOf` only if no value satisfies two of its schemas. */
  #requireDistinct(branches: readonly unknown[], at: string): void {
    for (const [i, a] of branches.entries()) {
      for (const b of branches.slice(i + 1)) {
        if (this.#facts.areDistinct(a, b)) continue;
        const how = 'differ in type, or in a required member with const or enum. Use anyOf';
        throw this.#refuse(at, `oneOf is supported where its schemas ${how}`);
      }
    }
  }

  #any(): string {
    const known = this.#names.get('any');
    if (known) return known;
    this.#names.set('any', 'any');
    const member = `${this.#anyString()} ${SPACE} ":" ${SPACE} any`;
    const list = (item: string) => `(${item} (${COMMA} ${item})*)?`;
    this.#rules.set('any_object', `"{" ${SPACE} ${list(member)} ${SPACE} "}"`);
    this.#rules.set('any_array', `"[" ${SPACE} ${list('any')} ${SPACE} "]"`);
    this.#rules.set('any_number', numberGrammar({})!);
    this.#rules.set('any', `any_object | any_array | ${this.#anyString()} | any_number | "true" | "false" | "null"`);
    return 'any';
  }

  #anyString(): string {
    return this.#rule(`${QUOTE} ${this.#restOfString()}`)!;
  }

  #restOfString(): string {
    if (!this.#rules.has(REST)) this.#rules.set(REST, restOfString(REST));
    return REST;
  }

  /** A rule for what is long and may stand in several places. */
  #shared(body: Expression): Expression {
    return body === undefined || body.length < 24 ? body : this.#rule(body);
  }

  #rule(body: Expression): Expression {
    if (body === undefined) return undefined;
    let name = this.#names.get(body);
    if (name === undefined) {
      name = `rule_${this.#names.size}`;
      if (this.#rules.size >= MOST_RULES) throw this.#refuse('', 'it is too large');
      this.#names.set(body, name);
      this.#rules.set(name, body);
    }
    return name;
  }

  #refuse(at: string, what: string, keyword?: string): QwenError {
    const place = `${this.#param}${at}${keyword === undefined ? '' : `.${keyword}`}`;
    return new QwenError('invalid-request', `${this.#param}${at}: ${what}.`, { param: place });
  }
}

function quoted(text: Expression): Expression {
  return sequence(QUOTE, text, QUOTE);
}

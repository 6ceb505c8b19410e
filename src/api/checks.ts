/** The pieces that checks of requests are made of. */
import { QwenError } from '../errors.ts';

/** Throws if the value is wrong; `null` and `undefined` are taken care of before. */
export type Check = (value: unknown, param: string) => void;

export const anything: Check = () => {};

export const boolean: Check = (value, param) => {
  if (typeof value !== 'boolean') throw invalid(param, `${param} must be true or false, not ${shown(value)}`);
};

export const text: Check = (value, param) => {
  if (typeof value !== 'string') throw invalid(param, `${param} must be a string, not ${shown(value)}`);
};

export const integer =
  (from: number, to = Number.MAX_SAFE_INTEGER): Check =>
  (value, param) => {
    if (Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to) return;
    const bounds = to === Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`;
    throw invalid(param, `${param} must be an integer ${bounds}, not ${shown(value)}`);
  };

export const only =
  (allowed: readonly unknown[], why: string): Check =>
  (value, param) => {
    if (!allowed.includes(value)) throw invalid(param, `${param}: ${shown(value)} is not supported. ${why}`);
  };

export const absent =
  (why: string): Check =>
  (value, param) => {
    if (!(Array.isArray(value) && value.length === 0)) throw invalid(param, `${param} is not supported. ${why}`);
  };

export const object: Check = (value, param) => {
  if (!isRecord(value)) throw invalid(param, `${param} must be an object, not ${shown(value)}`);
};

export function checkFields(
  value: unknown,
  fields: Readonly<Record<string, Check>>,
  parent?: string,
): asserts value is Record<string, unknown> {
  if (!isRecord(value)) {
    throw invalid(parent ?? 'request', `${parent ?? 'The request'} must be an object, not ${shown(value)}`);
  }
  for (const [name, field] of Object.entries(value)) {
    const param = parent === undefined ? name : `${parent}.${name}`;
    const check = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (check === undefined) {
      throw invalid(param, `${param} is not a field of this request. It has: ${Object.keys(fields).join(', ')}`);
    }
    if (isPresent(field)) check(field, param);
  }
}

export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}

export function invalid(param: string, message: string): QwenError {
  return new QwenError('invalid-request', message.endsWith('.') ? message : `${message}.`, { param });
}

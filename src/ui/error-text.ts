/** What is said of an error. Errors are known by their `code`, not their class: the engine may come from another bundle. */
import { messageOf } from '../errors.ts';
import { errorTitles, strings } from './strings.ts';

export interface ErrorText {
  readonly title: string;
  readonly message: string;
  /** What else helps whoever reports it; shown when unfolded. */
  readonly facts: ReadonlyArray<readonly [name: string, value: string]>;
}

export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

export function describeError(error: unknown): ErrorText {
  const code = errorCode(error);
  const { file, status, param, cause } = (error ?? {}) as Record<string, unknown>;
  const { errorFacts } = strings;
  const facts: Array<readonly [string, unknown]> = [
    [errorFacts.code, code ?? (error instanceof Error ? error.name : undefined)],
    [errorFacts.file, file],
    [errorFacts.status, status],
    [errorFacts.param, param],
    [errorFacts.cause, cause instanceof Error ? cause.message : cause],
  ];
  return {
    title:
      code && Object.hasOwn(errorTitles, code) ? errorTitles[code as keyof typeof errorTitles] : strings.unknownError,
    message: messageOf(error),
    facts: facts.flatMap(([name, value]) =>
      value === undefined || value === '' ? [] : [[name, String(value)] as const],
    ),
  };
}

/** What the model may do in a conversation: functions of the page, run when it asks for them. */
import { messageOf } from '../errors.ts';
import type { ChatToolCall } from './chat-engine.ts';

/** A tool of `<qwen-chat>`. */
export interface ChatTool {
  /** Letters, digits, `_`, `-` and `.`. */
  name: string;
  /** What it does and when to use it, for the model. */
  description?: string;
  /** JSON schema of the arguments, an object. */
  parameters?: Record<string, unknown>;
  /**
   * Does it. What it returns goes to the model, as it is if it is a string, else as JSON; what it throws does too. The
   * arguments are the model's: check them. The signal tells that the reader stopped the answer.
   */
  run(args: Record<string, unknown>, options: { signal: AbortSignal }): unknown;
}

/** A call in a conversation, from the model's first word of it to its result. */
export interface ToolRun {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
  /** `not-run`: the reader stopped the answer, or the limit of steps was reached. */
  readonly state: 'written' | 'running' | 'done' | 'failed' | 'not-run';
  /** What the model is told. */
  readonly result?: string;
}

/** Runs one call to its end, which is never an exception: trouble is something the model has to know. */
export async function runTool(call: ToolRun, tools: readonly ChatTool[], signal: AbortSignal): Promise<ToolRun> {
  try {
    const tool = tools.find(({ name }) => name === call.name);
    if (!tool)
      throw new Error(`There is no tool ${call.name}. There are: ${tools.map(({ name }) => name).join(', ')}.`);
    const result = await stoppable(Promise.resolve(tool.run(argumentsOf(call), { signal })), signal);
    const text = typeof result === 'string' ? result : JSON.stringify(result);
    return { ...call, state: 'done', result: text ?? '' };
  } catch (error) {
    if (signal.aborted) return { ...call, state: 'not-run', result: NOT_RUN };
    return { ...call, state: 'failed', result: `Error: ${messageOf(error)}` };
  }
}

/** For the model, of calls that had no chance. */
export const NOT_RUN = 'Error: this call was not run. The answer was stopped.';

/** Engines refuse arguments that are no JSON object; the result of such a call quotes them. */
export function asToolCall(call: ToolRun): ChatToolCall {
  const { id, name, arguments: json } = call;
  return { id, type: 'function', function: { name, arguments: parsedArguments(json) ? json || '{}' : '{}' } };
}

function argumentsOf({ arguments: json }: ToolRun): Record<string, unknown> {
  const args = parsedArguments(json);
  if (!args) throw new Error(`The arguments are no JSON object: ${json}`);
  return args;
}

function parsedArguments(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json || '{}');
    if (typeof value === 'object' && !Array.isArray(value))
      return (value as Record<string, unknown> | null) ?? undefined;
  } catch {
    // Told by the one who needs them.
  }
  return undefined;
}

/** A tool that does not heed the signal must not keep the reader waiting. */
function stoppable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/**
 * Requests come from outside: every field is checked here, by a table, before anything is done with it. A field without
 * a meaning here is accepted if OpenAI has it, and refused by name otherwise: a misspelt option must not pass in silence.
 */
import { QwenError } from '../errors.ts';
import type { TemplateMessage } from '../text/index.ts';
import type { ChatCompletionRequest, CompletionRequest, GenerationRequest, ImagePart, TextPart } from './types.ts';

/** @throws QwenError `invalid-request` that names the field */
export function checkChatRequest(request: unknown): asserts request is ChatCompletionRequest {
  checkFields(request, CHAT_FIELDS);
  if (request.messages === undefined || request.messages === null) throw invalid('messages', 'messages are missing');
  if (request.top_logprobs && !request.logprobs) throw invalid('top_logprobs', 'top_logprobs needs logprobs: true');
}

/** @throws QwenError `invalid-request` that names the field */
export function checkCompletionRequest(request: unknown): asserts request is CompletionRequest {
  checkFields(request, COMPLETION_FIELDS);
  if (request.prompt === undefined || request.prompt === null) throw invalid('prompt', 'prompt is missing');
  if (request.echo && isPresent(request.logprobs)) {
    throw invalid('echo', 'echo together with logprobs is not supported: log probabilities cover the answer alone');
  }
}

/** Messages as the template wants them: `developer` is `system`, and text parts that are only text become one string. */
export function templateMessages(messages: ChatCompletionRequest['messages']): TemplateMessage[] {
  return messages.map(({ role, content, reasoning_content }) => ({
    role: role === 'developer' ? 'system' : role,
    content: Array.isArray(content) ? templateContent(content) : (content ?? ''),
    ...(typeof reasoning_content === 'string' ? { reasoning_content } : undefined),
  }));
}

/** Parts as the template wants them: the picture itself is not its business. */
function templateContent(parts: (TextPart | ImagePart)[]): string | { type: string; text?: string }[] {
  if (parts.every((part) => part.type === 'text')) return parts.map((part) => part.text).join('');
  return parts.map((part) => (part.type === 'text' ? { type: 'text', text: part.text } : { type: 'image' }));
}

/** A picture of a request, and the field that holds it. */
export interface RequestedImage {
  readonly url: string | Blob;
  readonly param: string;
}

/** Pictures of all messages, in order. */
export function requestedImages(messages: ChatCompletionRequest['messages']): RequestedImage[] {
  return messages.flatMap(({ content }, i) =>
    Array.isArray(content)
      ? content.flatMap((part, j) =>
          part.type === 'image_url'
            ? [{ url: part.image_url.url, param: `messages[${i}].content[${j}].image_url.url` }]
            : [],
        )
      : [],
  );
}

/** The strings of `stop`, one or many. */
export function stopStrings(stop: GenerationRequest['stop']): string[] {
  if (stop === undefined || stop === null) return [];
  return typeof stop === 'string' ? [stop] : stop;
}

/** Throws if the value is wrong; `null` and `undefined` are taken care of before. */
type Check = (value: unknown, param: string) => void;

const anything: Check = () => {};

const boolean: Check = (value, param) => {
  if (typeof value !== 'boolean') throw invalid(param, `${param} must be true or false, not ${shown(value)}`);
};

const text: Check = (value, param) => {
  if (typeof value !== 'string') throw invalid(param, `${param} must be a string, not ${shown(value)}`);
};

const integer =
  (from: number, to = Number.MAX_SAFE_INTEGER): Check =>
  (value, param) => {
    if (Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to) return;
    const bounds = to === Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`;
    throw invalid(param, `${param} must be an integer ${bounds}, not ${shown(value)}`);
  };

const only =
  (allowed: readonly unknown[], why: string): Check =>
  (value, param) => {
    if (!allowed.includes(value)) throw invalid(param, `${param}: ${shown(value)} is not supported. ${why}`);
  };

const absent =
  (why: string): Check =>
  (value, param) => {
    if (!(Array.isArray(value) && value.length === 0)) throw invalid(param, `${param} is not supported. ${why}`);
  };

const MAX_STOPS = 16;

const stops: Check = (value, param) => {
  const list = typeof value === 'string' ? [value] : value;
  if (!Array.isArray(list) || list.some((stop) => typeof stop !== 'string' || stop === '')) {
    throw invalid(param, `${param} must be a string or a list of strings, none of them empty`);
  }
  if (list.length > MAX_STOPS) throw invalid(param, `${param} may hold ${MAX_STOPS} strings, not ${list.length}`);
};

const streamOptions: Check = (value, param) => {
  checkFields(value, { include_usage: boolean, include_obfuscation: anything }, param);
};

const responseFormat: Check = (value, param) => {
  if (isRecord(value) && value.type === 'text') return;
  throw invalid(param, `${param}: only { type: 'text' } is supported. Ask for the form you want in the messages.`);
};

const modalities: Check = (value, param) => {
  if (Array.isArray(value) && value.every((item) => item === 'text')) return;
  throw invalid(param, `${param}: only ['text'] is supported`);
};

const NO_TOOLS = 'Tool calling is not part of this version: leave it out.';

/** The fields of one `GenerationRequest`; sampling fields are checked by `samplingSettings`. */
const SHARED_FIELDS: Readonly<Record<string, Check>> = {
  model: text,
  n: only([1], 'An engine gives one answer at a time: send the request again for another.'),
  stop: stops,
  stream: boolean,
  stream_options: streamOptions,
  ignore_eos: boolean,
  return_token_ids: boolean,
  max_tokens: integer(1),
  temperature: anything,
  top_p: anything,
  top_k: anything,
  min_p: anything,
  presence_penalty: anything,
  frequency_penalty: anything,
  repetition_penalty: anything,
  logit_bias: anything,
  seed: anything,
  user: anything, // the rest is OpenAI's, without a meaning here
  metadata: anything,
};

const CHAT_FIELDS: Readonly<Record<string, Check>> = {
  ...SHARED_FIELDS,
  messages: checkMessages,
  max_completion_tokens: integer(1),
  logprobs: boolean,
  top_logprobs: integer(0, 20),
  enable_thinking: boolean,
  chat_template_kwargs: templateVariables,
  tools: absent(NO_TOOLS),
  tool_choice: only(['none', 'auto'], NO_TOOLS),
  functions: absent(NO_TOOLS),
  function_call: only(['none', 'auto'], NO_TOOLS),
  response_format: responseFormat,
  modalities,
  audio: absent('This model writes text.'),
  web_search_options: absent('An engine in a page has no search.'),
  parallel_tool_calls: anything,
  prediction: anything,
  prompt_cache_key: anything,
  prompt_cache_retention: anything,
  reasoning_effort: anything,
  safety_identifier: anything,
  service_tier: anything,
  store: anything,
  verbosity: anything,
};

const COMPLETION_FIELDS: Readonly<Record<string, Check>> = {
  ...SHARED_FIELDS,
  prompt: checkPrompt,
  echo: boolean,
  logprobs: integer(0, 20),
  best_of: only([1], 'An engine gives one answer at a time.'),
  suffix: only([''], 'This model continues a text; it does not fill in a middle.'),
};

function checkFields(
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

function checkMessages(value: unknown, param: string): void {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid(param, `${param} must be a list of at least one message`);
  }
  value.forEach((message, index) => {
    checkMessage(message, `${param}[${index}]`);
  });
}

const ROLES = ['system', 'developer', 'user', 'assistant'];

function checkMessage(message: unknown, param: string): void {
  checkFields(
    message,
    {
      role: only(ROLES, `Roles are ${ROLES.join(', ')}. Tool results are not part of this version.`),
      content: checkContent,
      reasoning_content: text,
      name: text,
      refusal: anything, // comes back with answers that are sent again as they were received
      annotations: anything,
      audio: absent('This version reads text.'),
      tool_calls: absent(NO_TOOLS),
      function_call: absent(NO_TOOLS),
    },
    param,
  );
  if (!isPresent(message.role)) throw invalid(`${param}.role`, `${param}.role is missing`);
  if (!isPresent(message.content) && message.role !== 'assistant') {
    throw invalid(`${param}.content`, `${param}.content is missing`);
  }
}

function checkContent(value: unknown, param: string): void {
  if (typeof value === 'string') return;
  if (!Array.isArray(value)) throw invalid(param, `${param} must be a string or a list of parts, not ${shown(value)}`);
  value.forEach((part, index) => {
    const at = `${param}[${index}]`;
    if (!isRecord(part)) throw invalid(at, `${at} must be an object with a type`);
    if (part.type === 'image_url') {
      checkImage(part.image_url, `${at}.image_url`);
      return;
    }
    if (part.type !== 'text') {
      throw invalid(
        at,
        `${at}: parts of type ${shown(part.type)} are not supported. This version reads text and image_url.`,
      );
    }
    if (typeof part.text !== 'string') throw invalid(`${at}.text`, `${at}.text must be a string`);
  });
}

function checkImage(value: unknown, param: string): void {
  checkFields(value, { url: imageUrl, detail: only(['auto', 'low', 'high'], 'Leave it out.') }, param);
  if (!isPresent(value.url)) throw invalid(`${param}.url`, `${param}.url is missing`);
}

const imageUrl: Check = (value, param) => {
  if (typeof value !== 'string' && !(value instanceof Blob)) {
    throw invalid(param, `${param} must be an address or a Blob, not ${shown(value)}`);
  }
};

/** What the request itself says must not come in by the back door. */
const OWN_VARIABLES = ['messages', 'tools', 'add_generation_prompt'];

function templateVariables(value: unknown, param: string): void {
  if (!isRecord(value)) throw invalid(param, `${param} must be an object, not ${shown(value)}`);
  for (const name of OWN_VARIABLES) {
    if (name in value) throw invalid(`${param}.${name}`, `${param}.${name} cannot be set here`);
  }
  if (isPresent(value.enable_thinking)) boolean(value.enable_thinking, `${param}.enable_thinking`);
}

function checkPrompt(value: unknown, param: string): void {
  if (typeof value === 'string') return;
  if (!Array.isArray(value)) throw invalid(param, `${param} must be a string or a list of token ids`);
  const wrong = value.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (wrong < 0) return;
  const several = typeof value[wrong] === 'string' || Array.isArray(value[wrong]);
  throw invalid(
    param,
    several
      ? `${param}: one prompt a request. Send several requests; they queue.`
      : `${param}[${wrong}] is ${shown(value[wrong])}, which is no token id`,
  );
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}

export function invalid(param: string, message: string): QwenError {
  return new QwenError('invalid-request', message.endsWith('.') ? message : `${message}.`, { param });
}

/**
 * Requests come from outside: every field is checked here, by a table, before anything is done with it. A field without
 * a meaning here is accepted if OpenAI has it, and refused by name otherwise: a misspelt option must not pass in silence.
 */
import type { TemplateMessage } from '../text/index.ts';
import {
  absent,
  anything,
  boolean,
  type Check,
  checkFields,
  integer,
  invalid,
  isPresent,
  isRecord,
  object,
  only,
  shown,
  text,
} from './checks.ts';
import { checkContent, templateContent } from './content-parts.ts';
import type { ChatCompletionRequest, ChatMessage, CompletionRequest, GenerationRequest } from './types.ts';

/** @throws QwenError `invalid-request` that names the field */
export function checkChatRequest(request: unknown): asserts request is ChatCompletionRequest {
  checkFields(request, CHAT_FIELDS);
  if (request.messages === undefined || request.messages === null) throw invalid('messages', 'messages are missing');
  checkToolChoice(request.tool_choice, request.tools);
  checkContinuation(request as unknown as ChatCompletionRequest);
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

/**
 * Messages as the template wants them: `developer` is `system`, text parts that are only text become one string, the
 * arguments of calls become objects, and results come in the order of their calls, for the template shows no ids.
 */
export function templateMessages(messages: ChatCompletionRequest['messages']): TemplateMessage[] {
  return inOrderOfCalls(messages).map(({ role, content, reasoning_content, tool_calls }) => ({
    role: role === 'developer' ? 'system' : role,
    content: Array.isArray(content) ? templateContent(content) : (content ?? ''),
    ...(typeof reasoning_content === 'string' ? { reasoning_content } : undefined),
    ...(tool_calls?.length
      ? {
          tool_calls: tool_calls.map(({ function: { name, arguments: json } }) => ({
            type: 'function',
            function: { name, arguments: JSON.parse(json || '{}') },
          })),
        }
      : undefined),
  }));
}

function inOrderOfCalls(messages: readonly ChatMessage[]): ChatMessage[] {
  const ordered: ChatMessage[] = [];
  let calls: string[] = [];
  let results: ChatMessage[] = [];
  const place = ({ tool_call_id = '' }: ChatMessage) => {
    const at = calls.indexOf(tool_call_id);
    return at < 0 ? calls.length : at;
  };
  for (const message of messages) {
    if (message.role === 'tool') {
      results.push(message);
      continue;
    }
    ordered.push(...results.sort((a, b) => place(a) - place(b)), message);
    results = [];
    calls = message.tool_calls?.map(({ id }) => id) ?? [];
  }
  ordered.push(...results.sort((a, b) => place(a) - place(b)));
  return ordered;
}

/** The strings of `stop`, one or many. */
export function stopStrings(stop: GenerationRequest['stop']): string[] {
  if (stop === undefined || stop === null) return [];
  return typeof stop === 'string' ? [stop] : stop;
}

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

const OLD_TOOLS = 'It is an older form of tools and tool_choice: use those.';

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
  continue_final_message: boolean,
  add_generation_prompt: boolean,
  chat_template_kwargs: templateVariables,
  tools: checkTools,
  tool_choice: anything, // see `checkToolChoice`
  functions: absent(OLD_TOOLS),
  function_call: only(['none', 'auto'], OLD_TOOLS),
  response_format: responseFormat,
  modalities,
  audio: absent('This model writes text.'),
  web_search_options: absent('An engine in a page has no search.'),
  parallel_tool_calls: boolean,
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

/** The last message is written on, and no other begins behind it. */
function checkContinuation(request: ChatCompletionRequest): void {
  const { continue_final_message, add_generation_prompt, messages, tool_choice } = request;
  if (!continue_final_message) {
    if (add_generation_prompt !== false) return;
    throw invalid('add_generation_prompt', 'add_generation_prompt: false is for continue_final_message: true');
  }
  if (add_generation_prompt !== false) {
    throw invalid('add_generation_prompt', 'continue_final_message: true needs add_generation_prompt: false');
  }
  const param = `messages[${messages.length - 1}]`;
  const last = messages[messages.length - 1];
  if (last.role !== 'assistant' || isPresent(last.tool_calls) || Array.isArray(last.content)) {
    throw invalid(param, `continue_final_message goes on with a text of the assistant, which ${param} is not`);
  }
  if (tool_choice === 'required' || isRecord(tool_choice)) {
    throw invalid('tool_choice', 'A call that has to come begins an answer; it cannot be in one that goes on.');
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

const TOOL_NAME = /^[\w.-]{1,64}$/;

const toolName: Check = (value, param) => {
  if (typeof value !== 'string' || !TOOL_NAME.test(value)) {
    throw invalid(param, `${param} must be 1 to 64 letters, digits, _, - or ., not ${shown(value)}`);
  }
};

const onlyFunctions = only(['function'], 'Tools are functions.');

function checkTools(value: unknown, param: string): void {
  if (!Array.isArray(value)) throw invalid(param, `${param} must be a list, not ${shown(value)}`);
  const names = new Set<string>();
  value.forEach((tool, index) => {
    const at = `${param}[${index}]`;
    checkFields(tool, { type: onlyFunctions, function: object }, at);
    onlyFunctions(tool.type, `${at}.type`);
    const fields = { name: toolName, description: text, parameters: object, strict: boolean };
    checkFields(tool.function, fields, `${at}.function`);
    const { name } = tool.function;
    toolName(name, `${at}.function.name`);
    if (names.has(name as string)) throw invalid(`${at}.function.name`, `${at}.function.name: ${name} is given twice`);
    names.add(name as string);
  });
}

function checkToolChoice(choice: unknown, tools: unknown): void {
  const param = 'tool_choice';
  if (!isPresent(choice) || choice === 'none' || choice === 'auto') return;
  const names = Array.isArray(tools) ? tools.map((tool) => tool.function.name) : [];
  if (choice === 'required') {
    if (names.length === 0) throw invalid(param, `${param}: 'required' needs tools`);
    return;
  }
  const named =
    isRecord(choice) && choice.type === 'function' && isRecord(choice.function) ? choice.function.name : null;
  if (typeof named !== 'string') {
    const form = "{ type: 'function', function: { name } }";
    throw invalid(param, `${param} must be 'none', 'auto', 'required' or ${form}, not ${shown(choice)}`);
  }
  if (!names.includes(named)) throw invalid(param, `${param}: ${named} is not one of the tools`);
}

function checkToolCalls(value: unknown, param: string): void {
  if (!Array.isArray(value)) throw invalid(param, `${param} must be a list, not ${shown(value)}`);
  value.forEach((call, index) => {
    const at = `${param}[${index}]`;
    checkFields(call, { id: text, type: onlyFunctions, function: object, index: anything, parsed: anything }, at);
    text(call.id, `${at}.id`);
    const fields = { name: toolName, arguments: text, parsed_arguments: anything };
    object(call.function, `${at}.function`);
    checkFields(call.function, fields, `${at}.function`);
    toolName(call.function.name, `${at}.function.name`);
    const args = `${at}.function.arguments`;
    text(call.function.arguments, args);
    if (!isRecord(jsonOf(call.function.arguments as string))) {
      throw invalid(args, `${args} must be the JSON text of an object, not ${shown(call.function.arguments)}`);
    }
  });
}

/** Empty text counts as no arguments. */
function jsonOf(json: string): unknown {
  try {
    return JSON.parse(json || '{}');
  } catch {
    return undefined;
  }
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'];

function checkMessage(message: unknown, param: string): void {
  checkFields(
    message,
    {
      role: only(ROLES, `Roles are ${ROLES.join(', ')}.`),
      content: checkContent,
      reasoning_content: text,
      name: text,
      refusal: anything, // comes back with answers that are sent again as they were received
      annotations: anything,
      audio: absent('This version reads text.'),
      parsed: anything,
      tool_calls: checkToolCalls,
      tool_call_errors: anything,
      tool_call_id: text,
      function_call: absent(OLD_TOOLS),
    },
    param,
  );
  if (!isPresent(message.role)) throw invalid(`${param}.role`, `${param}.role is missing`);
  if (message.role === 'tool' && !isPresent(message.tool_call_id)) {
    throw invalid(`${param}.tool_call_id`, `${param}.tool_call_id is missing: it says which call this answers`);
  }
  if (!isPresent(message.content) && message.role !== 'assistant') {
    throw invalid(`${param}.content`, `${param}.content is missing`);
  }
}

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

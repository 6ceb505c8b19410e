import { describe, expect, it } from 'vitest';
import { checkChatRequest, checkCompletionRequest, stopStrings, templateMessages } from './validate.ts';

const user = { role: 'user', content: 'hi' };
const messages = [user];
const audio = { role: 'user', content: [{ type: 'input_audio', input_audio: {} }] };
const videoOf = (video_url: unknown) => ({ role: 'user', content: [{ type: 'video_url', video_url }] });
const imageOf = (image_url: unknown) => ({ role: 'user', content: [{ type: 'image_url', image_url }] });

const tool = (name: string, more: object = {}) => ({ type: 'function', function: { name, ...more } });
const calling = (call: object) => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id: 'a', type: 'function', function: call }],
});

const refused = (param: string) =>
  expect.objectContaining({ code: 'invalid-request', param, message: expect.stringContaining(param) });

describe('checkChatRequest', () => {
  it.each<[string, object]>([
    ['the least there is', {}],
    ['null for every default', { max_tokens: null, stop: null, tools: null, n: null, logprobs: null, stream: null }],
    ['what has no meaning here', { user: 'u', metadata: { a: 'b' }, store: true, service_tier: 'auto', model: 'm' }],
    ['tools left empty', { tools: [], tool_choice: 'none', parallel_tool_calls: true }],
    [
      'tools',
      { tools: [tool('get_x.y-2', { description: 'd', parameters: {}, strict: true })], tool_choice: 'required' },
    ],
    ['a tool by name', { tools: [tool('f')], tool_choice: { type: 'function', function: { name: 'f' } } }],
    [
      'calls and their results',
      {
        messages: [
          user,
          calling({ name: 'f', arguments: '{"a": 1}' }),
          { role: 'tool', content: 'x', tool_call_id: 'a', name: 'f' },
        ],
      },
    ],
    ['text as the response format', { response_format: { type: 'text' }, modalities: ['text'] }],
    ['streaming', { stream: true, stream_options: { include_usage: true } }],
    ["vLLM's fields", { top_k: 5, min_p: 0.1, repetition_penalty: 1.1, ignore_eos: true, return_token_ids: true }],
    ['thinking, both ways', { enable_thinking: false, chat_template_kwargs: { enable_thinking: true, x: [1] } }],
    ['log probabilities', { logprobs: true, top_logprobs: 20 }],
    [
      'an answer sent again',
      { messages: [user, { role: 'assistant', content: null, refusal: null, tool_calls: null }] },
    ],
    ['parts of text', { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] }],
    ['stop strings', { stop: ['a', 'b'] }],
  ])('accepts %s', (_, fields) => {
    expect(() => checkChatRequest({ messages, ...fields })).not.toThrow();
  });

  it.each<[string, unknown]>([
    ['max_token', { messages, max_token: 5 }],
    ['toString', { messages, toString: 5 }],
    ['messages', {}],
    ['messages', { messages: [] }],
    ['messages', { messages: 'hi' }],
    ['messages[1]', { messages: [user, 'hi'] }],
    ['messages[0].role', { messages: [{ content: 'x' }] }],
    ['messages[0].role', { messages: [{ role: 'bot', content: 'x' }] }],
    ['messages[0].tool_call_id', { messages: [{ role: 'tool', content: 'x' }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    ['messages[0].content', { messages: [{ role: 'user', content: 5 }] }],
    ['messages[0].content[0]', { messages: [audio] }],
    ['messages[0].content[0].image_url', { messages: [imageOf('data:,')] }],
    ['messages[0].content[0].image_url.url', { messages: [imageOf({})] }],
    ['messages[0].content[0].image_url.url', { messages: [imageOf({ url: 7 })] }],
    ['messages[0].content[0].video_url', { messages: [videoOf('data:,')] }],
    ['messages[0].content[0].video_url.url', { messages: [videoOf({ fps: 2 })] }],
    ['messages[0].content[0].video_url.url', { messages: [videoOf({ url: {} })] }],
    ['messages[0].content[0].video_url.fps', { messages: [videoOf({ url: 'data:,', fps: 0 })] }],
    ['messages[0].content[0].video_url.max_frames', { messages: [videoOf({ url: 'data:,', max_frames: 1 })] }],
    ['messages[0].content[0].video_url.frames', { messages: [videoOf({ url: 'data:,', frames: 9 })] }],
    ['messages[0].content[0].image_url.detail', { messages: [imageOf({ url: 'data:,', detail: 'full' })] }],
    ['messages[0].content[0].text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }],
    ['messages[0].contents', { messages: [{ role: 'user', content: 'x', contents: 'y' }] }],
    ['messages[0].tool_calls', { messages: [{ role: 'assistant', tool_calls: {} }] }],
    ['messages[0].tool_calls[0].id', { messages: [{ role: 'assistant', tool_calls: [{}] }] }],
    ['messages[0].tool_calls[0].function', { messages: [{ role: 'assistant', tool_calls: [{ id: 'a' }] }] }],
    ['messages[0].tool_calls[0].function.name', { messages: [calling({ name: 'a b', arguments: '{}' })] }],
    ['messages[0].tool_calls[0].function.arguments', { messages: [calling({ name: 'f', arguments: '[1]' })] }],
    ['messages[0].tool_calls[0].function.arguments', { messages: [calling({ name: 'f', arguments: '{"a": ' })] }],
    ['messages[0].tool_calls[0].function.arguments', { messages: [calling({ name: 'f' })] }],
    ['n', { messages, n: 2 }],
    ['max_tokens', { messages, max_tokens: 0 }],
    ['max_completion_tokens', { messages, max_completion_tokens: 1.5 }],
    ['stop', { messages, stop: [''] }],
    ['stop', { messages, stop: Array(17).fill('x') }],
    ['stop', { messages, stop: 5 }],
    ['stream', { messages, stream: 'yes' }],
    ['stream_options.usage', { messages, stream_options: { usage: true } }],
    ['tools', { messages, tools: {} }],
    ['tools[0].type', { messages, tools: [{ function: { name: 'f' } }] }],
    ['tools[0].type', { messages, tools: [{ type: 'custom' }] }],
    ['tools[0].function', { messages, tools: [{ type: 'function' }] }],
    ['tools[0].function.name', { messages, tools: [tool('')] }],
    ['tools[0].function.name', { messages, tools: [tool('a>b')] }],
    ['tools[1].function.name', { messages, tools: [tool('f'), tool('f')] }],
    ['tools[0].function.parameters', { messages, tools: [tool('f', { parameters: 'x' })] }],
    ['tools[0].function.run', { messages, tools: [tool('f', { run: 1 })] }],
    ['tool_choice', { messages, tool_choice: 'required' }],
    ['tool_choice', { messages, tool_choice: 'any' }],
    ['tool_choice', { messages, tool_choice: { type: 'function' } }],
    ['tool_choice', { messages, tools: [tool('f')], tool_choice: { type: 'function', function: { name: 'g' } } }],
    ['functions', { messages, functions: [{}] }],
    ['function_call', { messages, function_call: { name: 'f' } }],
    ['parallel_tool_calls', { messages, parallel_tool_calls: 1 }],
    ['response_format', { messages, response_format: { type: 'json_object' } }],
    ['logprobs', { messages, logprobs: 5 }],
    ['top_logprobs', { messages, logprobs: true, top_logprobs: 21 }],
    ['top_logprobs', { messages, top_logprobs: 2 }],
    ['enable_thinking', { messages, enable_thinking: 'no' }],
    ['add_generation_prompt', { messages, add_generation_prompt: false }],
    ['add_generation_prompt', { messages, continue_final_message: true }],
    ['messages[0]', { messages, continue_final_message: true, add_generation_prompt: false }],
    ['chat_template_kwargs', { messages, chat_template_kwargs: [] }],
    ['chat_template_kwargs.messages', { messages, chat_template_kwargs: { messages: [] } }],
    ['chat_template_kwargs.enable_thinking', { messages, chat_template_kwargs: { enable_thinking: 1 } }],
    ['echo', { messages, echo: true }],
  ])('names %s in %j', (param, request) => {
    expect(() => checkChatRequest(request)).toThrowError(refused(param));
  });

  it.each([undefined, null, 'text', []])('refuses %j as a request', (request) => {
    expect(() => checkChatRequest(request)).toThrowError(expect.objectContaining({ param: 'request' }));
  });
});

describe('checkCompletionRequest', () => {
  it.each<object>([
    { prompt: 'x' },
    { prompt: [1, 2, 3] },
    { prompt: 'x', echo: true, max_tokens: 3, best_of: 1, suffix: null },
    { prompt: 'x', logprobs: 5 },
  ])('accepts %j', (request) => {
    expect(() => checkCompletionRequest(request)).not.toThrow();
  });

  it.each<[string, unknown]>([
    ['prompt', {}],
    ['prompt', { prompt: 5 }],
    ['prompt', { prompt: ['a', 'b'] }],
    ['prompt', { prompt: [[1], [2]] }],
    ['prompt', { prompt: [1, -2] }],
    ['logprobs', { prompt: 'x', logprobs: true }],
    ['logprobs', { prompt: 'x', logprobs: 21 }],
    ['best_of', { prompt: 'x', best_of: 3 }],
    ['suffix', { prompt: 'x', suffix: 'y' }],
    ['echo', { prompt: 'x', echo: true, logprobs: 1 }],
    ['messages', { prompt: 'x', messages }],
    ['enable_thinking', { prompt: 'x', enable_thinking: true }],
  ])('names %s in %j', (param, request) => {
    expect(() => checkCompletionRequest(request)).toThrowError(refused(param));
  });
});

it('prepares messages for the template', () => {
  expect(
    templateMessages([
      { role: 'developer', content: 'd', name: 'n' },
      { role: 'user', content: [part('a'), part('b')] },
      { role: 'assistant', content: null, reasoning_content: 'r' },
      { role: 'assistant', content: 'x', reasoning_content: null },
    ]),
  ).toEqual([
    { role: 'system', content: 'd' },
    { role: 'user', content: 'ab' },
    { role: 'assistant', content: '', reasoning_content: 'r' },
    { role: 'assistant', content: 'x' },
  ]);
  expect([stopStrings(null), stopStrings('a'), stopStrings(['a', 'b'])]).toEqual([[], ['a'], ['a', 'b']]);
});

it('gives the template the arguments as objects, and results in the order of their calls', () => {
  const call = (id: string, json: string) => ({
    id,
    type: 'function' as const,
    function: { name: 'f', arguments: json },
  });
  const result = (id: string) => ({ role: 'tool' as const, content: id, tool_call_id: id });
  const messages = templateMessages([
    { role: 'assistant', content: null, tool_calls: [call('a', '{"x": [1]}'), call('b', '')] },
    result('b'),
    result('unknown'),
    result('a'),
    { role: 'user', content: 'u' },
  ]);
  expect(messages[0].tool_calls).toEqual([
    { type: 'function', function: { name: 'f', arguments: { x: [1] } } },
    { type: 'function', function: { name: 'f', arguments: {} } },
  ]);
  expect(messages.map(({ role, content }) => [role, content])).toEqual([
    ['assistant', ''],
    ['tool', 'a'],
    ['tool', 'b'],
    ['tool', 'unknown'],
    ['user', 'u'],
  ]);
});

function part(text: string) {
  return { type: 'text' as const, text };
}

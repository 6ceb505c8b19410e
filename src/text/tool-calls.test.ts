import { describe, expect, it } from 'vitest';
import { Random } from './random.ts';
import { ToolCallParser, type ToolSchema } from './tool-calls.ts';

const TOOLS: ToolSchema[] = [
  {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        days: { type: 'integer' },
        exact: { type: 'boolean' },
        place: { $ref: '#/$defs/place' },
        tags: { type: 'array', items: { type: 'string' } },
        unit: { enum: ['c', 'f'] },
        note: { type: ['string', 'null'] },
        limit: { anyOf: [{ type: 'number' }, { type: 'null' }] },
        anything: {},
      },
      $defs: { place: { type: 'object' } },
    },
  },
  { name: 'now' },
];

interface Read {
  content: string;
  calls: { name: string; arguments: string }[];
  errors: string[];
}

function read(pieces: readonly string[], cut = false): Read {
  const parser = new ToolCallParser(TOOLS);
  const result: Read = { content: '', calls: [], errors: [] };
  const take = (part: ReturnType<ToolCallParser['push']>) => {
    result.content += part.content;
    result.errors.push(...part.errors);
    for (const { index, name, arguments: json } of part.calls) {
      if (name !== undefined) {
        expect(index).toBe(result.calls.length);
        result.calls.push({ name, arguments: '' });
      }
      result.calls[index].arguments += json;
    }
  };
  for (const piece of pieces) take(parser.push(piece));
  take(parser.flush({ cut }));
  expect(parser.calls).toBe(result.calls.length);
  return result;
}

/** Halves of a surrogate pair arrive as escapes, which mean the same. */
const plain = ({ calls, ...rest }: Read) => ({
  ...rest,
  calls: calls.map((each) => ({ ...each, arguments: JSON.parse(each.arguments) })),
});

const parameter = (name: string, value: string) => `<parameter=${name}>\n${value}\n</parameter>\n`;
const call = (name: string, ...parameters: string[]) =>
  `<tool_call>\n<function=${name}>\n${parameters.join('')}</function>\n</tool_call>`;
const city = (value: string) => call('weather', parameter('city', value));

type Case = [
  what: string,
  text: string,
  expected: { content?: string; calls?: [string, unknown][]; errors?: RegExp[] },
];

const WELL_FORMED: Case[] = [
  ['no call', 'Hello, <b>you</b>.\n', { content: 'Hello, <b>you</b>.\n' }],
  ['a call', city('Paris'), { calls: [['weather', { city: 'Paris' }]] }],
  ['a call without parameters', call('now'), { calls: [['now', {}]] }],
  ['a text before it', `Let me see.\n\n${call('now')}`, { content: 'Let me see.', calls: [['now', {}]] }],
  ['a text after it', `${call('now')}\nSo be it.`, { content: '\nSo be it.', calls: [['now', {}]] }],
  [
    'several calls',
    `${city('Rome')}\n${call('now')}\n${city('Oslo')}\n`,
    {
      calls: [
        ['weather', { city: 'Rome' }],
        ['now', {}],
        ['weather', { city: 'Oslo' }],
      ],
    },
  ],
  ['a number', call('weather', parameter('days', '3')), { calls: [['weather', { days: 3 }]] }],
  ['a boolean', call('weather', parameter('exact', 'true')), { calls: [['weather', { exact: true }]] }],
  ["Python's boolean", call('weather', parameter('exact', 'False')), { calls: [['weather', { exact: false }]] }],
  [
    'an object',
    call('weather', parameter('place', '{"a": [1, 2]}')),
    { calls: [['weather', { place: { a: [1, 2] } }]] },
  ],
  ['a list', call('weather', parameter('tags', '[\n"x"\n]')), { calls: [['weather', { tags: ['x'] }]] }],
  ['a choice of strings', call('weather', parameter('unit', 'c')), { calls: [['weather', { unit: 'c' }]] }],
  ['a string or null', call('weather', parameter('note', 'null')), { calls: [['weather', { note: null }]] }],
  ['a string or null, a string', call('weather', parameter('note', 'no')), { calls: [['weather', { note: 'no' }]] }],
  ['a number or null', call('weather', parameter('limit', '1.5')), { calls: [['weather', { limit: 1.5 }]] }],
  ['no type', call('weather', parameter('anything', '[1]')), { calls: [['weather', { anything: [1] }]] }],
  ['no type, a word', call('weather', parameter('anything', 'a b')), { calls: [['weather', { anything: 'a b' }]] }],
  ['no schema', call('now', parameter('zone', '5')), { calls: [['now', { zone: '5' }]] }],
  ['a parameter named like a method', call('now', parameter('toString', 'x')), { calls: [['now', { toString: 'x' }]] }],
  ['a string that looks like a number', city('5'), { calls: [['weather', { city: '5' }]] }],
  ['quotes and escapes', city('"a\\b"\t\u0000'), { calls: [['weather', { city: '"a\\b"\t\u0000' }]] }],
  ['characters beyond the BMP', city('🌧️ 東京 é'), { calls: [['weather', { city: '🌧️ 東京 é' }]] }],
  ['lines and indents', city('  a\n\n  b\n'), { calls: [['weather', { city: '  a\n\n  b\n' }]] }],
  ['an empty string', city(''), { calls: [['weather', { city: '' }]] }],
  [
    'no line breaks',
    '<tool_call><function=weather><parameter=city>Rome</parameter></function></tool_call>',
    { calls: [['weather', { city: 'Rome' }]] },
  ],
  [
    'tags in a string',
    city('<b>x</b> a < b <parameter'),
    { calls: [['weather', { city: '<b>x</b> a < b <parameter' }]] },
  ],
  [
    'the ends of tags in a string',
    city('</parameter> and </function> and <'),
    { calls: [['weather', { city: '</parameter> and </function> and <' }]] },
  ],
  [
    'markers in a string',
    city('<tool_call> </tool_call> <function=x>'),
    { calls: [['weather', { city: '<tool_call> </tool_call> <function=x>' }]] },
  ],
  [
    'two parameters',
    call('weather', parameter('city', 'A'), parameter('days', '2')),
    { calls: [['weather', { city: 'A', days: 2 }]] },
  ],
  ['a tool that nobody gave', call('unknown', parameter('x', '1')), { calls: [['unknown', { x: '1' }]] }],
  ['a name in quotes', call('"now"'), { calls: [['now', {}]] }],
  [
    'JSON, as earlier models',
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
    { calls: [['weather', { city: 'Rome' }]] },
  ],
  [
    'JSON with arguments as text',
    '<tool_call>{"name": "now", "arguments": "{}"}</tool_call>',
    { calls: [['now', {}]] },
  ],
  [
    'two functions in one marker',
    '<tool_call>\n<function=now>\n</function>\n<function=now>\n</function>\n</tool_call>',
    {
      calls: [
        ['now', {}],
        ['now', {}],
      ],
    },
  ],
];

const MALFORMED: Case[] = [
  ['a marker alone', 'Use <tool_call> for it.', { content: 'Use <tool_call> for it.', errors: [/without <function/] }],
  ['a marker at the end', 'See <tool_call>', { content: 'See <tool_call>', errors: [/ends within/] }],
  ['half a marker', 'See <tool_ca', { content: 'See <tool_ca' }],
  [
    'a word in place of the function',
    '<tool_call>\nweather\n</tool_call>',
    { content: '<tool_call>\nweather\n</tool_call>', errors: [/without <function/] },
  ],
  [
    'a function without a name',
    '<tool_call>\n<function=>\n</function>\n</tool_call>',
    { content: '<tool_call>\n<function=>\n</function>\n</tool_call>', errors: [/without/] },
  ],
  [
    'a name without its end',
    '<tool_call>\n<function=now\n</function>',
    { content: '<tool_call>\n<function=now\n</function>', errors: [/without/] },
  ],
  [
    'a name that never ends',
    `<tool_call>\n<function=${'x'.repeat(300)}>`,
    { content: `<tool_call>\n<function=${'x'.repeat(300)}>`, errors: [/without/] },
  ],
  [
    'words in place of parameters',
    '<tool_call>\n<function=now>\nplease\n</function>',
    { content: '<tool_call>\n<function=now>\nplease\n</function>', errors: [/neither/] },
  ],
  [
    'an end within the name',
    '<tool_call>\n<function=wea',
    { content: '<tool_call>\n<function=wea', errors: [/ends within/] },
  ],
  [
    'an end before the parameters',
    '<tool_call>\n<function=now>\n',
    { content: '<tool_call>\n<function=now>\n', errors: [/ends within/] },
  ],
  [
    'an end within a tag',
    '<tool_call>\n<function=now>\n<param',
    { content: '<tool_call>\n<function=now>\n<param', errors: [/ends within/] },
  ],
  [
    'broken JSON',
    '<tool_call>\n{"name": "now", \n</tool_call> x',
    { content: '<tool_call>\n{"name": "now", \n</tool_call> x', errors: [/JSON/] },
  ],
  [
    'JSON without a name',
    '<tool_call>{"arguments": {}}</tool_call>',
    { content: '<tool_call>{"arguments": {}}</tool_call>', errors: [/JSON/] },
  ],
  ['JSON without its end', '<tool_call>{"name": "now", "arguments": {}}', { calls: [['now', {}]] }],
  [
    'JSON that breaks off',
    '<tool_call>{"name": "now", "argu',
    { content: '<tool_call>{"name": "now", "argu', errors: [/ends within/] },
  ],
  [
    'a call within a broken one',
    `<tool_call>\n${call('now')}`,
    { content: '<tool_call>', calls: [['now', {}]], errors: [/without/] },
  ],
  [
    'a call behind a broken one',
    `<tool_call> no ${call('now')}`,
    { content: '<tool_call> no', calls: [['now', {}]], errors: [/without/] },
  ],
  ['no </tool_call>', '<tool_call>\n<function=now>\n</function>\n', { calls: [['now', {}]] }],
  ['no </function>', '<tool_call>\n<function=now>\n</tool_call>', { calls: [['now', {}]] }],
  [
    'no </function> behind a parameter',
    `<tool_call>\n<function=weather>\n${parameter('city', 'A')}</tool_call>`,
    { calls: [['weather', { city: 'A' }]] },
  ],
  [
    'no </parameter>',
    '<tool_call>\n<function=weather>\n<parameter=city>\nA\n</function>\n</tool_call>',
    { calls: [['weather', { city: 'A' }]] },
  ],
  [
    'an end behind a value',
    '<tool_call>\n<function=weather>\n<parameter=city>\nA\n</parameter>\n',
    { calls: [['weather', { city: 'A' }]], errors: [/not closed/] },
  ],
  [
    'an end within a value',
    '<tool_call>\n<function=weather>\n<parameter=city>\nNew Yo',
    { calls: [['weather', { city: 'New Yo' }]], errors: [/not closed/] },
  ],
  [
    'an end within a closing tag',
    '<tool_call>\n<function=weather>\n<parameter=city>\nA\n</param',
    { calls: [['weather', { city: 'A' }]], errors: [/not closed/] },
  ],
  [
    'an end before a value',
    '<tool_call>\n<function=weather>\n<parameter=city>',
    { calls: [['weather', { city: '' }]], errors: [/not closed/] },
  ],
  [
    'an end within a number',
    '<tool_call>\n<function=weather>\n<parameter=days>\n1',
    { calls: [['weather', { days: 1 }]], errors: [/not closed/] },
  ],
  [
    'an end within an object',
    '<tool_call>\n<function=weather>\n<parameter=place>\n{"a": ',
    { calls: [['weather', { place: '{"a": ' }]], errors: [/not closed/, /should be object/] },
  ],
  [
    'a word for a number',
    call('weather', parameter('days', 'three')),
    { calls: [['weather', { days: 'three' }]], errors: [/days should be integer/] },
  ],
  [
    'a fraction for an integer',
    call('weather', parameter('days', '1.5')),
    { calls: [['weather', { days: '1.5' }]], errors: [/days should be integer/] },
  ],
  [
    'broken JSON for an object',
    call('weather', parameter('place', '{a: 1}')),
    { calls: [['weather', { place: '{a: 1}' }]], errors: [/place should be object/] },
  ],
  [
    'a method for a boolean',
    call('weather', parameter('exact', 'constructor')),
    { calls: [['weather', { exact: 'constructor' }]], errors: [/exact/] },
  ],
  [
    'a parameter twice',
    call('weather', parameter('city', 'A'), parameter('city', 'B')),
    { calls: [['weather', { city: 'B' }]], errors: [/twice/] },
  ],
  [
    'a parameter without a name',
    call('weather', '<parameter=>\nx\n</parameter>\n'),
    { content: call('weather', '<parameter=>\nx\n</parameter>\n'), errors: [/neither/] },
  ],
  [
    'words between parameters',
    call('weather', parameter('city', 'A'), 'and ', parameter('days', '2')),
    { calls: [['weather', { city: 'A\n</parameter>\nand <parameter=days>\n2' }]] },
  ],
  ['an end tag alone', '</tool_call>', { content: '</tool_call>' }],
];

describe.each([
  ['well-formed', WELL_FORMED],
  ['malformed', MALFORMED],
])('%s', (_, cases) => {
  it.each(cases)('reads %s, however it is cut', (_, text, { content = '', calls = [], errors = [] }) => {
    const whole = read([text]);
    expect(whole.content).toBe(content);
    expect(whole.calls.map((each) => [each.name, JSON.parse(each.arguments)])).toEqual(calls);
    expect(whole.errors).toEqual(errors.map((error) => expect.stringMatching(error)));
    for (let at = 1; at < text.length; at++)
      expect(plain(read([text.slice(0, at), text.slice(at)]))).toEqual(plain(whole));
    expect(plain(read(text.split('')))).toEqual(plain(whole)); // halves of surrogate pairs too
  });
});

it('hands a string on while it is written', () => {
  const parser = new ToolCallParser(TOOLS);
  const parts = ['<tool_call>\n<function=weather>\n<parameter=city>\nNew ', 'York', '\n</parameter>\n</function>'];
  expect(parts.map((part) => parser.push(part).calls)).toEqual([
    [{ index: 0, name: 'weather', arguments: '{"city": "New ' }],
    [{ index: 0, arguments: 'York' }],
    [{ index: 0, arguments: '"}' }],
  ]);
  expect(parser.closedCalls).toBe(1);
});

it.each([
  ['a string', '<parameter=city>\nNew "Yo', '{"city": "New \\"Yo'],
  ['a number', '<parameter=days>\n1', '{"days": 1'],
  ['a value that is whole', `${parameter('city', 'A')}<parameter=da`, '{"city": "A'],
])('leaves the arguments open where the answer was cut in %s', (_, text, json) => {
  const { calls, errors } = read([`<tool_call>\n<function=weather>\n${text}`], true);
  expect(calls[0].arguments.startsWith(json)).toBe(true);
  expect(() => JSON.parse(calls[0].arguments)).toThrow();
  expect(errors).toEqual([expect.stringContaining('cut')]);
});

it('loses no word of 400 damaged answers, however they are cut', () => {
  const random = new Random(7);
  const integer = (below: number) => Math.floor(random.next() * below);
  const TAGS = [
    '<tool_call>',
    '</tool_call>',
    '<function=now>',
    '</function>',
    '<parameter=city>',
    '</parameter>',
    '\n',
  ];
  for (let round = 0; round < 400; round++) {
    const tokens =
      `${city('one two')}\n${call('weather', parameter('days', '3'), parameter('tags', '["x"]'))}\n${call('now')}`
        .split(/(<[^>]*>|\n)/)
        .filter((token) => token !== '');
    const words: string[] = [];
    for (let damage = integer(4) + 1; damage > 0; damage--) {
      const at = integer(tokens.length);
      const word = `word${words.length}x${round}`;
      const kind = integer(4);
      if (kind === 0 && tokens[at].startsWith('<')) tokens.splice(at, 1);
      else if (kind === 1) tokens.splice(at, 0, TAGS[integer(TAGS.length)]);
      else if (kind === 2) tokens.push(...tokens.splice(at, 1));
      else {
        tokens.splice(at, 0, word);
        words.push(word);
      }
    }
    const text = tokens.join('');
    const whole = read([text]);
    const kept = whole.content + whole.calls.map((each) => each.name + each.arguments).join('');
    for (const word of [...words, 'one two']) expect(kept, text).toContain(word);
    for (const each of whole.calls) expect(() => JSON.parse(each.arguments), text).not.toThrow();
    for (let cuts = 0; cuts < 5; cuts++) {
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = 1 + integer(12);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      expect(read(pieces), text).toEqual(whole);
    }
  }
});

/** Streams that generation makes of a few well-formed and malformed ones: each cut at every place, and damaged. */
describe('generated streams', () => {
  const STREAMS: readonly [what: string, text: string][] = [
    ['two calls in one answer', `Let me see.\n\n${city('Paris')}\n${call('now')}`],
    ['a value that holds tags', call('weather', parameter('city', '</parameter> <function=x> <tool_call>'))],
    ['Unicode in a value', city('Zürich 東京 👩‍👩‍👧 é')],
    ['a tool that nobody gave', call('launch', parameter('target', 'moon'), parameter('when', 'now'))],
    ['a value of a wrong type', call('weather', parameter('days', 'three'), parameter('exact', 'perhaps'))],
    [
      'JSON values',
      call('weather', parameter('place', '{"a": ["}", "</parameter>"]}'), parameter('tags', '["x", "y"]')),
    ],
    ['an end that is missing', `<tool_call>\n<function=weather>\n${parameter('city', 'Rome')}</tool_call> and so on`],
    ['no ends at all', '<tool_call>\n<function=weather>\n<parameter=city>\nRome\n<parameter=days>\n3'],
    ['text in a call', '<tool_call>\nI would call weather here\n</tool_call>'],
    [
      'JSON as earlier models wrote it',
      '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
    ],
    ['a call in a call', `<tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>\n</tool_call>`],
    ['markers in prose', 'Write <tool_call> and then <function=name> to call.'],
  ];

  /** Halves of characters do not come from the tokenizer. */
  const places = (text: string) => {
    const ends: number[] = [];
    for (const char of text) ends.push((ends.at(-1) ?? 0) + char.length);
    return ends.slice(0, -1);
  };
  const cases = STREAMS.flatMap(([what, text]) => places(text).map((at) => [what, at, text] as const));

  it('are hundreds', () => {
    expect(cases.length).toBeGreaterThan(700);
  });

  it.each(STREAMS)('%s reads the same, cut at every place', (_, text) => {
    const whole = plain(read([text]));
    for (const at of places(text))
      expect(plain(read([text.slice(0, at), text.slice(at)])), `cut at ${at}`).toEqual(whole);
  });

  it.each(STREAMS)('%s that ends at any place keeps what was written', (_, text) => {
    for (const at of places(text)) {
      const begun = text.slice(0, at);
      for (const cut of [false, true]) {
        const { content, calls, errors } = read([begun], cut);
        const kept = content + calls.map((each) => each.name + each.arguments).join('');
        // Words that are not the format's: they are somewhere, as content, as a name, or in arguments.
        const words = begun.replace(/<\/?[a-z_]*(=[^>\n]*>?)?>?/g, ' ').match(/[A-Za-z\u00c0-\uffff]{3,}/g) ?? [];
        for (const word of words) {
          if (/^(tool|call|func|para|name|arguments)/.test(word) || begun.endsWith(word)) continue;
          expect(kept, `${begun} (${cut})`).toContain(word);
        }
        // What came of it parses, unless the answer was cut within it, which is told.
        for (const each of calls.slice(0, cut ? -1 : undefined)) expect(() => JSON.parse(each.arguments)).not.toThrow();
        const isWhole = !begun.includes('<tool_call>') || calls.length > 0 || content.includes('<tool_call>');
        expect(isWhole || errors.length > 0, begun).toBe(true);
      }
    }
  });
});

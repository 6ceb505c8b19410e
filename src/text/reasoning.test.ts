import { describe, expect, it } from 'vitest';
import { ReasoningSplitter } from './reasoning.ts';
import { StopStrings } from './stop-strings.ts';

/** Feeds pieces of `size` characters. */
function split(text: string, thinking: boolean, size: number) {
  const splitter = new ReasoningSplitter(thinking);
  const whole = { reasoning: '', content: '' };
  const add = (part: typeof whole) => {
    whole.reasoning += part.reasoning;
    whole.content += part.content;
  };
  for (let i = 0; i < text.length; i += size) add(splitter.push(text.slice(i, i + size)));
  add(splitter.flush());
  return { ...whole, thinking: splitter.thinking };
}

describe('ReasoningSplitter', () => {
  it.each<[string, boolean, string, string]>([
    ['first this\n\nthen that\n</think>\n\nThe answer.\n', true, 'first this\n\nthen that', 'The answer.\n'],
    ['\n</think>\n\nx', true, '', 'x'],
    ['</think>', true, '', ''],
    ['never ends', true, 'never ends', ''],
    ['ends within \n\n', true, 'ends within', ''],
    ['a </thin b </think>c', true, 'a </thin b', 'c'],
    ['cut off </thi', true, 'cut off </thi', ''],
    ['<think>\nagain\n</think>x', true, 'again', 'x'],
    ['<thought> </think>x', true, '<thought>', 'x'],
    ['a</think>b</think>c', true, 'a', 'b</think>c'],
    ['', true, '', ''],
    ['<', true, '<', ''],
    [' no </think> reasoning ', false, '', ' no </think> reasoning '],
  ])('%j (thinking: %s) in pieces of any size', (text, thinking, reasoning, content) => {
    for (const size of [1, 2, 3, 7, 1000]) {
      expect(split(text, thinking, size)).toMatchObject({ reasoning, content });
    }
  });

  it('knows whether the answer ended within the reasoning', () => {
    expect(split('a', true, 1).thinking).toBe(true);
    expect(split('a</think>', true, 1).thinking).toBe(false);
    expect(split('a', false, 1).thinking).toBe(false);
  });

  it('hands reasoning out as it comes', () => {
    const splitter = new ReasoningSplitter(true);
    expect(splitter.push('one ')).toEqual({ reasoning: 'one', content: '' });
    expect(splitter.push('two</th')).toEqual({ reasoning: ' two', content: '' });
    expect(splitter.push('ink>\n\nx ')).toEqual({ reasoning: '', content: 'x ' });
  });
});

describe('StopStrings', () => {
  function run(text: string, stops: string[], size: number) {
    const stop = new StopStrings(stops);
    let shown = '';
    for (let i = 0; i < text.length; i += size) shown += stop.push(text.slice(i, i + size));
    return { shown: shown + stop.flush(), stopped: stop.stopped };
  }

  it.each<[string, string[], string, string | undefined]>([
    ['abc', [], 'abc', undefined],
    ['abcdef', ['cd'], 'ab', 'cd'],
    ['aaab', ['aab'], 'a', 'aab'],
    ['abab abac', ['abac'], 'abab ', 'abac'],
    ['one\ntwo', ['\n', 'tw'], 'one', '\n'],
    ['ends with a beginnin', ['nine'], 'ends with a beginnin', undefined],
    ['x', ['x'], '', 'x'],
  ])('%j with %j, in pieces of any size', (text, stops, shown, stopped) => {
    for (const size of [1, 2, 3, 100]) expect(run(text, stops, size)).toEqual({ shown, stopped });
  });

  it('holds back only what may begin a stop string', () => {
    const stop = new StopStrings(['END']);
    expect(stop.push('text E')).toBe('text ');
    expect(stop.push('N')).toBe('');
    expect(stop.push('X')).toBe('ENX');
    expect(stop.push('END more')).toBe('');
    expect(stop.push('more')).toBe('');
    expect(stop.flush()).toBe('');
  });
});

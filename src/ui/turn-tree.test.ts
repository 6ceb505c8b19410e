import { expect, test } from 'vitest';
import { TurnTree } from './turn-tree.ts';
import { type UserTurn, userTurn } from './turns.ts';

const turn = (content: string): UserTurn => userTurn(content, []);
const path = (tree: TurnTree) => tree.path.map(({ content }) => content).join(' ');

/** a → b → c, and beside b: d → e */
function branched() {
  const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(turn);
  const tree = TurnTree.of([a, b, c]);
  tree.add(d, a.id);
  tree.add(e, d.id);
  return { tree, a, b, c, d, e };
}

test('what is added beside others is shown, and the others come back with what followed them', () => {
  const { tree, b, d } = branched();
  expect(path(tree)).toBe('a d e');
  expect(tree.siblings(d.id)).toEqual({ ids: [b.id, d.id], place: 1 });
  tree.show(b.id);
  expect(path(tree)).toBe('a b c');
  tree.show(d.id);
  expect(path(tree)).toBe('a d e');
});

test('a first message has branches too', () => {
  const { tree, a } = branched();
  const f = turn('f');
  tree.add(f, undefined);
  expect(path(tree)).toBe('f');
  expect(tree.siblings(f.id).ids).toEqual([a.id, f.id]);
});

test.each([
  ['b', 'a d e', 'a d e'],
  ['d', 'a b c', 'a d e'],
  ['e', 'a d', 'a d e'],
  ['a', '', 'a d e'],
] as const)('%s goes with what follows it, and comes back', (removed, without, back) => {
  const turns = branched();
  const { tree } = turns;
  const before = tree.list();
  const putBack = tree.remove(turns[removed].id);
  expect(path(tree)).toBe(without);
  expect(tree.has(turns[removed].id)).toBe(false);
  putBack();
  expect(path(tree)).toBe(back);
  expect(tree.list()).toEqual(before);
});

test('its list makes the same tree, whatever branch is shown', () => {
  const { tree, b } = branched();
  tree.show(b.id);
  const again = TurnTree.from(tree.list());
  expect(again.list()).toEqual(tree.list());
  expect(path(again)).toBe('a b c');
});

test('a long conversation is listed and read again', () => {
  const turns = Array.from({ length: 30_000 }, (_, i) => turn(String(i)));
  const tree = TurnTree.from(TurnTree.of(turns).list());
  expect(tree.path).toHaveLength(30_000);
  expect(tree.remove(turns[1].id)).toBeTypeOf('function');
  expect(tree.path).toHaveLength(1);
});

test('a turn that is not here any more is not replaced, and asking for it is an error', () => {
  const { tree } = branched();
  const other = turn('x');
  tree.replace(other);
  expect(tree.has(other.id)).toBe(false);
  expect(() => tree.show(other.id)).toThrow(/no turn/);
});

/**
 * The turns of a conversation with all their branches. An edited message and an answer given again stand beside the
 * first one, with all that followed it; what is shown is one path from the first message to a last one.
 */
import type { Turn } from './turns.ts';

interface Branching {
  children: TreeNode[];
  /** Of the children the one that is shown: there is one as soon as there are children. */
  shown?: TreeNode;
}

interface TreeNode extends Branching {
  turn: Turn;
  parent: Branching;
}

/** A turn's place among those that stand for each other. */
export interface Siblings {
  /** Ids, in the order in which they were made. */
  readonly ids: readonly number[];
  readonly place: number;
}

/** A turn with its place in a list of all, where it comes after the one that it follows. */
export interface PlacedTurn {
  readonly turn: Turn;
  /** Place of the turn before it; undefined for one that begins a conversation. */
  readonly after?: number;
  /** It is shown, as soon as the turn before it is. */
  readonly shown: boolean;
}

export class TurnTree {
  private readonly nodes = new Map<number, TreeNode>();
  private readonly root: Branching = { children: [] };
  private cachedPath?: readonly Turn[];

  /** A tree of one path. */
  static of(turns: readonly Turn[]): TurnTree {
    return TurnTree.from(turns.map((turn, i) => ({ turn, after: i === 0 ? undefined : i - 1, shown: true })));
  }

  /** The tree of a list that `list` gave. */
  static from(placed: readonly PlacedTurn[]): TurnTree {
    const tree = new TurnTree();
    const chosen: Array<() => void> = [];
    for (const { turn, after, shown } of placed) {
      tree.add(turn, after === undefined ? undefined : placed[after].turn.id);
      if (shown) chosen.push(() => tree.show(turn.id));
    }
    for (const choose of chosen) choose();
    return tree;
  }

  /** What is shown, from the first message on. */
  get path(): readonly Turn[] {
    if (!this.cachedPath) {
      const path: Turn[] = [];
      for (let node = this.root.shown; node; node = node.shown) path.push(node.turn);
      this.cachedPath = path;
    }
    return this.cachedPath;
  }

  /** All turns, each after the one that it follows. */
  list(): PlacedTurn[] {
    const placed: PlacedTurn[] = [];
    // Not by recursion: every message is one level deeper than the one before it.
    const open = [...this.root.children].reverse().map((node): [TreeNode, number?] => [node]);
    for (let next = open.pop(); next; next = open.pop()) {
      const [node, after] = next;
      placed.push({ turn: node.turn, after, shown: node === node.parent.shown });
      const place = placed.length - 1;
      for (const child of [...node.children].reverse()) open.push([child, place]);
    }
    return placed;
  }

  has(id: number): boolean {
    return this.nodes.has(id);
  }

  turn(id: number): Turn {
    return this.node(id).turn;
  }

  /** Puts `turn` after another, beside what followed that one so far, and shows it. */
  add(turn: Turn, after: number | undefined): void {
    const parent = after === undefined ? this.root : this.node(after);
    const node: TreeNode = { turn, parent, children: [] };
    parent.children.push(node);
    parent.shown = node;
    this.nodes.set(turn.id, node);
    this.cachedPath = undefined;
  }

  /** Gives a turn of the tree, known by its id, its next state. */
  replace(turn: Turn): void {
    const node = this.nodes.get(turn.id);
    if (!node) return; // the conversation it belonged to is not here any more
    node.turn = turn;
    this.cachedPath = undefined;
  }

  before(id: number): Turn | undefined {
    const { parent } = this.node(id);
    return parent === this.root ? undefined : (parent as TreeNode).turn;
  }

  siblings(id: number): Siblings {
    const node = this.node(id);
    return { ids: node.parent.children.map(({ turn }) => turn.id), place: node.parent.children.indexOf(node) };
  }

  /** Shows a turn in place of its siblings, with what was last shown after it. */
  show(id: number): void {
    const node = this.node(id);
    node.parent.shown = node;
    this.cachedPath = undefined;
  }

  /** Takes a turn away with all that follows it; a sibling is shown instead. @returns puts it back where it was */
  remove(id: number): () => void {
    const node = this.node(id);
    const { parent } = node;
    const place = parent.children.indexOf(node);
    const wasShown = parent.shown === node;
    const removed = subtree(node);
    parent.children.splice(place, 1);
    if (wasShown) parent.shown = parent.children[Math.min(place, parent.children.length - 1)];
    for (const { turn } of removed) this.nodes.delete(turn.id);
    this.cachedPath = undefined;
    return () => {
      parent.children.splice(place, 0, node);
      if (wasShown) parent.shown = node;
      for (const each of removed) this.nodes.set(each.turn.id, each);
      this.cachedPath = undefined;
    };
  }

  private node(id: number): TreeNode {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`The conversation has no turn ${id}.`);
    return node;
  }
}

function subtree(node: TreeNode): TreeNode[] {
  const nodes = [node];
  for (const each of nodes) nodes.push(...each.children);
  return nodes;
}

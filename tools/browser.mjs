/**
 * Finds a Chromium-based browser for the tests and says how to start it: `CHROME_PATH`, else an installed Chrome,
 * Chromium or Edge, else Playwright's own Chromium, else (as root on Debian or Ubuntu) the distribution's package.
 * Run by itself it prints the choice; with `--install` it may also install the package.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { argv, env, getuid, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} FoundBrowser
 * @property {string} path The executable.
 * @property {string} source Where it was found, in words.
 */

/** @returns {Promise<FoundBrowser | undefined>} */
export async function findBrowser() {
  if (env.CHROME_PATH) {
    if (!isExecutable(env.CHROME_PATH)) throw new Error(`CHROME_PATH is ${env.CHROME_PATH}, which cannot be executed.`);
    return { path: env.CHROME_PATH, source: 'CHROME_PATH' };
  }
  const installed = installedCandidates().find(isExecutable);
  if (installed !== undefined) return { path: installed, source: 'installed' };
  const { chromium } = await import('playwright');
  const own = chromium.executablePath();
  return existsSync(own) ? { path: own, source: 'Playwright' } : undefined;
}

/** As `findBrowser`, installing Debian's package where that can be done without asking. */
export async function findOrInstallBrowser() {
  const found = await findBrowser();
  if (found !== undefined || !canUseApt()) return found;
  console.log('No browser found: installing the package chromium.');
  const aptEnv = { ...env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['update', '-q'], { stdio: 'inherit', env: aptEnv });
  execFileSync('apt-get', ['install', '-qy', '--no-install-recommends', 'chromium'], { stdio: 'inherit', env: aptEnv });
  return findBrowser();
}

export const BROWSER_REMEDY =
  'Install Chrome or Chromium, or run `npx playwright install chromium`, or set CHROME_PATH to an executable.';

/**
 * How Playwright starts a browser. WebGPU must be asked for on Linux, where a headless Chrome takes SwiftShader unless
 * told to use Vulkan (`BROWSER_GPU=1`, set by the test runner on machines where that was seen to work). The other
 * arguments keep the browser from talking to anyone.
 *
 * @param {FoundBrowser} browser
 * @returns {import('playwright').LaunchOptions}
 */
export function launchOptions(browser) {
  return {
    executablePath: browser.path,
    // Chrome's sandbox refuses to run as root, and an unpacked Chromium lacks the profile that lets it run elsewhere.
    chromiumSandbox: getuid?.() !== 0 && browser.source !== 'Playwright',
    args: [
      '--enable-unsafe-webgpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      ...(env.BROWSER_GPU === '1' && platform === 'linux'
        ? ['--use-angle=vulkan', '--enable-features=Vulkan', '--disable-vulkan-surface']
        : []),
    ],
  };
}

/**
 * Starts the browser and asks for its WebGPU adapter.
 *
 * @param {FoundBrowser} browser
 * @returns {Promise<{ version: string, adapter?: { name: string, software: boolean, f16: boolean } }>}
 */
export async function probeBrowser(browser) {
  const { chromium } = await import('playwright');
  const running = await chromium.launch(launchOptions(browser));
  try {
    const page = await running.newPage();
    // navigator.gpu exists in secure contexts only, and localhost is one; nothing listens there, the route answers.
    await page.route('http://localhost/', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
    await page.goto('http://localhost/');
    const adapter = await page.evaluate(async () => {
      const found = await navigator.gpu?.requestAdapter();
      if (!found) return undefined;
      const { vendor, architecture, description, isFallbackAdapter } = found.info;
      const name = description || [vendor, architecture].filter(Boolean).join(' ');
      return {
        name,
        software: isFallbackAdapter || architecture === 'swiftshader',
        f16: found.features.has('shader-f16'),
      };
    });
    return { version: running.version(), adapter };
  } finally {
    await running.close();
  }
}

/** Executables in the order of preference: release builds first. */
function installedCandidates() {
  switch (platform) {
    case 'darwin':
      return ['/Applications', join(env.HOME ?? '', 'Applications')].flatMap((folder) =>
        ['Google Chrome', 'Chromium', 'Microsoft Edge', 'Google Chrome Canary'].map((name) =>
          join(folder, `${name}.app`, 'Contents', 'MacOS', name),
        ),
      );
    case 'win32':
      return [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA].flatMap((folder) =>
        folder === undefined
          ? []
          : ['Google\\Chrome', 'Chromium', 'Microsoft\\Edge'].map((name) =>
              join(folder, name, 'Application', name.includes('Edge') ? 'msedge.exe' : 'chrome.exe'),
            ),
      );
    default: {
      const names = ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser', 'microsoft-edge-stable'];
      const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
      return names.flatMap((name) => folders.map((folder) => join(folder, name)));
    }
  }
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function canUseApt() {
  return platform === 'linux' && getuid?.() === 0 && existsSync('/etc/debian_version');
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const browser = argv[2] === '--install' ? await findOrInstallBrowser() : await findBrowser();
  console.log(browser === undefined ? `No browser found. ${BROWSER_REMEDY}` : `${browser.path} (${browser.source})`);
  if (browser === undefined) process.exitCode = 1;
}
